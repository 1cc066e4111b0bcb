"""Bytes that are almost what they should be, for a fuzzer that does not learn."""

from collections.abc import Sequence
from random import Random

TOKENS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\x00",
    b"\t",
    b" ",
    b":",
    b";",
    b",",
    b"0",
    b"0\r\n\r\n",
    b"7fffffffffffffff\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"HEAD / HTTP/1.1\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n",
    b"100 Continue",
    b"\xff\xfe",
)
_CHANGES = (0, 0, 1, 1, 2, 5)
_MOST_PARTS = 4


def mutated(seed: int, seeds: Sequence[bytes]) -> bytes:
    """One to four of `seeds` in a row with a few changes; always the same for a seed."""
    draw = Random(seed)
    data = b"".join(draw.choice(seeds) for _ in range(draw.randint(1, _MOST_PARTS)))
    for _ in range(draw.choice(_CHANGES)):
        start = draw.randint(0, len(data))
        end = min(len(data), start + draw.choice((0, 1, 1, 2, 8, 100)))
        change = draw.randrange(4)
        if change == 0:
            middle = b""
        elif change == 1:
            middle = draw.choice(TOKENS)
        elif change == 2:
            middle = data[start:end] * 2
        else:
            middle = bytes(draw.randrange(256) for _ in range(end - start))
        data = data[:start] + middle + data[end:]
    return data
