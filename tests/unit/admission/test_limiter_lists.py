"""Questions to the limiter that no call comes of: lists and pages, and what is left."""

from twisted.internet.defer import Deferred

from neuronetz_twisted.admission.answers import Code, Figures, Looked, Stale, Used
from neuronetz_twisted.errors import RateLimited
from tests.unit.admission.limiting import GIVEN, OTHER, LimiterTestCase
from tests.unit.admission.scripted_redis import FIGURES, UNKNOWN, caller
from tests.unit.admission.standings import GEN


class CountTests(LimiterTestCase):
    def count(self) -> Deferred[Figures | Stale]:
        """Ask for a list."""
        return Deferred.fromCoroutine(self.limiter.count(caller()))

    def test_counted(self) -> None:
        """A list has the figures for its header."""
        self.redis.replies["count"] = [1, *FIGURES]
        self.assertEqual(self.successResultOf(self.count()), GIVEN.figures)
        self.redis.replies["count"] = [int(Code.STALE), 8]
        self.assertEqual(self.successResultOf(self.count()), Stale(8))

    def test_limit(self) -> None:
        """A full window is a refusal."""
        self.redis.replies["count"] = [int(Code.RPM), 0, 2, *FIGURES]
        self.failureResultOf(self.count(), RateLimited)

    def test_unknown(self) -> None:
        """A tenant that is new to Redis is told to it, once."""
        self.once("count", UNKNOWN, [1, *FIGURES])
        self.assertEqual(self.successResultOf(self.count()), GIVEN.figures)
        self.redis.replies["count"] = UNKNOWN
        self.refused(self.count(), "lost")

    def test_away(self) -> None:
        """No answer is no list, and nothing is given back."""
        asking = self.count()
        self.redis.the("count").lose()
        self.refused(asking, "redis")
        self.assertEqual(self.redis.names(), ["count"])


class LookTests(LimiterTestCase):
    LOOKED = (1, *FIGURES, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)

    def look(self) -> Deferred[Looked]:
        """Ask what is left."""
        return Deferred.fromCoroutine(self.limiter.look(caller()))

    def test_looked(self) -> None:
        """All that is counted, at both levels, in one round trip."""
        self.redis.replies["look"] = list(self.LOOKED)
        levels = Used(1, 2, 3, 4, 5, 6), Used(7, 8, 9, 10, 11, 12)
        self.assertEqual(self.successResultOf(self.look()), Looked(GIVEN.figures, *levels))
        self.assertEqual((self.redis.names(), self.redis.the("look").args[0]), (["look"], GEN))

    def test_unknown(self) -> None:
        """A tenant that is new to Redis is told to it, once."""
        self.once("look", UNKNOWN, list(self.LOOKED))
        self.successResultOf(self.look())
        self.assertEqual(self.redis.names(), ["look", "rebuild", "look"])
        self.redis.replies["look"] = UNKNOWN
        self.refused(self.look(), "lost")

    def test_away(self) -> None:
        """No answer, or one that is none of the script's, shows nothing."""
        asking = self.look()
        self.redis.the("look").lose()
        self.refused(asking, "redis")
        self.redis.replies["look"] = [1, *FIGURES]
        self.refused(self.look(), "redis")

    def test_closed(self) -> None:
        """Nothing is asked while the generation is doubtful."""
        self.standing.connected(OTHER)
        self.refused(self.look(), "generation")
        self.assertEqual(self.redis.names(), [])
