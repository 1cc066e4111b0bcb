"""Bodies out of the bytes behind a head, beside what llhttp makes of the same bytes."""

import re
from collections.abc import Iterable
from time import process_time

from attrs import frozen
from httptools import HttpParserError, HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.bodies import (
    MAX_CHUNK_LINE_BYTES,
    MAX_OVERHEAD_BYTES,
    MAX_TRAILER_BYTES,
    ChunkedBody,
    LengthBody,
    body_of,
)
from neuronetz_twisted.errors import HeadersTooLarge, InvalidRequest, Refusal, RequestTooLarge

# A loaded machine is slow; that is no failure.
UNHURRIED = settings(deadline=None)

LIMIT = 1000
PROMPT_S = 5.0
"""Far more than linear work takes, far less than quadratic work would."""


@frozen
class Taken:
    """What came of a body: its content, whether that is all, and what is behind it."""

    content: bytes
    done: bool
    behind: bytes


def take(pieces: Iterable[bytes], limit: int = LIMIT) -> Taken:
    """Feed a chunked body."""
    body = ChunkedBody(limit)
    content = behind = b""
    for piece in pieces:
        if body.done:
            behind += piece
            continue
        some, behind = body.feed(piece)
        content += some
    return Taken(content, body.done, behind)


def fate(pieces: Iterable[bytes]) -> Taken | type[Refusal]:
    """What a body comes to, or the kind of its refusal."""
    try:
        return take(pieces)
    except Refusal as refusal:
        return type(refusal)


def bytewise(data: bytes) -> list[bytes]:
    """The worst way to send it."""
    return [data[at : at + 1] for at in range(len(data))]


class LengthBodyTests(SynchronousTestCase):
    def test_counts(self) -> None:
        """So many bytes, and what follows is nobody's."""
        body = body_of(5, LIMIT)
        self.assertIsInstance(body, LengthBody)
        self.assertEqual(body.feed(b"ab"), (b"ab", b""))
        self.assertFalse(body.done)
        self.assertEqual(body.feed(b""), (b"", b""))
        self.assertEqual(body.feed(b"cdeGET"), (b"cde", b"GET"))
        self.assertTrue(body.done)

    def test_exactly(self) -> None:
        """It is done with its last byte, and an empty one at once."""
        body = LengthBody(2)
        self.assertEqual((body.feed(b"ab"), body.done), ((b"ab", b""), True))
        self.assertTrue(LengthBody(0).done)


