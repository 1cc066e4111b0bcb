"""The connections to one backend: so many and no more, kept for a while, given out in order.

A *place* is the right to have a request under way. Whoever finds none free waits in line, which is
as long as there are places. What is idle is used before a connection is made, so that there are
never more of them than places.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, TimeoutError  # noqa: A004 - Twisted's own
from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.upstream.connection import Connection, Exchange
from neuronetz_twisted.upstream.targets import Target

IDLE_S = 30.0
"""How long a connection is kept for the next request."""

DRAIN_S = 1.0
"""How long a host may take to end its answer behind the final frame."""

WARN_AGAIN_S = 60.0
"""How often the log says that requests were turned away."""

LOOK_S = 1.0
"""How often somebody looks at a backend of which something is under way."""

_LINE_FULL = "the line is full"

_log = Logger()


class PoolFull(Exception):  # noqa: N818 - states what the pool is
    """No place was free, and the line was full or did not move in time."""


class _Factory(Factory):
    """Makes the connections of one target."""

    noisy = False

    def __init__(self, target: Target, pool: "Pool") -> None:
        self._target = target
        self._pool = pool

    def buildProtocol(self, addr: object) -> Connection:
        """Make one."""
        del addr
        return Connection(self._target, self._pool)


def _when_ready(connection: Any) -> Deferred[IProtocol]:
    ready: Deferred[IProtocol] = connection.ready
    return ready


def _idle_since(connection: Connection) -> float:
    return connection.idle_since


@define(eq=False, kw_only=True)
class Pool:
    """Runs exchanges, at most `places` at a time, over at most as many connections.

    `wait_s` bounds the wait in line, `connect_s` the time to connect, names and TLS included, in
    seconds. The log says, once a minute at most, when requests are turned away, and when the line
    moves again. `look` is called each second while anything is under way; whoever looks sees in
    `heard` whether the host has brought anything, in `left_by_host` whether it has closed a
    connection, and takes it back.
    """

    clock: IReactorTime
    name: str
    places: int
    wait_s: float
    connect_s: float
    heard: bool = field(default=False, init=False)
    left_by_host: bool = field(default=False, init=False)
    look: Callable[[], object] = field(default=lambda: None, init=False)
    _taken: int = field(default=0, init=False)
    _line: dict[Exchange, IDelayedCall] = field(factory=dict, init=False)
    _connecting: dict[Exchange, Deferred[IProtocol]] = field(factory=dict, init=False)
    _connections: set[Connection] = field(factory=set, init=False)
    _idle: list[Connection] = field(factory=list, init=False)
    _sweep: IDelayedCall | None = field(default=None, init=False)
    _look_timer: IDelayedCall | None = field(default=None, init=False)
    _draining: dict[Connection, float] = field(factory=dict, init=False)
    _drain_timer: IDelayedCall | None = field(default=None, init=False)
    _crowded: bool = field(default=False, init=False)
    _warn_from: float = field(default=0.0, init=False)
    _closed: bool = field(default=False, init=False)
    _closers: list[Deferred[None]] = field(factory=list, init=False)

    @property
    def is_free(self) -> bool:
        """Whether a request has a place at once."""
        return self._taken < self.places

    @property
    def is_full(self) -> bool:
        """Whether a request would be turned away at once."""
        return self._taken >= self.places and len(self._line) >= self.places

    @property
    def expects(self) -> bool:
        """Whether the host owes something on any connection."""
        return any(connection.expects for connection in self._connections)

    def run(self, exchange: Exchange) -> None:
        """Ask when there is a place."""
        if self._closed:
            exchange.fail(ConnectionAborted())
            return
        if self.is_free:
            self._enter(exchange)
        elif len(self._line) < self.places:
            self._line[exchange] = self.clock.callLater(self.wait_s, self._give_up, exchange)
            exchange.stop = partial(self._leave_line, exchange)
        else:
            self._turn_away(exchange, _LINE_FULL)

    def turned_away(self) -> None:
        """Say that a request was turned away, because this line is full."""
        self._warn(_LINE_FULL)

    def close(self) -> Deferred[None]:
        """Close everything; fires when nothing is left. What is asked from now on fails."""
        closed: Deferred[None] = Deferred()
        self._closers.append(closed)
        self._closed = True
        for timer in (self._sweep, self._drain_timer):
            if timer is not None and timer.active():
                timer.cancel()
        for waiting in list(self._line):
            if self._leave_line(waiting):
                waiting.fail(ConnectionAborted())
        for connecting in list(self._connecting.values()):
            connecting.cancel()
        for connection in list(self._connections):
            connection.close()
        self._tell_closers()
        return closed

    def made(self, connection: Connection) -> None:
        """Know a new connection."""
        self._connections.add(connection)

    def released(self, connection: Connection) -> None:
        """Keep a connection for the next request, and free its place."""
        self._draining.pop(connection, None)
        connection.idle_since = self.clock.seconds()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self.clock.callLater(IDLE_S, self._drop_old)
        self.left()

    def left(self) -> None:
        """Free a place; the first in line takes it."""
        self._taken -= 1
        if self._line:
            exchange = next(iter(self._line))
            self._leave_line(exchange)
            self._enter(exchange)
            return
        if not self._taken and self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        if self._crowded:
            self._crowded = False
            _log.info("a place at backend {backend} is free again", backend=self.name)

    def drains(self, connection: Connection) -> None:
        """Give the host a moment to end its answer."""
        self._draining[connection] = self.clock.seconds() + DRAIN_S
        if self._drain_timer is None:
            self._drain_timer = self.clock.callLater(DRAIN_S, self._end_drains)

    def closing(self, connection: Connection) -> None:
        """Give a connection to nobody any more."""
        self._draining.pop(connection, None)
        if connection in self._idle:
            self._idle.remove(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self.closing(connection)
        self._connections.discard(connection)
        self._tell_closers()

    def again(self, exchange: Exchange) -> None:
        """Ask once more, on a new connection; the place goes with it."""
        self._connect(exchange)

    def _tell_closers(self) -> None:
        if not self._connections:
            closers, self._closers = self._closers, []
            for closed in closers:
                closed.callback(None)

    def _enter(self, exchange: Exchange) -> None:
        self._taken += 1
        if self._look_timer is None:
            self._look_timer = self.clock.callLater(LOOK_S, self._look_again)
        if self._idle:
            self._idle.pop().ask(exchange)
        else:
            self._connect(exchange)

    def _connect(self, exchange: Exchange) -> None:
        target = exchange.target
        connecting = target.endpoint.connect(_Factory(target, self))
        if target.secure:
            connecting.addCallback(_when_ready)
        connecting.addTimeout(self.connect_s, self.clock, lambda *_: Failure(TimeoutError()))
        self._connecting[exchange] = connecting
        exchange.stop = connecting.cancel
        connecting.addCallbacks(
            self._connected, self._not_connected, callbackArgs=(exchange,), errbackArgs=(exchange,)
        )
        connecting.addErrback(lambda failure: _log.failure("a request was not sent", failure))

    def _connected(self, connection: Connection, exchange: Exchange) -> None:
        self._connecting.pop(exchange, None)
        connection.ask(exchange)

    def _not_connected(self, failure: Failure, exchange: Exchange) -> None:
        self._connecting.pop(exchange, None)
        self.left()
        exchange.fail(ConnectionAborted() if self._closed else failure)

    def _leave_line(self, exchange: Exchange) -> bool:
        """Whether it was in line."""
        timer = self._line.pop(exchange, None)
        if timer is None:
            return False
        timer.cancel()
        return True

    def _give_up(self, exchange: Exchange) -> None:
        del self._line[exchange]
        self._turn_away(exchange, "the line did not move in time")

    def _turn_away(self, exchange: Exchange, reason: str) -> None:
        self._warn(reason)
        exchange.fail(PoolFull())

    def _warn(self, reason: str) -> None:
        now = self.clock.seconds()
        if now >= self._warn_from:
            self._crowded = True
            self._warn_from = now + WARN_AGAIN_S
            _log.warn(
                "a request was turned away: all {places} slots of backend {backend} are taken"
                " (OLLAMA_MAX_CONNECTIONS, or its own in OLLAMA_BACKENDS), and {reason}",
                places=self.places,
                backend=self.name,
                reason=reason,
            )

    def _look_again(self) -> None:
        """Let somebody look, and come again while anything is under way."""
        self._look_timer = self.clock.callLater(LOOK_S, self._look_again)
        self.look()

    def _end_drains(self) -> None:
        """Close what still drains at its time; come again for the next one."""
        self._drain_timer = None
        now = self.clock.seconds()
        for connection, due in list(self._draining.items()):
            if due > now:
                self._drain_timer = self.clock.callLater(due - now, self._end_drains)
                return
            connection.abort()

    def _drop_old(self) -> None:
        """Close what has been idle for too long; come again when the next one will have been."""
        self._sweep = None
        now = self.clock.seconds()
        for connection in sorted(self._idle, key=_idle_since):
            if connection.idle_since + IDLE_S > now:
                due = connection.idle_since + IDLE_S - now
                self._sweep = self.clock.callLater(due, self._drop_old)
                return
            connection.close()
