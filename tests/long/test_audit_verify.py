"""How fast the record is verified, and how much memory that takes."""

import sys
import time
import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.anchors import Anchors
from neuronetz_twisted.audit.signers import SIGNERS_FILE, SignerFile
from neuronetz_twisted.audit.verify import Tally, verify
from neuronetz_twisted.stores import audit_reading
from tests.audit_trail import Trail

RECORDS = 200_000
BATCH = 1000
LEAST_RATE = 20_000
MOST_BYTES = 16 << 20


class VerifyTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Write the records, a checkpoint for each batch."""
        self.trail = Trail(self)
        for _ in range(RECORDS // BATCH):
            self.trail.write(self.trail.finals(BATCH))
        self.trail.chains.clear()
        self.trail.owner.execute("ANALYZE gateway.audit_log")

    def test_rate(self) -> None:
        """The command reads so many records a second, its own start included."""
        began = time.monotonic()
        told = self.trail.json("verify")
        seconds = time.monotonic() - began
        sys.stderr.write(
            f"\n{RECORDS} records verified in {seconds:.1f} s, {RECORDS / seconds:.0f}/s\n"
        )
        self.assertEqual((told["ok"], told["records"]), (True, RECORDS))
        self.assertTrue(RECORDS / seconds >= LEAST_RATE, f"{RECORDS / seconds} a second")

    def test_memory(self) -> None:
        """What is held does not grow with the records."""
        trusted = SignerFile(self.trail.state_dir / SIGNERS_FILE).trusted()
        anchors, tally = Anchors(trusted), Tally()

        def read() -> int:
            with self.trail.engine.begin() as connection:
                audit_reading.begin_reading(connection)
                found = list(anchors.gather(audit_reading.statements(connection), ()))
                rows = audit_reading.chains(connection)
                found += verify(rows, audit_reading.VERIFIED, anchors, tally)
            self.assertEqual(found, [])
            return tracemalloc.get_traced_memory()[1]

        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        most = read()
        sys.stderr.write(f"\n{most / 1e6:.1f} MB at most for {tally.records} records\n")
        self.assertEqual(tally.records, RECORDS)
        self.assertTrue(most < MOST_BYTES, f"{most} bytes")
