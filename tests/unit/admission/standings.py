"""A generation that stands."""

from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from neuronetz_twisted.admission.standing import Standing
from tests.unit.admission.scripted_redis import ScriptedRedis

RUN = "a" * 40
GEN = f"{RUN}-n"
ALONE = False


def standing(clock: Clock, redis: ScriptedRedis) -> Standing:
    """The standing of a single gateway that is connected and open."""
    made = Standing(
        clock, redis, others=lambda: succeed(ALONE), nonce=lambda: "n", chance=lambda: 1.0
    )
    made.startService()
    made.connected(RUN)
    clock.advance(0.0)
    return made
