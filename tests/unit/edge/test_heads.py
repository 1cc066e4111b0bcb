"""Bytes into heads: whole, in any pieces, and no further than the limits."""

from collections.abc import Iterable
from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge import heads
from neuronetz_twisted.edge.framing import (
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    MAX_TARGET_BYTES,
    RequestHead,
)
from neuronetz_twisted.edge.heads import HeadReader
from neuronetz_twisted.errors import (
    HeadersTooLarge,
    InvalidRequest,
    Refusal,
    UriTooLong,
    VersionNotSupported,
)

# A loaded machine is slow; that is no failure.
UNHURRIED = settings(deadline=None)

START = b"POST /api/chat HTTP/1.1\r\nHost: x\r\n"
SEGMENT_BYTES = 64 * 1024
PROMPT_S = 5.0
"""Far more than linear work takes, far less than quadratic work would."""

Read = tuple[list[RequestHead], bytes]


def read(pieces: Iterable[bytes]) -> Read:
    """Heads without bodies, one behind the other, and what is held at the end."""
    reader, found = HeadReader(), []
    for piece in pieces:
        data = piece
        while data:
            one = reader.feed(data)
            if one is None:
                break
            head, data = one
            found.append(head)
    return found, reader.held


def bytewise(data: bytes) -> list[bytes]:
    """The worst way to send it."""
    return [data[at : at + 1] for at in range(len(data))]


def sized(count: int) -> bytes:
    """A head of exactly so many bytes."""
    return START + b"A: " + b"a" * (count - len(START) - 7) + b"\r\n\r\n"


def fate(pieces: Iterable[bytes]) -> Read | None:
    """What a reader makes of it, None for any refusal."""
    try:
        return read(pieces)
    except Refusal:
        return None


