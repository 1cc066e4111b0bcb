"""A spool in memory, and what was written to it."""

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import define, field
from twisted.internet.defer import Deferred, fail

from neuronetz_twisted.errors import AuditUnavailable, DatabaseUnavailable
from neuronetz_twisted.testing.identity import Gate
from neuronetz_twisted.vocabulary import Outcome, Principal, Ticket


@define(eq=False)
class FakeSlot:
    """An `AuditSlot` that keeps its record, and objects to a second one."""

    intent: dict[str, Any] = field(factory=dict)
    reserved: list[int] = field(factory=list, init=False)
    record: dict[str, Any] | None = field(default=None, init=False)

    @property
    def tokens(self) -> int | None:
        """What was reserved last."""
        return self.reserved[-1] if self.reserved else None

    def extend(self, tokens: int) -> None:
        """Note a larger reservation."""
        if self.record is not None:
            raise AssertionError("extended after its completion")
        self.reserved.append(tokens)

    def complete(self, record: bytes) -> None:
        """Keep the record."""
        if self.record is not None:
            raise AssertionError("completed twice")
        self.record = orjson.loads(record)


@define(eq=False)
class FakeTrail:
    """An `AuditTrail` in memory.

    `denies` is why it admits nothing, `full` a spool that has room for completions only. With
    `durable` each wait for the disk is one at the `gate`; with `disk_fails` it ends badly.
    """

    denies: str | None = None
    full: bool = False
    durable: bool = False
    disk_fails: bool = False
    gate: Gate = field(factory=Gate)
    slots: list[FakeSlot] = field(factory=list, init=False)
    notes: list[dict[str, Any]] = field(factory=list, init=False)

    def check(self) -> None:
        """Raise `AuditUnavailable` where `denies` says why."""
        if self.denies is not None:
            raise AuditUnavailable(why=self.denies)

    def open(self, request_id: str, intent: bytes) -> FakeSlot:
        """Keep an intent."""
        self.check()
        if self.full:
            raise AuditUnavailable(why="full")
        slot = FakeSlot(orjson.loads(intent))
        if slot.intent["id"] != str(request_id):
            raise AssertionError("an intent of another request")
        self.slots.append(slot)
        return slot

    def committed(self) -> Deferred[None] | None:
        """Wait at the gate, where durability is asked for."""
        if self.disk_fails:
            return fail(AuditUnavailable(why="io"))
        return self.gate.answer(lambda: None) if self.durable else None

    def note(self, record: bytes) -> bool:
        """Keep a record, if there is room."""
        if self.denies is not None or self.full:
            return False
        self.notes.append(orjson.loads(record))
        return True

    @property
    def records(self) -> list[dict[str, Any]]:
        """The final records: those of slots, then notes."""
        return [*(slot.record for slot in self.slots if slot.record is not None), *self.notes]

    @property
    def pending(self) -> int:
        """How many slots are open."""
        return sum(slot.record is None for slot in self.slots)


@define
class FakePrompts:
    """A `PromptSink` that notes whose text it was given; `word` is its answer."""

    word: str = "kept"
    taken: list[Ticket] = field(factory=list, init=False)

    def keep(self, ticket: Ticket, outcome: Outcome) -> str:  # noqa: ARG002 - the seam's
        """Note a call."""
        self.taken.append(ticket)
        return self.word


@define
class FakeUsage:
    """A `UsageStore` that knows nothing but who asked; `away` is a database that is gone."""

    away: bool = False
    gate: Gate = field(factory=Gate)

    def own(self, principal: Principal) -> Deferred[Mapping[str, Any]]:
        """Name the caller's key."""
        if self.away:
            return fail(DatabaseUnavailable())
        return self.gate.answer(lambda: {"key": principal.key})
