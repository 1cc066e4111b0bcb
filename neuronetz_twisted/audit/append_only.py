"""Files to which several processes add lines, each whole or not at all, and which nobody rewrites.

A line is a JSON object of texts. What stands behind the last line's end was left by a process that
died while it wrote; it says nothing, and goes when the next line comes. All calls block and raise
`OSError`.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
from attrs import frozen

OURS_ALONE = 0o600

_NEWLINE = b"\n"
_BLOCK = 4096

T = TypeVar("T")


@frozen
class Damaged:
    """A line of a file that is not what it should be; lines are counted from 1."""

    line: int


def line_of(**fields: str) -> bytes:
    """The line of an object."""
    return orjson.dumps(fields) + _NEWLINE


def items(path: Path, parse: Callable[[Any], T], until: int | None = None) -> Iterator[T | Damaged]:
    """What `parse` makes of the objects in a file, in the first `until` bytes of it.

    `parse` raises `KeyError`, `TypeError`, `AttributeError` or `ValueError` for an object that is
    not as it should be.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size if until is None else until
        for number, line in enumerate(file, start=1):
            size -= len(line)
            if size < 0 or not line.endswith(_NEWLINE):
                return
            yield _parsed(line, parse) or Damaged(number)


def last_item(path: Path, parse: Callable[[Any], T]) -> T | None:
    """The last one, without reading all the others; None where it is damaged, or there is none."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _BLOCK))
        *lines, _ = file.read().split(_NEWLINE)
    return _parsed(lines[-1], parse) if lines else None


def _parsed(line: bytes, parse: Callable[[Any], T]) -> T | None:
    try:
        return parse(orjson.loads(line))
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


@contextmanager
def appending(path: Path) -> Iterator[int]:
    """The file, made where there is none, for nobody else until the block's end."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path, flags, OURS_ALONE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_size == 0:
            sync_directory(path.parent)
        yield descriptor
    finally:
        os.close(descriptor)


def append(descriptor: int, line: bytes) -> None:
    """Add one line, whole or not at all."""
    end = _end_of_lines(descriptor)
    os.ftruncate(descriptor, end)
    try:
        whole = os.write(descriptor, line) == len(line)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise
    if not whole:
        os.ftruncate(descriptor, end)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _end_of_lines(descriptor: int) -> int:
    """Where the last whole line ends: behind it is what a writer left that died."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(_NEWLINE)
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def sync_directory(path: Path) -> None:
    """Make sure that the names in a directory are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
