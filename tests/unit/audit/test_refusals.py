"""Which refusals are recorded one by one, and what is said of the others."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.event import Event, arrival_event
from neuronetz_twisted.audit.refusals import SEVERAL, Refusals
from neuronetz_twisted.testing.calls import made_arrival


def refusal(status: int = 401, outcome: str = "refused:invalid_api_key", **changes: Any) -> Event:
    """The event of a refusal."""
    return arrival_event(made_arrival(**changes), status, outcome, 0.5)


class RefusalsTests(SynchronousTestCase):
    def test_the_first_ones(self) -> None:
        """Each caller has so many records of its own a minute."""
        refusals = Refusals(per_caller=2)
        singles = [refusals.is_single(caller, refusal()) for caller in "aabaabb"]
        self.assertEqual(singles, [True, True, True, False, False, True, False])
        self.assertEqual([event["count"] for event in refusals.over()], [2, 1])
        self.assertEqual(refusals.over(), [])
        self.assertTrue(refusals.is_single("a", refusal()))

    def test_of_all_callers(self) -> None:
        """However many they are, so many records are of one refusal."""
        refusals = Refusals(per_caller=2, singles=3)
        singles = [refusals.is_single(caller, refusal()) for caller in "abcdd"]
        self.assertEqual(singles, [True, True, True, False, False])

    def test_one_that_was_counted(self) -> None:
        """Alone in its record it is what it was, and whose event it is does not change."""
        event = refusal()
        refusals = Refusals(per_caller=0)
        refusals.is_single("a", event)
        (counted,) = refusals.over()
        self.assertEqual(counted, event)
        counted["count"] = 2
        self.assertEqual(event["count"], 1)

    def test_alike(self) -> None:
        """What all have in common is said of all."""
        refusals = Refusals(per_caller=0)
        for number in (1, 2, 3):
            refusals.is_single("a", refusal(id=f"id {number}", at=number))
        (counted,) = refusals.over()
        self.assertEqual(counted, refusal(id="id 1", at=1) | {"count": 3})

    def test_different(self) -> None:
        """What differs is not said at all."""
        refusals = Refusals(per_caller=0)
        refusals.is_single("a", refusal(address="192.0.2.1", user_agent="x"))
        refusals.is_single("a", refusal(429, "refused:rate_limited", route="GET /", user_agent="y"))
        (counted,) = refusals.over()
        said = [counted[name] for name in ("status", "outcome", "route", "user_agent", "address")]
        self.assertEqual(said, [None, SEVERAL, "-", None, "192.0.2.1"])

    def test_too_many_callers(self) -> None:
        """Those for whom there is no place share one."""
        refusals = Refusals(per_caller=0, callers=2)
        for caller in "abcdab":
            refusals.is_single(caller, refusal(address=caller))
        counted = [(event["address"], event["count"]) for event in refusals.over()]
        self.assertEqual(counted, [("a", 2), ("b", 2), (None, 2)])

    @given(st.lists(st.sampled_from("abcdefgh"), max_size=60))
    def test_none_is_lost(self, callers: list[str]) -> None:
        """Singles and counts are all refusals, in a bounded number of records."""
        refusals = Refusals(per_caller=2, singles=5, callers=3)
        singles = sum(refusals.is_single(caller, refusal()) for caller in callers)
        counted = refusals.over()
        self.assertEqual(singles + sum(int(event["count"] or 0) for event in counted), len(callers))
        self.assertTrue(singles <= 5)
        self.assertTrue(len(counted) <= 4)
