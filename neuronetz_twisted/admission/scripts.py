"""The scripts of limits, each as the one text that Redis runs as one indivisible step (SPEC 7).

A script is put together from shared parts, the clock before all others, and ends with a file of its
own, whose head says what keys and arguments it takes and what it answers. Limits hold over all
processes and machines because Redis decides, never a process of ours.

The first line makes Redis judge the whole script before it begins: without memory to write in, it
is refused and nothing is half done. Those that end calls run all the same.
"""

from importlib.resources import files

from attrs import frozen

from neuronetz_twisted.seams import Script

_FOLDER = files("neuronetz_twisted.admission") / "scripts"
_FIRST_LINE = b"#!lua\n"
_FIRST_LINE_OF_ENDS = b"#!lua flags=allow-oom\n"


def _load(name: str, *parts: str, first_line: bytes = _FIRST_LINE) -> Script:
    texts = [(_FOLDER / "parts" / f"{part}.lua").read_bytes() for part in parts]
    texts.append((_FOLDER / f"{name}.lua").read_bytes())
    return Script(name, first_line + b"\n".join(texts))


@frozen(kw_only=True)
class Scripts:
    """The scripts of admission."""

    admit: Script
    count: Script
    extend: Script
    settle: Script
    release: Script
    heartbeat: Script
    flushed: Script
    rebuild: Script
    look: Script
    raise_epoch: Script


_OF_CALLS = ("clock", "windows", "budgets", "pendings")

SCRIPTS = Scripts(
    admit=_load("admit", *_OF_CALLS, "limits", "slots"),
    count=_load("count", "clock", "windows", "budgets", "limits"),
    extend=_load("extend", *_OF_CALLS, "limits"),
    settle=_load("settle", *_OF_CALLS, first_line=_FIRST_LINE_OF_ENDS),
    release=_load("release", *_OF_CALLS, first_line=_FIRST_LINE_OF_ENDS),
    heartbeat=_load("heartbeat", "clock", "budgets", "pendings", "slots"),
    flushed=_load("flushed", "clock", "budgets", "pendings", first_line=_FIRST_LINE_OF_ENDS),
    rebuild=_load("rebuild", "clock", "budgets"),
    look=_load("look", "clock", "windows", "budgets", "limits", "slots"),
    raise_epoch=_load("raise_epoch"),
)
