"""May this call run? Scope, model, the epoch under which its key was read, and its record's place.

Limits and budgets join the one call to Redis that is made here (SPEC 5-7). Last of all the intent
is written: whoever has a ticket has a slot in the spool (SPEC 9).
"""

from attrs import define

from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.admission.models import canonical_name, may_use
from neuronetz_twisted.audit.event import intent_event, record_of
from neuronetz_twisted.errors import (
    AuthUnavailable,
    InvalidRequest,
    LimitsUnavailable,
    NotAllowed,
    RedisUnavailable,
)
from neuronetz_twisted.seams import AuditTrail, Catalog, Limiter, Verdict
from neuronetz_twisted.vocabulary import (
    Call,
    ModelInfo,
    NativeRequest,
    Principal,
    Scope,
    Ticket,
    estimated_tokens,
)


@define
class Admission:
    """Decides on calls whose caller is known.

    `max_predict` is the most tokens that an answer may have whose request does not say.
    """

    _identifier: Identifier
    _limiter: Limiter
    _catalog: Catalog
    _trail: AuditTrail
    _max_predict: int

    async def admit(self, call: Call) -> Ticket:
        """The permission to run a call. Raises the `Refusal` that fits (SPEC 8).

        Whoever gets the ticket has to complete its slot.
        """
        principal = await self.current(call.id, call.principal)
        if call.scope not in principal.scopes:
            raise NotAllowed(why="scope")
        if call.request.body.get("raw") and Scope.RAW not in principal.scopes:
            raise InvalidRequest("raw is not accepted", param="raw")
        models = self._catalog.models()
        name = canonical_name(call.request.model)
        if name is None or not may_use(principal, name, models):
            raise NotAllowed(why="model")
        return self._ticket(call, principal, models[name])

    async def current(self, request_id: str, principal: Principal) -> Principal:
        """The caller as of now: the same, or read anew where Redis knows a newer epoch.

        Raises `LimitsUnavailable` where Redis cannot say, `InvalidApiKey` where the key is no
        longer good.
        """
        try:
            if await self._limiter.admit(request_id, principal) is Verdict.ADMITTED:
                return principal
            fresh = await self._identifier.reread(principal)
            if await self._limiter.admit(request_id, fresh) is Verdict.ADMITTED:
                return fresh
        except RedisUnavailable:
            raise LimitsUnavailable(why="redis") from None
        raise AuthUnavailable(why="stale")

    def _ticket(self, call: Call, principal: Principal, model: ModelInfo) -> Ticket:
        """Open the slot. Nothing is awaited from here to the caller, so that it cannot be lost."""
        reservation = _reservation(call.request, self._max_predict)
        intent = intent_event(call, principal, model, reservation)
        slot = self._trail.open(call.id, record_of(intent))
        return Ticket(
            call=call,
            principal=principal,
            model=model,
            reservation=reservation,
            slot=slot,
            intent=intent,
        )


def _reservation(request: NativeRequest, max_predict: int) -> int:
    """The most tokens that a call may cost: its prompt's estimate, and the longest answer."""
    predict: int = request.body.get("options", {}).get("num_predict", max_predict)
    return estimated_tokens(request.prompt_bytes) + predict
