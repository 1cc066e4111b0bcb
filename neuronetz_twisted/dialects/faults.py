"""The JSON form of a refusal in each dialect family (SPEC 8).

Used for whole answers by `edge/answers.py` and for the last frame of a broken stream.
"""

from collections.abc import Callable
from typing import Any

from neuronetz_twisted.errors import BudgetExhausted, InvalidRequest, Refusal

_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_FIRST_SERVER_ERROR = 500


def render_error(path: bytes) -> Callable[[Refusal, str], dict[str, Any]]:
    """What renders a refusal, with the id of its request, on `path` (as the client wrote it)."""
    if path.startswith(b"/v1/messages"):
        return anthropic_error
    return openai_error if path.startswith(b"/v1/") else native_error


def native_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body on `/api/*` and everywhere outside `/v1/*`."""
    return {
        "error": refusal.message,
        "code": refusal.code,
        "request_id": request_id,
        **_limit(refusal),
    }


def openai_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body on the rest of `/v1/*`, with OpenAI's `type` values."""
    return {
        "error": {
            "message": refusal.message,
            "type": _openai_type(refusal),
            "param": refusal.param or None if isinstance(refusal, InvalidRequest) else None,
            "code": refusal.code,
            "request_id": request_id,
            **_limit(refusal),
        }
    }


def anthropic_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body on `/v1/messages`, with the `type` values of Anthropic's API.

    Its clients read `error.type` and `request_id`; what else is in `error` they let be.
    """
    return {
        "type": "error",
        "error": {
            "type": _anthropic_type(refusal.status),
            "message": refusal.message,
            "code": refusal.code,
            **_limit(refusal),
        },
        "request_id": request_id,
    }


def _anthropic_type(status: int) -> str:
    return _ANTHROPIC_TYPES.get(status) or _type_of_others(status)


def _openai_type(refusal: Refusal) -> str:
    if isinstance(refusal, BudgetExhausted):
        return "insufficient_quota"
    return _OPENAI_TYPES.get(refusal.status) or _type_of_others(refusal.status)


def _type_of_others(status: int) -> str:
    """The type of what has none of its own: whose fault it was, in the words of both APIs."""
    return "invalid_request_error" if status < _FIRST_SERVER_ERROR else "api_error"


def _limit(refusal: Refusal) -> dict[str, str]:
    return {} if refusal.limit is None else {"limit": refusal.limit}
