"""One connection to Redis whose calls always end: by their answer, or by their deadline.

txredisapi brings the protocol; what it lacks is here. Its own deadline fails every call that waits
on the connection, so it is set to twice ours and ends the connection, not a call. A connection that
owes an answer past the first deadline is out of rotation until the answer is in: a short hiccup of
the server costs the calls that it delayed, a long one costs the connection.
"""

from collections.abc import Sequence
from functools import partial

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.python.failure import Failure
from txredisapi import ConnectionError as NoReply
from txredisapi import HiredisProtocol, InvalidData, ResponseError

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.seams import RedisArgument, RedisReply, Script
from neuronetz_twisted.stores.patience import Patience

_LATE = "it did not answer in time"
_LARGEST_REPLY = 16 * 1024 * 1024
_SERVER_STATES = frozenset(
    {"BUSY", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOREPLICAS", "OOM", "READONLY"}
)
"""Codes of errors that say that Redis cannot serve now, not that the call was wrong."""


def _code(error: ResponseError) -> str:
    """The code that an error begins with; the rest may quote arguments, and with them secrets."""
    return str(error).partition(" ")[0]


def _in_our_words(result: RedisReply | Failure) -> RedisReply | Failure:
    """A reply as it is; a failure that says "not now" as RedisUnavailable, any other as it is."""
    if not isinstance(result, Failure):
        return result
    if result.check(NoReply):
        return Failure(RedisUnavailable("Redis is away: the connection was lost"))
    if result.check(ResponseError) and _code(result.value) in _SERVER_STATES:
        return Failure(RedisUnavailable(f"Redis cannot serve now: {_code(result.value)}"))
    return result


class RedisConnection(HiredisProtocol):
    """A connection of the gate's pool.

    `timeout_s` is the deadline of one call, after twice that the connection is given up. At most
    `limit` calls wait on it. `lost` fires with the reason, in words, once the connection is gone.
    """

    def __init__(self, clock: IReactorTime, *, timeout_s: float, limit: int) -> None:
        super().__init__(charset=None, convertNumbers=False, replyTimeout=2 * timeout_s)
        # What txredisapi has there is the global reactor's.
        self.callLater = partial(Patience, clock)
        self.lost: Deferred[str] = Deferred()
        self._clock = clock
        self._timeout_s = timeout_s
        self._limit = limit
        self._overdue = 0
        self._unread_bytes = 0
        self._fault: str | None = None

    @property
    def usable(self) -> bool:
        """Whether it is connected, owes no answer past its deadline, and has room for a call."""
        return bool(
            self.connected
            and not self._overdue
            and self._fault is None
            and len(self.replyQueue.waiting) < self._limit
        )

    async def greet(self, target: RedisTarget) -> None:
        """Authenticate, select the database and see that the server answers.

        Stock txredisapi gives up for ever when its greeting fails; this is one failed attempt like
        any other. Raises RedisUnavailable, after which the caller has to close the connection.
        """
        if target.username is not None and target.password is not None:
            await self._greet("AUTH", target.username, target.password)
        elif target.password is not None:
            await self._greet("AUTH", target.password)
        if target.database:
            await self._greet("SELECT", target.database)
        # Connecting to a stopped server succeeds: only an answer shows that there is one.
        await self._greet("PING")

    async def _greet(self, command: str, *args: RedisArgument) -> None:
        try:
            await self._send(command, *args)
        except ResponseError as error:
            raise RedisUnavailable(f"it refused {command} with {_code(error)}") from None
        except NoReply:
            raise RedisUnavailable(self._fault or _LATE) from None

    def call(self, *parts: RedisArgument) -> Deferred[RedisReply]:
        """Send one command. Fails with RedisUnavailable, or with ResponseError if it is wrong."""
        return self._within_deadline(self._send(*parts))

    def script(
        self, script: Script, keys: Sequence[str], args: Sequence[RedisArgument]
    ) -> Deferred[RedisReply]:
        """Run a script by its digest, or by its text where Redis has forgotten it."""
        parts = (len(keys), *keys, *args)

        def by_text(failure: Failure) -> Deferred[RedisReply]:
            if failure.check(ResponseError) and _code(failure.value) == "NOSCRIPT":
                return self._send("EVAL", script.source, *parts)
            return fail(failure)

        reply = self._send("EVALSHA", script.digest, *parts)
        return self._within_deadline(reply.addErrback(by_text))

    def give_up(self, why: str) -> Deferred[str]:
        """Close it at once; fires with the reason when it is gone."""
        self._fault = self._fault or why
        self.transport.abortConnection()
        return self.lost

    def connectionMade(self) -> None:
        """Calls are small writes, several per round trip: they must not wait for each other."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(enabled=True)
            self.transport.setTcpKeepAlive(enabled=True)

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:  # noqa: FBT001, FBT002
        """Read on, as far as this is Redis' protocol and no reply is beyond all measure."""
        self._unread_bytes += len(data)
        if self._unread_bytes > _LARGEST_REPLY:
            self.give_up("its reply was too large")
            return
        try:
            super().dataReceived(data, unpause)
        except InvalidData:
            self.give_up("it does not speak the Redis protocol")

    def replyReceived(self, reply: object) -> None:
        """Answer the oldest call.

        A reply to no call would make each later one the answer to its neighbour's question, so it
        ends the connection.
        """
        self._unread_bytes = 0
        if self.replyQueue.waiting:
            super().replyReceived(reply)
        else:
            self.give_up("it answered without a question")

    def connectionLost(self, reason: Failure) -> None:
        """Fail what waits, then say why it is gone."""
        self._fault = self._fault or (_LATE if self._overdue else reason.getErrorMessage())
        super().connectionLost(reason)
        self.lost.callback(self._fault)

    def _send(self, *parts: RedisArgument) -> Deferred[RedisReply]:
        reply: Deferred[RedisReply] = self.execute_command(*parts)
        return reply

    def _within_deadline(self, reply: Deferred[RedisReply]) -> Deferred[RedisReply]:
        waiting: Deferred[RedisReply] = Deferred()

        def expired() -> None:
            self._overdue += 1
            if not waiting.called:
                waiting.errback(RedisUnavailable(f"Redis is away: {_LATE}"))

        deadline = Patience(self._clock, self._timeout_s, expired)

        def settled(result: RedisReply | Failure) -> None:
            if deadline.active():
                deadline.cancel()
            elif not (isinstance(result, Failure) and result.check(NoReply)):
                self._overdue -= 1
            # Else whoever waited was told at the deadline, or has cancelled.
            if not waiting.called:
                waiting.callback(_in_our_words(result))

        reply.addBoth(settled)
        return waiting
