"""Several gateways and one Redis that loses what it has, on one simulated clock (DESIGN 4)."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.limiter import Limiter
from neuronetz_twisted.admission.owed import Owed
from neuronetz_twisted.admission.standing import Standing
from neuronetz_twisted.errors import RedisNotAsked
from neuronetz_twisted.seams import RedisArgument, RedisReply, Script
from tests.unit.admission.scripted_redis import (
    GONE,
    GRANTED,
    NOW_S,
    OK,
    SCRIPTS,
    UNKNOWN,
    ScriptedRedis,
    demand,
)

NOT_ALONE = True
GATEWAYS = 3


@define
class Server:
    """A Redis with as much of the scripts as the protocol of loss is about: one tenant."""

    run: int = 0
    keys: dict[bytes, bytes] = field(factory=dict)
    gen: Any = None
    pendings: dict[Any, Any] = field(factory=dict)

    def empty(self) -> None:
        """FLUSHALL."""
        self.keys, self.gen, self.pendings = {}, None, {}

    def run_script(self, name: str, args: Sequence[RedisArgument]) -> RedisReply:
        """Do what the script does."""
        if name == "rebuild":
            self.pendings = self.pendings if self.gen == args[0] else {}
            self.gen = args[0]
            return OK
        if self.gen != args[0 if name == "heartbeat" else 1]:
            return UNKNOWN
        if name == "admit":
            self.pendings[args[0]] = 266
            return GRANTED
        if name == "heartbeat":
            for place in range(1, len(args), 5):
                self.pendings.setdefault(args[place], args[place + 2])
            return OK
        return OK if args[0] in self.pendings else GONE


@define(slots=False)
class Link(ScriptedRedis):
    """The connection of one gateway to the server."""

    server: Server = field(kw_only=True)
    clock: Clock = field(kw_only=True)

    def script(
        self, script: Script, keys: Sequence[str], args: Sequence[RedisArgument]
    ) -> Deferred[RedisReply]:
        """Run a script."""
        del keys
        if self.away:
            return fail(RedisNotAsked("away"))
        return succeed(self.server.run_script(script.name, args))

    def call(self, command: bytes, *args: RedisArgument) -> Deferred[RedisReply]:
        """Send a command."""
        self.keys = self.server.keys
        self.time = [b"%d" % int(NOW_S + self.clock.seconds()), b"0"]
        return super().call(command, *args)


class Fleet:
    """The gateways; each notices at once that its server was replaced, and else only by itself."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = Server()
        self.copy = deepcopy(self.server)
        self.nonces = iter(range(10_000))
        self.calls = iter(range(10_000))
        self.running: list[set[str]] = []
        self.admitted = 0
        self.faults: list[str] = []
        self.gateways: list[tuple[Standing, Limiter]] = []
        for _ in range(GATEWAYS):
            self.start_one()

    def start_one(self) -> None:
        """A gateway more."""
        link = Link(server=self.server, clock=self.clock)
        standing = Standing(
            self.clock,
            link,
            others=lambda: succeed(NOT_ALONE),
            nonce=lambda: f"n{next(self.nonces)}",
            chance=lambda: 1.0,
        )
        limiter = Limiter(
            self.clock,
            link,
            SCRIPTS,
            standing=standing,
            ledger=lambda _: succeed([]),
            owed=Owed(clock=self.clock, chance=lambda: 1.0),
        )
        standing.startService()
        limiter.startService()
        self.gateways.append((standing, limiter))
        self.running.append(set())
        standing.connected(self.run_id())
        self.clock.advance(0.0)

    def run_id(self) -> str:
        """The server's."""
        return f"run{self.server.run}"

    def admit(self, number: int) -> None:
        """Ask for a call; if it runs, every call that runs must be counted at that moment."""
        request_id = f"id{next(self.calls)}"
        asking = self.gateways[number % len(self.gateways)][1].admit(demand(request_id))
        asking.addCallbacks(lambda _: self.note(number, request_id), lambda _: None)

    def note(self, number: int, request_id: str) -> None:
        """Look for calls that were forgotten."""
        self.admitted += 1
        self.running[number % len(self.gateways)].add(request_id)
        forgotten = set().union(*self.running) - set(self.server.pendings)
        if forgotten:
            self.faults.append(f"{request_id} was admitted while {forgotten} were not counted")

    def restart(self, *, from_copy: bool) -> None:
        """Another server, empty or as the old one once was."""
        run = self.server.run + 1
        self.server.empty()
        if from_copy:
            old = deepcopy(self.copy)
            self.server.keys, self.server.gen = old.keys, old.gen
            self.server.pendings = old.pendings
        self.server.run = run
        for standing, _ in self.gateways:
            standing.connected(self.run_id())
        self.clock.advance(0.0)

    def step(self, kind: str, number: int) -> None:
        """One event."""
        if kind == "admit":
            self.admit(number)
        elif kind == "wait":
            self.clock.pump([0.5] * number)
        elif kind == "flush":
            self.server.empty()
        elif kind == "save":
            self.copy = deepcopy(self.server)
        elif kind == "start" and len(self.gateways) < 2 * GATEWAYS:
            self.start_one()
        elif kind in {"restart", "restore"}:
            self.restart(from_copy=kind == "restore")


KINDS = ("admit", "admit", "admit", "wait", "wait", "flush", "save", "start", "restart", "restore")


class LossTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 30)), max_size=40))
    def test_nothing_is_forgotten(self, events: list[tuple[str, int]]) -> None:
        """Whatever is lost and when: nobody is admitted while a call that runs is not counted."""
        fleet = Fleet()
        fleet.clock.pump([1.0] * 13)
        for kind, number in events:
            fleet.step(kind, number)
        fleet.clock.pump([0.5] * 60)
        before = fleet.admitted
        for number in range(len(fleet.gateways)):
            fleet.admit(number)
        fleet.clock.pump([0.5] * 60)
        for number in range(len(fleet.gateways)):
            fleet.admit(number)
        self.assertGreater(fleet.admitted, before)
        self.assertEqual(fleet.faults, [])

    def test_a_loss_that_nobody_has_noticed(self) -> None:
        """The first who asks after it closes all of them, until every call is put back."""
        fleet = Fleet()
        fleet.clock.pump([1.0] * 13)
        for number in range(GATEWAYS):
            fleet.admit(number)
        self.assertEqual(fleet.admitted, GATEWAYS)
        fleet.server.empty()
        for number in range(GATEWAYS):
            fleet.admit(number)
        self.assertEqual(fleet.admitted, GATEWAYS)
        fleet.clock.pump([0.5] * 26)
        for number in range(GATEWAYS):
            fleet.admit(number)
        self.assertEqual(fleet.admitted, 2 * GATEWAYS)
        self.assertEqual(len(fleet.server.pendings), 2 * GATEWAYS)
        self.assertEqual(fleet.faults, [])

    def test_until_the_last_has_beaten(self) -> None:
        """A gateway whose heartbeat has just gone is waited for, however often others ask."""
        fleet = Fleet()
        fleet.clock.pump([1.0] * 19)
        for number in range(GATEWAYS):
            fleet.admit(number)
        fleet.clock.advance(1.0)
        fleet.server.empty()
        for _ in range(40):
            fleet.admit(0)
            fleet.clock.advance(0.5)
        self.assertGreater(fleet.admitted, GATEWAYS)
        self.assertEqual(fleet.faults, [])
