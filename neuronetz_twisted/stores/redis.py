"""The gate to Redis: a call is refused at once, answered, or failed by its deadline, never kept.

txredisapi's own pool lets calls wait for ever while Redis is away and stops trying after one failed
greeting; Twisted's ClientService writes a log line for each attempt. So the pool is kept here: by
one coroutine, which alone knocks while Redis is away and fills the pool when it is back.

All connections of the pool are to one run of one server: the one that was connected to last. Behind
a name that has come to mean another server, an older connection would count apart from the others.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import ResponseError

from neuronetz_twisted.errors import RedisNotAsked, RedisUnavailable
from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.seams import RedisArgument, RedisReply, Script
from neuronetz_twisted.stores.redis_connection import RedisConnection
from neuronetz_twisted.stores.redis_info import KEEPS_ALL, policy_of
from neuronetz_twisted.stores.redis_refusals import PROBE, PROBE_KEY, Refusals

POLICY_S = 10.0
"""How often the server is asked what it does without memory: that may be set while it runs."""

_CONNECT_TIMEOUT_S = 1.0
_MOST_DOUBLINGS = 10


class RedisGate(Service):
    """A small pool of connections to one Redis or Valkey (SPEC 2, R1: no answer is no pass).

    `timeout_ms` is the deadline of one call. At most `most_in_flight` calls wait at a time, over
    `pool_size` connections: as many as there may be clients, who can all ask within one turn of the
    reactor. While Redis is away, attempts to reach it are `first_delay_s` apart at first and then
    twice as far each time, up to `longest_delay_s`. `connected` is called with the server's
    `run_id` for each connection, before any call goes over it; it does not fail.
    """

    name = "redis"
    _log = Logger()

    def __init__(  # noqa: PLR0913 - figures that tests and operators turn one by one
        self,
        reactor: IReactorTime,
        target: RedisTarget,
        *,
        timeout_ms: int = 250,
        pool_size: int = 2,
        most_in_flight: int = 10_000,
        first_delay_s: float = 0.05,
        longest_delay_s: float = 1.0,
        connected: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._reactor = reactor
        self._target = target
        self._endpoint = _endpoint(reactor, target)
        self._connections = Factory.forProtocol(
            partial(
                RedisConnection,
                reactor,
                timeout_s=timeout_ms / 1000,
                limit=max(1, most_in_flight // pool_size),
            )
        )
        self._connections.noisy = False
        self._pool_size = pool_size
        self._first_delay_s = first_delay_s
        self._longest_delay_s = longest_delay_s
        self._connected = connected
        self._pool: deque[RedisConnection] = deque()
        self._keeping: Deferred[None] = succeed(None)
        self._vacancy: Deferred[None] | None = None
        self._reachable: bool | None = None
        self._away_because = "not connected yet"
        self._policy: str | None = None
        self._policy_looks = LoopingCall(self._look_at_policy)
        self._policy_looks.clock = reactor
        self._refusals = Refusals(
            reactor, target.where, lambda: self.script(PROBE, [PROBE_KEY], [])
        )

    @property
    def up(self) -> bool:
        """Whether a call made now would be sent."""
        return any(connection.usable for connection in self._pool)

    @property
    def keeps_all(self) -> bool:
        """Whether the server, as far as known, drops no counter for want of memory."""
        return self._policy == KEEPS_ALL

    @property
    def serves(self) -> bool:
        """Whether the server, as far as known, does what it is asked and does not refuse it."""
        return not self._refusals.stand

    def call(self, command: bytes, *args: RedisArgument) -> Deferred[RedisReply]:
        """Send one command and wait for its reply.

        Fails with RedisNotAsked at once where nobody can take the call, and with RedisUnavailable
        by the deadline in any other case; with txredisapi.ResponseError if the command is wrong.
        """
        return self._sent_call(command, *args).addErrback(self._refusals.heard)

    def script(
        self, script: Script, keys: Sequence[str], args: Sequence[RedisArgument]
    ) -> Deferred[RedisReply]:
        """Run a script, as `call` does; a script that Redis has forgotten is sent along."""
        connection = self._next_usable()
        if connection is None:
            return self._refusal()
        return connection.script(script, keys, args).addErrback(self._refusals.heard)

    def startService(self) -> None:
        """Begin to connect; `up` tells when that is done."""
        super().startService()
        self._keeping = Deferred.fromCoroutine(self._keep_connected())
        self._keeping.addErrback(_cancelled)
        # A look that fails does not leave the loop, so what this returns cannot fail.
        self._policy_looks.start(POLICY_S, now=False)

    def stopService(self) -> Deferred[None]:
        """Close all connections; fires when nothing is left. Calls that wait fail."""
        super().stopService()
        if self._policy_looks.running:
            self._policy_looks.stop()
        return Deferred.fromCoroutine(self._disconnect())

    def _sent_call(self, command: bytes, *args: RedisArgument) -> Deferred[RedisReply]:
        connection = self._next_usable()
        return self._refusal() if connection is None else connection.call(command, *args)

    def _next_usable(self) -> RedisConnection | None:
        for _ in range(len(self._pool)):
            self._pool.rotate(-1)
            if self._pool[0].usable:
                return self._pool[0]
        return None

    def _refusal(self) -> Deferred[RedisReply]:
        if self._pool:
            return fail(RedisNotAsked("Redis owes too many answers"))
        return fail(RedisNotAsked(f"Redis is away: {self._away_because}"))

    async def _keep_connected(self) -> None:
        failures = 0
        while self.running:
            delay_s = self._first_delay_s * 2 ** min(failures, _MOST_DOUBLINGS)
            await deferLater(self._reactor, min(delay_s, self._longest_delay_s))
            if len(self._pool) >= self._pool_size:
                self._vacancy = Deferred()
                await self._vacancy
            try:
                replaced = self._take_in(await self._connect())
                # Two servers that take turns behind one name would else replace each other for ever
                # without a pause.
                failures = failures + 1 if replaced else 0
            except RedisUnavailable as error:
                failures += 1
                self._note_away(str(error))
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 - the outermost loop: what ends it ends all service
                failures += 1
                self._log.failure("connecting to Redis failed in an unforeseen way")

    async def _connect(self) -> RedisConnection:
        try:
            connection = cast("RedisConnection", await self._endpoint.connect(self._connections))
        except (ConnectError, ConnectingCancelledError, DNSLookupError) as error:
            raise RedisUnavailable(str(error)) from error
        except ValueError as error:
            raise RedisUnavailable("its host is no valid name") from error
        try:
            await connection.greet(self._target)
        except (RedisUnavailable, CancelledError):
            await connection.give_up("its greeting failed")
            raise
        return connection

    async def _disconnect(self) -> None:
        self._keeping.cancel()
        await self._keeping
        for connection in list(self._pool):
            await connection.give_up("the gateway stops")
        self._refusals.forget()

    def _take_in(self, connection: RedisConnection) -> bool:
        """Use it; says whether it replaces living ones, to another server."""
        self._connected(connection.run_id)
        replaced = [each for each in self._pool if each.run_id != connection.run_id]
        for older in replaced:
            older.give_up("another server is in its place")
        self._pool.append(connection)
        if not self._reachable:
            self._log.info("Redis at {where} is up", where=self._target.where)
        self._reachable = True
        self._note_policy(connection.policy)
        connection.lost.addCallback(self._let_go, connection)
        return bool(replaced)

    def _look_at_policy(self) -> Deferred[None]:
        answer = self._sent_call(b"INFO", b"memory")
        look = answer.addCallback(policy_of).addCallback(self._note_policy)
        # What cannot be read changes nothing; the pool itself says when Redis is away.
        look.addErrback(lambda failure: failure.trap(RedisUnavailable, ResponseError))
        return look.addErrback(
            lambda failure: self._log.failure("the policy of Redis could not be read", failure)
        )

    def _note_policy(self, policy: str) -> None:
        did_keep, self._policy = self._policy in {None, KEEPS_ALL}, policy
        if did_keep == self.keeps_all:
            return
        if self.keeps_all:
            self._log.info("Redis at {where} keeps all that it has", where=self._target.where)
        else:
            self._log.error(
                "Redis at {where} may drop counters: its maxmemory-policy is {policy} and has to "
                "be {needed}",
                where=self._target.where,
                policy=policy,
                needed=KEEPS_ALL,
            )

    def _let_go(self, why: str, connection: RedisConnection) -> None:
        self._pool.remove(connection)
        if not self._pool:
            self._note_away(why)
        vacancy, self._vacancy = self._vacancy, None
        if vacancy is not None:
            vacancy.callback(None)

    def _note_away(self, why: str) -> None:
        is_news = self._reachable is not False or why != self._away_because
        self._away_because = why
        if is_news and self.running and not self._pool:
            self._log.warn("Redis at {where} is away: {why}", where=self._target.where, why=why)
            self._reachable = False


def _cancelled(failure: Failure) -> None:
    """Take the end that stopService brings; any other is a fault and passes."""
    failure.trap(CancelledError)


def _endpoint(reactor: IReactorTime, target: RedisTarget) -> IStreamClientEndpoint:
    """Where to connect to; TLS checks certificate and host name against the system's roots."""
    if target.path is not None:
        return UNIXClientEndpoint(reactor, target.path, timeout=_CONNECT_TIMEOUT_S)
    plain = HostnameEndpoint(reactor, target.host, target.port, timeout=_CONNECT_TIMEOUT_S)
    return wrapClientTLS(optionsForClientTLS(target.host), plain) if target.tls else plain
