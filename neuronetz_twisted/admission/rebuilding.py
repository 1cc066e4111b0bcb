"""Tells Redis what the ledger has of a tenant that it does not know (DESIGN 4)."""

from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from neuronetz_twisted.admission import answers, script_calls
from neuronetz_twisted.admission.asking import Asking
from neuronetz_twisted.admission.flights import SingleFlight
from neuronetz_twisted.admission.scripts import Scripts
from neuronetz_twisted.admission.standing import Standing
from neuronetz_twisted.errors import LimitsUnavailable, Unavailable
from neuronetz_twisted.ledger import LedgerLine

Ledger = Callable[[str], Deferred[Sequence[LedgerLine]]]
"""What the ledger has of a tenant and its keys: today, this month and in all.

May fail with `DatabaseUnavailable`.
"""


@define(kw_only=True)
class Rebuilding:
    """Rebuilds tenants, each once for all who wait; they wait for `wait_s` seconds at most."""

    _clock: IReactorTime
    _asking: Asking
    _scripts: Scripts
    _standing: Standing
    _ledger: Ledger
    _wait_s: float
    _knowing: SingleFlight[str, None] = field(factory=SingleFlight, init=False)
    _telling: SingleFlight[str, None] = field(factory=SingleFlight, init=False)

    def know(self, tenant: str) -> Deferred[None]:
        """See to it that Redis knows a tenant that it said it does not know.

        Fails with `LimitsUnavailable` where that is not done in time. The work goes on then, so
        that it is done for the next who asks.
        """
        knowing = self._knowing.join(tenant, partial(self._know, tenant))
        return knowing.addTimeout(self._wait_s, self._clock, onTimeoutCancel=_too_late)

    def rebuild(self, tenant: str) -> Deferred[None]:
        """Tell of a tenant under a generation that is known to stand.

        What the ledger had is told only while it is the generation under which that was read.
        """
        return self._telling.join(tenant, partial(self._rebuild, tenant))

    async def _know(self, tenant: str) -> None:
        # The tenant is new to Redis, or all was lost: only the marker can say.
        await self._standing.look()
        await self.rebuild(tenant)

    async def _rebuild(self, tenant: str) -> None:
        gen = self._standing.gen
        try:
            lines = await self._ledger(tenant)
            if gen is None or gen != self._standing.gen:
                # What was flushed since may have been told to the one before alone, which is lost.
                raise LimitsUnavailable(why="generation")
            asked = script_calls.rebuild(tenant, gen, lines)
            answer = await self._asking.run(self._scripts.rebuild, asked, answers.done)
        except Unavailable:
            raise LimitsUnavailable(why="rebuild") from None
        if not isinstance(answer, answers.Done):
            raise LimitsUnavailable(why="rebuild")


def _too_late(_: Failure | None, seconds: float) -> Failure | None:
    del seconds
    raise LimitsUnavailable(why="rebuild")
