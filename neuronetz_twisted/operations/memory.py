"""What the process does about its memory, once it is loaded and before it starts anything."""

import ctypes
import gc
import linecache
from typing import Any

GARBAGE_OBJECTS = 5_000
"""Objects between two collections. Answers leave none in cycles; 700 would be a few answers."""

_ARENA_MAX = -8
"""`M_ARENA_MAX` of mallopt(3), glibc's."""


def settle(libc: Any = None) -> None:
    """Keep what is loaded out of collections, and give back what nobody needs any more.

    `libc` is the C library, by default this process' own.
    """
    # One heap for all threads: with the interpreter's lock they rarely contend for it.
    mallopt = getattr(libc or ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
    # The source of what attrs has generated, half a megabyte; tracebacks show our own lines.
    linecache.clearcache()
    # What is loaded now stays: no collection under load need look through all of it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)
