"""Asking backends: every way to fail before the first frame."""

from typing import TYPE_CHECKING, Any

import orjson
from attrs import evolve
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived

from neuronetz_twisted.errors import (
    Draining,
    InvalidRequest,
    NotAllowed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from neuronetz_twisted.testing.calls import made_model, made_ticket
from neuronetz_twisted.testing.upstream import (
    RecordingOpening,
    ScriptedPolls,
    chat_final,
)
from neuronetz_twisted.upstream.agent import OllamaClient
from neuronetz_twisted.upstream.hosts import Host
from neuronetz_twisted.upstream.open import MAX_ERROR_BYTES, Backends
from neuronetz_twisted.upstream.pool import PoolFull
from tests.unit.upstream.asking import FRAME, MAX_WHOLE_BYTES, READ_S, BackendsTestCase
from tests.unit.upstream.network import (
    CHUNKED,
    CONNECT_S,
    LAST_CHUNK,
    WAIT_S,
    A,
    B,
    Network,
    Wire,
    chunk,
)

if TYPE_CHECKING:
    from neuronetz_twisted.upstream.stream import LineStream

ENCODED = CHUNKED[:-2] + b"Content-Encoding: gzip\r\n\r\n"
ERROR = b"HTTP/1.1 500 -\r\nContent-Length: 2\r\n\r\n{}"
ENDLESS_ERROR = CHUNKED.replace(b"200", b"500") + chunk(b"x" * (MAX_ERROR_BYTES + 1))


class OpenTests(BackendsTestCase):
    def test_request(self) -> None:
        """The path is ours, the model as the host knows it, and it is always streamed."""
        self.open(stream=False, body={"model": "x", "options": {}})
        self.assertEqual((self.last.method, self.last.url), (b"POST", b"http://a/api/chat"))
        # What a parsed body holds cannot name another model, nor turn streaming off.
        self.assertEqual(orjson.loads(self.last.body)["stream"], True)
        self.assertEqual(self.asking.asked, ["a"])

    def test_model_is_the_hosts(self) -> None:
        """The client's spelling of the model does not go upstream."""
        self.open(model="LLAMA3")
        self.assertEqual(orjson.loads(self.last.body)["model"], "Llama3:latest")

    def test_first_frame(self) -> None:
        """The stream is given when its first frame is there; then no timer runs."""
        opening = self.open()
        response = self.last.respond()
        self.assertNoResult(opening)
        response.send(FRAME)
        stream = self.successResultOf(opening)
        self.assertEqual(stream.backend, "a")
        self.assertTrue(response.transport.paused)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        stream.stop()
        self.assertTrue(response.transport.aborted)
        response.lose()
        self.at_rest()

    def test_first_frame_is_the_final_one(self) -> None:
        """An empty answer is an answer."""
        opening = self.open()
        self.last.respond(body=chat_final() + b"\n")
        self.successResultOf(opening)
        self.at_rest()


class FailureTests(BackendsTestCase):
    def test_statuses(self) -> None:
        """Each status of the host becomes its refusal; its words do not."""
        for status, kind, why in (
            (400, InvalidRequest, "upstream"),
            (404, NotAllowed, "model_gone"),
            (429, UpstreamBusy, "429"),
            (503, UpstreamBusy, "503"),
            (500, UpstreamFailed, "500"),
            (301, UpstreamFailed, "301"),
        ):
            with self.subTest(status=status):
                self.setUp()
                opening = self.open()
                self.last.respond(status, b'{"error":"canary"}')
                self.assertNotIn("canary", str(self.refused(opening, kind, why)))
                self.assertEqual(self.missing, ["a"] * (status == 404))

    def test_own_token_refused(self) -> None:
        """A host that refuses our token is an alarm for the operator."""
        for status in (401, 403):
            with self.subTest(status=status):
                self.setUp()
                opening = self.open()
                self.last.respond(status, b"{}")
                self.refused(opening, UpstreamFailed, "credentials")

    def test_no_head(self) -> None:
        """Whatever keeps a head from coming is a failed upstream."""
        for failure, why in (
            (error.ConnectionRefusedError(), "ConnectionRefusedError"),
            (error.TimeoutError(), "TimeoutError"),
            (error.DNSLookupError(), "DNSLookupError"),
            (ResponseNeverReceived([Failure(ConnectionResetError())]), "ConnectionResetError"),
        ):
            with self.subTest(failure=failure):
                self.setUp()
                opening = self.open()
                self.last.fail(failure)
                self.refused(opening, UpstreamFailed, why)

    def test_nonsense_instead_of_the_first_frame(self) -> None:
        """A first line that is no frame is a failed upstream, and closed at once."""
        for body in (b"<html>\n", b"[]\n", b'{"error":"canary"}\n', b"{}\n"):
            with self.subTest(body=body):
                self.setUp()
                opening = self.open()
                response = self.last.respond()
                response.send(body)
                self.assertTrue(response.transport.aborted)
                response.lose()
                failure = self.failureResultOf(opening, UpstreamFailed)
                self.assertNotIn("canary", str(failure.value))
                self.at_rest()

    def test_end_before_the_first_frame(self) -> None:
        """So is a body that ends before it has a line."""
        for body in (b"", b"\n\n", b"half"):
            for end in ("finish", "lose"):
                with self.subTest(body=body, end=end):
                    self.setUp()
                    opening = self.open()
                    response = self.last.respond()
                    response.send(body)
                    self.assertNoResult(opening)
                    getattr(response, end)()
                    self.failureResultOf(opening, UpstreamFailed)
                    self.at_rest()

    def test_encoded_body(self) -> None:
        """An encoding was never offered, so it is nonsense; the connection is closed."""
        opening = self.open()
        response = self.last.respond(content_encoding="gzip")
        self.assertTrue(response.transport.aborted)
        response.lose()
        self.refused(opening, UpstreamFailed, "nonsense: an encoding")

    def test_unreadable_error_body(self) -> None:
        """An error's text is read up to a bound; without it the status says enough."""
        for status, kind, why in (
            (400, InvalidRequest, "upstream"),
            (404, NotAllowed, "model_gone"),
            (503, UpstreamBusy, "503"),
        ):
            for body in (b"x" * (MAX_ERROR_BYTES + 1), b"half"):
                with self.subTest(status=status, size=len(body)):
                    self.setUp()
                    opening = self.open()
                    response = self.last.respond(status)
                    response.send(body)
                    self.assertEqual(response.transport.aborted, len(body) > MAX_ERROR_BYTES)
                    response.lose()
                    self.refused(opening, kind, why)
                    self.assertEqual(self.missing, ["a"] * (status == 404))

    def test_no_place(self) -> None:
        """A request that gets no place is told that the host is busy; no other host is asked."""
        opening = self.open("a", "b")
        self.last.fail(PoolFull())
        self.refused(opening, UpstreamBusy, "queue")
        self.assertEqual(len(self.agent.asked), 1)

    def test_no_backend(self) -> None:
        """A model that no backend has cannot run."""
        model = made_model(backends=())
        ticket = evolve(made_ticket(), model=model)
        opening = Deferred.fromCoroutine(self.backends.open(ticket, self.asking))
        self.refused(opening, UpstreamFailed, "no_backend")


class PhaseTests(BackendsTestCase):
    """Timeouts and cancels, in each phase of a request."""

    def phases(self) -> list[str]:
        """The phases that a request may hang in."""
        return ["head", "error body", "first frame"]

    def reach(self, phase: str) -> "tuple[Deferred[LineStream], Any]":
        """Begin, and hang in a phase; gives what says whether the connection was closed."""
        self.setUp()
        opening = self.open()
        if phase == "head":
            asked = self.last
            return opening, lambda: asked.cancelled
        response = self.last.respond(400 if phase == "error body" else 200)
        response.send(b'{"half')

        def closed() -> bool:
            wanted = response.transport.aborted
            if wanted:
                response.lose()
            return wanted

        return opening, closed

    def test_silence(self) -> None:
        """One deadline runs over all phases until the first frame."""
        for phase in self.phases():
            with self.subTest(phase=phase):
                opening, closed = self.reach(phase)
                self.clock.advance(READ_S - 0.1)
                self.assertNoResult(opening)
                self.clock.advance(0.1)
                self.assertTrue(closed())
                self.refused(opening, UpstreamTimeout, "first_frame")

    def test_cut(self) -> None:
        """A cut closes the connection, and its refusal is the answer, whatever comes later."""
        for phase in self.phases():
            with self.subTest(phase=phase):
                opening, closed = self.reach(phase)
                self.asking.cut(Draining(why="first"))
                self.asking.cut(Draining(why="second"))
                self.assertTrue(closed())
                self.refused(opening, Draining, "first")

    def test_client_gone(self) -> None:
        """A cancel closes the connection, and is a cancel, whatever the agent says."""
        for phase in self.phases():
            with self.subTest(phase=phase):
                opening, closed = self.reach(phase)
                opening.cancel()
                self.failureResultOf(opening, CancelledError)
                self.assertTrue(closed())
                self.at_rest()


class OwnAgentTests(SynchronousTestCase):
    """Over our own agent, with one place at each of two backends."""

    def setUp(self) -> None:
        """Nothing is asked yet."""
        self.network = Network()
        self.agent = self.network.agent(A, B, places=1)
        self.asking = RecordingOpening()
        polls, pools = ScriptedPolls(), self.agent.pools
        self.backends = Backends(
            clock=self.network.reactor,
            client=OllamaClient(self.agent),
            hosts={
                each.name: Host(each, pools[each.name], polls, self.network.reactor)
                for each in (A, B)
            },
            read_timeout_s=READ_S,
            max_whole_bytes=MAX_WHOLE_BYTES,
            model_missing=lambda _: None,
        )
        for host in self.backends.hosts.values():
            self.agent.pools[host.backend.name].look = host.look

    def open(self, *names: str) -> "Deferred[LineStream]":
        """Begin to open a stream on a model that these backends have, `a` if none is named."""
        ticket = evolve(made_ticket(), model=made_model(backends=names or ("a",)))
        return Deferred.fromCoroutine(self.backends.open(ticket, self.asking))

    def test_no_room(self) -> None:
        """It is known beforehand whether a call would be turned away at once."""
        for name in "aabb":
            self.backends.check()
            self.open(name)
        self.assertRaises(UpstreamBusy, self.backends.check)

    def opened(self) -> "tuple[LineStream, Wire]":
        """Open a stream that stays open."""
        opening = self.open()
        wire = self.network.connect()
        wire.send(CHUNKED + chunk(FRAME))
        return self.successResultOf(opening), wire

    def assert_busy(self, opening: "Deferred[LineStream]") -> None:
        """It was refused for want of a place."""
        failure = self.failureResultOf(opening, UpstreamBusy)
        assert isinstance(failure.value, Refusal)
        self.assertEqual(failure.value.why, "queue")

    def test_no_place(self) -> None:
        """Who gets no place is told that the host is busy, and is not asked of another."""
        self.opened()
        waiting = self.open()
        self.assert_busy(self.open())
        self.network.reactor.advance(WAIT_S)
        self.assert_busy(waiting)
        self.assertEqual((len(self.network.attempts), self.asking.asked), (1, ["a"]))

    def test_waiting_is_not_the_hosts_silence(self) -> None:
        """The deadline of the first frame runs from when the request goes."""
        stream, _ = self.opened()
        waiting = self.open()
        self.network.reactor.advance(WAIT_S - 1)
        stream.stop()
        self.network.turn()
        self.network.connect()
        self.assertEqual(self.asking.asked, ["a", "a"])
        self.network.reactor.advance(READ_S - 0.1)
        self.assertNoResult(waiting)
        self.network.reactor.advance(0.1)
        self.failureResultOf(waiting, UpstreamTimeout)

    def test_each_backend_has_its_own_time(self) -> None:
        """The deadline begins anew with the next one."""
        opening = self.open("a", "b")
        self.network.connect()
        self.network.reactor.advance(READ_S)
        self.network.turn()
        self.network.connect()
        self.network.reactor.advance(READ_S - 0.1)
        self.assertNoResult(opening)
        self.network.reactor.advance(0.1)
        self.failureResultOf(opening, UpstreamTimeout)

    def test_the_retry_has_no_time_of_its_own(self) -> None:
        """A request that goes twice has one deadline, from the first time."""
        _, wire = self.opened()
        wire.send(LAST_CHUNK)
        self.network.reactor.advance(1)
        opening = self.open("a", "b")
        wire.hang_up()
        self.network.reactor.advance(CONNECT_S - 1)
        self.network.connect()
        self.assertEqual(self.asking.asked, ["a", "a", "a"])
        self.network.reactor.advance(READ_S - CONNECT_S + 1)
        self.network.turn()
        self.assertNoResult(opening)
        self.assertEqual(self.network.attempts[-1][0], "192.0.2.2")
        opening.cancel()
        self.failureResultOf(opening, CancelledError)

    def test_connect_timeout(self) -> None:
        """A host that lets nobody connect has failed, long before it is silent."""
        opening = self.open("a", "b")
        for _ in range(2):
            self.network.refuse(error.TimeoutError())
        failure = self.failureResultOf(opening, UpstreamFailed)
        assert isinstance(failure.value, Refusal)
        self.assertEqual(failure.value.why, "TimeoutError")
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_every_end_frees_the_place(self) -> None:
        """Whatever happens to a request, the next one gets its place."""
        for name, head, end in (
            ("refused", None, lambda _: self.network.refuse(error.ConnectionRefusedError())),
            ("cancelled", None, lambda opening: opening.cancel()),
            ("lost", b"", lambda _: self.network.wires[-1].hang_up()),
            ("cancelled", b"", lambda opening: opening.cancel()),
            ("nonsense", b"", lambda _: self.network.wires[-1].send(b"nonsense")),
            ("lost", CHUNKED, lambda _: self.network.wires[-1].hang_up()),
            ("cancelled", CHUNKED, lambda opening: opening.cancel()),
            ("no frame", CHUNKED, lambda _: self.network.wires[-1].send(chunk(b"x\n"))),
            ("encoded", b"", lambda _: self.network.wires[-1].send(ENCODED)),
            ("error", b"", lambda _: self.network.wires[-1].send(ERROR)),
            ("endless error", b"", lambda _: self.network.wires[-1].send(ENDLESS_ERROR)),
        ):
            with self.subTest(end=name, head=head):
                self.setUp()
                opening = self.open()
                if head is not None:
                    self.network.connect().send(*([head] if head else []))
                end(opening)
                self.failureResultOf(opening)
                following = self.agent.request(b"GET", A.address_of("/next"))
                self.network.turn()
                if name != "error":
                    self.network.connect()
                self.assertIn(b"GET /next", self.network.wires[-1].taken())
                following.cancel()
                self.failureResultOf(following, CancelledError)
                self.network.turn()
                self.assertEqual(len(self.network.reactor.getDelayedCalls()), int(name == "error"))
