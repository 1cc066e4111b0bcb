"""What Redis is told of the calls of this process, from their admission to the ledger (DESIGN 4).

That they run, what they cost, that the ledger has them, or that they do not take place. Nobody
waits for it: it goes out at once, with all else of the same turn of the reactor, and is owed
(`owed.py`) until Redis has acknowledged it. All of it may be told any number of times.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.admission import answers, script_calls
from neuronetz_twisted.admission.asking import Asking
from neuronetz_twisted.admission.flushes import Flushes
from neuronetz_twisted.admission.held import HeldCalls
from neuronetz_twisted.admission.owed import Owed
from neuronetz_twisted.admission.rebuilding import Rebuilding
from neuronetz_twisted.admission.script_calls import Demand, HeldCall
from neuronetz_twisted.admission.scripts import Scripts
from neuronetz_twisted.admission.standing import Standing
from neuronetz_twisted.errors import LimitsUnavailable, RedisUnavailable, Refusal, Unavailable
from neuronetz_twisted.ledger import Flushed

_log = Logger()

BEATS_OF_ENDED = 2000
"""Every so many heartbeats, which is some hours, Redis is told of calls that have ended too."""

PER_BEAT, PER_END = 200, 50
"""How many calls one script is told of: it holds up Redis for all others meanwhile."""

AT_ONCE = 20
"""How many heartbeat scripts are under way at the same time."""


@define(kw_only=True)
class Telling:
    """Tells Redis of the calls in `held`."""

    _clock: IReactorTime
    _asking: Asking
    _scripts: Scripts
    _standing: Standing
    _rebuilding: Rebuilding
    _owed: Owed
    held: HeldCalls = field(factory=HeldCalls)
    _flushes: Flushes = field(factory=Flushes, init=False)
    _beats_made: int = field(default=0, init=False)
    _ended: list[HeldCall] = field(factory=list, init=False)
    _end_of_turn: IDelayedCall | None = field(default=None, init=False)

    def settled(self, call: HeldCall) -> None:
        """A held call has ended, and its tokens are what it cost.

        Told with all others that end in this turn of the reactor. It is before any question of
        whoever has just read its end, so nobody waits for the slot of a call that he saw end.
        """
        if not self._ended:
            self._end_of_turn = self._clock.callLater(0, self.tell_ended)
        self._ended.append(call)

    def tell_ended(self) -> None:
        """Tell of the calls that have ended, those of a tenant together."""
        if self._end_of_turn is not None and self._end_of_turn.active():
            self._end_of_turn.cancel()
        ended, self._ended = self._ended, []
        tenants: dict[str, list[HeldCall]] = {}
        for call in ended:
            tenants.setdefault(call.demand.caller.tenant, []).append(call)
        for tenant, calls in tenants.items():
            for start in range(0, len(calls), PER_END):
                portion = calls[start : start + PER_END]
                name = ("end", portion[0].demand.id)
                self._owed.owe(name, partial(self._settle, tenant, portion))

    def given_back(self, demand: Demand) -> None:
        """A call does not take place, whatever Redis knows of it."""
        self._owe(("end", demand.id), partial(self._release, demand))

    def flushed(self, flushed: Flushed) -> None:
        """The ledger has these calls."""
        self._flushes.add(flushed)
        self._owe(("flushed", flushed.tenant), partial(self._flush, flushed.tenant))

    def beat(self) -> None:
        """The running calls are alive.

        Those that have ended are told of rarely: they only wait for the database, which may take
        hours, and Redis keeps them for a day.
        """
        self._beats_made += 1
        whose = self.held.running if self._beats_made % BEATS_OF_ENDED else self.held.of
        calls = [(tenant, whose(tenant)) for tenant in self.held.tenants()]
        beat = self._beats(calls, self._rebuilding.know).addErrback(_expected)
        beat.addErrback(lambda failure: _log.failure("a heartbeat failed", failure))

    def alive(self, tenant: str, calls: Sequence[HeldCall]) -> Deferred[None]:
        """Tell that calls of a tenant are alive; what Redis has lost of them is put back.

        Fails with `LimitsUnavailable` where it is not sure to know them.
        """
        return self._beats([(tenant, calls)], self._rebuilding.know)

    def put_back(self, gen: str) -> Deferred[None]:
        """Tell of all held calls under a new generation, as `alive` does."""
        del gen  # It is the one that stands.
        calls = [(tenant, self.held.of(tenant)) for tenant in self.held.tenants()]
        # The marker is being looked at: to look again would be to wait for oneself.
        return self._beats(calls, self._rebuilding.rebuild)

    def _owe(self, name: tuple[str, str], tell: Callable[[], Any]) -> None:
        self._owed.owe(name, lambda: Deferred.fromCoroutine(tell()))

    def _gen(self) -> str:
        if (gen := self._standing.gen) is None:
            raise LimitsUnavailable(why="generation")
        return gen

    def _settle(self, tenant: str, calls: Sequence[HeldCall]) -> Deferred[None]:
        """On the way of each request, so callbacks and no coroutine."""
        gen = self._standing.gen
        if gen is None:
            return fail(LimitsUnavailable(why="generation"))
        asked = script_calls.settle(tenant, gen, calls)
        telling = self._asking.run(
            self._scripts.settle, asked, partial(answers.settled, count=len(calls))
        )
        return telling.addCallback(self._or_mended, tenant, calls)

    def _or_mended(
        self, answer: Sequence[bool] | answers.Unknown, tenant: str, calls: Sequence[HeldCall]
    ) -> Deferred[None] | None:
        if not isinstance(answer, answers.Unknown):
            if all(answer):
                return None
            calls = [call for call, is_known in zip(calls, answer, strict=True) if not is_known]
        return Deferred.fromCoroutine(
            self._mend(tenant, calls, is_known=not isinstance(answer, answers.Unknown))
        )

    async def _mend(self, tenant: str, calls: Sequence[HeldCall], *, is_known: bool) -> None:
        """Redis has lost calls that have ended; their heartbeat puts them back as such."""
        if not is_known:
            await self._rebuilding.know(tenant)
        held = [call for call in calls if self.held.get(call.demand.id) is call]
        if held:
            await self.alive(tenant, held)

    async def _release(self, demand: Demand) -> None:
        await self._asking.run(self._scripts.release, script_calls.release(demand), answers.done)

    async def _flush(self, tenant: str) -> None:
        while (flush := self._flushes.next(tenant)) is not None:
            asked = script_calls.flushed(flush, self._gen())
            answer = await self._asking.run(self._scripts.flushed, asked, answers.done)
            if isinstance(answer, answers.Unknown):
                await self._rebuilding.know(tenant)
                raise RedisUnavailable("it did not know the tenant, and does now")
            self._flushes.told(flush)
            self.held.drop(flush.ids)

    def _beats(
        self,
        tenants: Iterable[tuple[str, Sequence[HeldCall]]],
        know: Callable[[str], Deferred[None]],
    ) -> Deferred[None]:
        portions = [
            (tenant, calls[start : start + PER_BEAT])
            for tenant, calls in tenants
            for start in range(0, len(calls), PER_BEAT)
        ]
        return Deferred.fromCoroutine(self._beat_all(portions, know))

    async def _beat_all(
        self,
        portions: Sequence[tuple[str, Sequence[HeldCall]]],
        know: Callable[[str], Deferred[None]],
    ) -> None:
        """Tell of all portions, however some of them fail; a few at a time.

        All at once would hold up the reactor and Redis, and the last would be late.
        """
        failures = 0
        for start in range(0, len(portions), AT_ONCE):
            beats = [
                Deferred.fromCoroutine(self._beat(tenant, calls, know))
                for tenant, calls in portions[start : start + AT_ONCE]
            ]
            failures += _failures(await DeferredList(beats, consumeErrors=True))
        if failures:
            raise LimitsUnavailable(why="heartbeat")

    async def _beat(
        self, tenant: str, calls: Sequence[HeldCall], know: Callable[[str], Deferred[None]]
    ) -> None:
        if not isinstance(await self._tell_alive(tenant, calls), answers.Done):
            await know(tenant)
            if not isinstance(await self._tell_alive(tenant, calls), answers.Done):
                raise RedisUnavailable("it does not take what runs")

    def _tell_alive(
        self, tenant: str, calls: Sequence[HeldCall]
    ) -> Deferred[answers.Done | answers.Gone | answers.Unknown]:
        asked = script_calls.heartbeat(tenant, self._gen(), calls)
        return self._asking.run(self._scripts.heartbeat, asked, answers.done)


def _failures(results: list[tuple[bool, Any]]) -> int:
    """How many failed in a way that is foreseen; any other is raised."""
    failures = [result for is_done, result in results if not is_done]
    for failure in failures:
        failure.trap(Unavailable, Refusal)
    return len(failures)


def _expected(failure: Failure) -> None:
    """Pass over what the next heartbeat mends."""
    failure.trap(LimitsUnavailable)
