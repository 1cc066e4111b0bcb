"""Which records PostgreSQL takes as they are."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.chain import start
from neuronetz_twisted.audit.storable import is_storable
from tests.unit.audit.chains import WRITER, final_of, record


class StorableTests(SynchronousTestCase):
    def stored(self, data: bytes) -> bool:
        """Whether these bytes are."""
        return is_storable(final_of(start(WRITER), 1, data))

    def test_ours(self) -> None:
        """A record of the gateway is, also one with a field that has no column."""
        fields: list[dict[str, Any]] = [
            {},
            {"prompt_log": "dropped"},
            {"other": 1.5},
            {"model": None, "tenant": None, "status": None, "first_byte_ms": None},
        ]
        for each in fields:
            self.assertTrue(self.stored(record(1, **each)), each)

    def test_no_record(self) -> None:
        """Bytes that are none are not."""
        for data in (b"\x00", b"[]", b"{}"):
            self.assertFalse(self.stored(data), data)

    def test_refused(self) -> None:
        """A value that is none of its column's type is not, nor a NUL anywhere."""
        for name, value in (
            ("model", "a\0b"),
            ("prompt_log", "a\0b"),
            ("model", 5),
            ("route", None),
            ("tenant", "x"),
            ("tenant", 5),
            ("day", "2026-02-30"),
            ("day", 5),
            ("charged", -1),
            ("charged", 2**63),
            ("charged", "5"),
            ("count", 0),
            ("status", 40_000),
            ("at", 10**16),
            ("at", 1.5),
            ("estimated", 1),
            ("estimated", "true"),
            ("duration_ms", 1e300),
            ("duration_ms", "1"),
        ):
            self.assertFalse(self.stored(record(1, **{name: value})), (name, value))
