"""Answers out of bytes: what is taken, what is not, and how much of it."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.upstream.answer_parser import MAX_FIELDS, MAX_HEAD_BYTES, AnswerParser
from tests.unit.upstream.network import CHUNKED, EMPTY, LAST_CHUNK, chunk

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
LARGEST_READ = 65536


def head(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Write a head."""
    return b"\r\n".join((line, *fields, b"", b""))


class AnswerParserTestCase(SynchronousTestCase):
    """A parser that waits for an answer."""

    def setUp(self) -> None:
        """Nothing has come."""
        self.parser = AnswerParser()

    def feed(self, *reads: bytes) -> bytes:
        """Feed reads; gives all of the body."""
        return b"".join(map(self.parser.feed, reads))

    def assert_fault(self, fault: str) -> None:
        """The answer is over and was none."""
        self.assertEqual((self.parser.over, self.parser.fault), (True, fault))
        self.assertFalse(self.parser.reusable)


class FramingTests(AnswerParserTestCase):
    def test_length(self) -> None:
        """A body with a length ends with its last byte."""
        self.assertEqual(self.feed(LENGTH + b"hel"), b"hel")
        self.assertFalse(self.parser.over)
        self.assertEqual(self.feed(b"lo"), b"lo")
        self.assertEqual((self.parser.over, self.parser.fault), (True, ""))
        self.assertTrue(self.parser.reusable)

    def test_chunks_of_one_read_are_joined(self) -> None:
        """One read gives one piece."""
        self.assertEqual(self.feed(CHUNKED + chunk(b"one") + chunk(b"two")), b"onetwo")
        self.assertFalse(self.parser.over)
        self.assertEqual(self.feed(LAST_CHUNK), b"")
        self.assertTrue(self.parser.reusable)

    def test_byte_by_byte(self) -> None:
        """Where the reads are cut makes no difference."""
        answer = head(b"X: y", line=b"HTTP/1.1 103 Early") + CHUNKED + chunk(b"hello") + LAST_CHUNK
        self.assertEqual(self.feed(*(bytes([each]) for each in answer)), b"hello")
        self.assertTrue(self.parser.reusable)

    def test_no_body(self) -> None:
        """Some statuses have none, whatever their fields say (RFC 9110, 6.4.1)."""
        for status in (b"204 No Content", b"304 Not Modified"):
            with self.subTest(status=status):
                self.parser.begin()
                self.feed(head(line=b"HTTP/1.1 " + status))
                self.assertTrue(self.parser.over)

    def test_end_with_the_connection(self) -> None:
        """Without a length or chunks a body has no end of its own."""
        self.assertFalse(self.parser.ends_with_connection)
        self.assertEqual(self.feed(head(), b"one", b"two"), b"onetwo")
        self.assertFalse(self.parser.over)
        self.assertTrue(self.parser.ends_with_connection)
        for framed in (LENGTH, CHUNKED):
            self.setUp()
            self.feed(framed)
            self.assertFalse(self.parser.ends_with_connection)

    def test_one_after_the_other(self) -> None:
        """A parser reads many answers, none of which leaves anything to the next."""
        for _ in range(MAX_FIELDS):
            self.assertEqual(self.feed(LENGTH + b"hello"), b"hello")
            self.assertTrue(self.parser.reusable)
            self.parser.begin()
            self.assertIsNone(self.parser.head)
            self.feed(CHUNKED, chunk(b"x"), LAST_CHUNK)
            self.parser.begin()


