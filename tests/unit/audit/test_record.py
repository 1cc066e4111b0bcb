"""Records as rows."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.event import arrival_event, call_event, record_of
from neuronetz_twisted.audit.record import Final, row_of
from neuronetz_twisted.stores.tables import audit_log
from neuronetz_twisted.testing.calls import made_arrival, made_ticket
from neuronetz_twisted.vocabulary import End, Outcome, Usage

WRITER = UUID("0191d4b7-0000-7000-8000-000000000001")
ID = "0191d4b7-0000-7000-8000-000000000002"


def final_of(record: bytes) -> Final:
    """A link with this record."""
    return Final(WRITER, 7, b"h" * 32, record)


def row(**fields: Any) -> dict[str, Any]:
    """The row of an event with these fields."""
    event = {"id": ID, "at": 0, "day": "1970-01-01", "route": "GET /x", "outcome": "ok"}
    return row_of(final_of(orjson.dumps(event | fields)))


class RowTests(SynchronousTestCase):
    def test_every_column(self) -> None:
        """A row has the columns of the table, no more and no fewer."""
        outcome = Outcome(end=End.COMPLETE, word="ok", status=200, usage=Usage())
        for event in (
            call_event(made_ticket(), outcome, 0.1),
            arrival_event(made_arrival(), 401, "x", 0.0),
        ):
            written = row_of(final_of(record_of(event)))
            self.assertEqual(set(written), set(audit_log.columns.keys()))

    def test_exact_bytes(self) -> None:
        """The record, its hash and its place in the chain are kept as they are."""
        record = b'{"id": "%s", "at":0, "route":"r","outcome":"o" }' % ID.encode()
        written = row_of(final_of(record))
        names = ("writer", "seq", "record", "chain_hash")
        self.assertEqual([written[name] for name in names], [WRITER, 7, record, b"h" * 32])

    def test_moment(self) -> None:
        """The moment is exact to the microsecond, in UTC."""
        at = 1_795_000_000_123_457
        expected = datetime.fromtimestamp(1_795_000_000, UTC).replace(microsecond=123_457)
        self.assertEqual(row(at=at)["started_at"], expected)

    def test_ids(self) -> None:
        """Ids are ids, where they are known."""
        known, unknown = row(tenant=ID, key=ID), row(tenant=None)
        self.assertEqual((known["tenant_id"], known["key_id"]), (UUID(ID), UUID(ID)))
        self.assertEqual((unknown["tenant_id"], unknown["key_id"]), (None, None))

    def test_whole_milliseconds(self) -> None:
        """Times are rounded to whole milliseconds; one that is not known stays so."""
        written = row(first_byte_ms=12.6, duration_ms=None)
        self.assertEqual((written["first_byte_ms"], written["duration_ms"]), (13, None))

    def test_what_is_not_said(self) -> None:
        """A record without figures has none, and stands for one request."""
        names = ("prompt_tokens", "completion_tokens", "bytes_sent", "charged", "count")
        self.assertEqual([row()[name] for name in names], [0, 0, 0, 0, 1])
        self.assertEqual(row(count=7, charged=None)["count"], 7)
        self.assertFalse(row()["estimated"])
        self.assertTrue(row(estimated=True)["estimated"])

    def test_no_record(self) -> None:
        """Bytes that are no record are refused."""
        self.assertRaises(ValueError, row_of, final_of(b"{"))
        self.assertRaises(KeyError, row_of, final_of(b"{}"))
