"""The open connections of clients: how many there may be, from where, and until when.

Memory before authentication is bounded here. Whoever has not sent a whole head yet is *waiting*; a
new connection beyond the limit, or too many bytes of unfinished heads, end the connection that has
waited longest, so that half-open ones cannot keep others out. One timer serves all deadlines.
"""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from math import inf
from typing import Protocol

from attrs import define, field, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.edge.address import bucket_key
from neuronetz_twisted.edge.excess import Excess, Reason

LOOKED_AT = 64
"""So many of those that wait are asked whether they have read their answers."""

TICK_S = 0.25
"""How late a deadline may be noticed."""

_log = Logger()


@frozen(kw_only=True)
class ConnectionLimits:
    """How many connections, bytes of unfinished heads, and of answers that wait to be read, in all.

    `per_address` does not hold for addresses that are `exempt`: behind a proxy are many.
    """

    total: int
    per_address: int
    head_bytes: int = 32 * 1024 * 1024
    unread_bytes: int = 256 * 1024 * 1024
    exempt: Callable[[str], bool] = lambda _: False


class Connection(Protocol):
    """What is asked of a channel here.

    `host` is the peer's address, None where it has none. `deadline` is on the clock, infinite
    where there is none. `held_bytes` are those of an unfinished head. `owes` says whether something
    is written that the client has yet to take.
    """

    host: str | None
    held_bytes: int

    @property
    def deadline(self) -> float:
        """As above."""
        ...

    @property
    def owes(self) -> bool:
        """As above."""
        ...

    def expired(self) -> None:
        """The deadline has passed."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


@define(eq=False)
class Connections:
    """All connections of one site."""

    _clock: IReactorTime
    _limits: ConnectionLimits
    _open: set[Connection] = field(factory=set, init=False)
    _waiting: dict[Connection, None] = field(factory=dict, init=False)
    _holding: dict[Connection, None] = field(factory=dict, init=False)
    _addresses: Counter[str] = field(factory=Counter, init=False)
    _held: int = field(default=0, init=False)
    _unread: dict[Connection, int] = field(factory=dict, init=False)
    _timer: IDelayedCall | None = field(default=None, init=False)
    _excess: Excess = field(factory=Excess, init=False)

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[Connection]:
        """Those that are open now."""
        return list(self._open)

    def may_open(self, host: str | None) -> bool:
        """Whether one more may be opened from an address; may end another one for it."""
        if host is not None and self._is_full(host):
            self._note(Reason.ADDRESS, self._limits.per_address, bucket_key(host))
            return False
        total = self._limits.total
        if len(self._open) >= total and not self._evict(Reason.TOTAL, total):
            self._note(Reason.ALL_ANSWERED, total)
            return False
        return True

    def enter(self, connection: Connection) -> None:
        """A connection is open, and waiting."""
        self._open.add(connection)
        self._waiting[connection] = None
        if connection.host is not None:
            self._addresses[bucket_key(connection.host)] += 1
        if self._timer is None:
            self._timer = self._clock.callLater(TICK_S, self._tick)

    def leave(self, connection: Connection) -> None:
        """A connection is closed, or will be in a moment."""
        self._waiting.pop(connection, None)
        if connection not in self._open:
            return
        self._open.remove(connection)
        self._holding.pop(connection, None)
        self._held -= connection.held_bytes
        self._unread.pop(connection, None)
        if connection.host is not None:
            key = bucket_key(connection.host)
            self._addresses[key] -= 1
            if not self._addresses[key]:
                del self._addresses[key]
        self._rest()

    def stop(self) -> None:
        """Tell the log what it does not know yet, for there will be no more ticks."""
        self._excess.tell(inf)
        self._rest()

    def waits(self, connection: Connection) -> None:
        """A connection waits for its next request from now on."""
        if connection in self._open:
            self._waiting[connection] = None

    def answers(self, connection: Connection) -> None:
        """A connection has a whole head: from now on it is nobody's victim."""
        self._waiting.pop(connection, None)

    def holds(self, connection: Connection, count: int) -> None:
        """A connection holds so many bytes of an unfinished head, or of what is behind an answer.

        Where there are too many, those end that have held theirs for the longest time.
        """
        if connection not in self._open:
            return
        self._held += count - connection.held_bytes
        connection.held_bytes = count
        if count:
            self._holding[connection] = None
        else:
            self._holding.pop(connection, None)
        while self._held > self._limits.head_bytes:
            self._end(next(iter(self._holding)), Reason.HEADS, self._limits.head_bytes)

    def unread(self, connection: Connection, count: int) -> None:
        """A connection has an answer of which so many bytes wait to be read.

        The call is over, and its caller may have the next one: here it is bounded what piles up
        for those who ask for much and read slowly. Those end that have been at it for longest.
        """
        if connection not in self._open:
            return
        if count:
            self._unread[connection] = count
        else:
            self._unread.pop(connection, None)
        while sum(self._unread.values()) > self._limits.unread_bytes:
            self._end(next(iter(self._unread)), Reason.UNREAD, self._limits.unread_bytes)

    def _is_full(self, host: str) -> bool:
        if self._limits.exempt(host):
            return False
        return self._addresses[bucket_key(host)] >= self._limits.per_address

    def _evict(self, reason: Reason, limit: int) -> bool:
        """End the connection that has waited longest; False where none waits.

        One that has yet to read its answer only goes where there is no other.
        """
        oldest = next((one for one in islice(self._waiting, LOOKED_AT) if not one.owes), None)
        oldest = oldest or next(iter(self._waiting), None)
        if oldest is None:
            return False
        self._end(oldest, reason, limit)
        return True

    def _end(self, connection: Connection, reason: Reason, limit: int) -> None:
        self._note(reason, limit)
        self.leave(connection)
        connection.abort()

    def _note(self, reason: Reason, limit: int, who: str = "") -> None:
        self._excess.note(reason, limit, self._clock.seconds(), who)

    def _tick(self) -> None:
        self._timer = self._clock.callLater(TICK_S, self._tick)
        now = self._clock.seconds()
        for connection in [one for one in self._open if one.deadline <= now]:
            try:
                connection.expired()
            except Exception:  # noqa: BLE001 - one fault must not keep the others open
                _log.failure("a connection could not end in order")
                connection.abort()
        self._excess.tell(now)
        self._rest()

    def _rest(self) -> None:
        """Tick no more where nobody is connected and the log knows all."""
        if self._timer is not None and not self._open and self._excess.is_told:
            self._timer.cancel()
            self._timer = None
