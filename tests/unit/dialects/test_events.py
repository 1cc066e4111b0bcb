"""Server-sent events, byte for byte."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.events import CUT_FIELDS, cut_fields, event, plainly, typed_event
from tests.unit.dialects.spoken import final


class EventsTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """One with a type has it as its name; the data is one line whatever is in it."""
        data = {"type": "error", "text": "a\n\nevent: b"}
        shown = b'data: {"type":"error","text":"a\\n\\nevent: b"}\n\n'
        self.assertEqual(event(data), shown)
        self.assertEqual(typed_event(data), b"event: error\n" + shown)

    def test_cut(self) -> None:
        """Only a final frame of an answer that was cut says so."""
        self.assertEqual(cut_fields(final("length")), {})
        self.assertEqual(cut_fields({**final("length"), **CUT_FIELDS}), {"gateway_cut": "budget"})

    def test_plainly(self) -> None:
        """Escapes that need not be are gone, and those that must be stay."""
        self.assertEqual(plainly(b'"\\u003c\\n\\"\\u00e9"'), '"<\\n\\"é"'.encode())
        self.assertEqual(plainly(b'"as it is"'), b'"as it is"')
