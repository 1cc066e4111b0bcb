"""The hash chain."""

from hashlib import sha256
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.chain import link, start

WRITER = UUID("0191d4b7-0000-7000-8000-000000000001")


class ChainTests(SynchronousTestCase):
    def test_start(self) -> None:
        """A chain begins with its writer, so that no record fits into another's."""
        self.assertEqual(
            start(WRITER), sha256(b"neuronetz audit chain 1\n" + WRITER.bytes).digest()
        )

    def test_link(self) -> None:
        """A hash covers the one before it and the record."""
        self.assertEqual(link(b"p" * 32, b"{}"), sha256(b"p" * 32 + b"{}").digest())
