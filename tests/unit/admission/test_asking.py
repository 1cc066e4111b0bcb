from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from txredisapi import ResponseError

from neuronetz_twisted.admission import answers, script_calls
from neuronetz_twisted.admission.answers import Done
from neuronetz_twisted.admission.asking import Asking
from neuronetz_twisted.errors import RedisNotAsked, RedisUnavailable
from tests.unit.admission.scripted_redis import OK, SCRIPTS, ScriptedRedis, demand


class AskingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Have a Redis."""
        self.redis = ScriptedRedis()
        self.asking = Asking(self.redis)

    def release(self) -> Deferred[object]:
        """Run a script."""
        asked = script_calls.release(demand())
        return self.asking.run(SCRIPTS.release, asked, answers.done)

    def test_answer(self) -> None:
        """The script is run with its keys and arguments, and its answer becomes a value."""
        self.redis.replies["release"] = OK
        self.assertEqual(self.successResultOf(self.release()), Done())
        self.assertEqual(self.redis.the("release").args, ["id"])
        self.assertEqual(self.redis.the("release").keys[0], "nz:{T}:bud")

    def test_no_answer(self) -> None:
        """Away, late, or nothing that the script would answer."""
        self.redis.away = True
        self.failureResultOf(self.release(), RedisNotAsked)
        self.redis.away = False
        late = self.release()
        self.redis.the("release").lose()
        self.failureResultOf(late, RedisUnavailable)
        self.redis.replies["release"] = [5]
        self.failureResultOf(self.release(), RedisUnavailable)

    def test_refused_script(self) -> None:
        """A script that Redis does not run is no pass; the log has no arguments of it."""
        answer = self.release()
        self.redis.the("release").answer.errback(ResponseError("CROSSSLOT of secret"))
        failure = self.failureResultOf(answer, RedisUnavailable)
        self.assertEqual(str(failure.value), "Redis does not run release: CROSSSLOT")

    def test_one_line(self) -> None:
        """Each kind of refusal is logged once, until the script works again."""

        def refuse(code: str) -> None:
            answer = self.release()
            self.redis.calls[-1].answer.errback(ResponseError(f"{code} of secret"))
            self.failureResultOf(answer, RedisUnavailable)

        with capturedLogs() as events:
            for _ in range(3):
                refuse("CROSSSLOT")
                refuse("ERR")
            self.redis.replies["release"] = OK
            self.successResultOf(self.release())
            del self.redis.replies["release"]
            refuse("ERR")
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                f"Redis does not run the script release: {code}"
                for code in ("CROSSSLOT", "ERR", "ERR")
            ],
        )
