from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.held import HeldCalls
from neuronetz_twisted.admission.script_calls import HeldCall
from tests.unit.admission.scripted_redis import DAY, caller, demand


class HeldCallsTests(SynchronousTestCase):
    def test_by_id_and_by_tenant(self) -> None:
        """A call is found by both, until it is dropped."""
        held = HeldCalls()
        first, second, third = (
            HeldCall(demand(name, tenant), DAY, 1)
            for name, tenant in (("a", "T"), ("b", "T"), ("c", "U"))
        )
        for call in (first, second, third):
            held.add(call)
        self.assertEqual((len(held), held.tenants()), (3, ["T", "U"]))
        self.assertIs(held.get("b"), second)
        self.assertEqual(held.of("T"), [first, second])
        held.drop(["b", "c", "never held"])
        self.assertEqual((len(held), held.tenants()), (1, ["T"]))
        self.assertIsNone(held.get("b"))
        self.assertEqual(held.of("T"), [first])
        self.assertEqual(held.of("U"), [])

    def test_change(self) -> None:
        """A held call gets other limits and stays the call that it is; others are passed over."""
        held = HeldCalls()
        call = HeldCall(demand("a"), DAY, 1)
        held.add(call)
        now = evolve(caller(), epoch=8)
        held.change("a", now)
        held.change("never held", now)
        self.assertEqual(call.demand, evolve(demand("a"), caller=now))
        self.assertIs(held.get("a"), call)

    def test_running(self) -> None:
        """Those that have ended are held, and do not run."""
        held = HeldCalls()
        runs, ended = (HeldCall(demand(name), DAY, 1) for name in ("a", "b"))
        ended.is_settled = True
        for call in (runs, ended):
            held.add(call)
        self.assertEqual((held.of("T"), held.running("T")), ([runs, ended], [runs]))
        self.assertEqual(held.running("U"), [])
