"""The body of a request out of the bytes behind its head (RFC 9112 6, 7.1). Pure.

A chunked body is taken apart here and not by llhttp: that would hand over a whole segment, with no
word of where in it the body ended, and has no bound on extensions and trailers. Both are read
within limits and dropped: a trailer must never become a field of the head.
"""

import re
from typing import Protocol

from neuronetz_twisted.edge.framing import RequestHead, malformed, words
from neuronetz_twisted.errors import (
    ExpectationFailed,
    HeadersTooLarge,
    RequestTooLarge,
    UnsupportedMediaType,
)

MAX_CHUNK_LINE_BYTES = 256
MAX_TRAILER_BYTES = 4 * 1024
MAX_OVERHEAD_BYTES = 32 * 1024
"""So many bytes of lines, beside as many as there is content: each line costs what a read does."""

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class Body(Protocol):
    """A body that is being read."""

    done: bool
    """Whether all of it has been read."""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take bytes; gives the content among them, and what is behind the body once `done`.

        Raises the `Refusal` of a body that is not well framed or too long.
        """
        ...


class LengthBody:
    """A body of `length` bytes."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Count (RFC 9112 6.2)."""
        content = data[: self._left]
        self._left -= len(content)
        self.done = self._left == 0
        return content, data[len(content) :]


class ChunkedBody:
    """A chunked body of at most `limit` bytes of content."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit
        self._in_chunk = 0
        self._line = b""
        self._overhead_left = MAX_OVERHEAD_BYTES
        self._trailers: int | None = None
        self._behind_chunk = False
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take chunks apart (RFC 9112 7.1)."""
        content: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            if self._in_chunk:
                piece = data[at : at + self._in_chunk]
                content.append(piece)
                at += len(piece)
                self._in_chunk -= len(piece)
                self._behind_chunk = self._in_chunk == 0
            else:
                at = self._take_line(data, at)
        return b"".join(content), data[at:]

    def _take_line(self, data: bytes, start: int) -> int:
        """Read one line, or what there is of it; gives where the next one begins."""
        end = data.find(b"\n", start)
        is_whole = end >= 0
        self._line += data[start : end if is_whole else len(data)]
        if self._behind_chunk and self._line not in {b"", b"\r"}:
            raise malformed("a chunk is longer than it says")
        limit = MAX_CHUNK_LINE_BYTES if self._trailers is None else MAX_TRAILER_BYTES
        if len(self._line) > limit + 1:
            raise self._too_long()
        if not is_whole:
            return len(data)
        if not self._line.endswith(b"\r"):
            raise malformed("a line of a chunked body does not end in CRLF")
        line, self._line = self._line[:-1], b""
        self._overhead_left -= len(line) + len(b"\r\n")
        if self._overhead_left < 0:
            raise malformed("its chunks are too small")
        self._read_line(line)
        return end + 1

    def _too_long(self) -> Exception:
        if self._trailers is not None:
            return HeadersTooLarge()
        return malformed("a line of a chunked body is too long")

    def _read_line(self, line: bytes) -> None:
        if self._behind_chunk:
            self._behind_chunk = False
        elif self._trailers is None:
            self._begin_chunk(line)
        elif line:
            self._trailers += len(line)
            if self._trailers > MAX_TRAILER_BYTES:
                raise HeadersTooLarge
            if _TRAILER.fullmatch(line) is None:
                raise malformed("a trailer is no header field")
        else:
            self.done = True

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise malformed("the size of a chunk")
        size = int(match[1], 16)
        if size > self._left:
            raise too_large(self._limit)
        self._left -= size
        self._overhead_left += size
        self._in_chunk = size
        if size == 0:
            self._trailers = 0


def check_announced(head: RequestHead, limit: int) -> None:
    """What a head says of its body, which may have `limit` bytes.

    Raises the refusals of SPEC 8 that it deserves.
    """
    if _last(head, b"content-encoding", b"identity") != b"identity":
        raise UnsupportedMediaType(why="encoding")
    if _last(head, b"content-type", b"").startswith(b"multipart/"):
        raise UnsupportedMediaType(why="multipart")
    if head.length is not None and head.length > limit:
        raise too_large(limit)
    expected = head.fields.get(b"expect")
    if expected is not None and words(expected) not in ([], [b"100-continue"]):
        raise ExpectationFailed


def _last(head: RequestHead, name: bytes, absent: bytes) -> bytes:
    values = head.fields.get(name)
    return values[-1].strip().lower() if values else absent


def too_large(limit: int) -> RequestTooLarge:
    """The refusal of a body over `limit` bytes; it says where the limit may be set (SPEC 4)."""
    return RequestTooLarge(
        f"the body is over {limit} bytes (MAX_REQUEST_BODY_BYTES, or a limit of the key)"
    )


def body_of(length: int | None, limit: int) -> Body:
    """The reader for a body of `length`, None for a chunked one, whose content has a limit."""
    return ChunkedBody(limit) if length is None else LengthBody(length)
