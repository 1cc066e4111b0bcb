"""What a call may take, as Redis decides it; and what Redis is told of the calls that run (SPEC 7).

Each question is one script and one round trip, whose deadline is the gate's. Where the answer is
in doubt, the caller is refused with `limits_unavailable`, and what may have been taken is given
back until Redis has acknowledged that. A tenant that Redis does not know is told to it, and the
question is asked once more.
"""

from collections.abc import Awaitable, Callable
from typing import Never, TypeVar
from uuid import UUID

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.admission import answers, script_calls
from neuronetz_twisted.admission.answers import (
    Admitted,
    Extended,
    Figures,
    Gone,
    Granted,
    Looked,
    Refused,
    Released,
    Stale,
    Unknown,
)
from neuronetz_twisted.admission.asking import Asking
from neuronetz_twisted.admission.generation import HEARTBEAT_S
from neuronetz_twisted.admission.headers import refusal_of
from neuronetz_twisted.admission.owed import Owed
from neuronetz_twisted.admission.rebuilding import Ledger, Rebuilding
from neuronetz_twisted.admission.script_calls import Asked, Caller, Demand, HeldCall
from neuronetz_twisted.admission.scripts import Scripts
from neuronetz_twisted.admission.standing import Standing
from neuronetz_twisted.admission.telling import Telling
from neuronetz_twisted.errors import (
    LimitsUnavailable,
    RedisNotAsked,
    RedisUnavailable,
    Refusal,
)
from neuronetz_twisted.ledger import Flushed
from neuronetz_twisted.seams import RedisReply, Script, ScriptRunner

Answer = TypeVar("Answer")

MOST_HELD = 250_000
"""Calls that run or whose record is not in the ledger: with more of them nobody is admitted."""
REBUILD_WAIT_S = 0.25
STOP_S = 2.0


