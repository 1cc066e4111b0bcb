"""Vectors for texts: the same text gives the same vector, and different texts different ones."""

import struct
from hashlib import shake_256
from math import sqrt

from mock_ollama.catalogue import EMBEDDING_LENGTH

_DIGITS = 8


def raw_vector(text: str) -> list[float]:
    """Give the vector that the model itself makes, which `/api/embeddings` answers as it is."""
    digest = shake_256(text.encode()).digest(2 * EMBEDDING_LENGTH)
    return [number / 8192 for number in struct.unpack(f"<{EMBEDDING_LENGTH}h", digest)]


def unit_vector(text: str, dimensions: int) -> list[float]:
    """Give the vector of `/api/embed`: cut to `dimensions` if positive, and of length one."""
    vector = raw_vector(text)[: dimensions if dimensions > 0 else EMBEDDING_LENGTH]
    length = sqrt(sum(number * number for number in vector))
    return [round(number / length, _DIGITS) for number in vector]
