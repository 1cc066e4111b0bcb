from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.generation import QUARANTINE_S, Claim, Generation, Reading

RUN = "a" * 40
OTHER = "b" * 40
NOW_MS = 1_795_000_000_000


def marker(run_id: str = RUN, nonce: str = "n1", until_ms: int = NOW_MS) -> bytes:
    """A marker as it stands in Redis."""
    return f"{run_id}-{nonce} {until_ms}".encode()


def reading(value: bytes | None, run_id: str = RUN) -> Reading:
    """A marker as it was read."""
    return Reading(run_id, value, NOW_MS)


class GenerationTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Be connected to a server."""
        self.generation = Generation()
        self.assertTrue(self.generation.connected(RUN))

    def open(self, value: bytes | None = None) -> None:
        """Read a marker and have put all back."""
        self.assertTrue(self.generation.read(reading(value or marker()), 0.0))
        name = self.generation.name
        assert name is not None
        self.generation.restored(name)

    def test_begins_closed(self) -> None:
        """Before a marker was read nobody is admitted and nothing is told."""
        self.assertIsNone(Generation().run_id)
        self.assertIsNone(self.generation.admits(0.0))
        self.assertIsNone(self.generation.name)
        self.assertFalse(self.generation.needs_restoring)

    def test_the_marker_stands(self) -> None:
        """A process that begins under a marker that stands has to put nothing back: it is open."""
        self.assertTrue(self.generation.read(reading(marker()), 0.0))
        self.assertTrue(self.generation.needs_restoring)
        self.assertIsNone(self.generation.admits(0.0))
        self.generation.restored(f"{RUN}-n1")
        self.assertFalse(self.generation.needs_restoring)
        self.assertEqual(self.generation.admits(0.0), f"{RUN}-n1")
        self.assertEqual(self.generation.name, f"{RUN}-n1")

    def test_a_tenant_that_is_new(self) -> None:
        """The same marker again closes nothing."""
        self.open()
        self.assertTrue(self.generation.read(reading(marker()), 5.0))
        self.assertEqual(self.generation.admits(5.0), f"{RUN}-n1")

    def test_empty_server(self) -> None:
        """Without a marker one is claimed, only if there is still none; alone, without a wait."""
        empty = reading(None)
        self.assertFalse(self.generation.read(empty, 0.0))
        claim = self.generation.claim(empty, others=False, nonce="n2")
        self.assertEqual(claim, Claim(marker(nonce="n2"), if_absent=True))
        self.open(claim.value)
        self.assertEqual(self.generation.admits(0.0), f"{RUN}-n2")

    def test_all_lost(self) -> None:
        """A marker that is gone closes a generation that was open; others are waited for."""
        self.open()
        empty = reading(None)
        self.assertFalse(self.generation.read(empty, 1.0))
        self.assertIsNone(self.generation.admits(1.0))
        claim = self.generation.claim(empty, others=True, nonce="n2")
        self.assertTrue(self.generation.read(reading(claim.value), 1.0))
        self.assertIsNone(self.generation.admits(1.0))
        self.assertTrue(self.generation.needs_restoring)
        self.generation.restored(f"{RUN}-n2")
        self.assertEqual(self.generation.opens_in(3.0), QUARANTINE_S - 2.0)
        self.assertIsNone(self.generation.admits(QUARANTINE_S))
        self.assertEqual(self.generation.admits(1.0 + QUARANTINE_S), f"{RUN}-n2")
        self.assertEqual(self.generation.opens_in(100.0), 0.0)

    def test_old_copy(self) -> None:
        """A server that began from an old copy has a marker of another: it is replaced."""
        old = reading(marker(run_id=OTHER))
        self.assertFalse(self.generation.read(old, 0.0))
        claim = self.generation.claim(old, others=False, nonce="n2")
        self.assertEqual(claim, Claim(marker(nonce="n2"), if_absent=False))

    def test_no_marker_at_all(self) -> None:
        """What is no marker of ours is replaced too."""
        for value in (b"", b"x", b"x 1", marker() + b" ", b"-n1 1"):
            broken = reading(value)
            self.assertFalse(self.generation.read(broken, 0.0))
            self.assertFalse(self.generation.claim(broken, others=False, nonce="n").if_absent)

    def test_another_server(self) -> None:
        """A connection to another server closes at once; one to the same changes nothing."""
        self.open()
        self.assertFalse(self.generation.connected(RUN))
        self.assertEqual(self.generation.admits(0.0), f"{RUN}-n1")
        self.assertTrue(self.generation.connected(OTHER))
        self.assertIsNone(self.generation.admits(0.0))
        self.assertEqual(self.generation.run_id, OTHER)

    def test_back_to_the_same(self) -> None:
        """A server that was left knows nothing of the time between: its marker does not stand."""
        self.open()
        self.generation.connected(OTHER)
        self.generation.connected(RUN)
        self.assertFalse(self.generation.read(reading(marker()), 0.0))
        self.assertIsNone(self.generation.name)
        self.assertTrue(self.generation.read(reading(marker(nonce="n2")), 0.0))
        self.generation.restored(f"{RUN}-n2")
        self.assertEqual(self.generation.admits(0.0), f"{RUN}-n2")

    def test_read_from_one_that_is_gone(self) -> None:
        """A marker of the server before says nothing of this one."""
        self.generation.connected(OTHER)
        self.assertTrue(self.generation.read(reading(marker()), 0.0))
        self.assertIsNone(self.generation.name)

    def test_another_was_first(self) -> None:
        """Who finds a claim of another takes that, keeps its quarantine, and puts back his own."""
        self.open()
        theirs = marker(nonce="n2", until_ms=NOW_MS + 7_000)
        self.assertTrue(self.generation.read(reading(theirs), 100.0))
        self.assertTrue(self.generation.needs_restoring)
        self.generation.restored(f"{RUN}-n2")
        self.assertIsNone(self.generation.admits(106.9))
        self.assertEqual(self.generation.admits(107.0), f"{RUN}-n2")

    def test_put_back_under_an_old_one(self) -> None:
        """What was put back before the next loss does not open after it."""
        self.generation.read(reading(marker()), 0.0)
        self.generation.read(reading(marker(nonce="n2")), 0.0)
        self.generation.restored(f"{RUN}-n1")
        self.assertIsNone(self.generation.admits(0.0))

    def test_stepped_clock(self) -> None:
        """A step of Redis' clock makes nobody wait for longer than the quarantine."""
        self.open(marker(until_ms=NOW_MS + 3_600_000))
        self.assertEqual(self.generation.opens_in(0.0), QUARANTINE_S)
