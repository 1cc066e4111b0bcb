"""What a client is told of a model host's refusal: our words, from a closed list (SPEC 6). Pure."""

from neuronetz_twisted.errors import (
    InvalidRequest,
    NotAllowed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
)

_BAD_REQUEST = frozenset({400, 422})
_BUSY = frozenset({429, 503})
_OWN_CREDENTIALS = frozenset({401, 403})

_CAPABILITIES = (
    (b"does not support tools", "this model does not support tools"),
    (b"does not support thinking", "this model does not support thinking"),
    (b"does not support vision", "this model does not support images"),
    (b"does not support insert", "this model does not support insertion"),
    (b"does not support embed", "this model does not support embeddings"),
    (b"does not support chat", "this model does not support chat"),
    (b"does not support generate", "this model does not support generation"),
    (b"input length", "the input is too long for this model"),
    (b"context length", "the input is too long for this model"),
)


def refusal_of(status: int, body: bytes) -> Refusal:
    """The refusal that an upstream status other than 200 becomes.

    `body` is searched for known phrases and never passed on (SPEC 2, R8).
    """
    if status in _BAD_REQUEST:
        text = body.lower()
        for phrase, message in _CAPABILITIES:
            if phrase in text:
                return InvalidRequest(message, why="upstream")
        return InvalidRequest("the model cannot do this", why="upstream")
    if status == NOT_FOUND:
        return NotAllowed(why="model_gone")
    if status in _BUSY:
        return UpstreamBusy(why=str(status))
    if is_our_fault(status):
        return UpstreamFailed(why="credentials")
    return UpstreamFailed(why=str(status))


NOT_FOUND = 404


def is_our_fault(status: int) -> bool:
    """Whether a status says that the gateway's own token is wrong."""
    return status in _OWN_CREDENTIALS
