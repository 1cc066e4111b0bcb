"""Keys, statements and signatures."""

import base64
from uuid import UUID

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.signing import (
    CHECKPOINT_CONTEXT,
    SIGNER_CONTEXT,
    Introduction,
    SigningKey,
    Statement,
    has_signed,
    introduce,
    is_signed,
    keys_in,
    trusted_signers,
)
from tests.unit.audit.chains import AT, KEY, STRANGER, WRITER, chain_of, signed


class KeyTests(SynchronousTestCase):
    def test_vector(self) -> None:
        """A seed gives the public key and the signature of RFC 8032, 7.1, test 1."""
        seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
        key = SigningKey.of_seed(seed)
        self.assertEqual(
            key.public.hex(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        )
        self.assertTrue(key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a"))

    def test_several(self) -> None:
        """The first of several keys signs."""
        text = f"{(b'k' * 32).hex()},\n{base64.b64encode(b's' * 32).decode()}"
        self.assertEqual([key.public for key in keys_in(text)], [KEY.public, STRANGER.public])

    def test_secret(self) -> None:
        """The representation of a key does not show it, nor does an error."""
        self.assertNotIn("rivate", repr(KEY))
        error = self.assertRaises(ValueError, keys_in, "hunter2")
        self.assertNotIn("hunter2", str(error))


class StatementTests(SynchronousTestCase):
    def statement(self) -> Statement:
        """A trim, which has every field."""
        return Statement(
            kind="trim",
            writer=WRITER,
            seq=9,
            chain_hash=b"h" * 32,
            at=AT,
            previous=b"p" * 32,
            first=3,
        )

    def test_canonical(self) -> None:
        """A statement has one form, with its names in order, and is read back from it."""
        encoded = self.statement().encoded()
        self.assertEqual(
            encoded,
            b'{"at":%d,"first":3,"hash":"%s","kind":"trim","previous":"%s","seq":9,"v":1,'
            b'"writer":"%s"}' % (AT, b"68" * 32, b"70" * 32, str(WRITER).encode()),
        )
        self.assertEqual(Statement.decoded(encoded), self.statement())
        checkpoint = evolve(self.statement(), kind="checkpoint", first=0)
        self.assertNotIn(b"first", checkpoint.encoded())
        self.assertEqual(Statement.decoded(checkpoint.encoded()), checkpoint)

    def test_any_other_form(self) -> None:
        """Bytes that it does not make itself are no statement."""
        good = self.statement().encoded()
        for data in (
            b"",
            b"[]",
            b"{}",
            b"\xff",
            good + b" ",
            good.replace(b'"v":1', b'"v":2'),
            good.replace(b"trim", b"other"),
            good.replace(b'"seq":9', b'"seq":"9"'),
            good.replace(b'"seq":9', b'"seq":true'),
            good.replace(b'"first":3,', b""),
        ):
            with self.subTest(data=data):
                self.assertRaises(ValueError, Statement.decoded, data)

    def test_signature(self) -> None:
        """Only the signer's signature of that very statement for that very purpose holds."""
        made = signed(chain_of(1)[0])
        self.assertTrue(has_signed(made))
        for other in (
            evolve(made, statement=made.statement + b" "),
            evolve(made, signer=STRANGER.public),
            evolve(made, signer=b"short"),
            evolve(made, signature=b""),
        ):
            self.assertFalse(has_signed(other))
        self.assertFalse(
            is_signed(SIGNER_CONTEXT, made.statement, signature=made.signature, signer=made.signer)
        )
        self.assertNotEqual(SIGNER_CONTEXT, CHECKPOINT_CONTEXT)

    def test_digest(self) -> None:
        """Different statements have different digests."""
        first, second = chain_of(2)
        self.assertNotEqual(signed(first).digest, signed(second).digest)
        self.assertEqual(len(signed(first).digest), 32)


class IntroductionTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A first key, and one that it vouches for."""
        self.first = introduce(KEY, by=KEY, at=AT)
        self.second = introduce(STRANGER, by=KEY, at=AT)

    def test_chain(self) -> None:
        """A key is trusted whom a trusted one has introduced, and who introduces others."""
        third = SigningKey.of_seed(b"t" * 32)
        self.assertEqual(trusted_signers([]), frozenset())
        self.assertEqual(
            trusted_signers([self.first, self.second, introduce(third, by=STRANGER, at=AT)]),
            {KEY.public, STRANGER.public, third.public},
        )

    def test_nobody_vouches(self) -> None:
        """A key that introduces itself later, or is introduced by nobody, spoils the file."""
        itself = introduce(STRANGER, by=STRANGER, at=AT)
        forged = Introduction(self.second.statement, b"x" * 64, KEY.public)
        for lines in ([self.first, itself], [self.second], [self.first, forged]):
            self.assertRaises(ValueError, trusted_signers, lines)

    def test_no_introduction(self) -> None:
        """A statement without a key introduces nobody."""
        for data in (b"", b"{}", b"[]", b'{"signer":"xyz"}', b'{"signer":1}'):
            with self.subTest(data=data), self.assertRaises(ValueError):
                _ = Introduction(data, b"", b"").introduced

    def test_writer_is_a_uuid(self) -> None:
        """The writer of a statement is told as the database tells it."""
        self.assertIn(str(UUID(int=1)).encode(), signed(chain_of(1)[0]).statement)
