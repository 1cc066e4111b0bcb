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

from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.vocabulary import Usage

MAX_LINE_BYTES = 4 * 1024 * 1024
BYTES_PER_TOKEN = 3

# A JSON string (RFC 8259 section 7), of whose \u escapes Go needs none for a surrogate. The
# possessive repeats keep a hostile line linear.
_ESCAPE = r'\\(?:["\\/bfnrt]|u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]|[dD][0-7])[0-9a-fA-F]{2})'
_STRING = r'"[^"\\\x00-\x1f]*+(?:' + _ESCAPE + r'[^"\\\x00-\x1f]*+)*+"'
_THINKING = r'(?:,"thinking":' + _STRING + r")?"
_ORDINARY = re.compile(
    r'\{"model":' + _STRING + r',"created_at":' + _STRING + r",(?:"
    r'"message":\{"role":"assistant","content":' + _STRING + _THINKING + r"\}"
    r'|"response":' + _STRING + _THINKING + r'),"done":false\}'
)
_MESSAGE = frozenset({"role", "content", "thinking"})
_TEXTS = frozenset({"model", "created_at", "response", "thinking", "done_reason"})
_NUMBERS = frozenset(
    {
        "total_duration",
        "load_duration",
        "prompt_eval_count",
        "prompt_eval_duration",
        "eval_count",
        "eval_duration",
    }
)
_MAX_COUNT = 1 << 53


class LineSplitter:
    """Bytes of a stream into complete lines, holding at most one unfinished line.

    Raises `UpstreamNonsense` where a line is longer than 4 MiB.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0

    @property
    def unfinished(self) -> bool:
        """Whether bytes without a line feed are held."""
        return self._held > 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their line feeds and without empty ones."""
        head, feed, rest = data.rpartition(b"\n")
        if not feed:
            self._hold(data)
            return []
        self._pieces.append(head)
        lines = b"".join(self._pieces).split(b"\n")
        self._pieces.clear()
        self._held = 0
        self._hold(rest)
        return [line for line in lines if line]

    def _hold(self, rest: bytes) -> None:
        if rest:
            self._pieces.append(rest)
            self._held += len(rest)
            if self._held > MAX_LINE_BYTES:
                raise UpstreamNonsense("a line is too long")


def is_ordinary(line: bytes) -> bool:
    """Whether a line is a frame in the middle of a stream that may be passed on as it is."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return False
    return _ORDINARY.fullmatch(text) is not None


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
    return _visible(data)


def _visible(data: Mapping[str, Any]) -> dict[str, Any]:
    """The known fields of a frame, in the order in which they came."""
    frame: dict[str, Any] = {}
    for name, value in data.items():
        if name in _TEXTS:
            if not isinstance(value, str):
                raise UpstreamNonsense(f"{name} is not text")
            frame[name] = value
        elif name == "message" and isinstance(value, dict):
            frame[name] = {
                key: text
                for key, text in value.items()
                if key in _MESSAGE and isinstance(text, str)
            }
        elif name == "done" or (name in _NUMBERS and _is_count(value)):
            frame[name] = value
    return frame


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT


def text_of(frame: Mapping[str, Any]) -> tuple[str, str]:
    """The content and the thinking that a frame of either route adds."""
    message = frame.get("message")
    if isinstance(message, dict):
        return message.get("content", ""), message.get("thinking", "")
    return frame.get("response", ""), frame.get("thinking", "")


def usage_of(final: Mapping[str, Any] | None, frames: int, prompt_bytes: int) -> Usage:
    """The tokens of an answer (SPEC 7): Ollama's own counts, or frames and an estimate.

    `final` is the last frame, None where none came. Ollama omits a count that is zero, so a
    missing count is zero only where nothing was asked (an empty prompt loads the model) or, for
    the answer, where no frame came.
    """
    counts = final if final is not None else {}
    prompt = counts.get("prompt_eval_count")
    completion = counts.get("eval_count")
    guessed_prompt = -(-prompt_bytes // BYTES_PER_TOKEN)
    estimated = final is None or (
        (prompt is None and guessed_prompt > 0) or (completion is None and frames > 0)
    )
    return Usage(
        prompt_tokens=guessed_prompt if prompt is None else prompt,
        completion_tokens=frames if completion is None else max(completion, 0),
        estimated=estimated,
    )
