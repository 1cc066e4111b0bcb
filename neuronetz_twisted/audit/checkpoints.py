"""The statements that the gateway has signed, kept outside of the database.

The file is evidence against the owner of the database, so it belongs where he cannot write, and a
copy elsewhere is worth more than the original: what it holds and the database does not was taken
away. Several processes append to it. The calls block; the gateway makes them in a thread (SPEC 9).
"""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from neuronetz_twisted.audit.append_only import (
    Damaged,
    append,
    appending,
    items,
    last_item,
    line_of,
)
from neuronetz_twisted.audit.signing import Kind, Signed, SigningKey, Statement, signed_by

CHECKPOINT_FILE = "audit-checkpoints.jsonl"

_MICROSECONDS = 1_000_000


class CheckpointFile:
    """The statements of all processes of a state directory, in the order in which they came."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make an empty file where there is none, so that one which is lost shows."""
        with appending(self.path):
            pass

    def append(self, signed: Signed) -> None:
        """Keep a statement; it is on disk when this returns. Raises `OSError`."""
        line = line_of(
            statement=signed.statement.decode("ascii"),
            signature=base64.b64encode(signed.signature).decode("ascii"),
            signer=signed.signer.hex(),
        )
        with appending(self.path) as descriptor:
            append(descriptor, line)

    def size(self) -> int | None:
        """How many bytes it has; None where it is not there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return None

    def read(self, until: int) -> Iterator[Signed | Damaged]:
        """The statements in the first `until` bytes, also forged ones: the reader asks who signed.

        Raises `OSError`.
        """
        return items(self.path, _signed_of, until)

    def last_digest(self) -> bytes:
        """What a new process' first statement calls `previous`; empty where nothing was signed."""
        last = last_item(self.path, _signed_of)
        return b"" if last is None else last.digest


class Signer:
    """Signs what this process says, each statement naming the one before.

    `now` gives the time in seconds since 1970. Calls come from threads; where two come at once,
    both statements name the same one.
    """

    def __init__(self, key: SigningKey, file: CheckpointFile, now: Callable[[], float]) -> None:
        self._key = key
        self._file = file
        self._now = now
        self._previous = file.last_digest()

    def sign(
        self, *, kind: Kind, writer: UUID, seq: int, chain_hash: bytes, first: int = 0
    ) -> Signed:
        """Say this of a chain; `first` is for a trim."""
        statement = Statement(
            kind=kind,
            writer=writer,
            seq=seq,
            chain_hash=chain_hash,
            at=int(self._now() * _MICROSECONDS),
            previous=self._previous,
            first=first,
        )
        return signed_by(self._key, statement)

    def publish(self, signed: Signed) -> None:
        """Keep a statement in the file, now that it is committed. Raises `OSError`."""
        self._previous = signed.digest
        self._file.append(signed)


def _signed_of(fields: Any) -> Signed:
    return Signed.of(
        fields["statement"].encode("ascii"),
        signature=base64.b64decode(fields["signature"], validate=True),
        signer=bytes.fromhex(fields["signer"]),
    )
