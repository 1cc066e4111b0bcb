"""Records that PostgreSQL refuses for what is in them, kept until `audit replay` puts them back.

One file per writer, `<writer-uuid>.jsonl`: only the process that holds a writer's lock appends to
its file, so lines of two processes never mix. A letter is on the disk before its tombstone is in
the table (SPEC 9). Letters are evidence and stay where they are; the table's tombstones say which
of them are still to be put back.

All of it blocks: it is called in threads.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from attrs import define, field, frozen

from neuronetz_twisted.audit.append_only import append, appending, items, line_of, sync_directory
from neuronetz_twisted.audit.record import Final

DEAD_LETTERS = "dead-letter"
"""The directory in the state directory that has them."""


@frozen(kw_only=True)
class Letter:
    """A record that was refused. `reason` names the error and nothing of the record's text."""

    final: Final
    reason: str


@define
class DeadLetters:
    """The letters of one state directory, in `directory`, which is made when it is needed."""

    directory: Path
    _kept: dict[UUID, set[int]] = field(factory=dict, init=False, repr=False)

    def keep(self, letters: Sequence[Letter]) -> None:
        """Write letters of one writer and wait until they are on the disk.

        A letter that this process has kept before is not written again, since a batch is tried
        until it is committed. Raises `OSError` where they cannot be kept.
        """
        writer = letters[0].final.writer
        kept = self._kept.get(writer, set())
        fresh = [letter for letter in letters if letter.final.seq not in kept]
        if fresh:
            self._append(self.directory / f"{writer}.jsonl", b"".join(map(_line_of, fresh)))
        # Those before this batch are committed, or it would begin with them.
        self._kept[writer] = {letter.final.seq for letter in letters}

    def _append(self, path: Path, lines: bytes) -> None:
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700, exist_ok=True)
            sync_directory(self.directory.parent)
        with appending(path) as descriptor:
            append(descriptor, lines)


def read_letters(directory: Path) -> Iterator[Letter]:
    """The letters in a directory, each once, those of a writer in their order.

    A line that is no letter is passed over: its record has a tombstone with the same bytes. Raises
    `OSError`, but not for a directory that is not there: it is made with the first letter.
    """
    for path in _files(directory):
        letters: dict[int, Letter] = {}
        for letter in items(path, _letter_of):
            if isinstance(letter, Letter):
                letters.setdefault(letter.final.seq, letter)
        yield from (letters[seq] for seq in sorted(letters))


def _files(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return sorted(Path(entry) for entry in entries if entry.name.endswith(".jsonl"))
    except FileNotFoundError:
        return []


def _line_of(letter: Letter) -> bytes:
    final = letter.final
    return line_of(
        writer=str(final.writer),
        seq=str(final.seq),
        chain_hash=final.chain_hash.hex(),
        reason=letter.reason,
        record=b64encode(final.record).decode("ascii"),
    )


def _letter_of(fields: Any) -> Letter:
    final = Final(
        writer=UUID(fields["writer"]),
        seq=int(fields["seq"]),
        chain_hash=bytes.fromhex(fields["chain_hash"]),
        record=b64decode(fields["record"], validate=True),
    )
    return Letter(final=final, reason=fields["reason"])
