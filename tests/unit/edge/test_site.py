"""The port and its connections, from open to closed."""

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.site import CLOSE_S, CannotOpen, EdgeService, endpoint_description
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from tests.unit.edge.house import KEY, House
from tests.unit.edge.surface import CHAT
from tests.unit.settings import SETTINGS


class CloseTests(SynchronousTestCase):
    def setUp(self) -> None:
        """One idle connection and one that is being answered."""
        self.house = House()
        self.idle = self.house.connect()
        self.busy = self.house.ask("POST", "/api/chat", CHAT)
        self.stream = self.house.upstream.streams[0]
        self.stream.send(chat_frame("Hello"))

    def close(self) -> "Deferred[None]":
        """Begin to close."""
        closing = Deferred.fromCoroutine(self.house.site.close())
        self.assertTrue(self.idle.disconnecting)
        self.assertFalse(self.busy.disconnecting)
        self.idle.settle()
        return closing

    def test_waits_for_answers(self) -> None:
        """Idle connections close at once, others when their answer is over."""
        closing = self.close()
        self.stream.send(chat_final())
        self.stream.end()
        self.house.clock.advance(0.05)
        self.assertTrue(self.busy.disconnecting)
        self.busy.settle()
        self.house.clock.advance(0.05)
        self.successResultOf(closing)
        self.assertFalse(self.busy.reset)
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_does_not_wait_for_ever(self) -> None:
        """What is still open after a while is reset."""
        closing = self.close()
        self.house.clock.pump([0.05] * int(CLOSE_S / 0.05 + 2))
        self.successResultOf(closing)
        self.assertTrue(self.busy.reset)
        self.busy.settle()
        self.assertEqual(self.house.clock.getDelayedCalls(), [])


class StopTests(SynchronousTestCase):
    """Whoever was not answered when the gateway stops is told so, and recorded so."""

    HEAD = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\nContent-Length: 62\r\n\r\n"

    def setUp(self) -> None:
        """One client."""
        self.house = House()
        self.client = self.house.connect()

    def told(self) -> None:
        """A 503, and the end of the connection."""
        self.house.live.cut_all()
        closing = Deferred.fromCoroutine(self.house.site.close())
        answer = self.client.answer()
        self.assertEqual((answer.status, answer.json()["code"]), (503, "draining"))
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(self.house.sink.outcomes, ["refused:draining"])
        self.client.leave()
        self.house.clock.advance(0.05)
        self.successResultOf(closing)
        self.assertEqual(self.house.sink.outcomes, ["refused:draining"])
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_while_it_is_identified(self) -> None:
        """Whoever it was."""
        self.house.keys.gate.held = True
        self.client.send(self.HEAD % KEY.encode() + CHAT)
        self.told()
        self.house.keys.gate.release_all()

    def test_while_it_is_admitted(self) -> None:
        """It is not asked for any more."""
        self.house.limiter.gate.held = True
        self.client.send(self.HEAD % KEY.encode() + CHAT)
        self.told()
        self.house.limiter.gate.release_all()
        self.assertEqual(self.house.upstream.asked, [])

    def test_in_its_body(self) -> None:
        """Nobody waits for the rest."""
        self.client.send(self.HEAD % KEY.encode() + CHAT[:9])
        self.told()

    def test_admitted_behind_the_cut(self) -> None:
        """What comes through before the connections close is cut as well."""
        self.assertEqual(len(CHAT), 62)
        self.house.live.cut_all()
        self.client.send(self.HEAD % KEY.encode() + CHAT)
        answer = self.client.answer()
        self.assertEqual((answer.status, answer.json()["code"]), (503, "draining"))
        self.assertEqual(self.house.sink.events[0]["status"], 503)
        self.assertEqual((self.house.upstream.asked, len(self.house.live)), ([], 0))
        self.client.leave()


class EdgeServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A service that is not listening."""
        self.reactor = MemoryReactorClock()
        self.house = House()
        self.service = EdgeService(self.reactor, "tcp:8080:interface=127.0.0.1", self.house.site)

    def test_listen_and_stop(self) -> None:
        """The port opens when it is told to, and closes with the service."""
        self.service.startService()
        self.assertEqual(self.reactor.tcpServers, [])
        self.successResultOf(Deferred.fromCoroutine(self.service.listen()))
        self.assertEqual(self.reactor.tcpServers[0][0], 8080)
        self.successResultOf(self.service.stopService())

    def test_says_where(self) -> None:
        """The log has an address that can be opened, and nothing of Twisted's own beside it."""
        for description, where in (
            ("tcp:8080", "http://0.0.0.0:8080"),
            ("tcp:8080:interface=\\:\\:1", "http://[::1]:8080"),
            ("unix:/run/x", "UNIXAddress('/run/x')"),
        ):
            service = EdgeService(self.reactor, description, self.house.site)
            with self.subTest(where=where), capturedLogs() as events:
                self.house.site.doStart()
                self.successResultOf(Deferred.fromCoroutine(service.listen()))
                self.house.site.doStop()
                self.assertEqual(
                    [formatEvent(event) for event in events], [f"listening on {where}"]
                )

    def test_cannot_open(self) -> None:
        """A description that Twisted cannot use is one plain line, whatever Twisted raises."""
        for description in ("foo:1", "tcp:x", "ssl:443:privateKey=/nowhere", "tcp:8080:nope=1"):
            service = EdgeService(self.reactor, description, self.house.site)
            with self.subTest(description=description):
                refused = self.failureResultOf(Deferred.fromCoroutine(service.listen()), CannotOpen)
                self.assertIn(description, str(refused.value))

    def test_stop_without_a_port(self) -> None:
        """A service that never listened stops all the same."""
        self.successResultOf(self.service.stopService())


class EndpointTests(SynchronousTestCase):
    def test_descriptions(self) -> None:
        """An endpoint string wins; a host with colons is quoted."""
        for changes, expected in (
            ({}, "tcp:8080:interface=0.0.0.0:backlog=1024"),
            ({"bind_host": "::1", "bind_port": 9}, "tcp:9:interface=\\:\\:1:backlog=1024"),
            ({"endpoint": "unix:/run/x"}, "unix:/run/x"),
        ):
            self.assertEqual(endpoint_description(evolve(SETTINGS, **changes)), expected)
