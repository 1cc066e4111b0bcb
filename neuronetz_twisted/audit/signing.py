"""Signed statements about the chains of records, which no owner of the database can write.

A chain alone proves nothing against who can compute it anew (`chain.py`). So now and then the
gateway signs how long a chain is and where it leads. A statement is JSON in one canonical form:

    {"at", "hash", "kind", "previous", "seq", "v", "writer"}, for a trim also "first"

`checkpoint` and `closed` say: the chain of `writer` has `seq` records and ends in `hash`; behind
`closed` there is nothing more. `trim` says: retention has dropped the records `first` to `seq`, of
which the last had `hash`. `previous` is the SHA-256 of the statement that this process signed
before, so that one which is missing shows. `at` is in microseconds since 1970. Pure (SPEC 9).
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import orjson
from attrs import field, frozen
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from neuronetz_twisted.variables import keys_of

PUBLIC_BYTES = 32
"""By so many bytes a signer is known."""

CHECKPOINT_CONTEXT = b"neuronetz audit checkpoint 1\n"
SIGNER_CONTEXT = b"neuronetz audit signer 1\n"
"""What is signed begins with one of these, so that no signature serves for another purpose."""

Kind = Literal["checkpoint", "closed", "trim"]
KINDS: tuple[Kind, ...] = ("checkpoint", "closed", "trim")

_VERSION = 1


class SigningFault(Exception):  # noqa: N818 - states what is the case
    """Nothing can be signed; the text is one line made for the operator, without a secret."""


@frozen
class SigningKey:
    """An Ed25519 key (RFC 8032). `public` are the 32 bytes by which a signer is known."""

    _private: Ed25519PrivateKey = field(repr=False)
    public: bytes

    @classmethod
    def of_seed(cls, seed: bytes) -> "SigningKey":
        """The key of 32 secret bytes."""
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(private, private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes that only who has the key can make."""
        return self._private.sign(message)


def keys_in(text: str) -> tuple[SigningKey, ...]:
    """The keys of a setting or a file: the first one signs, former ones behind it vouch for it.

    Raises `ValueError` with a sentence that holds nothing of the text.
    """
    return tuple(SigningKey.of_seed(seed) for seed in keys_of(text))


@frozen(kw_only=True)
class Statement:
    """What is said of one chain; `first` is 0 but for a trim."""

    kind: Kind
    writer: UUID
    seq: int
    chain_hash: bytes
    at: int
    previous: bytes
    first: int = 0

    def encoded(self) -> bytes:
        """The canonical form, which is what is signed and kept."""
        said: dict[str, Any] = {
            "v": _VERSION,
            "kind": self.kind,
            "writer": str(self.writer),
            "seq": self.seq,
            "hash": self.chain_hash.hex(),
            "at": self.at,
            "previous": self.previous.hex(),
        }
        if self.kind == "trim":
            said["first"] = self.first
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def decoded(cls, data: bytes) -> "Statement":
        """The statement of these bytes. Raises `ValueError` for any that `encoded` cannot give."""
        try:
            said = orjson.loads(data)
            statement = cls(
                kind=said["kind"],
                writer=UUID(said["writer"]),
                seq=said["seq"],
                chain_hash=bytes.fromhex(said["hash"]),
                at=said["at"],
                previous=bytes.fromhex(said["previous"]),
                first=said.get("first", 0),
            )
            whole = all(
                type(number) is int for number in (statement.seq, statement.at, statement.first)
            )
            if whole and statement.kind in KINDS and statement.encoded() == data:
                return statement
        except (KeyError, TypeError, AttributeError, ValueError):
            pass
        raise ValueError("not a statement of an audit chain")


@frozen(kw_only=True)
class Signed:
    """A statement with its signature: one row of `audit_checkpoints`, one line of the file."""

    kind: Kind
    writer: UUID
    seq: int
    chain_hash: bytes
    statement: bytes
    signature: bytes
    signer: bytes

    @classmethod
    def of(cls, statement: bytes, *, signature: bytes, signer: bytes) -> "Signed":
        """What a statement says, with its signature. Raises as `Statement.decoded`."""
        said = Statement.decoded(statement)
        return cls(
            kind=said.kind,
            writer=said.writer,
            seq=said.seq,
            chain_hash=said.chain_hash,
            statement=statement,
            signature=signature,
            signer=signer,
        )

    @property
    def digest(self) -> bytes:
        """What the next statement calls `previous`."""
        return hashlib.sha256(self.statement).digest()


def is_signed(context: bytes, statement: bytes, *, signature: bytes, signer: bytes) -> bool:
    """Whether `signer` has signed the statement in that context."""
    try:
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, context + statement)
    except (InvalidSignature, ValueError):
        return False
    return True


def has_signed(signed: Signed) -> bool:
    """Whether its signer has signed the statement."""
    return is_signed(
        CHECKPOINT_CONTEXT,
        signed.statement,
        signature=signed.signature,
        signer=signed.signer,
    )


def signed_by(key: SigningKey, statement: Statement) -> Signed:
    """The statement with the key's signature."""
    encoded = statement.encoded()
    return Signed.of(encoded, signature=key.sign(CHECKPOINT_CONTEXT + encoded), signer=key.public)


@frozen
class Introduction:
    """One line of the file of signers: `signer` vouches for the key in `statement`."""

    statement: bytes
    signature: bytes
    signer: bytes

    @property
    def introduced(self) -> bytes:
        """The public key that is vouched for. Raises `ValueError` where there is none."""
        try:
            said = orjson.loads(self.statement)
            return bytes.fromhex(said["signer"])
        except (KeyError, TypeError, ValueError):
            raise ValueError("not an introduction of a signer") from None


def introduce(key: SigningKey, *, by: SigningKey, at: int) -> Introduction:
    """Let one key vouch for another; the very first one vouches for itself."""
    said = {"v": _VERSION, "kind": "signer", "signer": key.public.hex(), "at": at}
    statement = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
    return Introduction(statement, by.sign(SIGNER_CONTEXT + statement), by.public)


def trusted_signers(introductions: Sequence[Introduction]) -> frozenset[bytes]:
    """All keys that the first one vouches for, itself or through others.

    Raises `ValueError` at the first line that nobody trusted has signed.
    """
    trusted: set[bytes] = set()
    for each in introductions:
        vouched = each.signer in trusted or (not trusted and each.signer == each.introduced)
        if not vouched or not is_signed(
            SIGNER_CONTEXT, each.statement, signature=each.signature, signer=each.signer
        ):
            raise ValueError("a signer was added that no former one vouches for")
        trusted.add(each.introduced)
    return frozenset(trusted)
