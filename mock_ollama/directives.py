"""How a prompt tells the twin what to do, so that one client call is a whole test scenario.

A directive is `[[key=value ...]]` anywhere in a prompt's text; the last one wins. Text in double
brackets that names none of the keys is ordinary text, one that mixes known keys with mistakes is
an error: a typing mistake in a test must not pass for the default behaviour. Without brackets the
same words stand in the header `X-Mock-Directive` and in the `directive` of `/mock/config`, which
hold where the prompt has none.

    n=12             the answer has 12 tokens           size=100   of 100 bytes each
    delay=20ms       between two tokens                 wait=1.5s  before anything is sent
    think=5          5 tokens of thinking first, where the request lets the model think
    tool=NAME        call this tool (repeatable), if the request has tools; no text then but for n=
    tools=2          call the first two tools           calls=together|apart|final
    fault=KIND       one of reset@N hang@N error@N garbage@N (after N frames), nofinal (no last
                     frame), nocounts (a last frame without counts), status:NNN
"""

import re
from collections.abc import Iterable
from enum import Enum

from attrs import frozen

_BRACKETED = re.compile(r"\[\[([^\[\]]{1,200})\]\]")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s)")
_KEYS = frozenset({"n", "delay", "size", "wait", "fault", "think", "tool", "tools", "calls"})

MAX_TOKENS = 10_000_000
MAX_TOKEN_BYTES = 1_048_576
MAX_SECONDS = 3600.0
MAX_CALLS = 1000
_MIN_STATUS, _MAX_STATUS = 400, 599


class DirectiveError(ValueError):
    """A directive that names a known key and cannot be obeyed."""


class FaultKind(Enum):
    """The ways of going wrong that a prompt can ask for."""

    RESET = "reset"
    HANG = "hang"
    NOFINAL = "nofinal"
    ERROR = "error"
    GARBAGE = "garbage"
    STATUS = "status"
    NOCOUNTS = "nocounts"


class Grouping(Enum):
    """In which frames several calls of tools come."""

    TOGETHER = "together"
    APART = "apart"
    FINAL = "final"


@frozen
class Fault:
    """One way of going wrong: `after` frames for most kinds, or an HTTP `status`."""

    kind: FaultKind
    after: int = 0
    status: int = 0


@frozen
class Directive:
    """What the last directive of a prompt asks for; without one, Ollama's usual behaviour.

    `tokens` is the length of the answer in tokens, `size` the bytes of each token's text; `delay`
    is the pause between two tokens and `wait` the one before the first, both in seconds.
    `thoughts` is the number of tokens of thinking, `tools` are the names of tools to call, and
    `calls` how many of the request's tools to call besides, in the frames that `grouping` says.
    """

    tokens: int | None = None
    delay: float = 0.0
    size: int | None = None
    wait: float = 0.0
    fault: Fault | None = None
    thoughts: int = 0
    tools: tuple[str, ...] = ()
    calls: int = 0
    grouping: Grouping = Grouping.TOGETHER


def find_directive(texts: Iterable[str], default: Directive | None = None) -> Directive:
    """Give the last directive found in the texts of a request, or else the default one.

    Raises DirectiveError if a directive names a known key and cannot be obeyed.
    """
    found = default or Directive()
    for text in texts:
        if "[[" not in text:
            continue
        for match in _BRACKETED.finditer(text):
            pairs = [word.partition("=") for word in match[1].split()]
            if not _KEYS.isdisjoint(key for key, equals, _ in pairs if equals):
                found = _parse(pairs)
    return found


def read_directive(text: str) -> Directive:
    """Read a directive that stands alone, without brackets.

    Raises DirectiveError if it cannot be obeyed.
    """
    return _parse([word.partition("=") for word in text.split()])


def without_directives(text: str) -> str:
    """Give the text as a person would have written it, without anything in double brackets."""
    return _BRACKETED.sub("", text).strip()


def _parse(pairs: list[tuple[str, str, str]]) -> Directive:
    values: dict[str, str] = {}
    tools = []
    for key, _, value in pairs:
        if key not in _KEYS or key in values:
            raise DirectiveError(f"unknown or repeated key {key!r} in a directive")
        if key == "tool":
            tools.append(value)
        else:
            values[key] = value
    return Directive(
        tokens=_integer(values["n"], MAX_TOKENS) if "n" in values else None,
        delay=_seconds(values.get("delay", "0s")),
        size=_integer(values["size"], MAX_TOKEN_BYTES) if "size" in values else None,
        wait=_seconds(values.get("wait", "0s")),
        fault=_fault(values["fault"]) if "fault" in values else None,
        thoughts=_integer(values.get("think", "0"), MAX_TOKENS),
        tools=tuple(tools),
        calls=_integer(values.get("tools", "0"), MAX_CALLS),
        grouping=_grouping(values.get("calls", Grouping.TOGETHER.value)),
    )


def _grouping(text: str) -> Grouping:
    try:
        return Grouping(text)
    except ValueError:
        raise DirectiveError(f"{text!r} in a directive is not together, apart or final") from None


def _integer(text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > largest:
        raise DirectiveError(f"{text!r} in a directive is no number up to {largest}")
    return int(text)


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1) if match else MAX_SECONDS + 1
    if seconds > MAX_SECONDS:
        raise DirectiveError(f"{text!r} in a directive is no duration such as 20ms or 1.5s")
    return seconds


def _fault(text: str) -> Fault:
    name, _, status = text.partition(":")
    if name == FaultKind.STATUS.value:
        code = _integer(status, _MAX_STATUS)
        if code < _MIN_STATUS:
            raise DirectiveError(f"{text!r} in a directive is no error status")
        return Fault(FaultKind.STATUS, status=code)
    name, at, after = text.partition("@")
    try:
        kind = FaultKind(name)
    except ValueError:
        raise DirectiveError(f"unknown fault {text!r} in a directive") from None
    takes_frames = kind not in {FaultKind.NOFINAL, FaultKind.NOCOUNTS, FaultKind.STATUS}
    if not takes_frames and (at or kind is FaultKind.STATUS):
        raise DirectiveError(f"{text!r} in a directive is no fault such as nofinal or status:503")
    return Fault(kind, after=_integer(after, MAX_TOKENS) if at else 0)
