"""How an answer is framed."""

from http import HTTPStatus

from httptools import HttpResponseParser
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.responses import CONTINUE, LAST_CHUNK, DateField, chunk, head_of

DATE = b"Date: Tue, 14 Nov 2023 22:13:20 GMT"


class DateTests(SynchronousTestCase):
    def test_the_form(self) -> None:
        """That of RFC 9110 5.6.7, whatever part of the second it is."""
        date = DateField()
        self.assertEqual(date.line(1_700_000_000.0), DATE)
        self.assertIs(date.line(1_700_000_000.9), date.line(1_700_000_000.1))

    def test_each_second(self) -> None:
        """A new second is a new line, also where the wall clock goes back."""
        date = DateField()
        self.assertEqual(date.line(0.5), b"Date: Thu, 01 Jan 1970 00:00:00 GMT")
        self.assertEqual(date.line(1_700_000_000), DATE)
        self.assertIn(b"00:00:01", date.line(1))


class HeadTests(SynchronousTestCase):
    def test_a_head(self) -> None:
        """Status line, date, fields in their order, an empty line."""
        fields = [(b"Content-Length", b"2"), (b"X", b"")]
        self.assertEqual(
            head_of(404, DATE, fields),
            b"HTTP/1.1 404 Not Found\r\n" + DATE + b"\r\nContent-Length: 2\r\nX: \r\n\r\n",
        )

    def test_every_status_has_a_line(self) -> None:
        """A parser reads each back."""
        for status in HTTPStatus:
            if status < HTTPStatus.OK:
                continue
            parser = HttpResponseParser(self)
            parser.feed_data(head_of(status, DATE, []))
            self.assertEqual(parser.get_status_code(), status)

    def test_an_invitation(self) -> None:
        """An interim answer has no fields."""
        self.assertEqual(CONTINUE, b"HTTP/1.1 100 Continue\r\n\r\n")


class ChunkTests(SynchronousTestCase):
    def test_sizes(self) -> None:
        """In hex; the last one is empty, and no other may be."""
        self.assertEqual(chunk(b"x" * 26), b"1a\r\n" + b"x" * 26 + b"\r\n")
        self.assertEqual(chunk(b"")[:3], LAST_CHUNK[:3])

    def test_a_parser_reads_them(self) -> None:
        """Chunks of any size, one after the other."""
        self.body = b""
        self.done = False
        parser = HttpResponseParser(self)
        parser.feed_data(head_of(200, DATE, [(b"Transfer-Encoding", b"chunked")]))
        pieces = [bytes([size % 256]) * size for size in (1, 15, 16, 255, 256, 70_000)]
        for piece in pieces:
            parser.feed_data(chunk(piece))
        self.assertFalse(self.done)
        parser.feed_data(LAST_CHUNK)
        self.assertEqual((self.body, self.done), (b"".join(pieces), True))

    def on_body(self, data: bytes) -> None:
        """Keep what the parser reads."""
        self.body += data

    def on_message_complete(self) -> None:
        """Note the end that the parser sees."""
        self.done = True