class ChunkedBodyTests(SynchronousTestCase):
    def taken(self, data: bytes, content: bytes, behind: bytes = b"") -> None:
        """Taken whole and in single bytes for the same body."""
        with self.subTest(data=data[:60]):
            self.assertEqual(take([data]), Taken(content, done=True, behind=behind))
            self.assertEqual(take(bytewise(data)), take([data]))

    def refused(self, data: bytes, kind: type[Refusal] = InvalidRequest) -> None:
        """Refused whole and in single bytes, for the same reason."""
        with self.subTest(data=data[:60]):
            self.assertRaises(kind, take, [data])
            self.assertRaises(kind, take, bytewise(data))

    def test_chunks(self) -> None:
        """Sizes in hex of either case, leading zeros, nothing that is not theirs (7.1)."""
        self.assertIsInstance(body_of(None, LIMIT), ChunkedBody)
        self.taken(b"0\r\n\r\n", b"")
        self.taken(b"5\r\nhello\r\n0\r\n\r\nGET", b"hello", b"GET")
        self.taken(b"a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n", b"0123456789" * 2)
        self.taken(b"0" * 15 + b"2\r\n\r\n\r\n0\r\n\r\n\r\n", b"\r\n", b"\r\n")
        self.assertEqual(take([b"5\r\nhel"]), Taken(b"hel", done=False, behind=b""))

    def test_sizes_that_are_none(self) -> None:
        """Signs, prefixes, spaces and seventeen digits leave a doubt."""
        for size in (b"", b" 5", b"5 ", b"+5", b"-5", b"0x5", b"g", b"5_0", b"5,5", b"0" * 17):
            self.refused(size + b"\r\nhello\r\n0\r\n\r\n")

    def test_lines_end_in_crlf(self) -> None:
        """A lone CR or LF is no end, wherever it stands."""
        for data in (
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r0\r\n\r\n",
            b"5\r\nhello\r\r\n0\r\n\r\n",
            b"5\r\nhello\r\n0\n\r\n",
            b"5\r\nhello\r\n0\r\n\n",
            b"5\r\r\nhello\r\n0\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\nA: b\rc\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        ):
            self.refused(data)

    def test_a_chunk_has_its_size(self) -> None:
        """A longer one is noticed with its first byte too many, a shorter one eats the next."""
        self.refused(b"5\r\nhelloX")
        self.refused(b"5\r\nhello0\r\n\r\n")
        self.refused(b"6\r\nhello\r\n0\r\n\r\n")

    def test_the_limit(self) -> None:
        """It counts content, is exact, and is judged by the size alone."""
        most = b"%x\r\n%b\r\n" % (LIMIT, b"x" * LIMIT)
        self.taken(most + b"0\r\n\r\n", b"x" * LIMIT)
        self.refused(b"%x\r\n" % (LIMIT + 1), RequestTooLarge)
        self.refused(most + b"1\r\n", RequestTooLarge)
        self.refused(b"f" * 16 + b"\r\n", RequestTooLarge)
        refusal = self.assertRaises(RequestTooLarge, take, [b"2\r\n"], 1)
        where = "MAX_REQUEST_BODY_BYTES, or a limit of the key"
        self.assertEqual(refusal.message, f"the body is over 1 bytes ({where})")

    def test_extensions(self) -> None:
        """Dropped, up to 256 bytes a line with the size, however often (7.1.1)."""
        self.assertEqual(MAX_CHUNK_LINE_BYTES, 256)
        for extension in (b";", b";a", b" ;a=b", b"\t; a", b';a="b;c"', b";\xff", b";" * 255):
            self.taken(b"1%b\r\nx\r\n0%b\r\n\r\n" % (extension, extension), b"x")
        self.refused(b"1" + b";" * 256 + b"\r\nx\r\n0\r\n\r\n")
        self.refused(b"1" + b";" * 257)
        self.refused(b"1;\x00\r\nx\r\n0\r\n\r\n")
        self.refused(b"1;\x7f\r\nx\r\n0\r\n\r\n")

    def test_trailers(self) -> None:
        """Read as fields and dropped, up to 4096 bytes in all (7.1.2)."""
        self.assertEqual(MAX_TRAILER_BYTES, 4096)
        edge = b"A:" + b"x" * (MAX_TRAILER_BYTES - 2)
        halves = (b"A:" + b"x" * (MAX_TRAILER_BYTES // 2 - 2) + b"\r\n") * 2
        for trailers in (b"A: b\r\n", b"A:\r\nB: \xff\t\r\n", edge + b"\r\n", halves):
            self.taken(b"0\r\n%b\r\nGET" % trailers, b"", b"GET")
        self.refused(b"0\r\n%bx\r\n\r\n" % edge, HeadersTooLarge)
        self.refused(b"0\r\n%bxx" % edge, HeadersTooLarge)
        self.refused(b"0\r\n%bB:\r\n\r\n" % halves, HeadersTooLarge)
        self.refused(b"0\r\n" + b"A:\r\n" * 2049, HeadersTooLarge)

    def test_trailers_that_are_none(self) -> None:
        """What would be no field in a head is none here."""
        for trailer in (b"A", b": b", b"A : b", b" A: b", b"\tb", b"A: \x00", b"A: \x7f", b"A(:"):
            self.refused(b"0\r\n%b\r\n\r\n" % trailer)


EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b';a="b c"', b";a;b=1"])
SIZED = st.tuples(st.binary(min_size=1, max_size=20), EXTENSIONS, st.booleans())
TRAILERS = st.lists(st.sampled_from([b"A: b\r\n", b"X-Y:\r\n", b"host: \xe4\r\n"]), max_size=2)


def chunk(content: bytes, extension: bytes, capital: object) -> bytes:
    """One chunk."""
    size = b"%X" if capital else b"%x"
    return size % len(content) + extension + b"\r\n" + content + b"\r\n"


@st.composite
def valid(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body on the wire, and its content."""
    chunks = draw(st.lists(SIZED, max_size=4))
    wire = b"".join(chunk(*one) for one in chunks)
    last = b"0" + draw(EXTENSIONS) + b"\r\n" + b"".join(draw(TRAILERS)) + b"\r\n"
    return wire + last, b"".join(content for content, _, _ in chunks)


SPOIL = st.sampled_from(list(b'\r\n \t;:0159aAfFgx+-_="\x00\x7f\xff')).map(
    lambda byte: bytes([byte])
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A body of which a few bytes were changed, left out or put in."""
    wire, _ = draw(valid())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(wire)))
        wire = wire[:at] + draw(SPOIL | st.just(b"")) + wire[at + draw(st.integers(0, 1)) :]
    return wire