class HeadReaderTests(SynchronousTestCase):
    def refused(self, data: bytes, kind: type[Refusal] = InvalidRequest) -> None:
        """Refused whole, and in single bytes no later and for no other reason."""
        with self.subTest(data=data[-60:]):
            self.assertRaises(kind, read, [data])
            self.assertRaises(kind, read, bytewise(data))

    def accepted(self, data: bytes) -> RequestHead:
        """Taken whole and in single bytes for the same one head."""
        with self.subTest(data=data[-60:]):
            (head,), held = read([data])
            self.assertEqual(read(bytewise(data)), ([head], b""))
            self.assertEqual(held, b"")
        return head

    def test_a_head_and_what_is_behind(self) -> None:
        """Fields in lower case, values in order; what follows is nobody's yet."""
        reader = HeadReader()
        found = reader.feed(START + b"A: 1\r\na:2\r\nB:\r\n\r\n\r\nrest")
        assert found is not None
        head, behind = found
        self.assertEqual(head.line.path, b"/api/chat")
        self.assertEqual(head.fields, {b"host": [b"x"], b"a": [b"1", b"2"], b"b": [b""]})
        self.assertEqual((behind, reader.held), (b"\r\nrest", b""))

    def test_empty_lines_before(self) -> None:
        """Any number of them is ignored, however they come (2.2); half of one begins nothing."""
        for count in (1, 2, 9):
            self.assertEqual(self.accepted(b"\r\n" * count + START + b"\r\n").line.method, b"POST")
        reader = HeadReader()
        for piece in (b"\r", b"\n\r\n\r", b"\n"):
            self.assertIsNone(reader.feed(piece))
            self.assertEqual(reader.held, b"")
        self.assertIsNone(reader.feed(b"\r\nGE"))
        self.assertEqual(reader.held, b"GE")
        for data in (b"\n", b"\n\n", b"\r\r", b"\rG", b"\r\n\n", b"\r\n GET"):
            self.refused(data)

    def test_the_size_of_a_head(self) -> None:
        """16384 bytes are read, 16385 are 431, also before its end has come."""
        self.assertEqual(MAX_HEAD_BYTES, 16384)
        self.accepted(sized(MAX_HEAD_BYTES))
        self.refused(sized(MAX_HEAD_BYTES + 1), HeadersTooLarge)
        unfinished = sized(MAX_HEAD_BYTES + 5)[:-4]
        self.assertEqual(len(unfinished), MAX_HEAD_BYTES + 1)
        self.assertEqual(read([unfinished[:-1]]), ([], unfinished[:-1]))
        self.refused(unfinished, HeadersTooLarge)

    def test_empty_lines_are_no_part_of_it(self) -> None:
        """The limit counts from the first byte of the request line."""
        self.accepted(b"\r\n" * 8 + sized(MAX_HEAD_BYTES))

    def test_the_number_of_fields(self) -> None:
        """A hundred with Host."""
        self.accepted(START + b"A:\r\n" * (MAX_FIELDS - 1) + b"\r\n")
        self.refused(START + b"A:\r\n" * MAX_FIELDS + b"\r\n", HeadersTooLarge)

    def test_the_length_of_the_target(self) -> None:
        """8192 bytes are read; one more is 414, as soon as its line cannot end in time."""
        target = b"/" + b"a" * (MAX_TARGET_BYTES - 1)
        self.accepted(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        self.refused(b"GET %ba HTTP/1.1\r\nHost: x\r\n\r\n" % target, UriTooLong)
        self.refused(b"GET " + b"/" * MAX_LINE_BYTES, UriTooLong)
        self.assertEqual(read([b"GET " + b"/" * (MAX_LINE_BYTES - 4)])[0], [])

    def test_the_longest_line(self) -> None:
        """It is read in whatever pieces; the first half of its end counts for nothing."""
        line = b"M" * 32 + b" /" + b"a" * (MAX_TARGET_BYTES - 1) + b" HTTP/1.1"
        self.assertEqual(len(line), MAX_LINE_BYTES)
        self.accepted(line + b"\r\nHost: x\r\n\r\n")

    def test_what_cannot_become_a_head(self) -> None:
        """It is refused before it is whole."""
        for data, kind in (
            (b"\x16\x03\x01", InvalidRequest),
            (b" GET / HTTP/1.1", InvalidRequest),
            (b"GET / HTTP/1.1\n", InvalidRequest),
            (b"GET / HTTP/1.1\rX", InvalidRequest),
            (b"GET /\x00", InvalidRequest),
            (b"GET /a b\r\n", InvalidRequest),
            (b"GET / HTTP/1.2\r\n", InvalidRequest),
            (b"PRI * HTTP/2.0\r\n", VersionNotSupported),
            (START + b"A: b\n", InvalidRequest),
            (START + b"A: b\rc", InvalidRequest),
            (START + b"A: \x00", InvalidRequest),
            (START + b"A: b\r\n\n", InvalidRequest),
            (START + b"A: b\r\n\rX", InvalidRequest),
        ):
            self.refused(data, kind)

    def test_fields_that_are_none(self) -> None:
        """The parser below refuses what is left: these lines never become a field."""
        for lines in (
            b"A : b",
            b" A: b",
            b"A: b\r\n c",
            b"A: b\r\n\tc",
            b"A",
            b": b",
            b"\xc3\xa4: b",
            b"A\x7f: b",
            b"A: \x01",
            b"A: b\x7f",
            b"A(: b",
            b"Content-Length: 1\r\nContent-Length: 1",
            b"Content-Length: -1",
            b"Content-Length:",
            b"Transfer-Encoding:",
            b"Transfer-Encoding: chunked\r\nContent-Length: 3",
            b"Transfer-Encoding: x\r\n\tchunked",
        ):
            self.refused(START + lines + b"\r\n\r\n")

    def test_a_wish_to_change_the_protocol(self) -> None:
        """It is ignored, also where a body follows (RFC 9110 7.8)."""
        wish = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
        for more in (b"", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"):
            head = self.accepted(START + wish + more + b"\r\n")
            self.assertTrue(head.keeps_alive)
        self.assertEqual(
            self.accepted(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n").line.path, b"x:1"
        )

    def test_the_parser_below_must_see_the_same_end(self) -> None:
        """If it ever waited for more where we see the end of a head, that is refused."""

        class Waiting:
            def __init__(self, _: object) -> None:
                """Call nobody."""

            def feed_data(self, data: bytes) -> None:
                """Wait for more."""

        self.patch(heads, "HttpRequestParser", Waiting)
        self.assertRaises(InvalidRequest, read, [START + b"\r\n"])

    def test_old_version(self) -> None:
        """HTTP/1.0 is judged by its own rules."""
        self.assertFalse(self.accepted(b"GET / HTTP/1.0\r\n\r\n").keeps_alive)
        self.refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")


NAMES = st.sampled_from([b"A", b"host", b"Content-Length", b"Transfer-Encoding", b"x_api_key"])
VALUES = st.sampled_from([b"", b"x", b"1", b"chunked", b"a b", b"\xff"])
LINES = st.lists(st.tuples(NAMES, VALUES).map(lambda pair: b"%b: %b\r\n" % pair), max_size=4)
STARTS = st.sampled_from(
    [START, b"\r\n" + START, b"GET / HTTP/1.0\r\n", b"GET / HTTP/1.1\r\n", b"GET / HTTP/2.0\r\n"]
)
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b""])
REQUESTS = st.lists(
    st.tuples(STARTS, LINES.map(b"".join), ENDS).map(b"".join), min_size=1, max_size=3
).map(b"".join)
NOISE = st.sampled_from([b"\r", b"\n", b"\x00", b" ", b"\t", b":", b"\r\n\r\n", b"\x80", b"G"])


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Requests, perhaps with a byte or two where none should be, or without one."""
    data = draw(REQUESTS)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(NOISE) + data[at + draw(st.integers(0, 1)) :]
    return data


@st.composite
def split(draw: st.DrawFn, of: bytes) -> list[bytes]:
    """The same bytes in pieces."""
    cuts = sorted(draw(st.sets(st.integers(0, len(of)), max_size=6)))
    return [of[start:end] for start, end in zip([0, *cuts], [*cuts, len(of)], strict=True)]


class SplitTests(SynchronousTestCase):
    @UNHURRIED
    @given(spoiled(), st.data())
    def test_pieces_change_nothing(self, data: bytes, draw: st.DataObject) -> None:
        """However it is cut, the same heads are read, or it is refused."""
        expected = fate([data])
        self.assertEqual(fate(draw.draw(split(data))), expected)
        self.assertEqual(fate(bytewise(data)), expected)

    @UNHURRIED
    @given(st.binary(max_size=60), st.data())
    def test_any_bytes(self, data: bytes, draw: st.DataObject) -> None:
        """Nothing but a refusal is ever raised."""
        self.assertEqual(fate(draw.draw(split(data))), fate([data]))


class TimeTests(SynchronousTestCase):
    """What a client can make us work for a segment's bytes."""

    def prompt(self, pieces: list[bytes]) -> None:
        """Read it in the time that linear work takes."""
        began = process_time()
        fate(pieces)
        self.assertLess(process_time() - began, PROMPT_S)

    def test_empty_lines(self) -> None:
        """A whole segment of them, and as many in single bytes."""
        noise = b"\r\n" * (SEGMENT_BYTES // 2)
        self.prompt([noise] * 64)
        self.prompt(bytewise(noise))
        self.assertEqual(read([noise]), ([], b""))

    def test_a_head_in_single_bytes(self) -> None:
        """The largest one, in lines of one byte and in one line."""
        self.prompt(bytewise(sized(MAX_HEAD_BYTES)))
        self.prompt(bytewise(START + b"A:\r\n" * 4000))

    def test_many_heads_in_a_segment(self) -> None:
        """As many as fit."""
        small = b"GET / HTTP/1.1\r\nHost:x\r\n\r\n"
        self.prompt([small * (SEGMENT_BYTES // len(small))])
