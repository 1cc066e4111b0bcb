"""Heads of images, as encoders write them, for tests that send some."""

from base64 import b64encode
from struct import pack
from zlib import compress, crc32


def png(width: int = 1, height: int = 1) -> bytes:
    """A black PNG (RFC 2083); only small ones have all their lines."""
    lines = (b"\0" + b"\0" * width) * min(height, 8)
    head = pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))
        for kind, data in chunks
    )


def jpeg(width: int = 1, height: int = 1, frame: int = 0xC0, fill: bytes = b"") -> bytes:
    """A JPEG up to its frame header (ITU-T T.81), behind a JFIF segment and a table."""
    jfif = b"\xff\xe0" + pack(">H", 16) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
    table = b"\xff\xdb" + pack(">H", 67) + b"\0" + b"\1" * 64
    head = b"\xff" + fill + bytes([frame]) + pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8" + jfif + table + head + b"\xff\xda"


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        kind + pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + pack("<I", len(body) + 4) + b"WEBP" + body


def _canvas(width: int, height: int) -> tuple[bytes, bytes]:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", b"\x10\0\0\0" + sizes


def _lossy(width: int, height: int) -> tuple[bytes, bytes]:
    return b"VP8 ", b"\x30\1\0\x9d\1\x2a" + pack("<HH", width, height) + b"\0" * 5


def webp(width: int = 1, height: int = 1) -> bytes:
    """A lossy WebP (RFC 9649)."""
    return _riff(_lossy(width, height))


def lossless_webp(width: int = 1, height: int = 1) -> bytes:
    """A lossless one."""
    return _riff((b"VP8L", b"\x2f" + pack("<I", width - 1 | height - 1 << 14) + b"\0"))


def extended_webp(canvas: tuple[int, int], picture: tuple[int, int]) -> bytes:
    """One with a canvas, something in an odd number of bytes, and a picture."""
    return _riff(_canvas(*canvas), (b"ICCP", b"abc"), _lossy(*picture))


def in_base64(image: bytes) -> str:
    """As a request has it."""
    return b64encode(image).decode()
