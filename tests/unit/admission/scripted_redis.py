"""A Redis for the limiter: its scripts answer as they are told to, its marker is a real one."""

from collections.abc import Callable, Sequence

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed

from neuronetz_twisted.admission.answers import Code
from neuronetz_twisted.admission.script_calls import Caller, Demand
from neuronetz_twisted.admission.scripts import Scripts
from neuronetz_twisted.errors import RedisNotAsked, RedisUnavailable
from neuronetz_twisted.ledger import LedgerLine
from neuronetz_twisted.seams import RedisArgument, RedisReply, Script

OK = [int(Code.OK)]
UNKNOWN = [int(Code.UNKNOWN)]
GONE = [int(Code.GONE)]
RELEASED = [int(Code.REFUSED)]
NOW_S = 1_795_000_000
DAY = "2026-11-18"
FIGURES = [60, 59, 100_000, 99_000, 1, 744, NOW_S]
GRANTED = [int(Code.OK), 256, int(DAY.replace("-", "")), *FIGURES]

SCRIPTS = Scripts(
    **{
        name: Script(name, name.encode())
        for name in (
            "admit",
            "count",
            "extend",
            "settle",
            "release",
            "heartbeat",
            "flushed",
            "rebuild",
            "look",
            "raise_epoch",
        )
    }
)


@frozen(kw_only=True)
class Level:
    """What is set at one level."""

    rpm: int | None = None
    tpm: int | None = None
    concurrent: int | None = None
    budget_day: int | None = None
    budget_month: int | None = None
    budget_total: int | None = None


def caller(tenant: str = "T", key: str = "K") -> Caller:
    """Somebody with limits at both levels."""
    return Caller(
        tenant=tenant,
        key=key,
        epoch=7,
        tenant_limits=Level(rpm=60, tpm=100_000, concurrent=8, budget_day=1000),
        key_limits=Level(rpm=30, budget_month=2000, budget_total=3000),
    )


def demand(request_id: str = "id", tenant: str = "T", key: str = "K") -> Demand:
    """A call of a prompt of 10 tokens."""
    return Demand(id=request_id, caller=caller(tenant, key), prompt=10, lease=256)


LINE = LedgerLine("t", "day", DAY, 500)


@define(eq=False)
class Call:
    """One script as it was sent; answered at once, or by the test."""

    name: str
    keys: list[str]
    args: list[RedisArgument]
    answer: Deferred[RedisReply] = field(factory=Deferred)

    def lose(self) -> None:
        """Let its deadline pass."""
        self.answer.errback(RedisUnavailable("late"))


@define(slots=False)
class ScriptedRedis:
    """A `ScriptRunner` and a sender of plain commands.

    `replies` has the answer of each script, or a function that makes it; one without is left to
    the test. `away` refuses all before it is sent.
    """

    replies: dict[str, RedisReply | Callable[[Call], RedisReply]] = field(factory=dict)
    away: bool = False
    calls: list[Call] = field(factory=list)
    keys: dict[bytes, bytes] = field(factory=dict)
    time: RedisReply = field(factory=lambda: [b"%d" % NOW_S, b"500000"])
    commands: list[bytes] = field(factory=list)

    def script(
        self, script: Script, keys: Sequence[str], args: Sequence[RedisArgument]
    ) -> Deferred[RedisReply]:
        """Note the script, and answer if there is an answer."""
        if self.away:
            return fail(RedisNotAsked("away"))
        call = Call(script.name, list(keys), list(args))
        self.calls.append(call)
        if script.name in self.replies:
            reply = self.replies[script.name]
            call.answer.callback(reply(call) if callable(reply) else reply)
        return call.answer

    def call(self, command: bytes, *args: RedisArgument) -> Deferred[RedisReply]:
        """Do GET, SET and TIME."""
        self.commands.append(command)
        if self.away:
            return fail(RedisNotAsked("away"))
        if command == b"TIME":
            return succeed(self.time)
        name = str(args[0]).encode()
        if command == b"GET":
            return succeed(self.keys.get(name))
        if args[2:] != (b"NX",) or name not in self.keys:
            self.keys[name] = bytes(str(args[1]), "ascii") if isinstance(args[1], str) else args[1]  # type: ignore[assignment] # the marker is bytes
        return succeed(b"OK")

    def names(self) -> list[str]:
        """What was run, in order."""
        return [call.name for call in self.calls]

    def the(self, name: str) -> Call:
        """The last call of a script."""
        return next(call for call in reversed(self.calls) if call.name == name)
