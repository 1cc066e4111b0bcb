"""How an answer is framed: its head, and its chunks (RFC 9112 6, 7.1). Pure."""

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

from attrs import define, field

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode("ascii"))
    for status in HTTPStatus
}


@define
class DateField:
    """The `Date` of answers (RFC 9110 6.6.1), rendered once a second."""

    _second: int = field(default=-1, init=False)
    _line: bytes = field(default=b"", init=False)

    def line(self, now: float) -> bytes:
        """The field line, without its end; `now` is in seconds since 1970."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}".encode("ascii")
        return self._line


def head_of(status: int, date: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A head with its empty line; `date` is a field line, without its end."""
    lines = [b": ".join(pair) for pair in fields]
    return b"\r\n".join([_STATUS_LINES[status], date, *lines, b"", b""])


def chunk(data: bytes) -> bytes:
    """One chunk of an answer."""
    return b"%x\r\n%s\r\n" % (len(data), data)