class HeadTests(AnswerParserTestCase):
    def test_fields(self) -> None:
        """Of the fields only those that are allowed come through, in small letters."""
        self.feed(
            head(
                b"Content-Type: text/plain",
                b"Set-Cookie: a=b",
                b"CONTENT-ENCODING: gzip",
                b"Server: canary",
                b"Content-Length: 0",
            )
        )
        assert self.parser.head is not None
        self.assertEqual(
            self.parser.head.fields,
            [(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")],
        )
        self.assertEqual((self.parser.head.code, self.parser.head.length), (200, 0))

    def test_interim(self) -> None:
        """Interim answers are swallowed, with their fields."""
        self.feed(head(b"Content-Type: text/interim", line=b"HTTP/1.1 100 Continue"))
        self.assertIsNone(self.parser.head)
        self.assertFalse(self.parser.over)
        self.feed(head(line=b"HTTP/1.1 102 Processing") + EMPTY)
        assert self.parser.head is not None
        self.assertEqual((self.parser.head.code, self.parser.head.fields), (200, []))
        self.assertTrue(self.parser.reusable)

    def test_reuse(self) -> None:
        """Only HTTP/1.1 without `Connection: close` may be followed by another answer."""
        for line, field, reusable in (
            (b"HTTP/1.1 200 OK", b"X: y", True),
            (b"HTTP/1.1 404 -", b"Connection: keep-alive", True),
            (b"HTTP/1.1 200 OK", b"Connection: close", False),
            (b"HTTP/1.0 200 OK", b"X: y", False),
            (b"HTTP/1.0 200 OK", b"Connection: keep-alive", False),
        ):
            with self.subTest(line=line, field=field):
                self.setUp()
                self.assertEqual(
                    self.feed(head(field, b"Content-Length: 1", line=line) + b"x"), b"x"
                )
                self.assertEqual((self.parser.over, self.parser.fault), (True, ""))
                self.assertEqual(self.parser.reusable, reusable)

    def test_faults(self) -> None:
        """What is no answer of HTTP/1 says so, and why."""
        for data, fault in (
            (b"gibberish", "not HTTP"),
            (b"GET / HTTP/1.1\r\n", "not HTTP"),
            (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "not HTTP"),
            (head(b"A: b", b" folded"), "not HTTP"),
            (head(b"Content-Length: 1", b"Content-Length: 1"), "not HTTP"),
            (head(b"Content-Length: 1", b"Transfer-Encoding: chunked"), "not HTTP"),
            (head(b"Content-Length: x"), "not HTTP"),
            (head(b"Transfer-Encoding: gzip"), "a transfer coding is not chunked"),
            (head(b"Transfer-Encoding: gzip, chunked"), "a transfer coding is not chunked"),
            (
                head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
                "a transfer coding is not chunked",
            ),
            (head(line=b"HTTP/2.0 200 OK"), "a version of HTTP is unknown"),
            (head(line=b"HTTP/0.9 200 OK"), "a version of HTTP is unknown"),
            (head(line=b"HTTP/1.1 099 -"), "a status is unknown"),
            (head(line=b"HTTP/1.1 600 -"), "a status is unknown"),
            (head(line=b"HTTP/1.1 101 -"), "a status is unknown"),
            (head(b"Upgrade: x", b"Connection: upgrade", line=b"HTTP/1.1 101 -"),
             "a status is unknown"),
        ):  # fmt: skip
            with self.subTest(data=data):
                self.setUp()
                self.feed(data)
                self.assert_fault(fault)
                self.assertIsNone(self.parser.head)


class LimitTests(AnswerParserTestCase):
    def test_head(self) -> None:
        """A head has 32 KiB, however it is read; its body does not count."""
        for size, fits in ((MAX_HEAD_BYTES, True), (MAX_HEAD_BYTES + 1, False)):
            field = b"X: " + b"y" * (size - len(head(b"X: ", b"Content-Length: 70000")))
            whole = head(field, b"Content-Length: 70000")
            self.assertEqual(len(whole), size)
            answer = whole + b"z" * 70000
            for step in (1000, MAX_HEAD_BYTES, LARGEST_READ):
                with self.subTest(size=size, step=step):
                    self.setUp()
                    reads = [answer[at : at + step] for at in range(0, len(answer), step)]
                    taken = 0
                    for each in reads:
                        taken += len(self.parser.feed(each))
                        if self.parser.over:
                            break
                    if fits:
                        self.assertEqual((taken, self.parser.reusable), (70000, True))
                    else:
                        self.assert_fault("a head is too long")

    def test_interim_heads_count(self) -> None:
        """So interim answers have an end as well."""
        interim = head(b"X: " + b"y" * 1000, line=b"HTTP/1.1 102 Processing")
        for _ in range(MAX_HEAD_BYTES // len(interim)):
            self.feed(interim)
            self.assertFalse(self.parser.over)
        self.feed(interim)
        self.assert_fault("a head is too long")

    def test_fields(self) -> None:
        """A head has at most 100 fields."""
        fields = [b"X: y"] * (MAX_FIELDS - 1)
        self.feed(head(*fields, b"Content-Length: 0"))
        self.assertTrue(self.parser.reusable)
        self.setUp()
        self.feed(head(*fields, b"X: y", b"Content-Length: 0"))
        self.assert_fault("a head has too many fields")

    def test_extensions_and_trailers(self) -> None:
        """What brings no content has a bound, so it cannot be kept for ever."""
        for name, begin, more in (
            ("extension", b"1;x=", b"y" * 1000),
            ("trailer", b"0\r\nX: ", b"y" * 1000),
            ("trailers", b"0\r\n", b"X: y\r\n" * 200),
        ):
            with self.subTest(what=name):
                self.setUp()
                self.feed(CHUNKED, chunk(b"x"), begin)
                for _ in range(MAX_HEAD_BYTES // len(more)):
                    self.feed(more)
                    self.assertFalse(self.parser.over)
                self.feed(more)
                self.assert_fault("chunks without content")

    def test_a_little_of_them_is_dropped(self) -> None:
        """They are no part of the answer."""
        tail = b"5;a=b\r\nhello\r\n0\r\nContent-Encoding: gzip\r\n\r\n"
        self.assertEqual(self.feed(CHUNKED, tail), b"hello")
        self.assertTrue(self.parser.reusable)
        assert self.parser.head is not None
        self.assertEqual(self.parser.head.fields, [])

    def test_long_streams(self) -> None:
        """The bound starts anew with each piece of content."""
        for _ in range(5000):
            self.assertEqual(self.feed(b"" if self.parser.head else CHUNKED, chunk(b"x")), b"x")
        self.assertFalse(self.parser.over)


class BehindTests(AnswerParserTestCase):
    def test_more_than_an_answer(self) -> None:
        """What follows in the same read is no part of it, and nothing may be asked after it."""
        for end in (LENGTH + b"hello", CHUNKED + chunk(b"hello") + LAST_CHUNK):
            for more in (b"x", EMPTY, LENGTH + b"other", b"HTTP/1.1 "):
                with self.subTest(end=end, more=more):
                    self.setUp()
                    self.assertEqual(self.feed(end + more), b"hello")
                    self.assertEqual((self.parser.over, self.parser.fault), (True, ""))
                    self.assertFalse(self.parser.reusable)
                    assert self.parser.head is not None
                    self.assertEqual(self.parser.head.code, 200)

    def test_behind_a_long_read(self) -> None:
        """That holds as well where a read is longer than a head may be."""
        body = b"z" * MAX_HEAD_BYTES
        answer = head(b"Content-Length: %d" % len(body)) + body
        self.assertEqual(self.feed(answer + b"x"), body)
        self.assertFalse(self.parser.reusable)
        self.setUp()
        self.feed(EMPTY + b"\r\n" * MAX_HEAD_BYTES + b"x")
        self.assertFalse(self.parser.reusable)

    def test_content_before_nonsense(self) -> None:
        """What came before the nonsense, in the same read, is still content."""
        self.assertEqual(self.feed(CHUNKED + chunk(b"hello") + b"zz\r\n"), b"hello")
        self.assert_fault("not HTTP")
        self.assertIsNotNone(self.parser.head)
