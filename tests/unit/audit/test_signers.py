"""The signing key of a gateway, and how another one takes its place."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.checkpoints import CHECKPOINT_FILE, Signer
from neuronetz_twisted.audit.signers import (
    KEY_FILE,
    SIGNERS_FILE,
    SignerFile,
    checkpoint_file,
    open_signer,
    signing_keys,
)
from neuronetz_twisted.audit.signing import SigningFault
from tests.unit.audit.chains import AT, KEY, STRANGER, WRITER

OLD, NEW = (b"k" * 32).hex(), (b"s" * 32).hex()


class SignersCase(SynchronousTestCase):
    def setUp(self) -> None:
        """An empty state directory."""
        self.home = Path(self.mktemp())
        self.home.mkdir()
        self.trusted = SignerFile(self.home / SIGNERS_FILE).trusted

    def open(self, setting: str | None = None) -> Signer:
        """Start with that AUDIT_SIGNING_KEY."""
        return open_signer(setting, state_dir=self.home, checkpoints=None, now=lambda: AT / 1e6)

    def public(self, signer: Signer) -> bytes:
        """Who signs."""
        return signer.sign(kind="closed", writer=WRITER, seq=1, chain_hash=b"").signer


class StartTests(SignersCase):
    def test_first_start(self) -> None:
        """Without a key one is made, for its owner alone, and is the same ever after."""
        first = self.public(self.open())
        self.assertEqual(self.public(self.open()), first)
        self.assertEqual(self.trusted(), {first})
        self.assertEqual((self.home / KEY_FILE).stat().st_mode & 0o777, 0o600)
        self.assertEqual(
            {path.name for path in self.home.iterdir()}, {KEY_FILE, SIGNERS_FILE, CHECKPOINT_FILE}
        )

    def test_two_at_once(self) -> None:
        """Of two processes that make a key both use the one that was there first."""

        def link(_: object, path: Path) -> None:
            path.write_text(OLD, encoding="ascii")
            raise FileExistsError

        self.patch(os, "link", link)
        self.assertEqual(self.public(self.open()), KEY.public)

    def test_setting(self) -> None:
        """A key that is given is used, and none is made."""
        self.assertEqual(self.public(self.open(OLD)), KEY.public)
        self.assertFalse((self.home / KEY_FILE).exists())

    def test_checkpoint_file(self) -> None:
        """The file lies in the state directory unless another place is named."""
        self.assertEqual(checkpoint_file(None, self.home).path, self.home / CHECKPOINT_FILE)
        other = self.home / "other"
        self.assertEqual(checkpoint_file(other, self.home).path, other)


class RotationTests(SignersCase):
    def test_former_key_behind(self) -> None:
        """A new key is trusted where the former one stands behind it, once."""
        self.open(OLD)
        self.assertEqual(self.public(self.open(f"{NEW},{OLD}")), STRANGER.public)
        self.assertEqual(self.public(self.open(NEW)), STRANGER.public)
        self.assertEqual(self.trusted(), {KEY.public, STRANGER.public})

    def test_former_key_in_the_file(self) -> None:
        """The key of the state directory vouches for one that is given."""
        first = self.public(self.open())
        self.open(NEW)
        self.assertEqual(self.trusted(), {first, STRANGER.public})

    def test_another_key(self) -> None:
        """A key that nobody vouches for does not sign."""
        self.open(OLD)
        error = self.assertRaises(SigningFault, self.open, NEW)
        self.assertIn("not the key that has signed so far", str(error))
        self.assertNotIn(NEW, str(error))
        self.assertEqual(self.trusted(), {KEY.public})


class FaultTests(SignersCase):
    def test_no_file(self) -> None:
        """Before the first start nobody is trusted."""
        self.assertEqual(self.trusted(), set())

    def test_no_key_in_the_file(self) -> None:
        """A file that holds no key is named, without what it holds."""
        for text in ("", "hunter2"):
            (self.home / KEY_FILE).write_text(text, encoding="ascii")
            error = self.assertRaises(SigningFault, signing_keys, None, self.home)
            self.assertIn(f"{KEY_FILE}: must be 32 bytes", str(error))
            self.assertNotIn("hunter2", str(error))

    def test_no_directory(self) -> None:
        """A directory that cannot be used is told, with and without a key."""
        self.home.rmdir()
        for setting in (None, OLD):
            self.assertIn("cannot use", str(self.assertRaises(SigningFault, self.open, setting)))

    def test_damaged_signers(self) -> None:
        """A file of signers that is damaged, or says what nobody vouches for, is a fault."""
        path = self.home / SIGNERS_FILE
        for text in ('{"statement":"{}","signature":"","signer":""}\n', "x\n"):
            path.write_text(text, encoding="ascii")
            self.assertIn("is damaged", str(self.assertRaises(SigningFault, self.trusted)))
        path.unlink()
        self.open(OLD)
        lines = path.read_bytes()
        path.unlink()
        self.open(NEW)
        with path.open("ab") as file:
            file.write(lines)
        self.assertIn("no former one", str(self.assertRaises(SigningFault, self.trusted)))

    def test_empty_name(self) -> None:
        """A line that introduces an empty key is damage."""
        text = '{"statement":"{\\"signer\\":\\"\\"}","signature":"","signer":""}\n'
        (self.home / SIGNERS_FILE).write_text(text, encoding="ascii")
        self.assertRaises(SigningFault, self.trusted)

    def test_unreadable_signers(self) -> None:
        """A file of signers that cannot be read is a fault, and not an empty one."""
        (self.home / SIGNERS_FILE).mkdir()
        self.assertIn("cannot read", str(self.assertRaises(SigningFault, self.trusted)))
