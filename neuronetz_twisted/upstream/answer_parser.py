"""Bytes of a connection into one answer after the other: llhttp, and what it leaves to us. Pure.

llhttp keeps to RFC 9112 in what it refuses, but has no limits at all, takes versions and codings
that no model host has, and goes on with whatever follows an answer. Those are the rules here.
"""

from attrs import define
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from neuronetz_twisted.errors import UpstreamNonsense

MAX_HEAD_BYTES = 32 * 1024
MAX_FIELDS = 100

PASSED = frozenset({b"content-type", b"content-encoding"})
"""The fields of a model host that anybody of ours may see (SPEC 2, R8)."""

_VERSIONS = frozenset({"1.0", "1.1"})
_FIRST_CODE, _FIRST_FINAL_CODE, _LAST_CODE = 100, 200, 599
_SWITCHING = 101


@define
class Head:
    """The head of a final answer: what of it may be seen, and how its body ends.

    `length` is the body's, in bytes, where the head says so.
    """

    code: int
    version: str
    fields: list[tuple[bytes, bytes]]
    length: int | None
    chunked: bool


class AnswerParser:
    """Takes what a connection reads. `begin` comes before each answer.

    `head` is there once it is complete; interim answers (1xx) are swallowed, and count in the
    limits. `over` says that there will be no more of this answer: either its body ended as its
    framing says, and `reusable` tells whether another answer may follow on the connection, or it is
    not HTTP, and `fault` says why. No method raises.
    """

    head: Head | None
    over: bool
    reusable: bool
    fault: str

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        # llhttp's callbacks are looked up once, when its parser is made.
        self.on_body = self._pieces.append
        self._llhttp = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Be ready for the next answer."""
        self.head = None
        self.over = False
        self.reusable = False
        self.fault = ""
        self._head_bytes = 0
        self._field_count = 0
        self._idle_bytes = 0
        self._whole_pieces: int | None = None
        self._begin_head()

    def feed(self, data: bytes) -> bytes:
        """Take the bytes of one read; gives those of the body among them, in one piece."""
        if self.head is None:
            self._feed_head(data)
        else:
            self._execute(data)
        pieces = self._pieces
        if self._whole_pieces is not None:
            # What an answer that nobody asked for has added.
            del pieces[self._whole_pieces :]
        if not pieces:
            self._idle(len(data))
            return b""
        self._idle_bytes = 0
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    @property
    def ends_with_connection(self) -> bool:
        """Whether nothing but the end of the connection ends the body (RFC 9112, 6.3)."""
        head = self.head
        return head is not None and head.length is None and not head.chunked

    def _begin_head(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._length: int | None = None
        self._chunked = False

    def _feed_head(self, data: bytes) -> None:
        room = MAX_HEAD_BYTES - self._head_bytes
        self._execute(data[:room])
        if self.head is None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._fail("a head is too long")
        elif len(data) > room and not self.fault:
            self._execute(data[room:])

    def _execute(self, data: bytes) -> None:
        try:
            self._llhttp.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            cause = error.__context__
            self._fail(str(cause) if isinstance(cause, UpstreamNonsense) else "not HTTP")

    def _fail(self, fault: str) -> None:
        if self.over:
            self.reusable = False
        else:
            self.over = True
            self.fault = fault

    def _idle(self, count: int) -> None:
        """Bound what brings a body no further: extensions of chunks, and trailers."""
        if self.head is not None:
            self._idle_bytes += count
            if self._idle_bytes > MAX_HEAD_BYTES:
                self._fail("chunks without content")

    def on_message_begin(self) -> None:
        """Note an answer that nobody asked for."""
        if self.over:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; those behind a body are dropped."""
        if self.head is not None:
            return
        self._field_count += 1
        if self._field_count > MAX_FIELDS:
            raise UpstreamNonsense("a head has too many fields")
        name = name.lower()
        if name in PASSED:
            self._fields.append((name, value))
        elif name == b"content-length":
            self._length = int(value)
        elif name == b"transfer-encoding":
            if self._chunked or value.strip().lower() != b"chunked":
                raise UpstreamNonsense("a transfer coding is not chunked")
            self._chunked = True

    def on_headers_complete(self) -> None:
        """Judge the head."""
        if self.head is not None:
            return
        code = self._llhttp.get_status_code()
        version = self._llhttp.get_http_version()
        if version not in _VERSIONS:
            raise UpstreamNonsense("a version of HTTP is unknown")
        if code == _SWITCHING or not _FIRST_CODE <= code <= _LAST_CODE:
            raise UpstreamNonsense("a status is unknown")
        if code < _FIRST_FINAL_CODE:
            self._begin_head()
            return
        self.head = Head(code, version, self._fields, self._length, self._chunked)

    def on_message_complete(self) -> None:
        """Note the end of the answer, unless it was an interim one."""
        if self.head is None or self.over:
            return
        self.over = True
        self._whole_pieces = len(self._pieces)
        self.reusable = self.head.version == "1.1" and self._llhttp.should_keep_alive()
