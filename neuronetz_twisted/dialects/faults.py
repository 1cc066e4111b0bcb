"""The JSON form of a refusal in each dialect family (SPEC 8).

Used for whole answers by `edge/answers.py` and for the last frame of a broken stream.
"""

from typing import Any

from neuronetz_twisted.errors import BudgetExhausted, InvalidRequest, Refusal

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
}


def native_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body on `/api/*` and everywhere outside `/v1/*`."""
    return {
        "error": refusal.message,
        "code": refusal.code,
        "request_id": request_id,
        **_limit(refusal),
    }


def openai_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body on `/v1/*`, with OpenAI's `type` values."""
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


def _openai_type(refusal: Refusal) -> str:
    if isinstance(refusal, BudgetExhausted):
        return "insufficient_quota"
    return _OPENAI_TYPES.get(refusal.status, "api_error")


def _limit(refusal: Refusal) -> dict[str, str]:
    return {} if refusal.limit is None else {"limit": refusal.limit}
