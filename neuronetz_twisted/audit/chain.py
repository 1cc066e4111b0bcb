"""The hash chain over the final records of one writer (SPEC 9). Pure.

Each link is SHA-256 of the hash before it and the exact bytes of the record, so that no record can
be changed, removed, inserted or moved without changing every hash behind it.
"""

from hashlib import sha256
from uuid import UUID

_GENESIS = b"neuronetz audit chain 1\n"


def start(writer: UUID) -> bytes:
    """The hash that stands before a writer's first record."""
    return sha256(_GENESIS + writer.bytes).digest()


def link(previous: bytes, record: bytes) -> bytes:
    """The hash of a record that follows the hash `previous`."""
    return sha256(previous + record).digest()
