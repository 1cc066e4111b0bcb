"""The list of one backend: asked for at intervals, believed for a while (SPEC 6)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.errors import UpstreamNonsense

FIRST_RETRY_S = 1.0

Listings = Mapping[str, Mapping[str, Any]]
"""What a backend has, by canonical name."""

_log = Logger()


class PollFailed(Exception):  # noqa: N818 - states what happened
    """A backend did not answer a poll, or not as an Ollama."""


class TooOld(Exception):  # noqa: N818 - states what the backend is
    """A backend has answered that its version is one that is not used."""


@define(eq=False)
class Complaints:
    """What is wrong with whom: one line of the log per change, not one per poll."""

    _told: dict[str, str] = field(factory=dict, init=False)

    def tell(self, what: str, complaint: str) -> None:
        """Log a complaint that is new, or that there is none any more."""
        before = self._told.pop(what, "")
        if complaint:
            self._told[what] = complaint
        if complaint and complaint != before:
            _log.error("no answer of {backend}: {reason}", backend=what, reason=complaint)
        elif before and not complaint:
            _log.info("{backend} answers again", backend=what)


@define(eq=False, kw_only=True)
class BackendList:
    """Asks one backend now and at every interval; sooner while it does not answer.

    A list is kept for `ttl_s` seconds after the answer that it came with, whatever fails meanwhile;
    that of a host that says it is too old is dropped at once. `answers` says how the last poll
    went; `polled` is called after each.
    """

    name: str
    _clock: IReactorTime
    _ask: Callable[[], Awaitable[Listings]]
    _polled: Callable[[], object]
    _complaints: Complaints
    _refresh_s: float
    _ttl_s: float
    answers: bool = field(default=False, init=False)
    _listings: Listings = field(factory=dict, init=False)
    _until: float | None = field(default=None, init=False)
    _begun_at: float | None = field(default=None, init=False)
    _pause_s: float = field(default=FIRST_RETRY_S, init=False)
    _runs: bool = field(default=False, init=False)
    _polling: Deferred[None] | None = field(default=None, init=False)
    _next: IDelayedCall | None = field(default=None, init=False)

    def listings(self, now: float) -> tuple[Listings, float] | None:
        """What it has, and until when that may be believed; None where nothing may."""
        return None if self._until is None or now >= self._until else (self._listings, self._until)

    def start(self) -> None:
        """Poll now, and then at intervals."""
        self._runs = True
        self._poll()

    def stop(self) -> Deferred[None] | None:
        """Stop polling; a poll under way is cancelled."""
        self._runs = False
        if self._next is not None and self._next.active():
            self._next.cancel()
        polling = self._polling
        if polling is not None:
            polling.cancel()
        return polling

    def look_again(self, behind_s: float = FIRST_RETRY_S) -> None:
        """Poll before its time, unless the last poll began within `behind_s` seconds."""
        if self._begun_at is None or self._clock.seconds() - self._begun_at >= behind_s:
            self._poll()

    def _poll(self) -> None:
        if not self._runs or self._polling is not None:
            return
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._begun_at = self._clock.seconds()
        polling = Deferred.fromCoroutine(self._poll_safely())
        if not polling.called:
            self._polling = polling

    async def _poll_safely(self) -> None:
        answers = False
        try:
            answers = await self._read()
        except CancelledError:
            _log.debug("a poll was cancelled")
        except Exception:  # noqa: BLE001 - the loop's outermost wall: the next poll must come
            _log.failure("a poll failed")
        finally:
            self._polling = None
        self.answers = answers
        if self._runs:
            pause_s = self._refresh_s if answers else min(self._pause_s, self._refresh_s)
            self._pause_s = FIRST_RETRY_S if answers else 2 * pause_s
            self._next = self._clock.callLater(pause_s, self._poll)
            self._polled()

    async def _read(self) -> bool:
        try:
            self._listings = await self._ask()
        except TooOld as error:
            self._until = None
            self._complaints.tell(self.name, str(error))
        except (PollFailed, UpstreamNonsense) as error:
            self._complaints.tell(self.name, str(error))
        else:
            self._until = self._clock.seconds() + self._ttl_s
            self._complaints.tell(self.name, "")
            return True
        return False
