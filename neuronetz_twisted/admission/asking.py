"""How a script of admission is run: one call, and its answer as a value (SPEC 7)."""

from collections.abc import Callable
from typing import TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import ResponseError

from neuronetz_twisted.admission.script_calls import Asked
from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import RedisReply, Script, ScriptRunner

_log = Logger()

Answer = TypeVar("Answer")


@frozen
class Asking:
    """Runs scripts on `redis`."""

    _redis: ScriptRunner

    def run(
        self, script: Script, asked: Asked, parse: Callable[[RedisReply], Answer]
    ) -> Deferred[Answer]:
        """Run a script; fails with `RedisUnavailable` whatever is wrong with its answer.

        It may have been done all the same, unless it fails with `RedisNotAsked`.
        """
        keys, args = asked
        answer = self._redis.script(script, keys, args)
        return answer.addCallbacks(parse, _refused, errbackArgs=(script,))


def _refused(failure: Failure, script: Script) -> Failure:
    """A script that Redis does not run is a fault of ours or of its set-up, and no pass."""
    if failure.check(ResponseError) is None:
        return failure
    # The rest of its text may quote arguments.
    code = str(failure.value).partition(" ")[0]
    _log.error("Redis does not run the script {script}: {code}", script=script.name, code=code)
    return Failure(RedisUnavailable(f"Redis does not run {script.name}: {code}"))
