"""The corpus itself, and that what reads answers and judges them does object."""

import re
from collections import Counter

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.corpus import THEMES, entries
from tests.wire.entry import KEY, MARKER, Ends, Entry, Want, listed, tags
from tests.wire.responses import NotExact, read_responses
from tests.wire.verdict import Came, Seen, agreed, judge

FEWEST = 150
_RULE = re.compile(r"RFC \d{4} [0-9A-Z.]+|SPEC \d+")

DATE = b"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
COMMON = DATE + b"Content-Type: application/json\r\nX-Request-ID: the-id\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + COMMON
WHOLE = OK + b"Content-Length: 2\r\n\r\n{}"
STREAM = OK + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\n" + COMMON

LIST = Entry(name="a list", rule="RFC 9112 3", raw=tags(), wants=(listed(),))


class CorpusTests(SynchronousTestCase):
    def test_size_and_names(self) -> None:
        """There are as many entries as were asked for, each of another name."""
        names = Counter(entry.name for entry in entries())
        self.assertGreaterEqual(len(names), FEWEST)
        self.assertEqual([name for name, count in names.items() if count > 1], [])

    def test_rules(self) -> None:
        """Each cites a rule and wants an answer; each theme has both good and bad requests."""
        for theme, members in THEMES.items():
            for entry in members:
                self.assertRegex(entry.rule, _RULE, entry.name)
                self.assertTrue(entry.wants, entry.name)
                if entry.ends is not Ends.CLOSES:
                    self.assertFalse(entry.unfinished, entry.name)
            if theme != "forwarded":
                self.assertGreater(len({entry.wants[0].status for entry in members}), 1, theme)

    def test_placeholders(self) -> None:
        """A key and a marker are put in where they are due, and change no length."""
        filled = LIST.with_secrets(b"k" * len(KEY), b"m" * len(MARKER))
        self.assertNotIn(KEY, filled.raw)
        self.assertEqual(len(filled.raw), len(LIST.raw))
        self.assertRaises(ValueError, LIST.with_secrets, b"short", MARKER)


class ResponseTests(SynchronousTestCase):
    def test_exact(self) -> None:
        """What is exact is read, one answer after the other."""
        chunked = STREAM + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        found = read_responses(WHOLE + chunked + WHOLE, [False] * 3, closed=False)
        self.assertEqual([one.body for one in found], [b"{}", b"abc", b"{}"])
        self.assertTrue(all(one.whole for one in found))

    def test_heads(self) -> None:
        """Answers to HEAD have no body, whether that is known or told by what follows."""
        head = OK + b"Content-Length: 9\r\n\r\n"
        for heads in ([True, False], None):
            found = read_responses(head + WHOLE, heads, closed=False)
            self.assertEqual([one.body for one in found], [b"", b"{}"])

    def test_parts(self) -> None:
        """What is cut short is in parts."""
        for cut in (WHOLE[:-1], STREAM + b"2\r\nab\r\n", STREAM + b"2\r\na", STREAM + b"0\r\n"):
            self.assertFalse(read_responses(cut, [False], closed=True)[0].whole, cut)

    def test_not_exact(self) -> None:
        """Whatever else is an error."""
        for bad in (
            b"nonsense",
            WHOLE + b"more",
            WHOLE.replace(b"\r\n", b"\n"),
            WHOLE.replace(b" 200 OK", b" 200"),
            WHOLE.replace(DATE, b""),
            WHOLE.replace(DATE, DATE * 2),
            WHOLE.replace(b"X-Request-ID", b"X-Other"),
            WHOLE.replace(b"X-Request-ID: ", b"X-Request-ID : "),
            WHOLE.replace(b"Content-Length: 2\r\n", b""),
            OK + b"Server: x\r\nContent-Length: 2\r\n\r\n{}",
            STREAM.replace(b"chunked", b"gzip, chunked"),
            STREAM.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") + b"0\r\n\r\n",
            STREAM + b"2 \r\nab\r\n0\r\n\r\n",
            STREAM + b"2\r\nabc\r\n0\r\n\r\n",
            STREAM + b"0\r\nX: y\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + WHOLE,
        ):
            self.assertRaises(NotExact, read_responses, bad, [False], closed=False)


class VerdictTests(SynchronousTestCase):
    def faults(self, data: bytes, entry: Entry = LIST, *, closed: bool = False) -> int:
        """How many disagreements there are."""
        return len(judge(entry, Came(data=data, closed=closed)).faults)

    def test_agreement(self) -> None:
        """What is wanted is no fault."""
        self.assertEqual(self.faults(WHOLE), 0)
        closing = evolve(LIST, ends=Ends.CLOSES)
        said = WHOLE.replace(DATE, DATE + b"Connection: close\r\n")
        self.assertEqual(self.faults(said, closing, closed=True), 0)

    def test_disagreement(self) -> None:
        """Another status, another number of answers, another end, an answer that is not whole."""
        refused = REFUSED + b"Content-Length: 2\r\n\r\n{}"
        for data in (b"", refused, WHOLE * 2, WHOLE[:-1], b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE):
            self.assertGreater(self.faults(data), 0, data)
        self.assertGreater(self.faults(WHOLE, closed=True), 0)
        self.assertGreater(self.faults(WHOLE, evolve(LIST, ends=Ends.CLOSES)), 0)

    def test_forms_of_errors(self) -> None:
        """An error has the code, the id and the form of its dialect."""
        want = Want(status=401, code="invalid_api_key")
        entry = evolve(LIST, wants=(want,))
        good = b'{"error":"no","code":"invalid_api_key","request_id":"the-id"}'
        for body, is_good in (
            (good, True),
            (good.replace(b"the-id", b"another"), False),
            (good.replace(b"invalid_api_key", b"other"), False),
            (b'{"error":{"message":"no","code":"invalid_api_key","request_id":"the-id"}}', False),
            (b"<html>", False),
        ):
            data = REFUSED + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            self.assertEqual(self.faults(data, entry) == 0, is_good, body)

    def test_record(self) -> None:
        """The record has each answer as it is wanted, and no other."""
        seen = Seen(request_id="a", route="GET /api/tags", status=200, calls=0)
        self.assertEqual(agreed([seen], {"a": ("GET /api/tags", 200)}), [])
        self.assertEqual(len(agreed([seen], {"a": ("GET -", 200)})), 1)
        self.assertEqual(len(agreed([seen], {})), 1)
        self.assertEqual(len(agreed([], {"a": ("GET /api/tags", 200)})), 1)
        malformed = evolve(seen, route="-", status=400)
        self.assertEqual(agreed([malformed], {"a": ("- /api/tags", 400)}), [])