class Limiter(Service):
    """The limiter of one process.

    `redis` runs the scripts, `standing` says under which generation, `ledger` is where a tenant
    that Redis does not know is read from. Calls wait for that for `rebuild_wait_s` seconds at most.
    """

    name = "limiter"
    _log = Logger()

    def __init__(  # noqa: PLR0913 - its parts, wired once
        self,
        clock: IReactorTime,
        redis: ScriptRunner,
        scripts: Scripts,
        *,
        standing: Standing,
        ledger: Ledger,
        owed: Owed,
        rebuild_wait_s: float = REBUILD_WAIT_S,
        most_held: int = MOST_HELD,
    ) -> None:
        self._asking = Asking(redis)
        self._scripts = scripts
        self._standing = standing
        self._owed = owed
        self._most_held = most_held
        self._rebuilding = Rebuilding(
            clock=clock,
            asking=self._asking,
            scripts=scripts,
            standing=standing,
            ledger=ledger,
            wait_s=rebuild_wait_s,
        )
        self._telling = Telling(
            clock=clock,
            asking=self._asking,
            scripts=scripts,
            standing=standing,
            rebuilding=self._rebuilding,
            owed=owed,
        )
        self._held = self._telling.held
        self._beats = LoopingCall(self._telling.beat)
        self._beats.clock = clock
        standing.put_back = self._telling.put_back

    def startService(self) -> None:
        """Begin with the heartbeats."""
        super().startService()
        # A beat that fails does not leave the loop, so what this returns cannot fail.
        self._beats.start(HEARTBEAT_S, now=False)

    def stopService(self) -> Deferred[None]:
        """Tell what is still owed, for a short while."""
        super().stopService()
        if self._beats.running:
            self._beats.stop()
        self._telling.tell_ended()
        return self._owed.paid(STOP_S)

    def admit(self, demand: Demand) -> Deferred[Granted | Stale]:
        """Ask whether a call may run, and take what it needs.

        A call that is granted is held until it is settled and flushed, or released. Fails with
        `RateLimited` or `BudgetExhausted`, and with `LimitsUnavailable` where Redis cannot say.
        To cancel means that the client has gone: the question goes on, and what it takes is given
        back.
        """
        told: Deferred[Granted | Stale] = Deferred()
        asking = self._ask_admit(demand).addCallback(self._or_again, demand)
        asking.addCallbacks(
            self._tell, _tell_failure, callbackArgs=(told, demand), errbackArgs=(told,)
        )
        asking.addErrback(lambda failure: self._log.failure("an admission failed", failure))
        return told

    async def count(self, caller: Caller) -> Figures | Stale:
        """Count one list or page. Raises as `admit` does."""

        def ask(gen: str) -> Awaitable[Figures | Refused | Stale | Unknown]:
            asked = script_calls.count(caller, gen)
            return self._run(self._scripts.count, asked, answers.counted)

        answer = await self._ask(caller.tenant, ask)
        if isinstance(answer, Refused):
            raise refusal_of(answer)
        if isinstance(answer, Unknown):
            raise LimitsUnavailable(why="lost")
        return answer

    async def look(self, caller: Caller) -> Looked:
        """See what is left, without taking anything. Raises `LimitsUnavailable`."""

        def ask(gen: str) -> Awaitable[Looked | Unknown]:
            return self._run(self._scripts.look, script_calls.look(caller, gen), answers.looked)

        answer = await self._ask(caller.tenant, ask)
        if isinstance(answer, Unknown):
            raise LimitsUnavailable(why="lost")
        return answer

    async def extend(self, request_id: str, total: int) -> int:
        """Draw a lease: the call is to have `total` tokens; gives what it has then, maybe less.

        Raises `LimitsUnavailable` where Redis cannot say. The same may then be asked again.
        """
        call = self._held.get(request_id)
        if call is None or call.is_settled:
            raise LimitsUnavailable(why="ended")

        def ask(gen: str) -> Awaitable[Extended | Gone | Unknown]:
            asked = script_calls.extend(call.demand, gen, total)
            return self._run(self._scripts.extend, asked, answers.extended)

        tenant = call.demand.caller.tenant
        answer = await self._ask(tenant, ask)
        if isinstance(answer, Gone):
            # Redis has lost it: it is put back, with what it had, before it gets more.
            await self._telling.alive(tenant, [call])
            answer = await self._ask(tenant, ask)
        if not isinstance(answer, Extended):
            raise LimitsUnavailable(why="lost")
        if not call.is_settled:
            # An answer that came after the call's end must not raise what that has cost.
            call.tokens = max(call.tokens, answer.total)
        return answer.total

    def change(self, request_id: str, caller: Caller) -> None:
        """Hold a running call against its caller's limits as they are now. Never fails."""
        self._held.change(request_id, caller)

    def settle(self, request_id: str, cost: int) -> None:
        """Note that an admitted call has ended, and what it cost in tokens. Never fails."""
        call = self._held.get(request_id)
        if call is not None and not call.is_settled:
            call.is_settled, call.tokens = True, cost
            self._telling.settled(call)

    def release(self, request_id: str) -> None:
        """Give back all that was taken for a call that does not take place. Never fails."""
        call = self._held.get(request_id)
        if call is not None and not call.is_settled:
            self._held.drop([request_id])
            self._telling.given_back(call.demand)

    def flushed(self, flushed: Flushed) -> None:
        """Note that the ledger has these calls, of whatever process. Never fails."""
        self._telling.flushed(flushed)

    def raise_epoch(self, tenant_id: UUID, epoch: int) -> Deferred[None]:
        """Tell Redis of a tenant's new epoch; a smaller one than it knows changes nothing.

        Fails with `RedisUnavailable`; whoever tells tells again.
        """
        asked = script_calls.raise_epoch(str(tenant_id), epoch)
        return self._asking.run(self._scripts.raise_epoch, asked, lambda _: None)

    def _ask_admit(self, demand: Demand) -> Deferred[Granted | Stale | Unknown]:
        """Ask once. On the way of each request, so callbacks and no coroutine."""
        if self._owed.is_full or len(self._held) >= self._most_held:
            return fail(LimitsUnavailable(why="room"))
        try:
            gen = self._standing.admitting()
        except LimitsUnavailable as refusal:
            return fail(refusal)
        asking = self._asking.run(
            self._scripts.admit, script_calls.admit(demand, gen), answers.admitted
        )
        return asking.addCallbacks(
            self._admitted, self._not_admitted, callbackArgs=(demand, gen), errbackArgs=(demand,)
        )

    def _admitted(self, answer: Admitted, demand: Demand, gen: str) -> Granted | Stale | Unknown:
        if isinstance(answer, Granted):
            if self._standing.gen != gen:
                # What is held was put back into another Redis meanwhile, this not among it.
                self._telling.given_back(demand)
                raise LimitsUnavailable(why="generation")
            self._held.add(HeldCall(demand, answer.day, demand.prompt + answer.lease))
            return answer
        if isinstance(answer, Refused):
            raise refusal_of(answer)
        if isinstance(answer, Released):
            raise LimitsUnavailable(why="lost")
        return answer

    def _not_admitted(self, failure: Failure, demand: Demand) -> Never:
        failure.trap(RedisUnavailable)
        if failure.check(RedisNotAsked) is None:
            # Late or lost: it may have been taken, or may yet be.
            self._telling.given_back(demand)
        raise LimitsUnavailable(why="redis") from None

    def _or_again(
        self, answer: Granted | Stale | Unknown, demand: Demand
    ) -> Granted | Stale | Deferred[Granted | Stale]:
        if isinstance(answer, Unknown):
            return Deferred.fromCoroutine(self._again(demand))
        return answer

    async def _again(self, demand: Demand) -> Granted | Stale:
        await self._rebuilding.know(demand.caller.tenant)
        answer = await self._ask_admit(demand)
        if isinstance(answer, Unknown):
            raise LimitsUnavailable(why="lost")
        return answer

    async def _ask(self, tenant: str, ask: Callable[[str], Awaitable[Answer]]) -> Answer:
        """Ask under the generation that stands; once more where the tenant was not known."""
        answer = await ask(self._standing.admitting())
        if isinstance(answer, Unknown):
            await self._rebuilding.know(tenant)
            answer = await ask(self._standing.admitting())
        return answer

    async def _run(
        self, script: Script, asked: Asked, parse: Callable[[RedisReply], Answer]
    ) -> Answer:
        try:
            return await self._asking.run(script, asked, parse)
        except RedisUnavailable:
            raise LimitsUnavailable(why="redis") from None

    def _tell(
        self, answer: Granted | Stale, told: Deferred[Granted | Stale], demand: Demand
    ) -> None:
        if not told.called:
            told.callback(answer)
        elif isinstance(answer, Granted):
            self.release(demand.id)


def _tell_failure(failure: Failure, told: Deferred[Granted | Stale]) -> None:
    if not told.called:
        told.errback(failure)
    else:
        failure.trap(Refusal)
