"""What a reader must know of the machine; nothing by which it could be told from its like."""

import os
import platform
from pathlib import Path

_GIB = 1 << 30


def describe(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Cores, processor, memory, kernel and Python, for people."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": processor(cpuinfo.read_text()),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
    }


def processor(cpuinfo: str) -> str:
    """The model of the first processor in a /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"
