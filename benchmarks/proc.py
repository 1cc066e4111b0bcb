"""What Linux tells of processes: their CPU time, memory and descent (proc(5))."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from attrs import frozen

PROC = Path("/proc")

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
# Fields of /proc/PID/stat behind the name, which may itself hold spaces and parentheses.
_PARENT, _USER_TICKS, _SYSTEM_TICKS = 1, 11, 12


@frozen(kw_only=True)
class Process:
    """One line of /proc/PID/stat; `cpu_s` is its user and system time in seconds."""

    pid: int
    name: str
    parent: int
    cpu_s: float


def parse_stat(text: str) -> Process:
    """The text of a /proc/PID/stat."""
    pid, _, rest = text.partition(" (")
    name, _, rest = rest.rpartition(") ")
    fields = rest.split()
    ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return Process(pid=int(pid), name=name, parent=int(fields[_PARENT]), cpu_s=ticks / _TICKS_PER_S)


def processes() -> list[Process]:
    """All processes of the machine."""
    found = []
    for directory in PROC.iterdir():
        if directory.name.isdigit():
            try:
                found.append(parse_stat((directory / "stat").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
    return found


def descendants(every: Iterable[Process], root: int) -> list[Process]:
    """A process with its children and theirs, the root first; empty where it has ended."""
    known = list(every)
    tree = [process for process in known if process.pid == root]
    for parent in tree:
        tree += [process for process in known if process.parent == parent.pid]
    return tree


def split(tree: Sequence[Process], names: Collection[str]) -> tuple[list[Process], list[Process]]:
    """The processes of a tree that have none of these names, and those that have one."""
    return (
        [process for process in tree if process.name not in names],
        [process for process in tree if process.name in names],
    )


def resident_kib(pids: Iterable[int]) -> int:
    """The resident memory of processes together (RSS) in KiB; those that have ended have none."""
    total = 0
    for pid in pids:
        try:
            pages = (PROC / str(pid) / "statm").read_text().split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(pages) * _PAGE_KIB
    return total
