from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.record import Final, row_of
from neuronetz_twisted.audit.tombstones import DEAD_LETTER, day_of_tombstone, tombstone_of

WRITER = UUID("aaaaaaaa-0000-4000-8000-000000000001")
ID = UUID("bbbbbbbb-0000-4000-8000-000000000001")
WHOLE = {
    "id": str(ID),
    "at": 1_900_000_000_000_000,
    "day": "2030-03-18",
    "client_id": "mine",
    "route": "/api/chat",
    "tenant": str(UUID(int=1)),
    "key": str(UUID(int=2)),
    "prefix": "nz_aaaaaaaaa",
    "dialect": "ollama",
    "model": "m",
    "backend": "b",
    "address": "192.0.2.1",
    "status": 200,
    "outcome": "ok",
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "estimated": True,
    "charged": 30,
    "count": 2,
    "bytes_sent": 40,
    "first_byte_ms": 1.5,
    "duration_ms": 2.5,
    "user_agent": "curl",
}
TEXTS = {
    *("client_id", "key_prefix", "dialect", "model", "backend", "address", "user_agent"),
    *("status", "first_byte_ms", "duration_ms"),
}


def final(**changes: Any) -> Final:
    """A record of which something is wrong."""
    return Final(WRITER, 7, b"hash", orjson.dumps(WHOLE | changes))


class TombstoneTests(SynchronousTestCase):
    def test_whole_record(self) -> None:
        """A sound record keeps its place in the chain and all that it costs, and no text."""
        row = row_of(final())
        expected = row | dict.fromkeys(TEXTS) | {"route": "", "outcome": DEAD_LETTER}
        self.assertEqual(tombstone_of(final()), expected)

    def test_no_record(self) -> None:
        """Bytes that mean nothing have a row too, the same each time, and another for another."""
        for record in (b"", b"\xff", b"[]", b"{}", b"null"):
            broken = Final(WRITER, 7, b"hash", record)
            row = tombstone_of(broken)
            self.assertEqual(row, tombstone_of(broken))
            self.assertEqual((row["record"], row["seq"], row["charged"]), (record, 7, 0))
            self.assertEqual(row["started_at"], datetime(1970, 1, 1, tzinfo=UTC))
            self.assertEqual(day_of_tombstone(broken), date(1970, 1, 1))
        self.assertNotEqual(tombstone_of(Final(WRITER, 8, b"", b""))["id"], row["id"])

    def test_numbers_are_brought_into_bounds(self) -> None:
        """No number is negative or larger than its column; what is no whole number is none."""
        amounts: list[tuple[Any, int]] = [(-1, 0), (2**64 - 1, 2**63 - 1), (1.5, 0), ("5", 0)]
        for given, stored in [*amounts, (True, 0)]:
            for name in ("charged", "prompt_tokens", "completion_tokens", "bytes_sent"):
                self.assertEqual(tombstone_of(final(**{name: given}))[name], stored)
        counts: list[tuple[Any, int]] = [(0, 1), (2**40, 2**31 - 1), (None, 1), (3, 3)]
        for number, kept in counts:
            self.assertEqual(tombstone_of(final(count=number))["count"], kept)
        self.assertFalse(tombstone_of(final(estimated="yes"))["estimated"])

    def test_times_are_brought_into_bounds(self) -> None:
        """A moment that no calendar has becomes the nearest one."""
        self.assertEqual(tombstone_of(final(at=-5))["started_at"].year, 1970)
        self.assertEqual(tombstone_of(final(at=2**62))["started_at"].year, 9999)

    def test_ids(self) -> None:
        """What is no id is nobody's, but a row always has one."""
        for wrong in ("x", 7, None, ["y"]):
            row = tombstone_of(final(id=wrong, tenant=wrong, key=wrong))
            self.assertEqual((row["tenant_id"], row["key_id"]), (None, None))
            self.assertEqual(row["id"].version, 5)

    def test_day(self) -> None:
        """The record's own day, else that of its arrival."""
        self.assertEqual(day_of_tombstone(final()), date(2030, 3, 18))
        for wrong in ("yesterday", 7, None):
            self.assertEqual(day_of_tombstone(final(day=wrong)), date(2030, 3, 17))
