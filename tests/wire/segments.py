"""How the bytes of an entry may arrive: where they are cut must not matter."""

from random import Random

from tests.wire.entry import Entry, request

_EVERY_BYTE_UP_TO = 2000
_MOST_CUTS = 60
_SEED = 9112

PROBE = request(b"GET /healthz HTTP/1.1", b"Host: gateway.test")
"""A request that is sent behind an entry, to see whether the connection is where it should be."""


def whole(data: bytes) -> list[bytes]:
    """In one piece."""
    return [data] if data else []


def byte_by_byte(data: bytes) -> list[bytes]:
    """A byte at a time at the beginning, where heads are, and in large pieces behind it."""
    first, rest = data[:_EVERY_BYTE_UP_TO], data[_EVERY_BYTE_UP_TO:]
    pieces = [rest[at : at + 60_000] for at in range(0, len(rest), 60_000)]
    return [bytes([byte]) for byte in first] + pieces


def at_random(entry: Entry) -> list[bytes]:
    """Cut at places that are always the same for an entry of this name."""
    data = entry.raw
    draw = Random(f"{_SEED} {entry.name}")
    most = min(len(data) - 1, _MOST_CUTS)
    cuts = sorted(draw.sample(range(1, len(data)), draw.randint(1, most))) if most > 0 else []
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
