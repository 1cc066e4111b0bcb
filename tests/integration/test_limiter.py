"""The limiter on a real Redis; the scripts' own rules are tested by themselves."""

from uuid import UUID, uuid4

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed

from neuronetz_twisted.admission.allowance import Allowance
from neuronetz_twisted.admission.answers import Granted, Stale
from neuronetz_twisted.admission.limiter import Limiter
from neuronetz_twisted.admission.limits import caller_of
from neuronetz_twisted.admission.owed import Owed
from neuronetz_twisted.admission.script_calls import Demand
from neuronetz_twisted.admission.scripts import SCRIPTS
from neuronetz_twisted.admission.standing import Standing
from neuronetz_twisted.errors import BudgetExhausted, LimitsUnavailable
from neuronetz_twisted.limits import NOTHING_SET, Limits
from neuronetz_twisted.seams import RedisReply
from neuronetz_twisted.vocabulary import Principal
from tests.integration.test_redis import RedisTestCase, principal
from tests.waiting import until

ALLOWANCE = Allowance(
    tenant=NOTHING_SET, key=NOTHING_SET, max_body_bytes=1_000_000, max_predict=4096
)


class LimiterTests(RedisTestCase):
    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        """Have a limiter of a gateway that is alone, and of tenants that have used nothing."""
        await super().setUp()
        self.limiter = await self.made()

    async def made(self) -> Limiter:
        """A limiter with a gate of its own, once it admits."""
        gate = await self.started(self.server.target())
        alone = False
        standing = Standing(
            reactor, gate, others=lambda: succeed(alone), nonce=lambda: uuid4().hex[:16]
        )
        limiter = Limiter(
            reactor,
            gate,
            SCRIPTS,
            standing=standing,
            ledger=lambda _: succeed([]),
            owed=Owed(clock=reactor),
        )
        for service in (standing, limiter):
            service.startService()
            self.addCleanup(service.stopService)
        info = await gate.call(b"INFO", "server")
        assert isinstance(info, bytes)
        standing.connected(info.partition(b"run_id:")[2].split()[0].decode("ascii"))
        await until(lambda: standing.is_open)
        return limiter

    async def admitted(self, who: Principal) -> Granted | Stale:
        """Ask for a call of somebody without limits."""
        caller = caller_of(who, ALLOWANCE)
        return await self.limiter.admit(Demand(id=str(uuid4()), caller=caller, prompt=1, lease=1))

    async def epoch(self, tenant_id: UUID) -> RedisReply:
        """What Redis has as the epoch of a tenant."""
        return await self.gate.call(b"HGET", f"nz:{{{tenant_id}}}:bud", "epoch")

    async def test_unknown_tenant(self) -> None:
        """A tenant that is new to Redis is told to it, and the first to come tells its epoch."""
        who = principal(epoch=7)
        self.assertIsInstance(await self.admitted(who), Granted)
        self.assertEqual(await self.epoch(who.tenant_id), b"7")

    async def test_stale(self) -> None:
        """A snapshot older than the tenant's epoch is stale until it is taken anew."""
        who = principal(epoch=7)
        await self.limiter.raise_epoch(who.tenant_id, 8)
        self.assertEqual(await self.admitted(who), Stale(8))
        self.assertIsInstance(await self.admitted(evolve(who, epoch=8)), Granted)

    async def test_newer_snapshot(self) -> None:
        """A newer snapshot makes all older ones stale, without a notification."""
        who = principal(epoch=7)
        self.assertIsInstance(await self.admitted(evolve(who, epoch=9)), Granted)
        self.assertEqual(await self.admitted(who), Stale(9))

    async def test_epoch_never_falls(self) -> None:
        """A smaller epoch, told late, changes nothing."""
        who = principal(epoch=9)
        await self.limiter.raise_epoch(who.tenant_id, 10)
        await self.limiter.raise_epoch(who.tenant_id, 9)
        self.assertEqual(await self.admitted(who), Stale(10))

    async def test_numbers_not_text(self) -> None:
        """Epochs are compared as numbers, exactly, however large."""
        who = principal(epoch=9)
        await self.limiter.raise_epoch(who.tenant_id, 10)
        self.assertEqual(await self.admitted(who), Stale(10))
        large = principal(epoch=2**53 - 2)
        await self.limiter.raise_epoch(large.tenant_id, 2**53 - 1)
        self.assertEqual(await self.admitted(large), Stale(2**53 - 1))
        self.assertEqual(await self.epoch(large.tenant_id), b"9007199254740991")

    async def test_tenants_apart(self) -> None:
        """One tenant's epoch is nothing to another."""
        await self.limiter.raise_epoch(uuid4(), 100)
        self.assertIsInstance(await self.admitted(principal()), Granted)

    async def test_many_at_once(self) -> None:
        """The largest of many epochs told at once stays, over several gates and connections."""
        tenant_id = uuid4()
        other = await self.made()
        calls = [
            limiter.raise_epoch(tenant_id, (number * 7919) % 400)
            for number in range(400)
            for limiter in (self.limiter, other)
        ]
        await gatherResults(calls)
        self.assertEqual(await self.epoch(tenant_id), b"399")

    async def test_client_goes(self) -> None:
        """What is taken for a client that went meanwhile is given back, slot and tokens."""
        who = principal()
        await self.admitted(who)
        caller = caller_of(who, ALLOWANCE)
        call = self.limiter.admit(Demand(id=str(uuid4()), caller=caller, prompt=99, lease=1))
        call.addErrback(lambda failure: failure.trap(CancelledError))
        call.cancel()
        slots = f"nz:{{{who.tenant_id}}}:slots:t"
        looked = await self.limiter.look(caller)
        while looked.tenant.total != 2:
            looked = await self.limiter.look(caller)
        self.assertEqual((looked.tenant.running, looked.tenant.requests), (1, 1))
        self.assertEqual(await self.gate.call(b"ZCARD", slots), 1)

    async def test_embeddings(self) -> None:
        """Calls that generate nothing take their prompt alone; a budget for ten admits ten."""
        who = principal()
        budget = evolve(ALLOWANCE, tenant=Limits(budget_day=1000))
        admitted: list[str] = []

        async def embed() -> None:
            one = str(uuid4())
            demand = Demand(id=one, caller=caller_of(who, budget), prompt=100, lease=0)
            try:
                granted = await self.limiter.admit(demand)
            except BudgetExhausted:
                return
            assert isinstance(granted, Granted)
            self.assertEqual(granted.lease, 0)
            admitted.append(one)

        await gatherResults([Deferred.fromCoroutine(embed()) for _ in range(100)])
        self.assertEqual(len(admitted), 10)
        for one in admitted:
            self.limiter.settle(one, 90)
        looked = await self.limiter.look(caller_of(who, budget))
        while looked.tenant.running:
            looked = await self.limiter.look(caller_of(who, budget))
        self.assertEqual((looked.tenant.day, looked.figures.remaining_budget), (900, 100))

    async def test_foreign_answer(self) -> None:
        """A broken budget hash is no pass."""
        who = principal()
        await self.gate.call(b"SET", f"nz:{{{who.tenant_id}}}:bud", "not a hash")
        with self.assertRaises(LimitsUnavailable):
            await self.admitted(who)
