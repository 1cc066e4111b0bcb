"""The scripts of admission on a real server, run one by one: what a test of them needs.

Everything blocks for microseconds. `on_test_clock` gives a script whose time a test sets: the one
call of TIME in its text reads a list instead. What the gateway sends is left as it is.
"""

import socket
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import astuple, define, field, frozen
from hiredis import HiredisError, Reader, pack_command

from neuronetz_twisted.admission import scripts
from neuronetz_twisted.seams import RedisArgument, Script

CLOCK = "test:clock"
_TIME = b"redis.call('TIME')"
_TEST_TIME = f"redis.call('LRANGE', '{CLOCK}', 0, 1)".encode()

NO_LIMITS = (-1,) * 6


class RedisSession:
    """One connection to a server on a Unix socket."""

    def __init__(self, path: str, password: str | None = None) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(path)
        self._reader = Reader()
        if password is not None:
            self.call("AUTH", password)

    def call(self, *parts: RedisArgument) -> Any:
        """One command and its reply; raises what the server says is wrong."""
        self._socket.sendall(pack_command(parts))  # type: ignore[arg-type] # its stub knows less
        return self.reply()

    def call_all(self, calls: Iterable[Sequence[RedisArgument]]) -> list[Any]:
        """Many commands in one sending, and their replies."""
        packed = [pack_command(tuple(call)) for call in calls]  # type: ignore[arg-type] # as above
        self._socket.sendall(b"".join(packed))
        return [self.reply() for _ in packed]

    def reply(self) -> Any:
        """The next reply, also one that nobody asked for."""
        while (reply := self._reader.gets()) is False:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("the server has closed")
            self._reader.feed(received)
        if isinstance(reply, HiredisError):
            raise reply
        return reply

    def run(
        self, script: Script, keys: Sequence[RedisArgument], args: Sequence[RedisArgument]
    ) -> Any:
        """Run a script by its digest, or by its text where the server does not know it yet."""
        try:
            return self.call("EVALSHA", script.digest, len(keys), *keys, *args)
        except HiredisError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            return self.call("EVAL", script.source, len(keys), *keys, *args)

    def set_clock(self, ms: int) -> None:
        """Set what scripts on the test clock take for the time, in milliseconds since 1970."""
        self.call("DEL", CLOCK)
        self.call("RPUSH", CLOCK, ms // 1000, ms % 1000 * 1000)

    def close(self) -> None:
        """End it."""
        self._socket.close()


def on_test_clock(script: Script) -> Script:
    """The same script, on the clock that `set_clock` sets."""
    if script.source.count(_TIME) != 1:
        raise AssertionError(f"{script.name} asks for the time more than once, or never")
    return Script(script.name, script.source.replace(_TIME, _TEST_TIME))


@frozen
class ScriptSet:
    """All scripts that know the time."""

    admit: Script
    count: Script
    extend: Script
    flushed: Script
    heartbeat: Script
    look: Script
    rebuild: Script
    release: Script
    settle: Script


REAL = ScriptSet(
    admit=scripts.SCRIPTS.admit,
    count=scripts.SCRIPTS.count,
    extend=scripts.SCRIPTS.extend,
    flushed=scripts.SCRIPTS.flushed,
    heartbeat=scripts.SCRIPTS.heartbeat,
    look=scripts.SCRIPTS.look,
    rebuild=scripts.SCRIPTS.rebuild,
    release=scripts.SCRIPTS.release,
    settle=scripts.SCRIPTS.settle,
)
TIMED = ScriptSet(*(on_test_clock(script) for script in astuple(REAL, recurse=False)))


@frozen(kw_only=True)
class Beat:
    """What a heartbeat says of one call."""

    id: str
    key: str
    tokens: int
    day: str
    runs: bool = True


Line = tuple[str, str, str, int]
"""Of the ledger: scope, period, first day, tokens."""


def words(lines: Iterable[Line]) -> list[RedisArgument]:
    """Lines of the ledger as arguments."""
    return [word for line in lines for word in line]


@define
class TenantScripts:
    """The scripts of one tenant, with the keys and arguments that each takes."""

    session: RedisSession
    tenant: str
    scripts: ScriptSet = REAL
    gen: str = "1"
    epoch: int = 1
    limits: dict[str, tuple[int, ...]] = field(factory=dict)

    def key(self, name: str) -> str:
        """One of the tenant's keys in Redis."""
        return f"nz:{{{self.tenant}}}:{name}"

    def six(self, key: str) -> list[str]:
        """The keys that a call touches."""
        return [
            *self.two(),
            self.key("win:t"),
            self.key(f"win:k:{key}"),
            self.key("slots:t"),
            self.key(f"slots:k:{key}"),
        ]

    def two(self) -> list[str]:
        """The keys of the tenant's budget."""
        return [self.key("bud"), self.key("pend")]

    def limits_of(self, key: str) -> tuple[int, ...]:
        """What the caller tells: the tenant's limits, then the key's."""
        return (*self.limits.get("t", NO_LIMITS), *self.limits.get(key, NO_LIMITS))

    def admit(self, call_id: str, key: str = "a", prompt: int = 10, lease: int = 20) -> list[int]:
        """Ask for a call."""
        what = (call_id, self.gen, self.epoch, prompt, lease)
        return self.run(self.scripts.admit, self.six(key), (*what, *self.limits_of(key)))

    def admit_at_once(self, ids: Iterable[str]) -> list[list[int]]:
        """Ask for many calls in one sending; the server knows the script."""
        keys, script = self.six("a"), self.scripts.admit
        head: list[RedisArgument] = ["EVALSHA", script.digest, len(keys), *keys]
        what: list[RedisArgument] = [self.gen, self.epoch, 10, 20, *self.limits_of("a")]
        return self.session.call_all([*head, one, *what] for one in ids)

    def extend(self, call_id: str, key: str, total: int) -> list[int]:
        """Ask for more tokens."""
        limits = self.limits_of(key)
        args: list[RedisArgument] = [call_id, self.gen, total, *limits[3:6], *limits[9:]]
        return self.run(self.scripts.extend, self.six(key)[:4], args)

    def settle(self, call_id: str, key: str, cost: int) -> list[int]:
        """Say what a call cost."""
        return self.settle_all([(call_id, key, cost)])

    def settle_all(self, calls: Sequence[tuple[str, str, int]]) -> list[int]:
        """Say what calls cost: id, key and cost of each."""
        names = sorted({key for _, key, _ in calls})
        keys = [*self.two(), self.key("win:t"), self.key("slots:t")]
        for name in names:
            keys += (self.key(f"win:k:{name}"), self.key(f"slots:k:{name}"))
        args: list[RedisArgument] = [self.gen]
        for call_id, key, cost in calls:
            args += (call_id, names.index(key) + 1, cost)
        return self.run(self.scripts.settle, keys, args)

    def release(self, call_id: str, key: str) -> list[int]:
        """Give an admission back."""
        return self.run(self.scripts.release, self.six(key), (call_id,))

    def heartbeat(self, beats: Iterable[Beat]) -> list[int]:
        """Say which calls are alive."""
        beats = list(beats)
        names = sorted({beat.key for beat in beats})
        keys = [*self.two(), self.key("slots:t"), *(self.key(f"slots:k:{name}") for name in names)]
        args: list[RedisArgument] = [self.gen]
        for beat in beats:
            args += (beat.id, names.index(beat.key) + 1, beat.tokens, beat.day, int(beat.runs))
        return self.run(self.scripts.heartbeat, keys, args)

    def flushed(self, ids: Sequence[str], lines: Iterable[Line]) -> list[int]:
        """Say what the ledger has now."""
        args: list[RedisArgument] = [self.gen, len(ids), *ids, *words(lines)]
        return self.run(self.scripts.flushed, self.two(), args)

    def rebuild(self, lines: Iterable[Line]) -> list[int]:
        """Say what the ledger has, after a loss."""
        args: list[RedisArgument] = [self.gen, *words(lines)]
        return self.run(self.scripts.rebuild, self.two(), args)

    def count(self, key: str = "a") -> list[int]:
        """Ask for a list."""
        names = ("bud", "list:t", f"list:k:{key}", "win:t", f"win:k:{key}")
        args: list[RedisArgument] = [self.gen, self.epoch, *self.limits_of(key)]
        return self.run(self.scripts.count, [self.key(name) for name in names], args)

    def look(self, key: str = "a") -> list[int]:
        """Ask what is left."""
        names = ("bud", "win:t", f"win:k:{key}", "slots:t", f"slots:k:{key}")
        args: list[RedisArgument] = [self.gen, *self.limits_of(key)]
        return self.run(self.scripts.look, [self.key(name) for name in names], args)

    def raise_epoch(self, epoch: int) -> list[int]:
        """Tell of a change of the tenant."""
        return self.run(scripts.SCRIPTS.raise_epoch, [self.key("bud")], (epoch,))

    def run(
        self, script: Script, keys: Sequence[RedisArgument], args: Sequence[RedisArgument]
    ) -> list[int]:
        """Run a script, and see that it answers with integers only."""
        reply = self.session.run(script, keys, args)
        if not (isinstance(reply, list) and all(type(number) is int for number in reply)):
            raise AssertionError(f"{script.name} answered {reply!r}")
        return reply
