"""JSON as Go's scanner reads it."""

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama import goscan
from mock_ollama.goscan import GoRefused, Members, Number, go_text, read_value

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**15) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
REFUSED = {
    b"": "missing request body",
    b" \n\t\r": "missing request body",
    b"{": "unexpected EOF",
    b'{"a"': "unexpected EOF",
    b'{"a":"x': "unexpected EOF",
    b"tru": "unexpected EOF",
    b"[-": "unexpected EOF",
    b"[1e": "unexpected EOF",
    b"\xef\xbb\xbf{}": "invalid character '\u00ef' looking for beginning of value",
    b"NaN": "invalid character 'N' looking for beginning of value",
    b"[Infinity]": "invalid character 'I' looking for beginning of value",
    b"[1,]": "invalid character ']' looking for beginning of value",
    b'{"a":1,}': "invalid character '}' looking for beginning of object key string",
    b"{'a':1}": "invalid character '\\'' looking for beginning of object key string",
    b'{"a" 1}': "invalid character '1' after object key",
    b'{"a":1 "b"}': "invalid character '\"' after object key:value pair",
    b'[1 "b"]': "invalid character '\"' after array element",
    b"[01]": "invalid character '1' after array element",
    b"[1.]": "invalid character ']' after decimal point in numeric literal",
    b"[1e+]": "invalid character ']' in exponent of numeric literal",
    b"[-x]": "invalid character 'x' in numeric literal",
    b"[trUe]": "invalid character 'U' in literal true (expecting 'u')",
    b"[nul]": "invalid character ']' in literal null (expecting 'l')",
    b'["\x01"]': "invalid character '\\x01' in string literal",
    b'["\n"]': "invalid character '\\n' in string literal",
    b'["\\x"]': "invalid character 'x' in string escape code",
    b'["\\u12x4"]': "invalid character 'x' in \\u hexadecimal character escape",
    b"\xc2\xad": "invalid character '\u00c2' looking for beginning of value",
    b"\x85": "invalid character '\\u0085' looking for beginning of value",
    b"[" * 10_001: "invalid character '[' exceeded max depth",
}


def plain(tree: object) -> object:
    """Turn a tree into what orjson gives."""
    if isinstance(tree, Members):
        return {go_text(key): plain(value) for key, value in tree}
    if isinstance(tree, list):
        return [plain(value) for value in tree]
    return int(tree) if isinstance(tree, Number) else tree


class ReadTests(SynchronousTestCase):
    def test_refused(self) -> None:
        """What Go refuses is refused in Go's words."""
        for body, text in REFUSED.items():
            with self.subTest(body=body[:20]):
                self.assertEqual(str(self.assertRaises(GoRefused, read_value, body)), text)

    def test_rest_is_ignored(self) -> None:
        """Only the first value of a body is read."""
        for body in (b" {} x", b"{}{", b"[]]", b"[1] [2", b'"a"b'):
            with self.subTest(body=body):
                read_value(body)
        self.assertEqual(read_value(b"1 2"), "1")

    def test_deepest(self) -> None:
        """Go nests 10,000 levels, more than Python's stack allows."""
        tree = read_value(b"[" * 10_000 + b"]" * 10_000)
        depth = 0
        while tree:
            tree, depth = tree[0], depth + 1
        self.assertEqual(depth, 9_999)

    def test_pairs_are_kept(self) -> None:
        """Repeated keys are all there, in order, and numbers are as they were written."""
        self.assertEqual(read_value(b'{"a":1e2,"A":-0,"a":{}}')[:2], [("a", "1e2"), ("A", "-0")])

    def test_invalid_utf8(self) -> None:
        """Each byte that is no UTF-8 becomes one replacement character, where Python joins some."""
        self.assertEqual(
            read_value(b'"\xe2\x82 \xff\xed\xa0\x80"'), "\ufffd\ufffd \ufffd" + "\ufffd" * 3
        )

    def test_both_ways_agree(self) -> None:
        """The scan reads as Python's decoder does, escapes and half characters included."""
        for body in (
            b'{"a":[1,-2.5e-3,true,false,null,"x"],"b":{},"c":[]}',
            b'"\\ud83d\\ude00 \\ud800x \\u00e9 \\" \\\\ \\/ \\b\\f\\n\\r\\t"',
            b'"\xe2\x82\xac \xe2\x82"',
            b'["0", 0, 10, 1.0, 1E+5]',
        ):
            with self.subTest(body=body):
                self.assertEqual(goscan._Scan(body).value(), read_value(body))

    def test_half_characters(self) -> None:
        """An escape for half a character becomes a replacement character."""
        self.assertEqual(go_text(read_value(b'"\\ud800\\ud83d\\ude00"')), "\ufffd\U0001f600")

    @given(VALUES)
    def test_any_value(self, value: object) -> None:
        """Any JSON is read as it was meant, both ways."""
        body = orjson.dumps(value)
        self.assertEqual(plain(read_value(body)), orjson.loads(body))
        self.assertEqual(plain(goscan._Scan(body).value()), orjson.loads(body))

    @given(st.binary(max_size=12) | st.text('{}[]:,"\\u0eE+-.tn 1', max_size=12).map(str.encode))
    def test_any_bytes(self, body: bytes) -> None:
        """Both ways refuse the same bodies."""
        try:
            tree = read_value(body)
        except GoRefused:
            tree = GoRefused
        try:
            scanned = goscan._Scan(body).value()
        except GoRefused:
            scanned = GoRefused
        self.assertEqual(tree, scanned)
