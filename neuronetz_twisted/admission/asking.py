"""How a script of admission is run: one call, and its answer as a value (SPEC 7)."""

from collections.abc import Callable
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import ResponseError

from neuronetz_twisted.admission.script_calls import Asked
from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import RedisReply, Script, ScriptRunner

_log = Logger()

Answer = TypeVar("Answer")


@define(eq=False)
class Asking:
    """Runs scripts on `redis`.

    A code with which a script is refused again and again is one line of the log, until it runs.
    """

    _redis: ScriptRunner
    _told: dict[str, set[str]] = field(factory=dict, init=False)

    def run(
        self, script: Script, asked: Asked, parse: Callable[[RedisReply], Answer]
    ) -> Deferred[Answer]:
        """Run a script; fails with `RedisUnavailable` whatever is wrong with its answer.

        It may have been done all the same, unless it fails with `RedisNotAsked`.
        """
        keys, args = asked

        def answered(reply: RedisReply) -> Answer:
            self._told.pop(script.name, None)
            return parse(reply)

        answer = self._redis.script(script, keys, args)
        return answer.addCallbacks(answered, self._refused, errbackArgs=(script.name,))

    def _refused(self, failure: Failure, name: str) -> Failure:
        """A script that Redis does not run is a fault of ours or of its set-up, and no pass."""
        if failure.check(ResponseError) is None:
            return failure
        # The rest of its text may quote arguments.
        code = str(failure.value).partition(" ")[0]
        told = self._told.setdefault(name, set())
        if code not in told:
            told.add(code)
            _log.error("Redis does not run the script {script}: {code}", script=name, code=code)
        return Failure(RedisUnavailable(f"Redis does not run {name}: {code}"))
