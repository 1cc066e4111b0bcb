"""Which backend a call is sent to, and to which next: the order of SPEC 6."""

from typing import Protocol

from attrs import Factory, define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.errors import (
    NotAllowed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.health import Health
from neuronetz_twisted.upstream.pool import LOOK_S

_log = Logger()

_TELLING = (UpstreamBusy, UpstreamTimeout, UpstreamFailed, NotAllowed)
"""Which of several refusals the client gets: the first says that it pays to come again."""

_NO_ROOM = 4


class Room(Protocol):
    """The places at one backend (`pool.Pool`)."""

    heard: bool

    @property
    def is_free(self) -> bool:
        """Whether a request has a place at once."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether a request would be turned away at once."""
        ...

    @property
    def expects(self) -> bool:
        """Whether the host owes something."""
        ...

    def turned_away(self) -> None:
        """Say in the log that a request was turned away."""
        ...


class Impatient(Protocol):
    """A call that waits for its first frame."""

    def look(self, now: float) -> None:
        """Go elsewhere where that is better by now."""
        ...


@define(eq=False)
class Host:
    """One backend as calls know it, and those of them that wait for it, the first one first.

    `look` is to be called every second while anything is under way.
    """

    backend: Backend
    room: Room
    _clock: IReactorTime
    health: Health = field(init=False)
    waiting: dict[Impatient, None] = field(factory=dict, init=False)

    @health.default
    def _make_health(self) -> Health:
        return Health(LOOK_S, self._say)

    def rank(self, now: float) -> int:
        """How good it is to ask it now, 0 being best: health goes before a place at once."""
        is_due = self.health.is_due(now)
        if self.room.is_free:
            return 0 if is_due else 2
        if self.room.is_full:
            return _NO_ROOM
        return 1 if is_due else 3

    def look(self) -> None:
        """Judge its silence, and let those who wait for it think again."""
        now = self._clock.seconds()
        heard, self.room.heard = self.room.heard, False
        self.health.look(now, heard=heard, expects=not heard and self.room.expects)
        for call in list(self.waiting):
            call.look(now)

    def _say(self, why: str) -> None:
        name = self.backend.name
        if why:
            _log.warn("backend {backend} is left out: {reason}", backend=name, reason=why)
        else:
            _log.info("backend {backend} is asked again", backend=name)


@define(eq=False)
class Candidates:
    """The backends that one call may still be sent to, in their order.

    A backend that is given up for its silence comes again when all others have failed, and is then
    waited for as long as any: it may only be slow.
    """

    _untried: list[Host]
    _silent: list[Host] = field(init=False, default=Factory(list))
    _failures: list[Refusal] = field(init=False, default=Factory(list))

    def next(self, now: float) -> tuple[Host, bool] | None:
        """Whom to ask now, and whether he was given up before; None where nobody is left."""
        host = _best(self._untried, now)
        if host is not None:
            return host, False
        host = _best(self._silent, now)
        return None if host is None else (host, True)

    def gave_up(self, host: Host) -> None:
        """Put a silent one behind all others."""
        self._untried.remove(host)
        self._silent.append(host)

    def failed(self, host: Host, refusal: Refusal) -> None:
        """Ask it no more."""
        (self._untried if host in self._untried else self._silent).remove(host)
        self._failures.append(refusal)

    def better_than(self, host: Host, *, at_once: bool) -> bool:
        """Whether another one is well and was not tried; `at_once`: and has a place."""
        return any(
            other is not host
            and other.health.is_well
            and (other.room.is_free if at_once else not other.room.is_full)
            for other in self._untried
        )

    def refusal(self) -> Refusal:
        """What the client is told when nobody is left to ask."""
        left = [*self._untried, *self._silent]
        if left:
            left[0].room.turned_away()
            return UpstreamBusy(why="queue")
        for kind in _TELLING:
            for refusal in self._failures:
                if isinstance(refusal, kind):
                    return refusal
        return UpstreamFailed(why="no_backend")


def _best(hosts: list[Host], now: float) -> Host | None:
    best, least = None, _NO_ROOM
    for host in hosts:
        rank = host.rank(now)
        if rank < least:
            best, least = host, rank
            if not rank:
                break
    return best
