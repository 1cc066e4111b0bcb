"""The calls of this process that Redis has counted and may have to be told again. Pure.

A call is held from its admission until the ledger has it and Redis knows that: as long as that, a
loss of Redis would forget it (DESIGN 4). It has a slot until it is settled.
"""

from collections.abc import Iterable, Sequence

from attrs import define, evolve, field

from neuronetz_twisted.admission.script_calls import Caller, HeldCall


@define
class HeldCalls:
    """The held calls, by tenant."""

    _calls: dict[str, HeldCall] = field(factory=dict, init=False)
    _tenants: dict[str, dict[str, HeldCall]] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: HeldCall) -> None:
        """Hold a call that was admitted."""
        request_id = call.demand.id
        self._calls[request_id] = call
        self._tenants.setdefault(call.demand.caller.tenant, {})[request_id] = call

    def get(self, request_id: str) -> HeldCall | None:
        """Find a call."""
        return self._calls.get(request_id)

    def change(self, request_id: str, caller: Caller) -> None:
        """Have a call be of the same caller with other limits, from its next lease on."""
        call = self._calls.get(request_id)
        if call is not None:
            call.demand = evolve(call.demand, caller=caller)

    def drop(self, request_ids: Iterable[str]) -> None:
        """Let go of calls; those that are not held, of other processes, are passed over."""
        for request_id in request_ids:
            call = self._calls.pop(request_id, None)
            if call is not None:
                name = call.demand.caller.tenant
                tenant = self._tenants[name]
                del tenant[request_id]
                if not tenant:
                    del self._tenants[name]

    def tenants(self) -> list[str]:
        """Those who have held calls."""
        return list(self._tenants)

    def of(self, tenant: str) -> Sequence[HeldCall]:
        """The held calls of a tenant."""
        return list(self._tenants.get(tenant, {}).values())

    def running(self, tenant: str) -> Sequence[HeldCall]:
        """Those of them that have not ended."""
        return [call for call in self._tenants.get(tenant, {}).values() if not call.is_settled]
