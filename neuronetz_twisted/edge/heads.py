"""Bytes into the head of a request, within limits. Sans-I/O.

llhttp has no limits, and what has been fed to it cannot be taken back. So the bytes of a head are
kept here until its empty line has come, which costs at most `MAX_HEAD_BYTES`, and only the head is
fed; whatever follows belongs to others. What cannot become a head is refused before it is whole.
"""

import re

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from neuronetz_twisted.edge.framing import (
    HTTP_1_0,
    HTTP_1_1,
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    RequestHead,
    malformed,
    parse_request_line,
    read_head,
)
from neuronetz_twisted.errors import HeadersTooLarge, UriTooLong

_END = b"\r\n\r\n"
_EMPTY_LINES = re.compile(rb"\A(?:\r\n)+")
_LONE = re.compile(rb"(?<!\r)\n|\r[^\n]|\x00")
_NO_TOKEN = re.compile(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]")

# The request line is read here, so llhttp, which knows methods only from a list, is told another.
_LINE = {version: b"POST / " + version + b"\r\n" for version in (HTTP_1_0, HTTP_1_1)}


class _Collector:
    """What llhttp calls."""

    __slots__ = ("complete", "count", "fields")

    def __init__(self) -> None:
        self.fields: dict[bytes, list[bytes]] = {}
        self.count = 0
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one field line."""
        self.count += 1
        self.fields.setdefault(name.lower(), []).append(value)

    def on_headers_complete(self) -> None:
        """Note that llhttp sees the end where we do."""
        self.complete = True


class HeadReader:
    """The heads of one connection, one after the other."""

    def __init__(self) -> None:
        self._held = b""

    @property
    def held(self) -> bytes:
        """The bytes of a head that has begun and is not whole yet."""
        # Half of an empty line begins nothing.
        return b"" if self._held == b"\r" else self._held

    def feed(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        """Take bytes; gives a head and the bytes behind it once the head is whole.

        Raises the `Refusal` of a request that is not well framed; the reader is then of no more
        use.
        """
        seen = len(self._held)
        data = self._held + data if seen else data
        if data.startswith(b"\r\n"):
            # RFC 9112 2.2: empty lines before a request are ignored.
            data, seen = _EMPTY_LINES.sub(b"", data, count=1), 0
        end = data.find(_END, max(0, seen - len(_END)))
        if end < 0 or end > MAX_HEAD_BYTES - len(_END):
            _check_beginning(data[: MAX_HEAD_BYTES + 1], seen)
            self._held = data
            return None
        self._held = b""
        after = end + len(_END)
        return _parse(data[:after]), data[after:]


def _parse(head: bytes) -> RequestHead:
    first, _, lines = head.partition(b"\r\n")
    line = parse_request_line(first)
    collector = _Collector()
    parser = HttpRequestParser(collector)
    try:
        parser.feed_data(_LINE[line.version] + lines)
    except HttpParserUpgrade:
        # RFC 9110 7.8: a server may ignore the wish to change the protocol.
        pass
    except HttpParserError:
        raise malformed("its header fields") from None
    if not collector.complete:
        raise malformed("its header fields")
    return read_head(line, collector.fields, collector.count)


def _check_beginning(data: bytes, seen: int) -> None:
    """Refuse what can no longer become a head; the first `seen` bytes were checked before."""
    if _LONE.search(data, max(0, seen - 1)):
        raise malformed("a line does not end in CRLF")
    line_end = data.find(b"\r\n")
    if line_end < 0:
        if _NO_TOKEN.match(data) and not data == b"\r":
            raise malformed("it does not begin with a method")
        if len(data.removesuffix(b"\r")) > MAX_LINE_BYTES:
            raise UriTooLong
    elif line_end >= seen - 1:
        parse_request_line(data[:line_end])
    if len(data) > MAX_HEAD_BYTES:
        raise HeadersTooLarge
