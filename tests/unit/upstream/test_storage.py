"""Room for large answers: how much each may have, and all of them."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import AnswersTooLarge, AnswerTooLarge
from neuronetz_twisted.upstream.storage import LARGEST, SHARED, Share, Storage

EACH = 100


class StorageTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Nothing is held."""
        self.storage = Storage(EACH)

    def shares(self, count: int) -> list[Share]:
        """Answers of which nothing has come."""
        return [Share(self.storage) for _ in range(count)]

    def test_small_ones(self) -> None:
        """However many there are, they take nothing from each other."""
        for share in self.shares(1000):
            share.hold(EACH)

    def test_large_ones(self) -> None:
        """What they hold beyond that is bounded; it is counted once, however it grew."""
        count = SHARED // (LARGEST - 1)
        for share in self.shares(count):
            for held in (EACH, 2 * EACH, LARGEST * EACH, LARGEST * EACH):
                share.hold(held)
        left = SHARED * EACH - count * (LARGEST - 1) * EACH
        (last,) = self.shares(1)
        last.hold(EACH + left)
        refusal = self.assertRaises(AnswersTooLarge, last.hold, EACH + left + 1)
        self.assertEqual((refusal.status, refusal.code), (503, "upstream_busy"))

    def test_given_back(self) -> None:
        """Once; then another one has it."""
        for _ in range(SHARED):
            (share,) = self.shares(1)
            share.hold(LARGEST * EACH)
            share.give_back()
            share.give_back()
        self.assertRaises(AnswersTooLarge, self.storage.take, SHARED * EACH + 1)

    def test_too_large(self) -> None:
        """The client is told the limit."""
        (share,) = self.shares(1)
        refusal = self.assertRaises(AnswerTooLarge, share.hold, LARGEST * EACH + 1)
        self.assertEqual((refusal.status, refusal.param), (400, "input"))
        self.assertIn("400 bytes", refusal.message)
