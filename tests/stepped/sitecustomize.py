"""A wall clock that a test may step, for a process that has this directory in its PYTHONPATH.

`STEPPED_CLOCK` names a file with the step in seconds, as a double. What `date -s` changes changes:
`time.time`. The monotonic clock stays, as it does there.
"""

import mmap
import os
import struct
import time
from pathlib import Path

_real = time.time

with Path(os.environ["STEPPED_CLOCK"]).open("r+b") as _file:
    _step = mmap.mmap(_file.fileno(), 8)


def _stepped() -> float:
    (seconds,) = struct.unpack_from("d", _step)
    return _real() + float(seconds)


time.time = _stepped
