"""What the verification of the record can find. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal
from uuid import UUID

from attrs import frozen

What = Literal["changed", "removed", "inserted", "reordered", "checkpoint"]

MOST_FINDINGS = 20
"""As many are told of one writer at a time; who needs more has the rows."""


@frozen(kw_only=True)
class Finding:
    """One thing that is not as it was written, and where it begins.

    `seq` is the first record of `writer` that is concerned, `row_id` its row's id where there is a
    row. `text` says the rest.
    """

    what: What
    text: str
    writer: UUID | None = None
    seq: int | None = None
    row_id: UUID | None = None

    @property
    def line(self) -> str:
        """All of it for a person."""
        row = "" if self.row_id is None else f" (id {self.row_id})"
        place = "" if self.writer is None else f" record {self.seq} of writer {self.writer}{row}:"
        return f"{self.what}:{place} {self.text}"

    def as_json(self) -> dict[str, Any]:
        """All of it for a program."""
        return {
            "what": self.what,
            "writer": None if self.writer is None else str(self.writer),
            "record": self.seq,
            "id": None if self.row_id is None else str(self.row_id),
            "text": self.text,
        }


def first_of_each(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The first ones of each writer, then how many more there are: reading on is what finds them.

    Those that are of no writer count as one writer's.
    """
    told: Counter[UUID | None] = Counter()
    beyond: dict[UUID | None, What] = {}
    for finding in findings:
        told[finding.writer] += 1
        if told[finding.writer] <= MOST_FINDINGS:
            yield finding
        else:
            beyond[finding.writer] = finding.what
    for writer, what in beyond.items():
        place = "the checkpoint file" if writer is None else f"writer {writer}"
        yield Finding(what=what, text=f"{place} has {told[writer] - MOST_FINDINGS} findings more")


def counted(first: int, last: int) -> str:
    """The records `first` to `last`, in words."""
    return f"record {first}" if first == last else f"records {first} to {last}"
