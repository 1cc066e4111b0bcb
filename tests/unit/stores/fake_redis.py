"""A Redis that gives the answers it was told to give, and keeps what it was asked."""

from collections.abc import Sequence

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import RedisArgument, RedisReply, Script


@define
class FakeRedis:
    """Answers every script with `reply` and every command with OK; `away` refuses all."""

    reply: RedisReply = None
    away: bool = False
    scripts: list[tuple[str, list[str], list[RedisArgument]]] = field(factory=list)
    commands: list[tuple[RedisArgument, ...]] = field(factory=list)

    def script(
        self, script: Script, keys: Sequence[str], args: Sequence[RedisArgument]
    ) -> Deferred[RedisReply]:
        """Note the script."""
        self.scripts.append((script.name, list(keys), list(args)))
        return fail(RedisUnavailable("away")) if self.away else succeed(self.reply)

    def call(self, command: bytes, *args: RedisArgument) -> Deferred[RedisReply]:
        """Note the command."""
        self.commands.append((command, *args))
        return fail(RedisUnavailable("away")) if self.away else succeed(b"OK")
