"""The ids of requests: ours, which are keys, and the client's, which are not. Pure."""

import re

_CLIENT_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_RANDOM_BYTES = 10


def new_request_id(now: float, entropy: bytes) -> str:
    """A UUIDv7 (RFC 9562 section 5.7).

    `now` is in seconds since 1970, `entropy` at least ten random bytes.
    """
    milliseconds = int(now * 1000) & ((1 << 48) - 1)
    random_bits = int.from_bytes(entropy[:_RANDOM_BYTES])
    high = (random_bits >> 62) & 0xFFF
    low = random_bits & ((1 << 62) - 1)
    text = f"{milliseconds << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def client_request_id(value: bytes | None) -> str | None:
    """A client's own id if it is fit to be echoed and recorded (SPEC 7)."""
    if value is None or _CLIENT_ID.fullmatch(value) is None:
        return None
    return value.decode("ascii")
