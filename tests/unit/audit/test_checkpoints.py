"""The file of statements, and who signs them."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.append_only import Damaged
from neuronetz_twisted.audit.checkpoints import CheckpointFile, Signer
from neuronetz_twisted.audit.signing import Signed, Statement, has_signed
from tests.unit.audit.chains import AT, KEY, WRITER, chain_of, signed


class CheckpointCase(SynchronousTestCase):
    def setUp(self) -> None:
        """An empty file."""
        self.file = CheckpointFile(Path(self.mktemp()))
        self.file.create()

    def read(self) -> list[Signed | Damaged]:
        """All that it holds."""
        return list(self.file.read(self.file.size() or 0))


class FileTests(CheckpointCase):
    def test_kept(self) -> None:
        """Statements are read back as they were signed."""
        statements = [signed(final) for final in chain_of(3)]
        for each in statements:
            self.file.append(each)
        self.assertEqual(self.read(), statements)
        self.assertEqual(self.file.last_digest(), statements[-1].digest)

    def test_created_once(self) -> None:
        """A file that is there stays as it is."""
        self.file.append(signed(chain_of(1)[0]))
        self.file.create()
        self.assertEqual(len(self.read()), 1)

    def test_empty(self) -> None:
        """Before the first statement there is no digest."""
        self.assertEqual((self.read(), self.file.last_digest(), self.file.size()), ([], b"", 0))

    def test_missing(self) -> None:
        """A file that was taken away has no size."""
        self.file.path.unlink()
        self.assertIsNone(self.file.size())

    def test_damaged(self) -> None:
        """A line that is no statement is told as such."""
        self.file.path.write_bytes(b'{"statement":"{}","signature":"","signer":""}\n')
        self.assertEqual(self.read(), [Damaged(1)])


class SignerTests(CheckpointCase):
    def signer(self) -> Signer:
        """One that begins now."""
        return Signer(KEY, self.file, lambda: AT / 1e6)

    def said(self, signed: Signed) -> Statement:
        """The statement, which the key has signed."""
        self.assertTrue(has_signed(signed))
        return Statement.decoded(signed.statement)

    def test_what_is_said(self) -> None:
        """A statement says what it is asked to, and when."""
        made = self.signer().sign(kind="trim", writer=WRITER, seq=9, chain_hash=b"h" * 32, first=4)
        said = self.said(made)
        self.assertEqual((said.at, said.first, said.seq, said.previous), (AT, 4, 9, b""))
        self.assertEqual((made.kind, made.signer), ("trim", KEY.public))

    def test_previous(self) -> None:
        """A statement names the last one that was published, also by a process before this one."""
        signer = self.signer()

        def sign(by: Signer) -> Signed:
            return by.sign(kind="checkpoint", writer=WRITER, seq=1, chain_hash=b"h" * 32)

        lost = sign(signer)
        first = sign(signer)
        self.assertEqual(self.said(first).previous, b"")
        signer.publish(first)
        self.assertNotEqual(lost, None)
        self.assertEqual(self.said(sign(signer)).previous, first.digest)
        self.assertEqual(self.said(sign(self.signer())).previous, first.digest)
        self.assertEqual(self.read(), [first])
