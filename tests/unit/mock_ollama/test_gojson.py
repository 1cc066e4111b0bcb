"""JSON as Go writes it."""

from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.gojson import go_json, go_time


class GoJsonTests(SynchronousTestCase):
    def test_compact_and_ordered(self) -> None:
        """There is no white space, and keys keep their order."""
        self.assertEqual(go_json({"b": 1, "a": [True, None]}), b'{"b":1,"a":[true,null]}')

    def test_html_is_escaped(self) -> None:
        """What HTML or JavaScript would trip over is escaped, other text stays as it is."""
        text = "<a&b> \u2028\u2029 \u00e9"
        expected = '"\\u003ca\\u0026b\\u003e \\u2028\\u2029 \u00e9"'
        self.assertEqual(go_json(text), expected.encode())

    def test_time(self) -> None:
        """A Unix time is written in UTC with a Z."""
        self.assertEqual(go_time(0.25), "1970-01-01T00:00:00.250000Z")
