from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission import script_calls
from neuronetz_twisted.admission.script_calls import HeldCall
from neuronetz_twisted.ledger import Flushed, LedgerLine
from tests.unit.admission.scripted_redis import DAY, LINE, caller, demand

BUD, PEND = "nz:{T}:bud", "nz:{T}:pend"
WIN = ("nz:{T}:win:t", "nz:{T}:win:k:K")
SLOTS = ("nz:{T}:slots:t", "nz:{T}:slots:k:K")
LIMITS = (60, 100_000, 8, 1000, -1, -1, 30, -1, -1, -1, 2000, 3000)


class ScriptCallsTests(SynchronousTestCase):
    def test_admit(self) -> None:
        """Every key that a call of this caller touches, and the limits of both levels."""
        keys, args = script_calls.admit(demand(), "g")
        self.assertEqual(keys, (BUD, PEND, *WIN, *SLOTS))
        self.assertEqual(args, ("id", "g", 7, 10, 256, *LIMITS))

    def test_extend(self) -> None:
        """A lease asks for a total."""
        keys, args = script_calls.extend(demand(), "g", 522)
        self.assertEqual(keys, (BUD, PEND, *WIN))
        self.assertEqual(args, ("id", "g", 522, 1000, -1, -1, -1, 2000, 3000))

    def test_settle(self) -> None:
        """Window and slots of the tenant, then of each key that called."""
        calls = [
            HeldCall(demand(name, key=key), DAY, tokens)
            for name, key, tokens in (("a", "K", 33), ("b", "L", 5), ("c", "K", 0))
        ]
        keys, args = script_calls.settle("T", "g", calls)
        scopes = [f"nz:{{T}}:{kind}:k:{key}" for key in "KL" for kind in ("win", "slots")]
        self.assertEqual(keys, [BUD, PEND, WIN[0], SLOTS[0], *scopes])
        self.assertEqual(args, ["g", "a", 1, 33, "b", 2, 5, "c", 1, 0])

    def test_release(self) -> None:
        """The keys are those of the admission."""
        keys, args = script_calls.release(demand())
        self.assertEqual((keys, args), ((BUD, PEND, *WIN, *SLOTS), ("id",)))

    def test_count(self) -> None:
        """Ten times the requests per minute, in a window of their own."""
        keys, args = script_calls.count(caller(), "g")
        self.assertEqual(keys, (BUD, "nz:{T}:list:t", "nz:{T}:list:k:K", *WIN))
        self.assertEqual(args, ("g", 7, 600, *LIMITS[1:6], 300, *LIMITS[7:]))

    def test_look(self) -> None:
        """Windows and slots of both levels, and the limits of calls."""
        keys, args = script_calls.look(caller(), "g")
        self.assertEqual(keys, (BUD, *WIN, *SLOTS))
        self.assertEqual(args, ("g", *LIMITS))

    def test_heartbeat(self) -> None:
        """The slots of each key once, the calls with the places of theirs."""
        calls = [
            HeldCall(demand("a"), DAY, 266),
            HeldCall(demand("b", key="L"), DAY, 40, is_settled=True),
            HeldCall(demand("c"), DAY, 522),
        ]
        keys, args = script_calls.heartbeat("T", "g", calls)
        self.assertEqual(keys, (BUD, PEND, *SLOTS, "nz:{T}:slots:k:L"))
        told = (
            ("a", 1, 266, DAY, 1),
            ("b", 2, 40, DAY, 0),
            ("c", 1, 522, DAY, 1),
        )
        self.assertEqual(args, ["g", *(value for call in told for value in call)])

    def test_flushed_and_rebuild(self) -> None:
        """Ids with their number, and lines of the ledger."""
        line = LedgerLine("k:K", "total", "1970-01-01", 7)
        told = ("t", "day", DAY, 500, "k:K", "total", "1970-01-01", 7)
        keys, args = script_calls.flushed(Flushed("T", ["a", "b"], [LINE, line]), "g")
        self.assertEqual((keys, args), ((BUD, PEND), ("g", 2, "a", "b", *told)))
        keys, args = script_calls.rebuild("T", "g", [LINE, line])
        self.assertEqual((keys, args), ((BUD, PEND), ("g", *told)))

    def test_raise_epoch(self) -> None:
        """Only the budget's key knows of epochs."""
        self.assertEqual(script_calls.raise_epoch("T", 8), ((BUD,), (8,)))
