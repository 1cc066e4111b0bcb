"""The last frame of an answer that a budget has cut (SPEC 7). Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from neuronetz_twisted.admission.leases import CUT_REASON, is_cut_by_budget
from neuronetz_twisted.dialects.events import CUT_FIELDS
from neuronetz_twisted.dialects.native_requests import GENERATE_PATH
from neuronetz_twisted.limits import Grant
from neuronetz_twisted.vocabulary import Ticket

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cut_frame(ticket: Ticket, waited_s: float, frames: int) -> dict[str, Any]:
    """The final frame that the model host has not written, `waited_s` seconds after the arrival.

    It holds what is known to be true: `frames` is how many the client has; what the prompt had and
    how long it took only the model host could say.
    """
    at = timedelta(microseconds=ticket.call.arrival.at, seconds=waited_s)
    said: dict[str, Any] = {"message": {"role": "assistant", "content": ""}}
    if ticket.call.request.path == GENERATE_PATH:
        said = {"response": ""}
    return {
        "model": ticket.model.listing["name"],
        "created_at": (_EPOCH + at).replace(tzinfo=None).isoformat() + "Z",
        **said,
        "done": True,
        "done_reason": CUT_REASON,
        "eval_count": frames,
        **CUT_FIELDS,
    }


def marked(final: Mapping[str, Any], grant: Grant) -> Mapping[str, Any]:
    """The model host's final frame, which says so where it ended for the budget's length."""
    reason = final.get("done_reason")
    if is_cut_by_budget(grant.asked_predict, grant.num_predict, reason):
        return {**final, **CUT_FIELDS}
    return final
