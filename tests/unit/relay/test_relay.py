"""One answer to its end: what the client saw, what is recorded, and what is left behind."""

import json
from typing import TYPE_CHECKING, Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from neuronetz_twisted.dialects.openai_writers import ChatCompletionWriter
from neuronetz_twisted.dialects.writers import NativeWriter, Writer
from neuronetz_twisted.errors import (
    Draining,
    InvalidApiKey,
    Refusal,
    UpstreamFailed,
    UpstreamNonsense,
    UpstreamTimeout,
)
from neuronetz_twisted.relay.answer import RelayLimits
from neuronetz_twisted.relay.live import LiveCalls
from neuronetz_twisted.relay.relay import Relay
from neuronetz_twisted.testing.agent import ScriptedResponse
from neuronetz_twisted.testing.calls import REQUEST_ID, RecordingClient, made_request, made_ticket
from neuronetz_twisted.testing.identity import FakeKeyStore
from neuronetz_twisted.testing.leases import NO_LEASES
from neuronetz_twisted.testing.upstream import ScriptedStream, chat_final, chat_frame
from neuronetz_twisted.upstream.stream import LineStream
from neuronetz_twisted.vocabulary import End, Outcome, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_S = 10.0
STALL_S = 4.0
HELLO = chat_frame("Hello")
WORLD = chat_frame(" world")
FINAL = chat_final(prompt=3, answer=2)


@define
class CountingClient(RecordingClient):
    """A client that counts what it is told to send."""

    writes: int = 0

    def write(self, data: bytes) -> None:
        """Count."""
        self.writes += 1
        super().write(data)


@define
class LeavingClient(RecordingClient):
    """A client whose connection is found to be lost by writing to it."""

    def write(self, data: bytes) -> None:
        """Go."""
        super().write(data)
        assert self.producer is not None
        self.producer.stopProducing()


class UnwritableWriter(NativeWriter):
    """A writer to which no answer is one."""

    def whole(self, folded: object, usage: object) -> bytes:  # noqa: ARG002 - none is
        """Refuse it."""
        raise UpstreamNonsense("not for me")


class BrokenWriter(NativeWriter):
    """A writer with a fault of ours."""

    def frames(self, lines: object) -> bytes:  # noqa: ARG002 - it does not get there
        """Fail."""
        raise ZeroDivisionError


class WholeWriter:
    """A writer of answers that are never streamed."""

    def whole(self, folded: object, usage: object) -> bytes:  # noqa: ARG002 - all the same
        """Say something."""
        return b"all of it"


class RelayTestCase(SynchronousTestCase):
    """One relay and one answer that has begun."""

    stream_asked = True

    def setUp(self) -> None:
        """Begin an answer whose stream is still silent."""
        self.clock = Clock()
        self.live = LiveCalls(FakeKeyStore(), lambda *_: None)
        self.limits = RelayLimits(idle_s=IDLE_S, stall_s=STALL_S, max_folded_bytes=1000)
        self.client = RecordingClient()
        self.stream = ScriptedStream(backend="the backend")
        self.running = self.begin(NativeWriter())

    def begin(self, writer: Writer) -> "Deferred[Outcome]":
        """Run an answer on a fresh client."""
        live = self.live.enter(made_ticket(request=made_request(stream=self.stream_asked)))
        relay = Relay(self.clock, self.limits, NO_LEASES)
        return Deferred.fromCoroutine(relay.run(self.stream, self.client, live, writer))

    def ended(self, end: End) -> Outcome:
        """The outcome, once everything is at rest: no timer, host and client let go."""
        outcome = self.successResultOf(self.running)
        self.assertIs(outcome.end, end)
        self.assertEqual(outcome.word, end.value)
        self.assertEqual(outcome.backend, "the backend")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.stream.finished, end is End.COMPLETE)
        self.assertEqual(self.stream.stopped, end is not End.COMPLETE)
        self.assertIsNone(self.client.producer)
        return outcome

    def lines(self) -> list[Any]:
        """The NDJSON that the client has read."""
        self.assertTrue(self.client.sent.endswith(b"\n"))
        return [json.loads(line) for line in self.client.sent.splitlines()]

    def assert_broken(self, status_code: str = "upstream_failed") -> None:
        """The client read an error line, no final frame, and a broken end."""
        lines = self.lines()
        self.assertEqual(lines[-1]["code"], status_code)
        self.assertEqual(lines[-1]["request_id"], REQUEST_ID)
        self.assertFalse(any(line.get("done") for line in lines))
        self.assertEqual(self.client.ends, ["break_off"])


