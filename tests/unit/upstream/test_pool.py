"""Places, the line for them, connections that are kept, and a close that leaves nothing."""

from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionRefusedError,  # noqa: A004 - Twisted's own
    TimeoutError,  # noqa: A004 - Twisted's own
)
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.iweb import IResponse
from zope.interface import implementer

from neuronetz_twisted.upstream.connection import Exchange
from neuronetz_twisted.upstream.pool import IDLE_S, WARN_AGAIN_S, Pool, PoolFull
from neuronetz_twisted.upstream.targets import Target
from tests.unit.upstream.network import (
    CONNECT_S,
    EMPTY,
    WAIT_S,
    A,
    B,
    Network,
    Wire,
)


class PoolTestCase(SynchronousTestCase):
    """An agent of two hosts with two places each."""

    def setUp(self) -> None:
        """Nothing was asked."""
        self.network = Network()
        self.clock = self.network.reactor
        self.agent = self.network.agent(A, B)
        self.asked = 0

    @property
    def pool(self) -> Pool:
        """The places at the first host."""
        return self.agent.pools["a"]

    def ask(self, host: str = "a") -> Deferred[IResponse]:
        """Send a request whose path is its number."""
        self.asked += 1
        backend = {"a": A, "b": B}[host]
        return self.agent.request(b"GET", backend.address_of(f"/{self.asked}"))

    def path_on(self, wire: Wire) -> str:
        """The path of the request that was just sent on a connection."""
        return wire.taken().partition(b" HTTP")[0].decode()[4:]

    def idle(self, *hosts: str) -> list[Wire]:
        """Make idle connections to hosts, the first one first."""
        for host in hosts:
            self.ask(host)
        wires = [self.network.connect() for _ in hosts]
        for wire in wires:
            wire.taken()
            wire.send(EMPTY)
        return wires

    def cancel(self, *answers: Deferred[IResponse]) -> None:
        """Cancel requests."""
        for answer in answers:
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
        self.network.turn()


