"""What tests tell the twin by `/mock/config`, which is its own: strict where Go is not.

version        what `/api/version` says
models         the names of the installed models; none of them is loaded then
fail           null, or how everything under `/api/` fails: "refuse" (reset), "hang" (no byte),
an error status, or "stall": requests for answers hang and all others are served
slow           seconds before the first byte of every answer of a model
lie            true: the models in the lists are not there when they are asked
directive      what prompts without a directive of their own do (`directives.py`); "" is nothing
num_parallel   how many requests run on a model at once, 0 for any number
max_queue      how many may wait for that in all
load_time      seconds that it takes to load a model
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from attrs import evolve, frozen

from mock_ollama.directives import MAX_SECONDS, Directive, read_directive
from mock_ollama.refused import Refused
from mock_ollama.scheduler import MAX_QUEUE

DEFAULT_VERSION = "0.30.0"

_T = TypeVar("_T")
_NOTHING = Directive()
_FAILURES = frozenset({"refuse", "hang", "stall"})
_STATUSES = range(400, 600)
_LARGEST = 1_000_000
_KNOWN = frozenset(
    {"version", "models", "fail", "slow", "lie", "directive"}
    | {"num_parallel", "max_queue", "load_time"}
)


@frozen(kw_only=True)
class Settings:
    """How the twin behaves, see the names above."""

    version: str = DEFAULT_VERSION
    failure: str | int | None = None
    slow: float = 0.0
    lie: bool = False
    directive: Directive = _NOTHING
    num_parallel: int = 0
    max_queue: int = MAX_QUEUE
    load_time: float = 0.0


def changed(settings: Settings, body: Mapping[str, Any]) -> Settings:
    """Give the settings with what a control body names, except for the models.

    Raises Refused (400) or DirectiveError if anything in it is wrong.
    """
    unknown = body.keys() - _KNOWN
    if unknown:
        raise Refused(400, f"unknown: {', '.join(sorted(unknown))}")
    directive = field(body, "directive", str, None)
    return evolve(
        settings,
        version=field(body, "version", str, settings.version),
        failure=_failure(body["fail"]) if "fail" in body else settings.failure,
        slow=_number(body, "slow", MAX_SECONDS, settings.slow),
        lie=field(body, "lie", bool, settings.lie),
        directive=settings.directive if directive is None else read_directive(directive),
        num_parallel=_whole(body, "num_parallel", settings.num_parallel),
        max_queue=_whole(body, "max_queue", settings.max_queue),
        load_time=_number(body, "load_time", MAX_SECONDS, settings.load_time),
    )


def model_names(body: Mapping[str, Any]) -> list[str] | None:
    """Give the names of the models to install, None where the body does not say.

    Raises Refused (400) if they are no names.
    """
    if "models" not in body:
        return None
    models: list[Any] = field(body, "models", list, [])
    if not all(isinstance(name, str) for name in models):
        raise Refused(400, "models must be a list of names")
    return models


def read_object(raw: bytes) -> dict[str, Any]:
    """Decode the body of a control route.

    Raises Refused (400) if it is no JSON object.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"no JSON: {error.msg}") from None
    if not isinstance(body, dict):
        raise Refused(400, "no object")
    return body


def field(body: Mapping[str, Any], key: str, kind: type[_T], default: Any) -> Any:
    """Give a field of a control body, or the default where it is absent or null.

    Raises Refused (400) if it has another type.
    """
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise Refused(400, f"{key} must be of another type")
    return value


def _failure(wanted: Any) -> str | int | None:
    if wanted is None or (isinstance(wanted, str) and wanted in _FAILURES):
        return wanted
    if isinstance(wanted, int) and wanted in _STATUSES:
        return wanted
    raise Refused(400, "fail must be null, refuse, hang, stall or an error status")


def _number(body: Mapping[str, Any], key: str, largest: float, default: float) -> float:
    value = body.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        raise Refused(400, f"{key} must be a number from 0 to {largest:g}")
    return value


def _whole(body: Mapping[str, Any], key: str, default: int) -> int:
    value = _number(body, key, _LARGEST, default)
    if value != int(value):
        raise Refused(400, f"{key} must be a whole number")
    return int(value)
