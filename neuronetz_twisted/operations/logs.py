"""The log: one JSON object per line, made from an allow-list of fields (SPEC 14).

Twisted's own JSON observer writes every keyword of an event, and an exception's text may hold what
was being parsed. So a line has the fields named here and no others, and a failure is written as
its type and where it happened, with its text only where we or the system wrote it (SPEC 2, R6).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Protocol

import orjson
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    formatEvent,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from neuronetz_twisted.audit.log import NAMESPACE

FIELDS = ("request_id", "backend", "model", "outcome", "reason", "error", "answers", "audit")
MAX_FRAMES = 12
CHATTERS = ("twisted", "log_legacy")
"""Namespaces whose everyday events speak of objects in memory; their warnings are for people."""

_WORDS = {LogLevel.warn: "warning"}


class LineStream(Protocol):
    """What lines are written to: a standard stream, or a file of Twisted's that rotates."""

    def write(self, data: str, /) -> object:
        """Take text."""
        ...

    def flush(self) -> object:
        """Keep none back."""
        ...


@implementer(ILogObserver)
class LineObserver:
    """Writes each event that `levels` lets pass as one line of `render`."""

    def __init__(
        self,
        stream: LineStream,
        render: Callable[[dict[str, Any]], str],
        levels: LogLevelFilterPredicate,
    ) -> None:
        self._stream = stream
        self._render = render
        self._levels = levels

    def __call__(self, event: LogEvent) -> None:
        """Write one event; the record is always on (SPEC 9), whatever else is to be read."""
        if event.get("log_namespace") != NAMESPACE and self._levels(event) is PredicateResult.no:
            return
        self._stream.write(self._render(fields_of(event)) + "\n")
        self._stream.flush()


def fields_of(event: LogEvent) -> dict[str, Any]:
    """What is written of an event."""
    level = event.get("log_level", LogLevel.info)
    fields: dict[str, Any] = {
        "time": _time(event.get("log_time", 0.0)),
        "level": _WORDS.get(level, level.name),
        "namespace": event.get("log_namespace", "-"),
        "message": _message(event),
    }
    for name in FIELDS:
        if name in event:
            fields[name] = event[name]
    failure = event.get("log_failure", event.get("failure"))  # the latter from `log.err`
    if isinstance(failure, Failure):
        fields["failure"] = describe(failure)
    return fields


def _time(when: float) -> str:
    seconds = int(when // 1)
    return f"{_second(seconds)}.{int((when - seconds) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(when: int) -> str:
    """A second in UTC as RFC 3339 writes it, made once for all the lines of that second."""
    return datetime.fromtimestamp(when, UTC).isoformat().removesuffix("+00:00")


def _message(event: LogEvent) -> str:
    if event.get("log_format") == "{text}" and isinstance(event.get("text"), str):
        # What is logged for each request comes rendered; Twisted's way would give the same.
        text: str = event["text"]
        return text
    return "unhandled error" if _is_legacy_error(event) else formatEvent(event)


def _is_legacy_error(event: LogEvent) -> bool:
    """Whether the event's text would be a whole traceback, as Twisted's older `log.err` has it."""
    return bool(event.get("isError")) and event.get("log_namespace") == "log_legacy"


def describe(failure: Failure) -> dict[str, Any]:
    """A failure without what it may quote: its type, and the innermost frames."""
    kind = failure.type
    text = ""
    if isinstance(failure.value, OSError) or _is_ours(kind):
        text = failure.getErrorMessage()
    frames = [
        f"{PurePath(frame[1]).name}:{frame[2]} {frame[0]}" for frame in failure.frames[-MAX_FRAMES:]
    ]
    name = "?" if kind is None else f"{kind.__module__}.{kind.__qualname__}"
    return {"type": name, "text": text, "frames": frames}


def _is_ours(kind: type[BaseException] | None) -> bool:
    return kind is not None and kind.__module__.startswith("neuronetz_twisted.")


def json_line(fields: dict[str, Any]) -> str:
    """A line for machines."""
    return orjson.dumps(fields, default=str).decode()


def console_line(fields: dict[str, Any]) -> str:
    """A line for people."""
    rest = {name: fields[name] for name in (*FIELDS, "failure") if name in fields}
    tail = f"  {orjson.dumps(rest, default=str).decode()}" if rest else ""
    return f"{fields['time']} {fields['level']:<8} {fields['message']}{tail}"


def log_observer(stream: LineStream, log_format: str, level: str) -> ILogObserver:
    """The observer that the settings mean (SPEC 10): `json` or `console`, from `level` up."""
    render = json_line if log_format == "json" else console_line
    least = LogLevel.levelWithName(level.lower())
    levels = LogLevelFilterPredicate(defaultLogLevel=least)
    for namespace in CHATTERS:
        levels.setLogLevelForNamespace(namespace, max(least, LogLevel.warn))
    return LineObserver(stream, render, levels)