class LineTests(PoolTestCase):
    def test_places(self) -> None:
        """So many requests are under way and no more; as many wait; others are refused at once."""
        answers: list[Deferred[IResponse]] = []
        for _ in range(4):
            self.assertFalse(self.pool.is_full)
            self.assertEqual(self.pool.is_free, len(answers) < 2)
            answers.append(self.ask())
        self.assertEqual(len(self.network.attempts), 2)
        self.assertTrue(self.pool.is_full)
        self.failureResultOf(self.ask(), PoolFull)
        for answer in answers:
            self.assertNoResult(answer)
        self.cancel(*reversed(answers))
        self.assertEqual(len(self.network.attempts), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_first_come_first_served(self) -> None:
        """The line moves in order, onto connections that become free."""
        first, second = self.idle("a", "a")
        for _ in range(4):
            self.ask()
        self.assertEqual({self.path_on(first), self.path_on(second)}, {"/3", "/4"})
        second.send(EMPTY)
        self.assertEqual(self.path_on(second), "/5")
        second.send(EMPTY)
        self.assertEqual(self.path_on(second), "/6")
        self.assertEqual(self.path_on(first), "")

    def test_who_leaves_the_line(self) -> None:
        """A cancel leaves it; the next in line is served, and another may come."""
        (wire, _) = self.idle("a", "a")
        answers = [self.ask() for _ in range(4)]
        wire.taken()
        self.cancel(answers[2])
        self.ask()
        wire.send(EMPTY)
        self.assertEqual(self.path_on(wire), "/6")

    def test_waiting_has_an_end(self) -> None:
        """Who waits too long is told that all is taken."""
        self.idle("a", "a")
        answers = [self.ask() for _ in range(3)]
        self.clock.advance(WAIT_S - 0.1)
        self.assertNoResult(answers[2])
        self.clock.advance(0.1)
        self.failureResultOf(answers[2], PoolFull)
        self.assertNoResult(answers[1])

    def test_served_in_time(self) -> None:
        """Once served, the wait has no end of its own."""
        (wire, _) = self.idle("a", "a")
        waiting = [self.ask() for _ in range(3)][2]
        wire.send(EMPTY)
        self.clock.advance(WAIT_S)
        self.assertNoResult(waiting)

    def test_a_place_is_freed_by_failures(self) -> None:
        """Who cannot connect, or is not answered, makes room for the next."""
        first, second, third = self.ask(), self.ask(), self.ask()
        self.network.refuse(ConnectionRefusedError())
        self.failureResultOf(second, ConnectionRefusedError)
        self.assertEqual(len(self.network.attempts), 3)
        self.network.connect().break_down()
        self.failureResultOf(first, ResponseNeverReceived)
        self.assertNoResult(third)
        self.ask()
        self.assertEqual(len(self.network.attempts), 4)


class LineLogTests(PoolTestCase):
    """What the log says of a line that is full."""

    def setUp(self) -> None:
        """Every place is taken, and the line is full."""
        super().setUp()
        self.logged: list[LogEvent] = []
        keep = cast("ILogObserver", self.logged.append)
        globalLogPublisher.addObserver(keep)
        self.addCleanup(globalLogPublisher.removeObserver, keep)
        (self.wire, _) = self.idle("a", "a")
        self.answers = [self.ask() for _ in range(4)]

    def lines(self) -> list[str]:
        """What was logged since last asked."""
        lines = [f"{event['log_level'].name}: {formatEvent(event)}" for event in self.logged]
        self.logged.clear()
        return lines

    def test_full(self) -> None:
        """The first who is turned away is told of, with the setting; the next ones are not."""
        self.assertEqual(self.lines(), [])
        self.pool.turned_away()
        for _ in range(3):
            self.failureResultOf(self.ask(), PoolFull)
        (line,) = self.lines()
        self.assertTrue(line.startswith("warn: "))
        self.assertIn("all 2 slots of backend a", line)
        self.assertIn("OLLAMA_MAX_CONNECTIONS", line)
        self.assertIn("the line is full", line)

    def test_waited_in_vain(self) -> None:
        """So is who waited in vain, once for all of them."""
        self.clock.advance(WAIT_S)
        (line,) = self.lines()
        self.assertIn("did not move in time", line)
        for answer in self.answers[2:]:
            self.failureResultOf(answer, PoolFull)

    def test_again(self) -> None:
        """It is told again after a minute."""
        self.failureResultOf(self.ask(), PoolFull)
        self.lines()
        self.clock.advance(WAIT_S)
        for answer in self.answers[2:]:
            self.failureResultOf(answer, PoolFull)
        self.clock.advance(WARN_AGAIN_S - WAIT_S - 0.1)
        self.assertEqual(self.lines(), [])
        waiting = [self.ask(), self.ask()]
        self.clock.advance(0.1)
        self.failureResultOf(self.ask(), PoolFull)
        self.assertEqual(len(self.lines()), 1)
        self.cancel(*waiting)

    def test_over(self) -> None:
        """When a place is free that nobody waits for, that is told once."""
        self.failureResultOf(self.ask(), PoolFull)
        self.lines()
        for _ in range(2):
            self.wire.send(EMPTY)
        self.assertEqual(self.lines(), [])
        for _ in range(2):
            self.wire.send(EMPTY)
            self.ask()
        (line,) = self.lines()
        self.assertTrue(line.startswith("info: "))


class ConnectTests(PoolTestCase):
    def test_cancel(self) -> None:
        """A request that is cancelled while it connects connects no more, and gives its place."""
        answers = [self.ask() for _ in range(3)]
        self.cancel(answers[0])
        self.assertTrue(self.clock.connectors[0].stoppedConnecting)
        self.assertEqual(len(self.network.attempts), 3)

    def test_no_connection_in_time(self) -> None:
        """The time to connect is bounded as a whole, whatever the endpoint is busy with."""

        @implementer(IStreamClientEndpoint)
        class Hung:
            def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
                del protocolFactory
                return Deferred()

        pool = Pool(clock=self.clock, name="a", places=1, wait_s=WAIT_S, connect_s=CONNECT_S)
        exchange = Exchange(Target(Hung(), b""), b"", lambda: None)
        pool.run(exchange)
        self.clock.advance(CONNECT_S - 0.1)
        self.assertNoResult(exchange.answer)
        self.clock.advance(0.1)
        self.failureResultOf(exchange.answer, TimeoutError)

    def test_sent(self) -> None:
        """Who asks hears when the request goes, not before there is a connection."""
        sent: list[str] = []
        pool = Pool(clock=self.clock, name="a", places=1, wait_s=WAIT_S, connect_s=CONNECT_S)
        self.ask()
        target, _ = next(iter(self.agent._targets.values()))
        for name in ("first", "second"):
            pool.run(Exchange(target, b"", lambda name=name: sent.append(name)))  # type: ignore[misc]
        self.network.connect()
        self.assertEqual(sent, [])
        wire = self.network.connect()
        self.assertEqual(sent, ["first"])
        wire.send(EMPTY)
        self.assertEqual(sent, ["first", "second"])


class IdleTests(PoolTestCase):
    def test_the_newest_first(self) -> None:
        """What was used last is used next: the others grow old and are closed."""
        first, second = self.idle("a", "a")
        for _ in range(3):
            self.ask()
            self.assertNotEqual(self.path_on(second), "")
            second.send(EMPTY)
        self.assertEqual(self.path_on(first), "")
        self.assertEqual(len(self.network.attempts), 2)

    def test_age(self) -> None:
        """An idle connection is closed after its time; one timer serves them all."""
        self.agent = self.network.agent(A, places=3)
        wires = self.idle("a", "a", "a")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(10)
        self.ask()
        wires[2].send(EMPTY)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(IDLE_S - 10.1)
        self.assertEqual([wire.disconnected for wire in wires], [False] * 3)
        self.clock.advance(0.1)
        self.assertEqual([wire.disconnected for wire in wires], [True, True, False])
        self.clock.advance(10)
        self.assertTrue(wires[2].disconnected)
        self.network.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_whose_end_it_was(self) -> None:
        """A host that closes what is idle, as one that ends, is not taken for our own sweep."""
        self.idle("a")
        self.clock.advance(IDLE_S)
        self.network.turn()
        self.assertFalse(self.pool.left_by_host)
        (wire,) = self.idle("a")
        wire.hang_up()
        self.network.turn()
        self.assertTrue(self.pool.left_by_host)

    def test_not_while_in_use(self) -> None:
        """A connection that is used does not age, and the timer starts with the next idle one."""
        (wire,) = self.idle("a")
        answer = self.ask()
        self.clock.advance(2 * IDLE_S)
        self.assertFalse(wire.disconnected)
        wire.send(EMPTY)
        self.successResultOf(answer)
        self.clock.advance(IDLE_S)
        self.assertTrue(wire.disconnected)

    def test_never_more_connections_than_places(self) -> None:
        """A retry on a new connection has its place already."""
        wires = self.idle("a", "a")
        self.ask()
        wires[1].hang_up()
        self.ask()
        self.ask()
        self.assertNotEqual(self.path_on(wires[0]), "")
        self.assertEqual(len(self.network.attempts), 3)

    def test_one_host_takes_no_place_of_another(self) -> None:
        """Each has its own places, and its own line."""
        answers = [self.ask() for _ in range(4)]
        self.failureResultOf(self.ask(), PoolFull)
        self.ask("b")
        self.assertEqual([attempt[0] for attempt in self.network.attempts[-1:]], ["192.0.2.2"])
        self.cancel(*reversed(answers))

    def test_hosts_are_not_mixed(self) -> None:
        """A request goes to its own host."""
        here, there = self.idle("a", "b")
        self.ask("b")
        self.assertEqual((self.path_on(here), self.path_on(there)), ("", "/3"))


class CloseTests(PoolTestCase):
    def test_everything(self) -> None:
        """Connections of every kind, attempts and the line: all end, then the close is done."""
        self.agent = self.network.agent(A, B, places=4)
        (idle,) = self.idle("a")
        self.clock.advance(1)
        running, connecting = self.ask(), self.ask("b")
        more = [self.ask("b") for _ in range(2)]
        waiting = [self.ask() for _ in range(2)]
        self.assertEqual(self.path_on(idle), "/2")
        wires = [self.network.connect()]
        closed = self.agent.close()
        self.assertNoResult(closed)
        for answer in (*more, *waiting):
            self.failureResultOf(answer, ConnectionAborted)
        self.network.turn()
        self.successResultOf(closed)
        self.failureResultOf(running, ResponseNeverReceived)
        self.failureResultOf(connecting, ResponseNeverReceived)
        self.assertTrue(all(wire.disconnected for wire in (idle, *wires)))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_cancels_meanwhile(self) -> None:
        """A failure may make its reader cancel what else waits."""
        self.idle("a", "a")
        answers = [self.ask() for _ in range(4)]
        answers[2].addErrback(lambda _: answers[3].cancel())
        closed = self.agent.close()
        self.failureResultOf(answers[3], CancelledError)
        self.network.turn()
        self.successResultOf(closed)
        for answer in answers[:2]:
            self.failureResultOf(answer, ResponseNeverReceived)

    def test_idle(self) -> None:
        """Idle connections are closed, and nothing is left in the reactor."""
        (wire,) = self.idle("a")
        closed = self.agent.close()
        self.network.turn()
        self.successResultOf(closed)
        self.assertTrue(wire.disconnected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_to_close(self) -> None:
        """It is done at once, also a second time."""
        self.successResultOf(self.agent.close())
        self.successResultOf(self.agent.close())

    def test_asked_afterwards(self) -> None:
        """Whoever asks a closed agent fails."""
        self.agent.close()
        self.failureResultOf(self.ask(), ConnectionAborted)
        self.assertEqual(len(self.network.attempts), 0)

    def test_twice(self) -> None:
        """A second close waits as the first one does."""
        self.idle("a")
        both = [self.agent.close(), self.agent.close()]
        for closed in both:
            self.assertNoResult(closed)
        self.network.turn()
        for closed in both:
            self.successResultOf(closed)
