"""The ids of requests: ours, which are keys, and the client's, which are not. Pure."""

import re

_CLIENT_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def new_request_id(now: float, entropy: bytes) -> str:
    """A UUIDv7 (RFC 9562 section 5.7).

    `now` is in seconds since 1970, `entropy` ten random bytes, of which version and variant take
    six bits.
    """
    milliseconds = int(now * 1000) & ((1 << 48) - 1)
    text = (milliseconds.to_bytes(6) + entropy).hex()
    variant = "89ab"[entropy[2] >> 4 & 0b11]
    return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def client_request_id(value: bytes | None) -> str | None:
    """A client's own id if it is fit to be echoed and recorded (SPEC 7)."""
    if value is None or _CLIENT_ID.fullmatch(value) is None:
        return None
    return value.decode("ascii")
