"""Images in a request: base64 of what Ollama documents that it takes, few, and not too large. Pure.

The model host decodes them in the process that all tenants share. How large a picture becomes
there is said in its head, whatever few bytes it was packed into (SPEC 4).
"""

import binascii
from collections.abc import Callable, Mapping, Sequence
from struct import error as TooShort  # noqa: N812 - what it means here
from struct import unpack_from
from typing import Any

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.errors import InvalidRequest

MAX_IMAGES = 16
"""In one request."""

MAX_PIXELS = 1 << 26
"""Of all images of one request: 200 MB when they are unpacked."""

_NEWLINES = str.maketrans("", "", "\r\n")
_JPEG_BEGIN, _JPEG_FILL, _JPEG_LEAST = b"\xff", b"\xff\xff", 2
_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_ENDS = frozenset({0x00, 0xD9, 0xDA})
_MOST_PARTS = 256


@fields.check("list of at most 16 images in base64: PNG, JPEG or WebP")
def images(value: Any, name: str) -> list[str]:
    """Images as strings; `check_images` looks into them once all of a request are known."""
    if not isinstance(value, list) or not {str}.issuperset(map(type, value)):
        raise InvalidRequest(f"{name} must be a list of strings in base64", param=name)
    return value


def check_images(encoded: Sequence[str], name: str = "images") -> int:
    """Check all images of a request; gives their number.

    Line feeds in the base64 are passed over, as Go does. Raises `InvalidRequest`.
    """
    if len(encoded) > MAX_IMAGES:
        raise InvalidRequest(f"there are more than {MAX_IMAGES} images", param=name)
    if sum(pixels_of(_decoded(image, name), name) for image in encoded) > MAX_PIXELS:
        raise InvalidRequest(f"the images have more than {MAX_PIXELS} pixels", param=name)
    return len(encoded)


def of_data_url(url: str, name: str) -> str:
    """The base64 in a `data:` URL (RFC 2397). Raises `InvalidRequest` for any other URL."""
    head, comma, data = url.partition(",")
    words = head.lower()
    if words.startswith(("http:", "https:")):
        raise InvalidRequest(
            f"{name}: images are not fetched, send a data: URL with base64", param=name
        )
    if not comma or not words.startswith("data:") or not words.endswith(";base64"):
        raise InvalidRequest(f"{name} must be a data: URL with base64", param=name)
    return data


def pixels_of(data: bytes, name: str = "images") -> int:
    """Width times height of an image. Raises `InvalidRequest` for what is none."""
    read = next((_KINDS[begin] for begin in _KINDS if data.startswith(begin)), None)
    try:
        pixels = 0 if read is None else read(data)
    except (TooShort, ValueError):
        pixels = 0
    if not pixels:
        raise InvalidRequest(f"{name} must be PNG, JPEG or WebP", param=name)
    return pixels


def _decoded(image: str, name: str) -> bytes:
    try:
        return binascii.a2b_base64(image.translate(_NEWLINES), strict_mode=True)
    except ValueError:
        raise InvalidRequest(f"{name} must be in base64", param=name) from None


def _png(data: bytes) -> int:
    """The first chunk has the size (RFC 2083 4.1.1)."""
    kind, width, height = unpack_from(">4sII", data, 12)
    if kind != b"IHDR":
        raise ValueError(kind)
    return int(width * height)


def _jpeg(data: bytes) -> int:
    """The frame header has it (ITU-T T.81, B.2.2), behind segments that say how long they are."""
    at = 2
    for _ in range(_MOST_PARTS):
        if data[at : at + 2] == _JPEG_FILL:
            at += 1
            continue
        begin, marker, length = unpack_from(">cBH", data, at)
        if begin != _JPEG_BEGIN or marker in _JPEG_ENDS or length < _JPEG_LEAST:
            raise ValueError(marker)
        if marker in _JPEG_SIZES:
            height, width = unpack_from(">HH", data, at + 5)
            return int(width * height)
        at += 2 + length
    raise ValueError(at)


def _webp(data: bytes) -> int:
    """The largest of what its chunks say: the canvas, and the picture on it (RFC 9649)."""
    if data[8:12] != b"WEBP":
        raise ValueError(data[8:12])
    at, largest = 12, 0
    for _ in range(_MOST_PARTS):
        kind, length = unpack_from("<4sI", data, at)
        largest = max(largest, _webp_chunk(kind, data[at + 8 : at + 18]))
        if kind in (b"VP8 ", b"VP8L"):
            return largest
        at += 8 + length + length % 2
    raise ValueError(at)


def _webp_chunk(kind: bytes, head: bytes) -> int:
    if kind == b"VP8 ":
        width, height = unpack_from("<HH", head, 6)
        return int((width & 0x3FFF) * (height & 0x3FFF))
    if kind == b"VP8L":
        bits = int(unpack_from("<I", head, 1)[0])
        return ((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[start : start + 3], "little") for start in (4, 7))
        return (width + 1) * (height + 1)
    return 0


_KINDS: Mapping[bytes, Callable[[bytes], int]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"RIFF": _webp,
}
