"""Whether a backend is worth asking: judged by what its streams bring, never by a list (SPEC 6).

    closed --3 failures, unreachable, or stalled--> open --pause over--> half-open
       ^                                             ^                       |
       |                                             +--- trial failed ------+  (a longer pause)
       +---- a first frame; of a stalled one any byte ----------------------/

Pure: all times are given, in seconds of one clock. An Ollama whose `/api/tags` answers while its
runner stands still looks well to every probe, so only progress counts.
"""

from collections.abc import Callable

from attrs import define, field

STALL_S = 15.0
"""A backend that owes something and brings nothing for so long is stalled."""

LOAD_S = 120.0
"""How long it may be silent while it loads a model, or reads a long prompt.

Ollama lets a load take longer, but then nobody waits whom another backend could have answered.
"""

SLOWEST = 100
"""In tokens a second: what is read, or written and held back, is worked on as fast as this."""

FAILURES = 3
"""So many in a row, each before its first frame, and calls go elsewhere."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0
TRIAL_S = 5.0
"""How long the first trial may be silent while another backend could answer."""


def patience(tokens: int, *, is_loaded: bool) -> float:
    """How long a well backend may be silent before a first frame, in seconds.

    It loads the model, and reads or writes `tokens` of which nobody hears.
    """
    return min(max(STALL_S, tokens / SLOWEST), LOAD_S) if is_loaded else LOAD_S


@define(eq=False)
class Health:
    """The breaker of one backend.

    `changed` is told why it is left out from now on, or nothing when it is asked as before. It is
    looked at every `look_s` seconds while anything is under way.
    """

    _look_s: float
    _changed: Callable[[str], object]
    _failures: int = field(default=0, init=False)
    _open_until: float | None = field(default=None, init=False)
    _pause_s: float = field(default=FIRST_PAUSE_S, init=False)
    _is_tried: bool = field(default=False, init=False)
    _looked_at: float | None = field(default=None, init=False)
    _quiet_since: float = field(default=0.0, init=False)
    is_stalled: bool = field(default=False, init=False)
    trial_s: float = field(default=TRIAL_S, init=False)

    @property
    def is_well(self) -> bool:
        """Whether nothing speaks against it."""
        return self._open_until is None

    def is_due(self, now: float) -> bool:
        """Whether it is to be asked in its turn: it is well, or may be tried again."""
        return self._open_until is None or (now >= self._open_until and not self._is_tried)

    def begin(self, now: float) -> bool:
        """Note that a call is on its way; True where that is the trial, of which there is one."""
        if self._open_until is None or not self.is_due(now):
            return False
        self._is_tried = True
        return True

    def answered(self) -> None:
        """Note a first frame, or an answer that is as good."""
        self._failures = 0
        if self._open_until is not None:
            self._close()

    def failed(self, now: float, why: str, *, trial: bool, unreachable: bool = False) -> None:
        """Note that a call has failed before its first frame."""
        if self._open_until is None:
            self._failures += 1
            if unreachable or self._failures >= FAILURES:
                self._open(now, why)
        elif trial:
            self._is_tried = False
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            # It may have been started again, and load for longer than the trial before had.
            self.trial_s = min(2 * self.trial_s, LOAD_S)
            self._open_until = now + self._pause_s

    def ended(self, *, trial: bool) -> None:
        """Note that a call has ended and tells nothing, so that the next may be the trial."""
        if trial:
            self._is_tried = False

    def quiet_s(self, now: float) -> float:
        """How long it has brought nothing of what it owes, as of the last look."""
        return now - self._quiet_since

    def look(self, now: float, *, heard: bool, expects: bool, allowed_s: float = STALL_S) -> None:
        """See whether it has brought a byte since the last look, or owes none.

        It is stalled when it has brought nothing for `allowed_s`.
        """
        if self._looked_at is None or now - self._looked_at > 2 * self._look_s:
            # Nothing was under way: what is began within the time of one look.
            self._quiet_since = now - self._look_s
        self._looked_at = now
        if heard:
            self._quiet_since = now
            if self.is_stalled:
                self._close()
        elif not expects:
            self._quiet_since = now
        elif self._open_until is None and now - self._quiet_since >= allowed_s:
            self.is_stalled = True
            self._open(now, f"nothing came for {allowed_s:g} s of all that was asked")

    def _open(self, now: float, why: str) -> None:
        self._pause_s = FIRST_PAUSE_S
        self.trial_s = TRIAL_S
        self._open_until = now + self._pause_s
        self._is_tried = False
        self._changed(why)

    def _close(self) -> None:
        self._failures = 0
        self._open_until = None
        self._is_tried = False
        self.is_stalled = False
        self._changed("")
