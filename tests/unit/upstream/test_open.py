"""Asking backends: every way to fail before the first frame, and the slots."""

from typing import TYPE_CHECKING, Any

import orjson
from attrs import evolve
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived

from neuronetz_twisted.errors import (
    InvalidRequest,
    NotAllowed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from neuronetz_twisted.testing.agent import Asked, ScriptedAgent
from neuronetz_twisted.testing.calls import made_model, made_request, made_ticket
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from neuronetz_twisted.upstream.agent import OllamaClient
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.open import MAX_ERROR_BYTES, Backends

if TYPE_CHECKING:
    from neuronetz_twisted.upstream.stream import LineStream

READ_S = 10.0
FRAME = chat_frame("Hello") + b"\n"


class BackendsTestCase(SynchronousTestCase):
    """Two backends, `a` and `b`, and two slots."""

    def setUp(self) -> None:
        """Nothing is asked yet."""
        self.clock = Clock()
        self.agent = ScriptedAgent()
        self.missing = 0
        self.sent: list[str] = []
        self.backends = Backends(
            clock=self.clock,
            client=OllamaClient(self.agent),
            backends={name: Backend(name=name, url=f"http://{name}") for name in "ab"},
            read_timeout_s=READ_S,
            max_connections=2,
            model_missing=self.model_missing,
        )

    def model_missing(self) -> None:
        """Count."""
        self.missing += 1

    def open(self, *names: str, **request: Any) -> "Deferred[LineStream]":
        """Begin to open a stream on backends."""
        model = made_model("Llama3:latest", backends=names or ("a",))
        ticket = evolve(made_ticket(request=made_request(**request)), model=model)
        return Deferred.fromCoroutine(self.backends.open(ticket, self.sent.append))

    @property
    def last(self) -> Asked:
        """The newest request."""
        return self.agent.asked[-1]

    def refused(self, opening: "Deferred[LineStream]", kind: type[Refusal], why: str) -> Refusal:
        """The refusal, at rest: all slots are back, no timer runs."""
        failure = self.failureResultOf(opening, kind)
        refusal = failure.value
        assert isinstance(refusal, Refusal)
        self.assertEqual(refusal.why, why)
        self.at_rest()
        return refusal

    def at_rest(self) -> None:
        """All slots are back and no timer runs."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.backends.slots.tokens, 2)


class OpenTests(BackendsTestCase):
    def test_request(self) -> None:
        """The path is ours, the model as the host knows it, and it is always streamed."""
        self.open(stream=False, body={"model": "x", "options": {}})
        self.assertEqual((self.last.method, self.last.url), (b"POST", b"http://a/api/chat"))
        # What a parsed body holds cannot name another model, nor turn streaming off.
        self.assertEqual(orjson.loads(self.last.body)["stream"], True)
        self.assertEqual(self.sent, ["a"])

    def test_model_is_the_hosts(self) -> None:
        """The client's spelling of the model does not go upstream."""
        self.open(model="LLAMA3")
        self.assertEqual(orjson.loads(self.last.body)["model"], "Llama3:latest")

    def test_first_frame(self) -> None:
        """The stream is given when its first frame is there, and holds its slot until it closes."""
        opening = self.open()
        response = self.last.respond()
        self.assertNoResult(opening)
        response.send(FRAME)
        stream = self.successResultOf(opening)
        self.assertEqual(stream.backend, "a")
        self.assertTrue(response.transport.paused)
        self.assertEqual(self.backends.slots.tokens, 1)
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
                self.assertEqual(self.missing, int(status == 404))

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
        for failure in (
            error.ConnectionRefusedError(),
            error.TimeoutError(),
            error.DNSLookupError(),
            ResponseNeverReceived([Failure(ConnectionResetError())]),
        ):
            with self.subTest(failure=failure):
                self.setUp()
                opening = self.open()
                self.last.fail(failure)
                self.refused(opening, UpstreamFailed, type(failure).__name__)

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
        self.refused(opening, UpstreamFailed, "encoding")

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
                    self.assertEqual(self.missing, int(status == 404))

    def test_no_backend(self) -> None:
        """A model that no backend has cannot run."""
        model = made_model(backends=())
        ticket = evolve(made_ticket(), model=model)
        opening = Deferred.fromCoroutine(self.backends.open(ticket, self.sent.append))
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

    def test_client_gone(self) -> None:
        """A cancel closes the connection, and is a cancel, whatever the agent says."""
        for phase in self.phases():
            with self.subTest(phase=phase):
                opening, closed = self.reach(phase)
                opening.cancel()
                self.failureResultOf(opening, CancelledError)
                self.assertTrue(closed())
                self.at_rest()


class SlotTests(BackendsTestCase):
    def test_waiters(self) -> None:
        """As many as there are slots may wait, in order; further ones are refused at once."""
        openings = [self.open() for _ in range(4)]
        self.assertEqual(len(self.agent.asked), 2)
        self.assertEqual(self.sent, ["a", "a"])
        self.failureResultOf(self.open(), UpstreamBusy)
        self.agent.asked[0].respond(500, b"-")
        self.failureResultOf(openings[0], UpstreamFailed)
        self.assertEqual(len(self.agent.asked), 3)
        for opening in reversed(openings[1:]):
            opening.cancel()
            self.failureResultOf(opening, CancelledError)
        self.assertEqual(len(self.agent.asked), 3)
        self.at_rest()

    def test_waiting_has_an_end(self) -> None:
        """A request that gets no slot in time is told that the host is busy."""
        for _ in range(2):
            self.open()
            self.last.respond().send(FRAME)
        waiting = self.open()
        self.clock.advance(READ_S)
        self.failureResultOf(waiting, UpstreamBusy)
        self.assertEqual(len(self.backends.slots.waiting), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slot_of_a_closed_stream_is_used_again(self) -> None:
        """The next one in line is asked when a stream has closed."""
        first = self.open()
        response = self.last.respond()
        response.send(FRAME)
        self.open()
        self.open()
        self.assertEqual(len(self.agent.asked), 2)
        self.successResultOf(first).stop()
        response.lose()
        self.assertEqual(len(self.agent.asked), 3)


class FailoverTests(BackendsTestCase):
    def test_next_backend(self) -> None:
        """A backend that fails before its first frame is followed by the next one."""
        for name, fail in (
            ("refused", lambda: self.last.fail(error.ConnectionRefusedError())),
            ("busy", lambda: self.last.respond(503, b"-")),
            ("failed", lambda: self.last.respond(500, b"-")),
            ("nonsense", lambda: self.last.respond(200, b"-\n")),
            ("silent", lambda: self.clock.advance(READ_S)),
        ):
            with self.subTest(case=name):
                self.setUp()
                opening = self.open("a", "b")
                fail()
                self.assertEqual(self.last.url, b"http://b/api/chat")
                response = self.last.respond()
                response.send(FRAME)
                self.assertEqual(self.successResultOf(opening).backend, "b")
                self.assertEqual(self.sent, ["a", "b"])
                response.finish()
                self.at_rest()

    def test_all_fail(self) -> None:
        """The last backend's failure is the answer."""
        opening = self.open("a", "b")
        self.last.fail(error.ConnectionRefusedError())
        self.last.respond(503, b"-")
        self.refused(opening, UpstreamBusy, "503")

    def test_not_for_a_bad_request(self) -> None:
        """What the model cannot do, or has not, is not asked of another host."""
        for status, kind, why in (
            (400, InvalidRequest, "upstream"),
            (404, NotAllowed, "model_gone"),
        ):
            with self.subTest(status=status):
                self.setUp()
                opening = self.open("a", "b")
                self.last.respond(status, b"-")
                self.refused(opening, kind, why)
                self.assertEqual(len(self.agent.asked), 1)

    def test_not_after_the_first_frame(self) -> None:
        """A stream that dies is the relay's."""
        opening = self.open("a", "b")
        response = self.last.respond()
        response.send(FRAME)
        self.successResultOf(opening)
        response.lose()
        self.assertEqual(len(self.agent.asked), 1)
        self.at_rest()

    def test_not_for_a_client_that_went(self) -> None:
        """A cancel asks nobody else."""
        opening = self.open("a", "b")
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertEqual(len(self.agent.asked), 1)
        self.at_rest()
