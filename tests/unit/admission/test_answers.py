from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission import answers
from neuronetz_twisted.admission.answers import (
    Code,
    Done,
    Extended,
    Figures,
    Gone,
    Granted,
    Looked,
    Refused,
    Released,
    Stale,
    Unknown,
    Used,
    admitted,
    counted,
    done,
    extended,
    looked,
    settled,
)
from neuronetz_twisted.errors import RedisUnavailable

NUMBERS = [60, 59, 1000, 700, 2, 5000, 1763900000]
FIGURES = Figures(60, 59, 1000, 700, "month", 5000, 1763900000)


class AnswerTests(SynchronousTestCase):
    def test_granted(self) -> None:
        """An admission has its lease, its day, and what is left."""
        reply = [1, 256, 20261123, *NUMBERS]
        self.assertEqual(admitted(reply), Granted(256, "2026-11-23", FIGURES))

    def test_refused(self) -> None:
        """A limit that is reached is named, with its level and the time to wait."""
        words = {10: Code.RPM, 11: Code.TPM, 12: Code.SLOTS, 20: Code.DAY, 21: Code.MONTH}
        for number, code in (words | {22: Code.TOTAL}).items():
            for level, name in ((0, "tenant"), (1, "key")):
                reply = [number, level, 7, *NUMBERS]
                self.assertEqual(admitted(reply), Refused(code, name, 7, FIGURES))

    def test_no_admission(self) -> None:
        """What is no admission and no limit says what to do first."""
        self.assertEqual(admitted([2, 8]), Stale(8))
        self.assertEqual(admitted([3]), Unknown())
        self.assertEqual(admitted([4]), Released())

    def test_counted(self) -> None:
        """A list is counted, or refused like a call."""
        self.assertEqual(counted([1, *NUMBERS]), FIGURES)
        self.assertEqual(counted([10, 1, 3, *NUMBERS]), Refused(Code.RPM, "key", 3, FIGURES))
        self.assertEqual(counted([2, 8]), Stale(8))
        self.assertEqual(counted([3]), Unknown())

    def test_looked(self) -> None:
        """What is left, then what counts of the tenant and of the key."""
        used = Looked(FIGURES, Used(1, 300, 2, 10, 20, 30), Used(0, 200, 1, 5, 6, 7))
        self.assertEqual(looked([1, *NUMBERS, 1, 300, 2, 10, 20, 30, 0, 200, 1, 5, 6, 7]), used)
        self.assertEqual(looked([3]), Unknown())

    def test_extended(self) -> None:
        """A lease has a total; a call may be gone, or its tenant not known."""
        self.assertEqual(extended([1, 512]), Extended(512))
        self.assertEqual(extended([30]), Gone())
        self.assertEqual(extended([3]), Unknown())

    def test_done(self) -> None:
        """All other scripts did it, or know nothing of call or tenant."""
        self.assertEqual(done([1]), Done())
        self.assertEqual(done([30]), Gone())
        self.assertEqual(done([3]), Unknown())

    def test_settled(self) -> None:
        """One answer for each call."""
        self.assertEqual(settled([1, 30, 1], 3), [True, False, True])
        self.assertEqual(settled([3], 2), Unknown())
        for reply in ([1, 1], [], [1, 1, 3], [1, 1, b"1"], None):
            with self.assertRaises(RedisUnavailable):
                settled(reply, 3)

    def test_periods(self) -> None:
        """The budget with least left is named by its period; without a budget there is none."""
        for number, period in enumerate((None, "day", "month", "total")):
            answer = counted([1, -1, -1, -1, -1, number, 0, 5])
            self.assertEqual(answer, Figures(-1, -1, -1, -1, period, 0, 5))

    def test_strange(self) -> None:
        """An answer that is none of the script's is no pass."""
        strange: list[Any] = [None, 1, b"OK", [], [b"1"], [[1]], [True], [0], [5], [1.0]]
        strange += [[1, 256, 20261123], [1, 256, 20261123, *NUMBERS, 0], [2], [2, 1, 1], [3, 3]]
        strange += [[1, *NUMBERS[:4], 4, 0, 0], [1, *NUMBERS[:4], -1, 0, 0], [10, 2, 3, *NUMBERS]]
        strange += [[13, 0, 3, *NUMBERS], [4, 4], [30, 1]]
        strange += [[1, *NUMBERS, *range(11)], [1, *NUMBERS, *range(13)], [3, *NUMBERS, *range(12)]]
        strange += [[1, *NUMBERS[:4], 4, 0, 0, *range(12)]]
        for reply in strange:
            for read in (admitted, counted, looked, extended, done):
                with self.assertRaises(RedisUnavailable):
                    read(reply)

    def test_codes(self) -> None:
        """Scripts and values have the same codes."""
        clock = Path(answers.__file__).parent / "scripts" / "parts" / "clock.lua"
        found: dict[str, int] = {}
        for line in clock.read_text(encoding="utf-8").splitlines():
            if line.startswith(("local OK", "local RPM")):
                names, numbers = line.removeprefix("local ").split(" = ")
                found.update(zip(names.split(", "), map(int, numbers.split(", ")), strict=True))
        self.assertEqual(found, {code.name: code.value for code in Code})
