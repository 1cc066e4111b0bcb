"""What a request's head must be: each rule, and each limit at its exact edge."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.framing import (
    HTTP_1_0,
    HTTP_1_1,
    MAX_FIELDS,
    MAX_METHOD_BYTES,
    MAX_TARGET_BYTES,
    Fields,
    RequestHead,
    RequestLine,
    parse_request_line,
    read_head,
    unreadable_head,
    words,
)
from neuronetz_twisted.errors import (
    HeadersTooLarge,
    InvalidRequest,
    Refusal,
    UriTooLong,
    VersionNotSupported,
)

MODERN = RequestLine(b"POST", b"/", HTTP_1_1)
OLD = RequestLine(b"POST", b"/", HTTP_1_0)
HOST: Fields = {b"host": [b"x"]}


class RequestLineTests(SynchronousTestCase):
    def refused(self, line: bytes, kind: type[Refusal] = InvalidRequest) -> None:
        """A line that nobody answers with anything but this."""
        with self.subTest(line=line[:60]):
            refusal = self.assertRaises(kind, parse_request_line, line)
            if kind is InvalidRequest:
                self.assertEqual(refusal.why, "framing")
                self.assertIn("malformed request: ", refusal.message)

    def test_the_parts(self) -> None:
        """Method as it is written, the path without its query, one of two versions."""
        for line, parts in (
            (b"GET /a?b=c HTTP/1.1", RequestLine(b"GET", b"/a", HTTP_1_1)),
            (b"get / HTTP/1.0", RequestLine(b"get", b"/", HTTP_1_0)),
            (b"M-SEARCH /?/? HTTP/1.1", RequestLine(b"M-SEARCH", b"/", HTTP_1_1)),
            (
                b"!#$%&'*+.^_`|~09 /%00 HTTP/1.1",
                RequestLine(b"!#$%&'*+.^_`|~09", b"/%00", b"HTTP/1.1"),
            ),
            (b"GET //a HTTP/1.1", RequestLine(b"GET", b"//a", HTTP_1_1)),
        ):
            with self.subTest(line=line):
                self.assertEqual(parse_request_line(line), parts)

    def test_the_forms_of_a_target(self) -> None:
        """Origin, absolute, authority and asterisk (3.2)."""
        for method, target, path in (
            (b"GET", b"http://x", b"/"),
            (b"GET", b"HtTpS://x:443/a/b?c", b"/a/b"),
            (b"GET", b"http://x?y", b"/"),
            (b"GET", b"http://[::1]:80/a", b"/a"),
            (b"CONNECT", b"x:443", b"x:443"),
            (b"OPTIONS", b"*", b"*"),
        ):
            with self.subTest(target=target):
                line = parse_request_line(b"%b %b HTTP/1.1" % (method, target))
                self.assertEqual(line.path, path)

    def test_targets_that_are_none(self) -> None:
        """No path, no authority that is a host, or bytes that no URI has."""
        for target in (
            *b"x:443 a ?a ftp://x/ http:/x http:// http:///a http://u@x/ http://x:65536/".split(),
            *b"http://a..b/ *a /a#b /< /^ /` /{ /|".split(),
            b"/\xc3\xa4",
            b"/\x00",
            b"/\x7f",
            b"/\x1f",
            b"/a\nb",
            b"/a\rb",
            b"/a\tb",
            b'/"',
            b"/\\",
        ):
            self.refused(b"GET %b HTTP/1.1" % target)

    def test_lines_that_are_none(self) -> None:
        """Single spaces between three words, and nothing around them (3)."""
        for line in (
            b"GET",
            b"",
            b" ",
            b"GET /",
            b"GET / ",
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b" GET / HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b"GET\t/ HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/1.1\n",
            b"GET / HTTP/1.10",
            b"GET / HTTP/11",
            b"GET / HTTP/.1",
            b"GET / HTTPS/1.1",
            b"G@T / HTTP/1.1",
            b"G\xc3\x84T / HTTP/1.1",
            b"/ HTTP/1.1",
            b"GET / HTTP/1.1 HTTP/1.1",
        ):
            self.refused(line)

    def test_versions(self) -> None:
        """Another minor version is nonsense, another major one is 505 (2.3)."""
        for version in (b"HTTP/1.2", b"HTTP/1.9"):
            self.refused(b"GET / " + version)
        for version in (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9"):
            self.refused(b"GET / " + version, VersionNotSupported)

    def test_the_edges_of_method_and_target(self) -> None:
        """The last byte that may be, and one more."""
        longest = b"/" + b"a" * (MAX_TARGET_BYTES - 1)
        line = parse_request_line(b"M" * MAX_METHOD_BYTES + b" " + longest + b" HTTP/1.1")
        self.assertEqual((len(line.method), line.path), (32, longest))
        self.assertEqual(len(longest), 8192)
        self.refused(b"GET %ba HTTP/1.1" % longest, UriTooLong)
        self.refused(b"GET /?%b HTTP/1.1" % longest, UriTooLong)
        self.refused(b"M" * (MAX_METHOD_BYTES + 1) + b" / HTTP/1.1")


class HeadTests(SynchronousTestCase):
    def head(self, fields: Fields, line: RequestLine = MODERN, count: int = 1) -> RequestHead:
        """Judge a head that has a Host beside these."""
        return read_head(line, {**HOST, **fields}, count)

    def refused(self, fields: Fields, line: RequestLine = MODERN) -> None:
        """These fields leave a doubt."""
        with self.subTest(fields=fields):
            refusal = self.assertRaises(InvalidRequest, self.head, fields, line)
            self.assertEqual(refusal.why, "framing")

    def test_fields_are_counted_by_line(self) -> None:
        """A hundred are read; lines of one name are as many."""
        self.assertEqual(MAX_FIELDS, 100)
        self.head({}, count=MAX_FIELDS)
        self.assertRaises(HeadersTooLarge, self.head, {}, count=MAX_FIELDS + 1)

    def test_host(self) -> None:
        """Exactly one that is a host; HTTP/1.0 may leave it out (3.2)."""
        for value in (
            *b"x X.example x. 1.2.3.4:80 [::1] [::ffff:1.2.3.4]:8080 x: x:0 x:65535 a_b".split(),
            b" x\t",
            b"a" * 63,
            b".".join([b"a" * 62] * 4),
        ):
            with self.subTest(host=value):
                self.head({b"host": [value]})
        for value in (
            *b"a/b a@b a,b a..b .a -a a- x:65536 x:00080x x:-1 x:1:2 ::1 [] [::1 [g]".split(),
            b"",
            b" ",
            b"a b",
            b"a" * 64,
            b".".join([b"a" * 62] * 5),
            b"x\x00",
            b"\xc3\xa4",
            b"x\n",
        ):
            self.refused({b"host": [value]})
        self.refused({b"host": [b"x", b"x"]})
        self.refused({b"host": [b"x", b"y"]}, OLD)
        self.refused({b"host": []})
        self.assertEqual(read_head(OLD, {}, 0).length, 0)
        self.assertRaises(InvalidRequest, read_head, MODERN, {}, 0)

    def test_length(self) -> None:
        """One field of digits, or none (6.2)."""
        self.assertEqual(self.head({}).length, 0)
        for value, length in (
            (b"0", 0),
            (b"00", 0),
            (b"007", 7),
            (b" 7\t", 7),
            (b"9" * 18, 10**18 - 1),
        ):
            self.assertEqual(self.head({b"content-length": [value]}).length, length)
        for value in (
            *b"+1 -1 1,1 0x1 1_0 1.0".split(),
            b"",
            b"1 1",
            b"1\x0b",
            b"\x0c1",
            b"1\n",
            b"\xd9\xa1",
            b"9" * 19,
            b"1" * 5000,
        ):
            self.refused({b"content-length": [value]})
        self.refused({b"content-length": [b"1", b"1"]})

    def test_transfer_coding(self) -> None:
        """Chunked, alone, once, without a length, in HTTP/1.1 (6.1, 6.3)."""
        for value in (b"chunked", b"Chunked", b" chunked "):
            self.assertIsNone(self.head({b"transfer-encoding": [value]}).length)
        for value in (
            *b"identity chunked;x chunked,".split(),
            b"",
            b"gzip, chunked",
            b"chunked, chunked",
            b"\x0bchunked",
            b'"chunked"',
        ):
            self.refused({b"transfer-encoding": [value]})
        self.refused({b"transfer-encoding": [b"chunked", b"chunked"]})
        self.refused({b"transfer-encoding": [b"chunked"], b"content-length": [b"0"]})
        self.refused({b"transfer-encoding": [b"chunked"]}, OLD)

    def test_names_with_underscores(self) -> None:
        """One that others may take for one of ours is refused; any other is not our business."""
        names = b"content_length transfer_encoding x_forwarded_for x_forwarded-for user_agent"
        for name in names.split():
            self.refused({name: [b"1"]})
        self.head({b"x_custom": [b"1"], b"_": [b""], b"host_": [b"y"]})

    def test_keep_alive(self) -> None:
        """What each version means without a word, and with one (9.3)."""
        for line, values, expected in (
            (MODERN, None, True),
            (MODERN, [b""], True),
            (MODERN, [b"close"], False),
            (MODERN, [b"Close , te"], False),
            (MODERN, [b"te,close"], False),
            (MODERN, [b"te", b"close"], False),
            (MODERN, [b"keep-alive, close"], False),
            (MODERN, [b"closed"], True),
            (OLD, None, False),
            (OLD, [b"te"], False),
            (OLD, [b"Keep-Alive"], True),
            (OLD, [b"te,, keep-alive"], True),
            (OLD, [b"keep-alive", b"close"], False),
        ):
            with self.subTest(version=line.version, values=values):
                fields: Fields = {} if values is None else {b"connection": values}
                self.assertEqual(self.head(fields, line).keeps_alive, expected)

    def test_who_is_invited(self) -> None:
        """One that says so in HTTP/1.1 and has a body (RFC 9110 10.1.1)."""
        body: Fields = {b"content-length": [b"1"]}
        chunks: Fields = {b"transfer-encoding": [b"chunked"]}
        waits: Fields = {b"expect": [b"100-Continue"]}
        self.assertTrue(self.head({**body, **waits}).invited)
        self.assertTrue(self.head({**chunks, **waits}).invited)
        self.assertFalse(self.head(waits).invited)
        self.assertFalse(self.head(body).invited)
        self.assertFalse(self.head({**body, **waits}, OLD).invited)
        self.assertFalse(self.head({**body, b"expect": [b"100-continue, x"]}).invited)
        self.assertFalse(self.head({**body, b"expect": [b"100-continue", b"100-continue"]}).invited)


class WordsTests(SynchronousTestCase):
    def test_lists(self) -> None:
        """Lines are one list; empty elements count for nothing (RFC 9110 5.6.1)."""
        for values, expected in (
            ([], []),
            ([b""], []),
            ([b" , ,\t"], []),
            ([b"A ,b", b"", b"\tc"], [b"a", b"b", b"c"]),
            ([b"a b"], [b"a b"]),
        ):
            self.assertEqual(words(values), expected)


class UnreadableTests(SynchronousTestCase):
    def test_the_path_is_a_guess(self) -> None:
        """What chooses the dialect of a refusal, whatever it is that was refused."""
        for beginning, path in (
            (b"", b""),
            (b"\x16\x03\x01", b""),
            (b"GET", b""),
            (b"GET /v1/mod", b"/v1/mod"),
            (b"GET /v1/models HTTP/1.1\r\nX", b"/v1/models"),
            (b"G@T /v1/a b", b"/v1/a"),
            (b"\r\n\r\nGET /v1/a HTTP/9", b"/v1/a"),
            (b"GET  /v1/a HTTP/1.1", b""),
            (b"GET\r\n /v1/a", b""),
            (b" " * 20_000 + b"/v1/a", b""),
        ):
            with self.subTest(beginning=beginning[:40]):
                head = unreadable_head(beginning)
                self.assertEqual(head.line.path, path)
                self.assertEqual((head.length, head.keeps_alive, head.invited), (0, False, False))
