"""The one admission call of each request, as scripts that Redis runs as one step each.

Limits hold over all processes and machines because Redis decides, never a process of ours. All keys
of a tenant carry its id as hash tag, so that they live together wherever Redis spreads them.
"""

from uuid import UUID

from attrs import frozen
from twisted.internet.defer import Deferred

from neuronetz_twisted.admission.scripts import CHECK_EPOCH, RAISE_EPOCH
from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import RedisReply, ScriptRunner, Verdict
from neuronetz_twisted.vocabulary import Principal

_STALE = 0
_ADMITTED = [1]


@frozen
class RedisLimiter:
    """The limiter of `seams.Limiter`: who may run now, as Redis knows it."""

    _redis: ScriptRunner

    def admit(
        self,
        request_id: str,  # noqa: ARG002 - what an admission takes will be kept under it (SPEC 7)
        principal: Principal,
    ) -> Deferred[Verdict]:
        """Ask Redis whether this request may run.

        STALE means that the tenant has changed since the principal's snapshot. Fails with
        RedisUnavailable, also where the answer is none of the script's: no answer is no pass.
        """
        answer = self._redis.script(CHECK_EPOCH, [_budget_key(principal.tenant)], [principal.epoch])
        return answer.addCallback(_verdict)

    def raise_epoch(self, tenant_id: UUID, epoch: int) -> Deferred[None]:
        """Tell Redis of a tenant's new epoch; a smaller one than it knows changes nothing."""
        answer = self._redis.script(RAISE_EPOCH, [_budget_key(str(tenant_id))], [epoch])
        return answer.addCallback(lambda _: None)


def _budget_key(tenant: str) -> str:
    return f"nz:{{{tenant}}}:bud"


def _verdict(reply: RedisReply) -> Verdict:
    if reply == _ADMITTED:
        return Verdict.ADMITTED
    match reply:
        case [int(code), int()] if code == _STALE:
            return Verdict.STALE
        case _:
            raise RedisUnavailable("Redis did not answer as the admission script does")
