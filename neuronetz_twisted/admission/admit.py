"""May this call run? Scope, model, and the epoch under which its key was read (SPEC 5, 6).

Limits and budgets join the one call to Redis that is made here (SPEC 7).
"""

from attrs import define

from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.admission.models import canonical_name, may_use
from neuronetz_twisted.errors import (
    AuthUnavailable,
    InvalidRequest,
    LimitsUnavailable,
    NotAllowed,
    RedisUnavailable,
)
from neuronetz_twisted.seams import Catalog, Limiter, Verdict
from neuronetz_twisted.vocabulary import Call, Principal, Scope, Ticket


@define
class Admission:
    """Decides on calls whose caller is known."""

    _identifier: Identifier
    _limiter: Limiter
    _catalog: Catalog

    async def admit(self, call: Call) -> Ticket:
        """The permission to run a call. Raises the `Refusal` that fits (SPEC 8)."""
        principal = await self.current(call.id, call.principal)
        if call.scope not in principal.scopes:
            raise NotAllowed(why="scope")
        if call.request.body.get("raw") and Scope.RAW not in principal.scopes:
            raise InvalidRequest("raw is not accepted", param="raw")
        models = self._catalog.models()
        name = canonical_name(call.request.model)
        if name is None or not may_use(principal, name, models):
            raise NotAllowed(why="model")
        return Ticket(call=call, principal=principal, model=models[name])

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