class StreamedTests(RelayTestCase):
    """Frames that go out as they come."""

    def test_never_streamed(self) -> None:
        """What its writer cannot stream goes out in one piece, whatever was asked for."""
        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream(backend="the backend")
        self.running = self.begin(WholeWriter())
        self.stream.send(HELLO, FINAL)
        self.ended(End.COMPLETE)
        self.assertEqual((self.client.sent, self.client.ends), (b"all of it", ["answer"]))

    def test_a_fault_of_ours(self) -> None:
        """Whatever it is, the place at the model host is free again."""
        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream(backend="the backend")
        self.stream.send(HELLO)
        self.failureResultOf(self.begin(BrokenWriter()), ZeroDivisionError)
        self.assertTrue(self.stream.stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_complete(self) -> None:
        """A whole stream passes frame by frame and ends truthfully, with the host's counts."""
        self.stream.send(HELLO)
        self.assertEqual(self.client.sent, HELLO + b"\n")
        self.stream.send(WORLD, FINAL)
        self.stream.end()
        outcome = self.ended(End.COMPLETE)
        self.assertEqual(self.client.ends, ["complete"])
        self.assertEqual(self.client.content_type, b"application/x-ndjson")
        self.assertEqual(self.lines()[-1]["done"], True)
        self.assertEqual(outcome.status, 200)
        self.assertEqual(outcome.usage, Usage(prompt_tokens=3, completion_tokens=2))
        self.assertEqual(outcome.bytes_sent, len(self.client.sent))

    def test_first_byte_counts_from_the_calls_arrival(self) -> None:
        """The time to the first byte is that of the first frame, not of later ones."""
        self.clock.advance(2.5)
        self.stream.send(HELLO)
        self.clock.advance(1)
        self.stream.send(FINAL)
        self.stream.end()
        self.assertEqual(self.ended(End.COMPLETE).first_byte_after, 2.5)

    def test_host_that_does_not_close_after_the_final_frame(self) -> None:
        """The answer is complete with its final frame; the host is let go in peace."""
        self.stream.send(FINAL)
        self.ended(End.COMPLETE)
        self.assertEqual(self.client.ends, ["complete"])
        self.assertEqual((self.stream.finished, self.stream.stopped), (True, False))

    def test_lost_after_frames(self) -> None:
        """A connection that dies in the middle ends in an error line; frames are counted."""
        self.stream.send(HELLO, WORLD)
        self.stream.end(clean=False)
        outcome = self.ended(End.UPSTREAM_LOST)
        self.assert_broken()
        expected = Usage(prompt_tokens=3, completion_tokens=2, estimated=True)
        self.assertEqual(outcome.usage, expected)

    def test_lost_before_frames(self) -> None:
        """A stream that ends without a frame is broken too."""
        self.stream.end(clean=False)
        self.ended(End.UPSTREAM_LOST)
        self.assert_broken()

    def test_clean_end_without_a_final_frame(self) -> None:
        """A body that is framed to its end, but has no final frame, is not an answer."""
        self.stream.send(HELLO)
        self.stream.end(clean=True)
        self.ended(End.UPSTREAM_LOST)
        self.assert_broken()

    def test_nonsense(self) -> None:
        """Lines that are no frames break the answer, and nothing of them reaches the client."""
        for line in (b"gibberish", b"[]", b'{"done":"no"}', b'{"response":"x"}', b'{"done":1}'):
            with self.subTest(line=line):
                self.setUp()
                self.stream.send(HELLO, line)
                self.ended(End.UPSTREAM_ERROR)
                self.assert_broken()

    def test_frames_before_nonsense_in_the_same_read(self) -> None:
        """What came before it reaches the client, as it is charged."""
        for line in (b"gibberish", b'{"error":"out of memory"}'):
            with self.subTest(line=line):
                self.setUp()
                self.stream.send(HELLO, WORLD, line)
                outcome = self.ended(End.UPSTREAM_ERROR)
                self.assertTrue(self.client.sent.startswith(HELLO + b"\n" + WORLD + b"\n"))
                self.assertEqual(outcome.usage.completion_tokens, 2)
                self.assert_broken()

    def test_error_line(self) -> None:
        """The host's words of an error stay with us."""
        self.stream.send(HELLO)
        self.stream.send(b'{"error":"CUDA out of memory at /usr/lib/ollama"}')
        self.ended(End.UPSTREAM_ERROR)
        self.assert_broken()
        self.assertNotIn(b"CUDA", self.client.sent)

    def test_line_too_long(self) -> None:
        """A line over the limit breaks the answer."""
        self.stream.send(HELLO)
        self.stream.break_line()
        self.ended(End.UPSTREAM_ERROR)
        self.assert_broken()

    def test_frame_behind_the_final_one_in_the_same_read(self) -> None:
        """Where the final frame was not passed on yet, the answer is broken."""
        self.stream.send(HELLO)
        self.stream.send(FINAL, WORLD)
        self.ended(End.UPSTREAM_ERROR)
        self.assert_broken()

    def test_nothing_follows_a_final_frame(self) -> None:
        """Once the client has the final frame, no fault of the host puts an error behind it."""
        faults: dict[str, Callable[[RelayTestCase], object]] = {
            "a frame": lambda case: case.stream.send(WORLD),
            "nonsense": lambda case: case.stream.send(b"gibberish"),
            "a long line": lambda case: case.stream.break_line(),
            "a lost connection": lambda case: case.stream.end(clean=False),
            "a cut": lambda case: case.live.cut_all(),
        }
        for name, fault in faults.items():
            with self.subTest(fault=name):
                self.setUp()
                self.stream.send(FINAL)
                fault(self)
                self.ended(End.COMPLETE)
                self.assertEqual(self.client.ends, ["complete"])
                self.assertEqual(len(self.lines()), 1)

    def test_idle(self) -> None:
        """Silence longer than allowed ends the answer; each frame starts the time anew."""
        self.clock.advance(IDLE_S - 1)
        self.stream.send(HELLO)
        self.clock.advance(IDLE_S - 1)
        self.stream.send(WORLD)
        self.clock.advance(IDLE_S - 1)
        self.assertNoResult(self.running)
        self.clock.advance(1)
        self.ended(End.UPSTREAM_IDLE)
        self.assert_broken("upstream_timeout")

    def test_a_frame_costs_no_timer(self) -> None:
        """One timer watches the host, and no frame touches it."""
        (timer,) = self.clock.getDelayedCalls()
        for _ in range(3):
            self.clock.advance(1)
            self.stream.send(HELLO)
        self.assertEqual(self.clock.getDelayedCalls(), [timer])
        self.assertEqual(timer.getTime(), IDLE_S)

    def test_idle_to_the_second(self) -> None:
        """The time runs from the last frame, however often the timer was due before."""
        for wait in (3.0, 6.5, 8.0, 9.75):
            self.clock.advance(wait)
            self.stream.send(HELLO)
        self.clock.advance(IDLE_S - 0.001)
        self.assertNoResult(self.running)
        self.clock.advance(0.001)
        self.ended(End.UPSTREAM_IDLE)

    def test_one_write_per_read(self) -> None:
        """What comes in one read goes out in one write, the final frame with the others."""
        self.running.cancel()
        self.client, self.stream = CountingClient(), ScriptedStream(backend="the backend")
        self.running = self.begin(NativeWriter())
        self.stream.send(HELLO, WORLD)
        self.stream.send(HELLO, FINAL)
        self.stream.end()
        self.ended(End.COMPLETE)
        self.assertEqual(self.client.writes, 2)
        self.assertEqual(len(self.lines()), 4)

    def test_cut(self) -> None:
        """A running answer that is cut ends in an error line that says why."""
        self.stream.send(HELLO)
        self.live.cut_all()
        self.assertEqual(self.ended(End.CUT).status, 200)
        self.assert_broken(Draining.code)

    def test_cut_before(self) -> None:
        """A call that was cut before its answer began leaves no stream behind."""
        live = self.live.enter(made_ticket(request=made_request(stream=self.stream_asked)))
        live.cut(Draining())
        stream = ScriptedStream(backend="the backend")
        relay = Relay(self.clock, self.limits, NO_LEASES)
        running = relay.run(stream, self.client, live, NativeWriter())
        self.failureResultOf(Deferred.fromCoroutine(running), Draining)
        self.assertTrue(stream.stopped)

    def test_client_gone(self) -> None:
        """A client that goes closes the host's connection at once; nothing more is written."""
        for name in ("stopProducing", "cancel"):
            with self.subTest(by=name):
                self.setUp()
                self.stream.send(HELLO)
                if name == "cancel":
                    self.running.cancel()
                else:
                    assert self.client.producer is not None
                    self.client.producer.stopProducing()
                outcome = self.ended(End.CLIENT_GONE)
                self.assertEqual(outcome.status, 499)
                self.assertEqual(outcome.usage.completion_tokens, 1)
                self.assertEqual(self.client.ends, [])
                self.assertEqual(self.client.sent, HELLO + b"\n")

    def test_both_signs_of_a_client_that_goes(self) -> None:
        """Twisted tells a relay twice; it ends once."""
        producer = self.client.producer
        assert producer is not None
        producer.stopProducing()
        self.running.cancel()
        producer.pauseProducing()
        producer.resumeProducing()
        self.ended(End.CLIENT_GONE)

    def test_stream_that_is_over_when_it_is_attached(self) -> None:
        """An answer that came whole with its first read is passed on whole."""
        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream(backend="the backend")
        self.stream.send(HELLO, FINAL)
        self.running = self.begin(NativeWriter())
        self.stream.end()
        self.ended(End.COMPLETE)
        self.assertEqual(len(self.lines()), 2)

    def test_nonsense_that_is_there_when_it_is_attached(self) -> None:
        """It ends the answer at once, and no timer is left."""
        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream(backend="the backend")
        self.stream.send(HELLO, b"gibberish")
        self.running = self.begin(NativeWriter())
        self.ended(End.UPSTREAM_ERROR)
        self.assert_broken()

    def test_client_that_goes_while_it_is_written_to(self) -> None:
        """Twisted may say so from within a write; what came in the same read changes nothing."""
        for line in (WORLD, b"gibberish"):
            with self.subTest(line=line):
                self.running.cancel()
                self.client, self.stream = LeavingClient(), ScriptedStream(backend="the backend")
                self.running = self.begin(NativeWriter())
                self.stream.send(HELLO, line)
                self.assertEqual(self.ended(End.CLIENT_GONE).status, 499)
                self.assertEqual(self.client.ends, [])

    def test_missing_counts_are_estimated(self) -> None:
        """Frames stand for tokens, and the estimate for the prompt, where counts are missing."""
        self.stream.send(HELLO, WORLD, chat_final(prompt=None, answer=None))
        self.stream.end()
        usage = self.ended(End.COMPLETE).usage
        self.assertEqual(usage, Usage(prompt_tokens=3, completion_tokens=2, estimated=True))


class WithoutLineFeedTests(RelayTestCase):
    """A final frame that ends with the body, as Ollama answers an empty prompt."""

    def setUp(self) -> None:
        """Relay what a real stream reads."""
        super().setUp()
        self.running.cancel()
        self.client = RecordingClient()

    def run_body(self, *, before: bytes = b"", after: bytes = b"") -> None:
        """Run an answer whose body is in part there before it begins; then the body ends."""
        response = ScriptedResponse(200, Headers())
        stream = LineStream("the backend")
        response.deliverBody(stream)
        response.send(before)
        live = self.live.enter(made_ticket(request=made_request(stream=self.stream_asked)))
        relay = Relay(self.clock, self.limits, NO_LEASES)
        relaying = relay.run(stream, self.client, live, NativeWriter())
        self.running = Deferred.fromCoroutine(relaying)
        response.send(after)
        response.finish()

    def test_whole(self) -> None:
        """It is complete, with its counts, whichever part of it had come when it was opened."""
        for before, after in ((b"", FINAL), (FINAL[:9], FINAL[9:]), (HELLO + b"\n", FINAL)):
            with self.subTest(before=before):
                self.setUp()
                self.run_body(before=before, after=after)
                outcome = self.successResultOf(self.running)
                self.assertEqual((outcome.end, outcome.usage.prompt_tokens), (End.COMPLETE, 3))
                self.assertEqual(self.clock.getDelayedCalls(), [])
                self.assertIn(self.client.ends, (["complete"], ["answer"]))

    def test_half(self) -> None:
        """Half a frame is none."""
        self.run_body(after=FINAL[:-1])
        self.assertIs(self.successResultOf(self.running).end, End.UPSTREAM_ERROR)
        self.assertIn(self.client.ends, (["break_off"], ["refuse"]))


class FoldedWithoutLineFeedTests(WithoutLineFeedTests):
    """The same in one piece."""

    stream_asked = False


class BackPressureTests(RelayTestCase):
    """The client's socket paces the model host."""

    def producer(self) -> Any:
        """The relay, as the client's connection sees it."""
        return self.client.producer

    def test_pause_and_resume_reach_the_stream(self) -> None:
        """A full socket holds the host, an empty one lets it go on."""
        self.producer().pauseProducing()
        self.assertTrue(self.stream.paused)
        self.producer().resumeProducing()
        self.assertFalse(self.stream.paused)

    def test_a_stalled_client_is_reset(self) -> None:
        """A client that reads nothing for too long is aborted, without an error frame."""
        self.stream.send(HELLO)
        self.producer().pauseProducing()
        self.clock.advance(STALL_S - 1)
        self.assertNoResult(self.running)
        self.clock.advance(1)
        self.ended(End.CLIENT_STALLED)
        self.assertEqual(self.client.ends, ["abort"])
        self.assertEqual(self.client.sent, HELLO + b"\n")

    def test_repeated_pauses_do_not_prolong_the_stall(self) -> None:
        """Twisted pauses for every write to a full socket; the time runs from the first."""
        self.producer().pauseProducing()
        self.clock.advance(STALL_S - 1)
        self.producer().pauseProducing()
        self.stream.send(HELLO)
        self.clock.advance(1)
        self.ended(End.CLIENT_STALLED)

    def test_the_hosts_silence_does_not_count_while_it_is_held(self) -> None:
        """Idle time runs only while the host may send."""
        self.limits = RelayLimits(idle_s=IDLE_S, stall_s=10 * IDLE_S, max_folded_bytes=1000)
        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream(backend="the backend")
        self.running = self.begin(NativeWriter())
        self.producer().pauseProducing()
        self.clock.advance(5 * IDLE_S)
        self.producer().resumeProducing()
        self.clock.advance(IDLE_S - 1)
        self.assertNoResult(self.running)
        self.clock.advance(1)
        self.ended(End.UPSTREAM_IDLE)

    def test_a_client_that_reads_again_is_not_stalled(self) -> None:
        """Each pause has its own time."""
        for _ in range(3):
            self.producer().pauseProducing()
            self.clock.advance(STALL_S - 1)
            self.producer().resumeProducing()
        self.stream.send(FINAL)
        self.stream.end()
        self.ended(End.COMPLETE)

    def test_final_frame_to_a_client_that_is_slow(self) -> None:
        """A final frame that waits in the socket is not lost to the stall's timer."""
        self.producer().pauseProducing()
        self.stream.send(HELLO, FINAL)
        self.ended(End.COMPLETE)
        self.assertEqual(self.client.ends, ["complete"])


class ServerSentEventsTests(RelayTestCase):
    """The same ends, as a client of OpenAI's surface reads them."""

    def setUp(self) -> None:
        """Begin a chat completion."""
        super().setUp()
        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream(backend="the backend")
        writer = ChatCompletionWriter(id="x", created=1, model="llama3", include_usage=False)
        self.running = self.begin(writer)

    def test_complete(self) -> None:
        """A whole answer ends in [DONE]."""
        self.stream.send(HELLO, FINAL)
        self.stream.end()
        self.ended(End.COMPLETE)
        self.assertTrue(self.client.sent.endswith(b"data: [DONE]\n\n"))
        self.assertEqual(self.client.content_type, b"text/event-stream")

    def test_broken(self) -> None:
        """A broken one ends in an error event without [DONE]."""
        self.stream.send(HELLO)
        self.stream.end(clean=False)
        self.ended(End.UPSTREAM_LOST)
        events = self.client.sent.removesuffix(b"\n\n").split(b"\n\n")
        error = json.loads(events[-1].removeprefix(b"data: "))["error"]
        self.assertEqual(error["code"], "upstream_failed")
        self.assertNotIn(b"[DONE]", self.client.sent)
        self.assertEqual(self.client.ends, ["break_off"])

    def test_frame_of_another_route(self) -> None:
        """A frame without a message is nonsense here, also as the final one."""
        for line in (b'{"model":"x","response":"y","done":false}', b'{"response":"","done":true}'):
            with self.subTest(line=line):
                self.setUp()
                self.stream.send(line)
                self.ended(End.UPSTREAM_ERROR)
                self.assertNotIn(b"[DONE]", self.client.sent)

    def test_frames_before_a_final_one_of_another_route(self) -> None:
        """They reach the client, though their end is nonsense."""
        self.stream.send(HELLO, b'{"response":"x","done":true}')
        self.ended(End.UPSTREAM_ERROR)
        self.assertIn(b'"content":"Hello"', self.client.sent)
        self.assertEqual(self.client.ends, ["break_off"])


class FoldedTests(RelayTestCase):
    """An answer in one piece: every failure is a plain status."""

    stream_asked = False

    def test_complete(self) -> None:
        """All text comes in one object as soon as the final frame is there."""
        self.stream.send(HELLO, WORLD)
        self.assertEqual(self.client.sent, b"")
        self.stream.send(FINAL)
        outcome = self.ended(End.COMPLETE)
        self.assertEqual(self.client.ends, ["answer"])
        body = json.loads(self.client.sent)
        self.assertEqual(body["message"]["content"], "Hello world")
        self.assertEqual((outcome.status, outcome.bytes_sent), (200, len(self.client.sent)))

    def test_stream_that_is_over_when_it_is_attached(self) -> None:
        """An answer that came whole with its first read is answered without a timer."""
        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream(backend="the backend")
        self.stream.send(HELLO, FINAL)
        self.patch(self.clock, "callLater", None)
        self.running = self.begin(NativeWriter())
        self.ended(End.COMPLETE)
        self.assertEqual(self.client.ends, ["answer"])

    def test_failures(self) -> None:
        """Each way to fail is one refusal with its status, and no byte of the answer."""
        lost, nonsense = End.UPSTREAM_LOST, End.UPSTREAM_ERROR
        cases: tuple[tuple[Callable[[RelayTestCase], object], End, type[Refusal]], ...] = (
            (lambda case: case.stream.end(clean=False), lost, UpstreamFailed),
            (lambda case: case.stream.end(clean=True), lost, UpstreamFailed),
            (lambda case: case.stream.send(b"?"), nonsense, UpstreamFailed),
            (lambda case: case.stream.break_line(), nonsense, UpstreamFailed),
            (lambda case: case.stream.send(FINAL, WORLD), nonsense, UpstreamFailed),
            (lambda case: case.stream.send(chat_frame("x" * 1000)), nonsense, UpstreamFailed),
            (lambda case: case.clock.advance(IDLE_S), End.UPSTREAM_IDLE, UpstreamTimeout),
            (lambda case: case.live.cut_all(), End.CUT, Draining),
        )
        for number, (fail, end, refusal) in enumerate(cases):
            with self.subTest(number=number):
                self.setUp()
                self.stream.send(HELLO)
                fail(self)
                outcome = self.ended(end)
                self.assertEqual(self.client.ends, ["refuse"])
                self.assertIsInstance(self.client.refusal, refusal)
                self.assertEqual(outcome.status, refusal.status)

    def test_unwritable(self) -> None:
        """A whole answer that cannot be written is a plain 502 as well."""
        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream(backend="the backend")
        self.running = self.begin(UnwritableWriter())
        self.stream.send(HELLO, FINAL)
        self.assertEqual(self.ended(End.UPSTREAM_ERROR).status, UpstreamFailed.status)
        self.assertEqual(self.client.ends, ["refuse"])

    def test_revoked_key(self) -> None:
        """An answer whose key was taken away is refused as any call of that key."""
        changed = self.live.epoch_changed(made_ticket().principal.tenant_id, 2)
        self.successResultOf(changed)
        self.assertEqual(self.ended(End.CUT).status, InvalidApiKey.status)

    def test_limit_counts_all_frames(self) -> None:
        """Many small frames are too large together; up to the limit they are not."""
        fitting = self.limits.max_folded_bytes // len(HELLO)
        for _ in range(fitting):
            self.stream.send(HELLO)
        self.assertNoResult(self.running)
        self.stream.send(HELLO)
        self.ended(End.UPSTREAM_ERROR)

    def test_client_gone(self) -> None:
        """A client that goes closes the host's connection, and nobody is answered."""
        self.stream.send(HELLO)
        self.running.cancel()
        self.assertEqual(self.ended(End.CLIENT_GONE).status, 499)
        self.assertEqual(self.client.ends, [])
        self.assertEqual(self.client.sent, b"")
