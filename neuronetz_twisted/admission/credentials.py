"""The format of an API key, so that a typo or a made-up key dies before it costs anything.

A key is `nz_`, nine base62 characters, 26 secret ones, and six that are the CRC32 of all before
them (SPEC 5). The first twelve are the *prefix*: stored, indexed, printable. Six base62 digits
hold 62**6, which is more than the 2**32 values of a CRC32.
"""

import hashlib
import re
import string
import zlib
from collections.abc import Callable

from attrs import field, frozen

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
# All pairs of digits, one behind the other.
_PAIRS = "".join(high + low for high in _ALPHABET for low in _ALPHABET)
_PAIR_COUNT = len(_PAIRS) // 2
_SCHEME = "nz_"
_PREFIX_LENGTH = 12
_SECRET_LENGTH = 26
_CRC_LENGTH = 6
_SHAPE = re.compile(
    f"{_SCHEME}[0-9A-Za-z]{{{_PREFIX_LENGTH - len(_SCHEME) + _SECRET_LENGTH + _CRC_LENGTH}}}"
)

# Room for any key of ours with its scheme; a longer value is not looked at.
_MAX_CREDENTIAL_BYTES = 256


@frozen
class ParsedKey:
    """A well-formed key without its text: `digest` is the SHA-256 of the whole key."""

    prefix: str
    digest: bytes = field(repr=False)


def new_key(token_source: Callable[[int], int]) -> str:
    """Make a key of 44 characters.

    `token_source(n)` draws an integer in 0..n-1 and must be unpredictable: `secrets.randbelow`.
    """
    count = _PREFIX_LENGTH - len(_SCHEME) + _SECRET_LENGTH
    drawn = "".join(_ALPHABET[token_source(len(_ALPHABET))] for _ in range(count))
    return f"{_SCHEME}{drawn}{_checksum(_SCHEME + drawn)}"


def parse_key(text: str) -> ParsedKey | None:
    """Check shape and CRC of a presented key; None for anything that is no key of ours."""
    if _SHAPE.fullmatch(text) is None or _checksum(text[:-_CRC_LENGTH]) != text[-_CRC_LENGTH:]:
        return None
    return ParsedKey(text[:_PREFIX_LENGTH], hashlib.sha256(text.encode("ascii")).digest())


def bearer_of(authorization: bytes | None, x_api_key: bytes | None) -> str | None:
    """Take the one credential out of the two headers that may carry it (SPEC 5).

    `Authorization` must be of scheme Bearer (RFC 9110 11.1: its case does not matter). None where
    there is no credential, another scheme, two different ones, or one that is no plain word.
    """
    bearer = None if authorization is None else _word(authorization, after_scheme=True)
    if x_api_key is None:
        return bearer
    plain = _word(x_api_key, after_scheme=False)
    # Two headers that disagree would be read one way by us and another by a proxy.
    return plain if authorization is None or plain == bearer else None


def _word(value: bytes, *, after_scheme: bool) -> str | None:
    """Give the single ASCII word of a header, behind `Bearer` where that is due."""
    if len(value) > _MAX_CREDENTIAL_BYTES or not value.isascii():
        return None
    words = value.split()
    if after_scheme:
        if not words or words[0].lower() != b"bearer":
            return None
        words = words[1:]
    return words[0].decode("ascii") if len(words) == 1 else None


def _checksum(text: str) -> str:
    """Write the CRC32 of an ASCII text as six base62 digits, the most significant first."""
    crc = zlib.crc32(text.encode("ascii"))
    return (
        _pair(crc // _PAIR_COUNT**2)
        + _pair(crc // _PAIR_COUNT % _PAIR_COUNT)
        + _pair(crc % _PAIR_COUNT)
    )


def _pair(number: int) -> str:
    return _PAIRS[2 * number : 2 * number + 2]
