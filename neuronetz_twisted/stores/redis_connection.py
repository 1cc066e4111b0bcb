"""One connection to Redis whose calls always end: by their answer, or by their deadline.

txredisapi reads the protocol. What is sent, who waits for which answer and for how long is here,
since its own deadline fails every call that waits on the connection. A connection that owes an
answer past its deadline is out of rotation until the answer is in, and is closed when that takes as
long again: a short hiccup of the server costs the calls that it delayed, a long one costs the
connection.
"""

from collections import deque
from collections.abc import Sequence

from attrs import define, field
from hiredis import pack_command
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport
from twisted.python.failure import Failure
from txredisapi import HiredisProtocol, InvalidData, ResponseError

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.redis_target import RedisTarget
from neuronetz_twisted.seams import RedisArgument, RedisReply, Script
from neuronetz_twisted.stores.patience import Patience
from neuronetz_twisted.stores.redis_info import policy_of, role_of, run_id_of
from neuronetz_twisted.stores.redis_refusals import REPLICA, code_of
from neuronetz_twisted.transports import writer_of

_LOST = "Redis is away: the connection was lost"
_LATE = "it did not answer in time"
_IS_REPLICA = "it is a replica"
_LARGEST_REPLY = 16 * 1024 * 1024


def _packed(parts: tuple[RedisArgument, ...]) -> bytes:
    command: bytes = pack_command(parts)  # type: ignore[arg-type] # its stub has tuples of one only
    return command


@define(eq=False)
class _Call:
    """A call that was sent; `script` is sent with its `parts` where Redis has forgotten it.

    `due` is its deadline on the clock, `patience` what began there.
    """

    script: Script | None
    parts: tuple[RedisArgument, ...]
    due: float
    answer: Deferred[RedisReply] = field(factory=Deferred, init=False)
    patience: Patience | None = field(default=None, init=False)
    late: bool = field(default=False, init=False)


class RedisConnection(HiredisProtocol):
    """A connection of the gate's pool.

    `timeout_s` is the deadline of one call, after twice that the connection is given up. At most
    `limit` calls wait on it. `lost` fires with the reason, in words, once the connection is gone.
    `run_id` and `policy` are what the server has said of itself in its greeting.
    """

    run_id = ""
    policy = ""

    def __init__(self, clock: IReactorTime, *, timeout_s: float, limit: int) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self.lost: Deferred[str] = Deferred()
        self._clock = clock
        self._timeout_s = timeout_s
        self._limit = limit
        self._owed: deque[_Call] = deque()
        self._overdue = 0
        self._watch: IDelayedCall | None = None
        self._unread_bytes = 0
        self._fault: str | None = None

    @property
    def usable(self) -> bool:
        """Whether it is connected, owes no answer past its deadline, and has room for a call."""
        return bool(
            self.connected
            and not self._overdue
            and self._fault is None
            and len(self._owed) < self._limit
        )

    async def greet(self, target: RedisTarget) -> None:
        """Authenticate, select the database and see which server answers.

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
        self.run_id = run_id_of(await self._greet("INFO", "server"))
        if role_of(await self._greet("INFO", "replication")) == "slave":
            raise RedisUnavailable(_IS_REPLICA)
        self.policy = policy_of(await self._greet("INFO", "memory"))

    async def _greet(self, *parts: RedisArgument) -> RedisReply:
        try:
            call = self._send(parts)
            call.patience = Patience(self._clock, 2 * self._timeout_s, self.give_up, _LATE)
            return await call.answer
        except ResponseError as error:
            raise RedisUnavailable(f"it refused {parts[0]!s} with {code_of(error)}") from None
        except RedisUnavailable:
            raise RedisUnavailable(self._fault or _LATE) from None

    def call(self, *parts: RedisArgument) -> Deferred[RedisReply]:
        """Send one command. Fails with RedisUnavailable, or with ResponseError as Redis says."""
        return self._within_deadline(self._send(parts))

    def script(
        self, script: Script, keys: Sequence[str], args: Sequence[RedisArgument]
    ) -> Deferred[RedisReply]:
        """Run a script by its digest, or by its text where Redis has forgotten it."""
        parts = (len(keys), *keys, *args)
        return self._within_deadline(self._send(("EVALSHA", script.digest, *parts), script, parts))

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
        self._write_at_once = writer_of(self.transport)

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

    def tryConvertData(self, data: RedisReply) -> RedisReply:
        """Leave a reply as it came over the wire."""
        return data

    def replyReceived(self, reply: RedisReply | ResponseError) -> None:
        """Answer the oldest call.

        A reply to no call would make each later one the answer to its neighbour's question, so it
        ends the connection.
        """
        self._unread_bytes = 0
        if not self._owed:
            self.give_up("it answered without a question")
            return
        call = self._owed.popleft()
        if isinstance(reply, ResponseError) and call.script and code_of(reply) == "NOSCRIPT":
            self.transport.write(_packed(("EVAL", call.script.source, *call.parts)))
            call.script = None
            self._owed.append(call)
            return
        self._overdue -= call.late
        if isinstance(reply, ResponseError) and code_of(reply) == REPLICA:
            # A primary that was demoted keeps its connections: elsewhere there may be another.
            self.give_up(_IS_REPLICA)
        _settle(call, reply)

    def connectionLost(self, reason: Failure) -> None:
        """Fail what waits, then say why it is gone."""
        self._fault = self._fault or (_LATE if self._overdue else reason.getErrorMessage())
        super().connectionLost(reason)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        while self._owed:
            _settle(self._owed.popleft(), RedisUnavailable(_LOST))
        self.lost.callback(self._fault)

    def _send(
        self,
        command: tuple[RedisArgument, ...],
        script: Script | None = None,
        parts: tuple[RedisArgument, ...] = (),
    ) -> _Call:
        if not self.connected:
            raise RedisUnavailable(_LOST)
        # Alone it goes at once; with others under way it waits for those of the same turn.
        send = self.transport.write if self._owed else self._write_at_once
        send(_packed(command))
        call = _Call(script, parts, self._clock.seconds() + self._timeout_s)
        self._owed.append(call)
        return call

    def _within_deadline(self, call: _Call) -> Deferred[RedisReply]:
        if self._watch is None:
            self._watch = self._clock.callLater(self._timeout_s, self._look)
        return call.answer

    def _look(self) -> None:
        """Have patience with the calls that are due; look again when the next one is.

        One timer serves all calls, since nearly all of them are answered long before.
        """
        self._watch = None
        now = self._clock.seconds()
        waiting = [call for call in self._owed if call.patience is None]
        for call in waiting:
            if call.due <= now:
                call.patience = Patience(self._clock, 0, self._expired, call)
        if next_due := [call.due for call in waiting if call.due > now]:
            self._watch = self._clock.callLater(min(next_due) - now, self._look)

    def _expired(self, call: _Call) -> None:
        self._overdue += 1
        call.late = True
        call.patience = Patience(self._clock, self._timeout_s, self.give_up, _LATE)
        _tell(call, RedisUnavailable(f"Redis is away: {_LATE}"))


def _settle(call: _Call, result: RedisReply | Exception) -> None:
    """End a call that nothing is owed to any more."""
    if call.patience is not None and call.patience.active():
        call.patience.cancel()
    _tell(call, result)


def _tell(call: _Call, result: RedisReply | Exception) -> None:
    """Tell whoever waits, unless he was told at the deadline or has cancelled."""
    if call.answer.called:
        return
    if isinstance(result, Exception):
        call.answer.errback(result)
    else:
        call.answer.callback(result)
