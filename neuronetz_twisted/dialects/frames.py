"""Frames of Ollama's native stream: lines from bytes, and what a line means.

Ollama writes one JSON object a line (its `server/routes.go`), in one order of fields. A frame in
the middle of a stream that has exactly this form is passed on as it is, without being parsed.
Whatever looks otherwise is parsed and rebuilt from known fields, so that nothing of the model host
reaches a client but what is named here (SPEC 2, R8).
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from neuronetz_twisted.dialects.visible import visible
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.vocabulary import Usage

MAX_LINE_BYTES = 4 * 1024 * 1024

# A JSON string (RFC 8259 section 7), of whose \u escapes Go needs none for a surrogate. The
# possessive repeats keep a hostile line linear. Beyond ASCII any byte passes here: whether they
# are UTF-8 is asked once per line.
_PLAIN = rb"[ !#-\[\]-\xff]*+"
_ESCAPE = rb'\\(?:["\\/bfnrt]|u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]|[dD][0-7])[0-9a-fA-F]{2})'
_STRING = b'"' + _PLAIN + b"(?:" + _ESCAPE + _PLAIN + b')*+"'
_SAID = b"(" + _STRING + b')(?:,"thinking":(' + _STRING + b"))?"
_ORDINARY = re.compile(
    rb'\{"model":' + _STRING + b',"created_at":' + _STRING + b",(?:"
    rb'"message":\{"role":"assistant","content":' + _SAID + rb"\}"
    rb'|"response":' + _SAID + rb'),"done":false\}'
)
_IN_THE_MIDDLE = b'"done":false}'
NO_TEXT = b'""'
"""The JSON string of no text."""

MOST_TOKENS = 10_000_000
"""A count beyond any context is a fault of the model host: nobody is charged for it."""


class LineSplitter:
    """Bytes of a stream into complete lines, holding at most one unfinished line.

    Raises `UpstreamNonsense` where a line is longer than `limit` bytes.
    """

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._held = 0

    @property
    def held(self) -> int:
        """The bytes without a line feed that are held."""
        return self._held

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their line feeds and without empty ones."""
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._held:
            self._pieces.append(lines[0])
            lines[0] = b"".join(self._pieces)
            self._pieces.clear()
            self._held = 0
        if rest:
            self._hold(rest)
        return lines if all(lines) else [line for line in lines if line]

    def _hold(self, rest: bytes) -> None:
        self._pieces.append(rest)
        self._held += len(rest)
        if self._held > self._limit:
            raise UpstreamNonsense("a line is too long")


def is_ordinary(line: bytes) -> bool:
    """Whether a line is a frame in the middle of a stream that may be passed on as it is."""
    return (
        line.endswith(_IN_THE_MIDDLE)
        and (line.isascii() or _is_utf8(line))
        and _ORDINARY.fullmatch(line) is not None
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def said_in(line: bytes) -> tuple[str, bytes, bytes, Mapping[str, Any] | None]:
    """What a frame says: the field it is in, the content and the thinking as JSON strings.

    The field is `message` or `response`. Texts of an ordinary frame, which says nothing else, are
    taken out of it as they stand, without being parsed; of any other one the last part is what
    `read_frame` gives. Raises `UpstreamNonsense` as that does.
    """
    match = _ORDINARY.fullmatch(line)
    if match is None or not (line.isascii() or _is_utf8(line)):
        frame = read_frame(line)
        content, thinking = text_of(frame)
        field = "message" if "message" in frame else "response"
        return field, orjson.dumps(content), orjson.dumps(thinking), frame
    said, thought, response, beside = match.groups()
    if response is None:
        return "message", said, thought or NO_TEXT, None
    return "response", response, beside or NO_TEXT, None


def read_frame(line: bytes) -> dict[str, Any]:
    """A frame with only the fields that a client may see.

    Raises `UpstreamNonsense` for a line that is no frame, and for Ollama's error line.
    """
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise UpstreamNonsense("a line is not JSON") from None
    if not isinstance(data, dict):
        raise UpstreamNonsense("a line is not an object")
    if "error" in data:
        raise UpstreamNonsense("an error line")
    if not isinstance(data.get("done"), bool):
        raise UpstreamNonsense("a frame without done")
    return visible(data)


def text_of(frame: Mapping[str, Any]) -> tuple[str, str]:
    """The content and the thinking that a frame of either route adds."""
    message = frame.get("message")
    if isinstance(message, dict):
        return message.get("content", ""), message.get("thinking", "")
    return frame.get("response", ""), frame.get("thinking", "")


def usage_of(final: Mapping[str, Any] | None, frames: int, estimate: int) -> Usage:
    """The tokens of an answer (SPEC 7): Ollama's own counts, or frames and an estimate.

    `final` is the last frame, None where none came; `estimate` is the prompt's, in tokens. Ollama
    omits a count that is zero, so a missing count is zero only where nothing was asked (an empty
    prompt loads the model) or, for the answer, where no frame came. What cannot be a count is taken
    as missing.
    """
    counts = final if final is not None else {}
    prompt = _count(counts.get("prompt_eval_count"))
    completion = _count(counts.get("eval_count"))
    estimated = final is None or (
        (prompt is None and estimate > 0) or (completion is None and frames > 0)
    )
    return Usage(
        prompt_tokens=estimate if prompt is None else prompt,
        completion_tokens=frames if completion is None else completion,
        estimated=estimated,
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None