class Below:
    """What llhttp makes of a chunked body."""

    def __init__(self, data: bytes) -> None:
        """Let it read."""
        self.content = b""
        self.done = False
        self.error = ""
        parser = HttpRequestParser(self)
        parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            parser.feed_data(data)
        except HttpParserError as error:
            self.error = str(error)

    def on_body(self, content: bytes) -> None:
        """Keep it."""
        self.content += content

    def on_message_complete(self) -> None:
        """Note the end."""
        self.done = True


KNOWN = {
    "the text of an extension, which is dropped": "Invalid character in chunk extensions",
    "spaces before an extension, which RFC 9112 7.1.1 lets a recipient read": (
        "Invalid character in chunk size"
    ),
    "a trailer named Transfer-Encoding, which is dropped": "Invalid `Transfer-Encoding`",
    "a trailer named Content-Length, which is dropped": "Content-Length can't be present",
}
"""What llhttp refuses and we do not, by what it says."""

_SPACED = re.compile(rb"(?:^|\n)[0-9A-Fa-f]{1,16}[ \t]+;")


class DifferentialTests(SynchronousTestCase):
    @UNHURRIED
    @given(valid(), st.binary(max_size=5))
    def test_valid(self, body: tuple[bytes, bytes], behind: bytes) -> None:
        """Both read the same content and see the same end."""
        wire, content = body
        self.assertEqual(take([wire + behind]), Taken(content, done=True, behind=behind))
        below = Below(wire)
        self.assertEqual((below.content, below.done, below.error), (content, True, ""))
        self.assertFalse(Below(wire[:-1]).done)

    @settings(UNHURRIED, max_examples=500)
    @given(mutated())
    def test_mutated(self, wire: bytes) -> None:
        """Never taken where llhttp refuses, but for what is known; never with another end."""
        ours = fate([wire])
        if not isinstance(ours, Taken) or not ours.done:
            return
        read = wire[: len(wire) - len(ours.behind)]
        below = Below(read)
        if below.error:
            self.assertTrue(below.error.startswith(tuple(KNOWN.values())), (wire, below.error))
            if "chunk size" in below.error:
                self.assertRegex(wire, _SPACED)
            return
        self.assertEqual((below.content, below.done), (ours.content, True))
        self.assertFalse(Below(read[:-1]).done)

    def test_what_is_known(self) -> None:
        """Each difference is still there; one that has gone is to be taken off the list."""
        for wire, known in zip(
            (
                b"1;a=b c\r\nx\r\n0\r\n\r\n",
                b"1 ;a\r\nx\r\n0\r\n\r\n",
                b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"0\r\nContent-Length: 1\r\n\r\n",
            ),
            KNOWN.values(),
            strict=True,
        ):
            self.assertTrue(Below(wire).error.startswith(known), Below(wire).error)
            self.assertTrue(take([wire]).done)

    @UNHURRIED
    @given(valid().map(lambda body: body[0]) | mutated(), st.data())
    def test_pieces_change_nothing(self, wire: bytes, draw: st.DataObject) -> None:
        """However it is cut, the same comes of it."""
        cuts = sorted(draw.draw(st.sets(st.integers(0, len(wire)), max_size=5)))
        ends = zip([0, *cuts], [*cuts, len(wire)], strict=True)
        whole = fate([wire])
        self.assertEqual(fate([wire[start:end] for start, end in ends]), whole)
        self.assertEqual(fate(bytewise(wire)), whole)


class TimeTests(SynchronousTestCase):
    """What a client can make us work for its bytes."""

    def prompt(self, pieces: list[bytes]) -> None:
        """Read it in the time that linear work takes."""
        began = process_time()
        self.assertFalse(take(pieces, 1 << 30).done)
        self.assertLess(process_time() - began, PROMPT_S)

    def test_chunks_that_are_too_small(self) -> None:
        """Lines may have as many bytes as there is content, and 32 KiB more."""
        body = ChunkedBody(1 << 30)
        fits = MAX_OVERHEAD_BYTES // 4
        body.feed(b"1\r\nx\r\n" * fits)
        with self.assertRaises(InvalidRequest):
            body.feed(b"1\r\nx\r\n")

    def test_many_chunks(self) -> None:
        """The smallest ones, in one piece and in single bytes."""
        self.prompt([b"8\r\nxxxxxxxx\r\n" * (1 << 17)])
        self.prompt(bytewise(b"8\r\nxxxxxxxx\r\n" * (1 << 13)))

    def test_large_chunks(self) -> None:
        """One of a megabyte, in pieces of a segment's size, and in small ones."""
        self.prompt([b"fffffff\r\n", *[b"x" * (1 << 16)] * 64])
        self.prompt([b"fffffff\r\n", *[b"x"] * (1 << 16)])
