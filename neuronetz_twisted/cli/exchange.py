"""One HTTP request and its whole answer, blocking: commands wait, they have no reactor.

No proxy of the environment is used and no redirect followed, since requests carry tokens.
"""

import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from attrs import field, frozen

_PIECE_BYTES = 65536


class NoAnswer(Exception):  # noqa: N818 - states what happened
    """No whole answer came; the text says why, without any header of ours."""


@frozen
class Answer:
    """A status and a body."""

    status: int
    body: bytes = field(repr=False)


def exchange(  # noqa: PLR0913 - a request has that many properties
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    connect_timeout_s: float = 5.0,
    timeout_s: float = 10.0,
    most_bytes: int = 1 << 20,
) -> Answer:
    """Ask and read the answer, which must come within `timeout_s`. Raises `NoAnswer`."""
    parts = urlsplit(url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(str(parts.hostname), parts.port, timeout=connect_timeout_s)
    try:
        connection.connect()
        give_up = time.monotonic() + timeout_s
        connection.sock.settimeout(timeout_s)
        connection.request(method, parts.path, body=body, headers=dict(headers))
        with connection.getresponse() as response:
            pieces: list[bytes] = []
            while piece := response.read1(_PIECE_BYTES):
                pieces.append(piece)
                most_bytes -= len(piece)
                if most_bytes < 0:
                    raise NoAnswer("its answer is too long")
                if time.monotonic() > give_up:
                    raise NoAnswer(f"its answer takes longer than {timeout_s:g} s")
            return Answer(response.status, b"".join(pieces))
    except OSError as error:
        raise NoAnswer(error.strerror or str(error) or type(error).__name__) from None
    except UnicodeError:
        raise NoAnswer("no name of a host") from None
    except HTTPException as error:
        raise NoAnswer(f"no HTTP ({type(error).__name__})") from None
    finally:
        connection.close()
