"""May this call run? Scope, model, limits and budgets, and last of all its record's place.

What is known here is asked first, so that a call that may not be made takes nothing: then one
round trip to Redis takes all that the call needs (SPEC 7). Whoever has a ticket has a slot in the
spool (SPEC 9); whoever gets none gives back what was taken.
"""

from collections.abc import Callable

from attrs import define, evolve

from neuronetz_twisted.admission.allowance import Allowance, Defaults, allowance_of
from neuronetz_twisted.admission.answers import Granted, Stale
from neuronetz_twisted.admission.estimates import PromptEstimates
from neuronetz_twisted.admission.headers import Fields, limit_fields
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.admission.leases import clamped_predict
from neuronetz_twisted.admission.limits import Limiter, caller_of
from neuronetz_twisted.admission.models import may_use
from neuronetz_twisted.admission.script_calls import Caller, Demand
from neuronetz_twisted.audit.event import intent_event, record_of
from neuronetz_twisted.errors import AuthUnavailable, InvalidRequest, LimitsUnavailable, NotAllowed
from neuronetz_twisted.limits import Grant
from neuronetz_twisted.model_names import canonical_name
from neuronetz_twisted.seams import AuditTrail, Catalog
from neuronetz_twisted.vocabulary import Call, ModelInfo, NativeRequest, Principal, Scope, Ticket


@define(kw_only=True)
class Admission:
    """Decides on calls whose caller is known.

    `lease` is the most output tokens that are taken at first. `check_room` raises `UpstreamBusy`
    where a call would be turned away by every model host at once.
    """

    _identifier: Identifier
    _limiter: Limiter
    _catalog: Catalog
    _trail: AuditTrail
    _estimates: PromptEstimates
    _defaults: Defaults
    _lease: int
    _check_room: Callable[[], None]

    async def admit(self, call: Call) -> Ticket:
        """The permission to run a call. Raises the `Refusal` that fits (SPEC 8).

        Whoever gets the ticket has to complete its slot and to settle it.
        """
        ticket = await self._ticket_of(call, call.principal)
        if ticket is None:
            fresh = await self._identifier.reread(call.principal)
            ticket = await self._ticket_of(call, fresh)
        if ticket is None:
            raise AuthUnavailable(why="stale")
        return ticket

    async def counted(self, principal: Principal) -> tuple[Principal, Fields]:
        """Count a list or a page; gives the caller as of now, and what to show him of his limits.

        Raises `RateLimited`, `LimitsUnavailable` where Redis cannot say, `InvalidApiKey` where the
        key is no longer good.
        """
        answer = await self._limiter.count(self._caller(principal))
        if isinstance(answer, Stale):
            principal = await self._identifier.reread(principal)
            answer = await self._limiter.count(self._caller(principal))
        if isinstance(answer, Stale):
            raise AuthUnavailable(why="stale")
        return principal, limit_fields(answer)

    async def fields(self, principal: Principal) -> Fields:
        """What to show a caller who is refused for another reason; nothing where Redis is away."""
        try:
            looked = await self._limiter.look(self._caller(principal))
        except LimitsUnavailable:
            return ()
        return limit_fields(looked.figures)

    def _allowance(self, principal: Principal) -> Allowance:
        return allowance_of(principal, self._defaults)

    def _caller(self, principal: Principal) -> Caller:
        return caller_of(principal, self._allowance(principal))

    async def _ticket_of(self, call: Call, principal: Principal) -> Ticket | None:
        """The ticket of a caller, or None where his tenant has changed since he was read."""
        model = self._permitted(call, principal)
        demand = self._demand(call, principal, model)
        self._check_room()
        answer = await self._limiter.admit(demand)
        if isinstance(answer, Stale):
            return None
        return self._ticket(call, principal, model, demand, answer)

    def _permitted(self, call: Call, principal: Principal) -> ModelInfo:
        if call.scope not in principal.scopes:
            raise NotAllowed(why="scope")
        if call.request.body.get("raw") and Scope.RAW not in principal.scopes:
            raise InvalidRequest("raw is not accepted", param="raw")
        models = self._catalog.models()
        name = canonical_name(call.request.model)
        if name is None or not may_use(principal, name, models):
            raise NotAllowed(why="model")
        return models[name]

    def _demand(self, call: Call, principal: Principal, model: ModelInfo) -> Demand:
        allowance = self._allowance(principal)
        request = call.request
        prompt = self._estimates.of(
            principal.tenant, model.name, request.prompt_bytes, request.images
        )
        lease = min(self._lease, self._predict(call, principal))
        for level in (allowance.tenant, allowance.key):
            if level.tpm is not None and prompt + min(lease, 1) > level.tpm:
                raise InvalidRequest(
                    f"the request has about {prompt} tokens, more than the {level.tpm} per minute"
                    " that its key or tenant may have",
                    why="tpm",
                )
        caller = caller_of(principal, allowance)
        return Demand(id=call.id, caller=caller, prompt=prompt, lease=lease)

    def _predict(self, call: Call, principal: Principal) -> int:
        """The most tokens that the answer may have, but for budgets.

        The cap may have been lowered since the body was read, where the caller was read anew.
        """
        return min(_asked_predict(call.request), self._allowance(principal).max_predict)

    def _ticket(
        self, call: Call, principal: Principal, model: ModelInfo, demand: Demand, granted: Granted
    ) -> Ticket:
        """Open the slot. Nothing is awaited from here to the caller, so that it cannot be lost."""
        try:
            grant = _grant_of(self._predict(call, principal), demand, granted)
            if grant.num_predict < _asked_predict(call.request):
                call = evolve(call, request=_with_predict(call.request, grant.num_predict))
            intent = intent_event(call, principal, model, grant)
            slot = self._trail.open(call.id, record_of(intent))
        except BaseException:
            self._limiter.release(call.id)
            raise
        return Ticket(
            call=call, principal=principal, model=model, grant=grant, slot=slot, intent=intent
        )


def _asked_predict(request: NativeRequest) -> int:
    """The most tokens that the answer may have; none are generated where nothing is said."""
    predict: int = request.body.get("options", {}).get("num_predict", 0)
    return predict


def _grant_of(asked: int, demand: Demand, granted: Granted) -> Grant:
    figures = granted.figures
    has_budget = figures.period is not None
    left = figures.remaining_budget if has_budget else None
    return Grant(
        prompt=demand.prompt,
        lease=granted.lease,
        num_predict=clamped_predict(asked, granted.lease, left) if asked else 0,
        asked_predict=asked,
        has_budget=has_budget,
        day=granted.day,
        fields=limit_fields(figures),
    )


def _with_predict(request: NativeRequest, num_predict: int) -> NativeRequest:
    """The same for a shorter answer; a client that had asked for a longer one is told."""
    options = {**request.body["options"], "num_predict": num_predict}
    named = request.predict_name
    ignored = request.ignored
    if named is not None and named not in ignored:
        ignored = (*ignored, named)
    return evolve(request, body={**request.body, "options": options}, ignored=ignored)
