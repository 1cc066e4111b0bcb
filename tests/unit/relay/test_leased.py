"""Answers of callers with a budget: what goes on, what waits, and how they end."""

import json
from typing import TYPE_CHECKING, Any

import orjson
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from neuronetz_twisted.admission.leases import HOLD_S
from neuronetz_twisted.dialects.native_requests import GENERATE_PATH
from neuronetz_twisted.dialects.openai_writers import ChatCompletionWriter
from neuronetz_twisted.dialects.writers import NativeWriter, Writer
from neuronetz_twisted.errors import (
    AuditUnavailable,
    Draining,
    InternalError,
    LimitsUnavailable,
    UpstreamFailed,
)
from neuronetz_twisted.relay import leased
from neuronetz_twisted.relay.answer import RelayLimits
from neuronetz_twisted.relay.leased import LeaseSource
from neuronetz_twisted.relay.live import LiveCall, LiveCalls
from neuronetz_twisted.relay.relay import Relay
from neuronetz_twisted.testing.agent import ScriptedResponse
from neuronetz_twisted.testing.audit import FakeSlot
from neuronetz_twisted.testing.calls import (
    GRANT,
    REQUEST_ID,
    RecordingClient,
    made_request,
    made_ticket,
)
from neuronetz_twisted.testing.identity import FakeKeyStore
from neuronetz_twisted.testing.leases import FakeLeases
from neuronetz_twisted.testing.upstream import ScriptedStream, chat_final, chat_frame
from neuronetz_twisted.upstream.stream import LineStream
from neuronetz_twisted.vocabulary import End, Outcome, Ticket, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_S = 8.0
STALL_S = 4.0
PROMPT = 3
FINAL = chat_final(prompt=3, answer=20)


@define(eq=False)
class LimitedSlot(FakeSlot):
    """A slot whose reservation cannot be written while the spool is `full`."""

    full: bool = field(default=False, init=False)

    def extend(self, tokens: int) -> None:
        """Refuse, or note it."""
        if self.full:
            raise AuditUnavailable(why="full")
        super().extend(tokens)


def frames(first: int, behind: int) -> list[bytes]:
    """Frames that say their number, from `first` to the one before `behind`."""
    return [chat_frame(f"{number} ") for number in range(first, behind)]


class LeasedTestCase(SynchronousTestCase):
    """An answer that has begun; leases are of ten tokens, and no draw is answered by itself."""

    stream_asked = True
    path = "/api/chat"

    def setUp(self) -> None:
        """Begin."""
        self.begin()

    def begin(
        self, *, budget: int | None = None, writer: Writer | None = None, **grant: Any
    ) -> None:
        """Run an answer with a first lease of ten tokens unless `grant` says otherwise."""
        self.clock = Clock()
        self.client = RecordingClient()
        self.stream = ScriptedStream()
        self.leases = FakeLeases(size=grant.pop("size", 10), budget=budget)
        self.leases.held = True
        self.slot = LimitedSlot()
        self.grant = evolve(GRANT, **{"lease": 10, "has_budget": True} | grant)
        self.live = LiveCalls(FakeKeyStore(), lambda *_: None).enter(self.ticket())
        self.running = self.run_answer(self.live, writer or NativeWriter(), self.leases.source)

    def ticket(self) -> Ticket:
        """The ticket of the answer."""
        ticket = made_ticket(request=made_request(stream=self.stream_asked, path=self.path))
        return evolve(ticket, grant=self.grant, slot=self.slot)

    def run_answer(
        self, live: LiveCall, writer: Writer, source: LeaseSource
    ) -> "Deferred[Outcome]":
        """Run an answer."""
        limits = RelayLimits(idle_s=IDLE_S, stall_s=STALL_S, max_folded_bytes=100_000)
        relay = Relay(self.clock, limits, source)
        return Deferred.fromCoroutine(relay.run(self.stream, self.client, live, writer))

    def send(self, first: int, behind: int, *more: bytes) -> None:
        """Let numbered frames arrive in one read, and `more` behind them."""
        self.stream.send(*frames(first, behind), *more)

    def lines(self) -> list[Any]:
        """The NDJSON that the client has read."""
        return [json.loads(line) for line in self.client.sent.splitlines()]

    def said(self) -> list[int]:
        """The numbers that the client has read."""
        text = "".join(line.get("message", {}).get("content", "") for line in self.lines())
        return [int(number) for number in text.split()]

    def assert_read(self, count: int) -> None:
        """The client has read so many frames, in order, and nothing else."""
        self.assertEqual(self.said(), list(range(count)))
        self.assertEqual(len(self.lines()), count)

    def ended(self, end: End) -> Outcome:
        """The outcome, with everything at rest."""
        outcome = self.successResultOf(self.running)
        self.assertIs(outcome.end, end)
        self.assertEqual(outcome.word, end.value)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.stream.finished, end is End.COMPLETE)
        self.assertEqual(self.stream.stopped, end is not End.COMPLETE)
        return outcome


class FlowingTests(LeasedTestCase):
    """Leases that are there in time."""

    def test_drawn_ahead_of_need(self) -> None:
        """At half a lease the next is drawn, once; frames flow on meanwhile."""
        self.send(0, 4)
        self.assertEqual(self.leases.asked, [])
        self.send(4, 5)
        self.assertEqual(self.leases.asked, [(REQUEST_ID, PROMPT + 20)])
        self.send(5, 10)
        self.assert_read(10)
        self.assertFalse(self.stream.paused)
        self.assertEqual(len(self.leases.asked), 1)

    def test_written_down(self) -> None:
        """The reservation is in the spool when the draw was answered."""
        self.send(0, 5)
        self.assertEqual(self.slot.reserved, [])
        self.leases.answer()
        self.assertEqual(self.slot.reserved, [PROMPT + 20])
        self.send(5, 20)
        self.assert_read(20)

    def test_one_timer(self) -> None:
        """While frames flow the host's timer is the only one."""
        (timer,) = self.clock.getDelayedCalls()
        self.leases.flow()
        for number in range(100):
            self.send(number, number + 1)
        self.assertEqual(self.clock.getDelayedCalls(), [timer])
        self.assertEqual(len(self.leases.asked), 10)

    def test_complete(self) -> None:
        """A final frame ends the answer with Ollama's own counts; no lease is drawn for it."""
        self.send(0, 9, FINAL)
        outcome = self.ended(End.COMPLETE)
        self.assertEqual(self.leases.asked, [])
        self.assertEqual(outcome.usage, Usage(prompt_tokens=3, completion_tokens=20))
        self.assertEqual(self.client.ends, ["complete"])

    def test_complete_with_the_first_read(self) -> None:
        """An answer that came whole before it began goes out whole."""
        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream()
        self.send(0, 10, FINAL)
        self.running = self.run_answer(self.live, NativeWriter(), self.leases.source)
        self.ended(End.COMPLETE)
        self.assertEqual(len(self.lines()), 11)

    def test_without_a_budget(self) -> None:
        """Nothing is drawn, and nothing waits."""
        self.begin(has_budget=False)
        self.send(0, 300, FINAL)
        self.ended(End.COMPLETE)
        self.assertEqual(self.leases.asked, [])
        self.assertEqual(len(self.lines()), 301)

    def test_silent_host(self) -> None:
        """Each read starts the host's time anew."""
        self.clock.advance(IDLE_S - 1)
        self.send(0, 1)
        self.clock.advance(IDLE_S - 1)
        self.assertNoResult(self.running)
        self.clock.advance(1)
        self.ended(End.UPSTREAM_IDLE)

    def test_ends_of_the_host(self) -> None:
        """They are what they are without leases, and come at once where nothing is held."""
        faults: tuple[tuple[Callable[[LeasedTestCase], object], End], ...] = (
            (lambda case: case.stream.end(clean=True), End.UPSTREAM_LOST),
            (lambda case: case.stream.break_line(), End.UPSTREAM_ERROR),
            (lambda case: case.send(2, 3, b"gibberish"), End.UPSTREAM_ERROR),
            (lambda case: case.send(2, 3, FINAL, FINAL), End.UPSTREAM_ERROR),
        )
        for number, (fault, end) in enumerate(faults):
            with self.subTest(number=number):
                self.begin()
                self.send(0, 2)
                fault(self)
                usage = self.ended(end).usage
                self.assertEqual(usage.completion_tokens, len(self.said()))
                self.assertTrue(usage.estimated)
                self.assertEqual(self.lines()[-1]["code"], "upstream_failed")
                self.assertEqual(self.client.ends, ["break_off"])


class HeldTests(LeasedTestCase):
    """Frames for which there is no lease yet."""

    def test_held_and_released(self) -> None:
        """What no lease covers waits with the host paused, and goes on in order."""
        self.send(0, 15)
        self.assert_read(10)
        self.assertTrue(self.stream.paused)
        self.leases.answer()
        self.assert_read(15)
        self.assertFalse(self.stream.paused)
        self.assertEqual(self.slot.reserved, [PROMPT + 20])
        self.send(15, 16)
        self.assert_read(16)

    def test_several_leases(self) -> None:
        """Many frames in one read draw one lease after the other."""
        self.send(0, 35)
        for read in (20, 30, 35):
            self.leases.answer()
            self.assert_read(read)
        self.assertEqual(self.slot.reserved, [23, 33, 43])
        self.assertFalse(self.stream.paused)

    def test_lease_of_one(self) -> None:
        """A thousand frames in one read with leases of one: each has its own, at any depth."""
        self.begin(lease=1, size=1)
        self.leases.flow()
        self.send(0, 1000)
        self.assert_read(1000)
        self.assertEqual(self.slot.reserved[-1], PROMPT + 1002)
        self.send(1000, 1001, FINAL)
        self.ended(End.COMPLETE)

    def test_final_frame_waits_its_turn(self) -> None:
        """It goes on when all before it has."""
        self.send(0, 15, FINAL)
        self.stream.end()
        self.assert_read(10)
        self.assertNoResult(self.running)
        self.leases.answer()
        usage = self.ended(End.COMPLETE).usage
        self.assertEqual(usage, Usage(prompt_tokens=3, completion_tokens=20))
        self.assertEqual(len(self.lines()), 16)

    def test_nothing_behind_a_final_frame(self) -> None:
        """What a host that is held writes behind it is not read."""
        self.send(0, 15, FINAL)
        self.send(15, 20, b"gibberish")
        self.leases.answer()
        self.ended(End.COMPLETE)
        self.assertEqual(len(self.lines()), 16)

    def test_faults_wait_their_turn(self) -> None:
        """A fault of the host ends the answer when what came before it has gone on."""
        for number, end in enumerate((End.UPSTREAM_LOST, End.UPSTREAM_ERROR, End.UPSTREAM_ERROR)):
            with self.subTest(number=number):
                self.begin()
                self.send(0, 15, *((b"gibberish",) if number == 1 else ()))
                if number == 1:
                    self.send(15, 17)
                if number == 2:
                    self.stream.break_line()
                else:
                    self.stream.end(clean=False)
                self.assertNoResult(self.running)
                self.leases.answer()
                outcome = self.ended(end)
                self.assertEqual(self.said(), list(range(15)))
                self.assertEqual(self.lines()[-1]["code"], "upstream_failed")
                self.assertEqual(outcome.usage.completion_tokens, 15)

    def test_the_hosts_silence_does_not_count(self) -> None:
        """A host that we hold is not idle; it is again once it may go on."""
        self.send(0, 15)
        self.clock.advance(HOLD_S - 1)
        self.leases.answer()
        self.clock.advance(IDLE_S - 1)
        self.assertNoResult(self.running)
        self.clock.advance(1)
        self.ended(End.UPSTREAM_IDLE)

    def test_host_that_writes_though_it_is_held(self) -> None:
        """What is held has a bound."""
        self.patch(leased, "MOST_HELD", 300)
        self.send(0, 15)
        self.send(15, 17)
        self.ended(End.UPSTREAM_ERROR)
        self.assertEqual(self.client.ends, ["break_off"])

    def test_read_while_held(self) -> None:
        """What was under way when the host was paused waits behind the rest."""
        self.send(0, 12)
        self.send(12, 14)
        self.leases.answer()
        self.assert_read(14)

    def test_nonsense_when_it_is_passed_on(self) -> None:
        """A frame of another route is found when it would go out, also behind a lease."""
        writer = ChatCompletionWriter(id="x", created=1, model="m", include_usage=False)
        self.begin(writer=writer)
        self.send(0, 10, b'{"response":"x","done":false}')
        self.leases.answer()
        self.ended(End.UPSTREAM_ERROR)
        self.assertNotIn(b"[DONE]", self.client.sent)

    def test_revoked(self) -> None:
        """A call that is cut does not wait for its lease."""
        self.send(0, 15)
        self.live.cut(Draining())
        self.ended(End.CUT)
        self.assertEqual(self.lines()[-1]["code"], "draining")

    def test_draw_that_is_late(self) -> None:
        """One that is answered behind the end changes nothing."""
        self.send(0, 15)
        self.running.cancel()
        outcome = self.ended(End.CLIENT_GONE)
        self.assertEqual(outcome.usage.completion_tokens, 15)
        self.leases.answer()
        self.assertEqual(self.slot.reserved, [])
        self.assert_read(10)
        self.assertEqual(self.client.ends, [])

    def test_failure_that_is_late(self) -> None:
        """So does one that fails, or breaks."""
        for error in (LimitsUnavailable(), ZeroDivisionError()):
            with self.subTest(error=error):
                self.begin()
                self.send(0, 15)
                self.running.cancel()
                self.leases.fail(error)
                self.ended(End.CLIENT_GONE)
                self.assert_read(10)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_fault_of_ours(self) -> None:
        """It ends the answer, and the log has it: nobody waits for ever."""

        def fault(_id: str, _total: int) -> "Deferred[int]":
            raise ZeroDivisionError

        self.running.cancel()
        self.client, self.stream = RecordingClient(), ScriptedStream()
        self.running = self.run_answer(self.live, NativeWriter(), LeaseSource(10, fault))
        self.send(0, 5)
        self.ended(End.CUT)
        self.assertEqual(self.lines()[-1]["code"], InternalError.code)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class LineStreamTests(LeasedTestCase):
    """The stream that reads from a real connection."""

    def run_body(self, before: bytes, after: bytes) -> None:
        """Run an answer whose body is in part there before it begins; then the body ends."""
        response = ScriptedResponse(200, Headers())
        stream = LineStream("the backend")
        response.deliverBody(stream)
        response.send(before)
        self.client = RecordingClient()
        limits = RelayLimits(idle_s=IDLE_S, stall_s=STALL_S, max_folded_bytes=100_000)
        relaying = Relay(self.clock, limits, self.leases.source)
        self.running = Deferred.fromCoroutine(
            relaying.run(stream, self.client, self.live, NativeWriter())
        )
        response.send(after)
        response.finish()

    def test_over_while_held(self) -> None:
        """A body that has ended is answered whole, once its leases are there."""
        body = b"\n".join([*frames(0, 15), FINAL])
        for cut in (0, 5, len(body) - 9, len(body)):
            for held in (True, False):
                with self.subTest(cut=cut, held=held):
                    self.begin()
                    self.running.cancel()
                    self.leases.held = held
                    self.run_body(body[:cut], body[cut:] + b"\n")
                    if held:
                        self.assert_read(10)
                        self.leases.answer()
                    self.assertIs(self.successResultOf(self.running).end, End.COMPLETE)
                    self.assertEqual(self.clock.getDelayedCalls(), [])
                    self.assertEqual(self.said(), list(range(15)))

    def test_lost_while_held(self) -> None:
        """A body that ended too soon is so for the client behind what it brought."""
        self.running.cancel()
        self.run_body(b"\n".join([*frames(0, 15), b""]), b"")
        self.assertNoResult(self.running)
        self.leases.answer()
        self.assertIs(self.successResultOf(self.running).end, End.UPSTREAM_LOST)
        self.assertEqual(self.said(), list(range(15)))
        self.assertEqual(self.client.ends, ["break_off"])


class TwoReasonsTests(LeasedTestCase):
    """A slow client and a missing lease: the host goes on when neither holds it."""

    def producer(self) -> Any:
        """The answer, as the client's connection sees it."""
        return self.client.producer

    def test_client_first(self) -> None:
        """The client was slow before, and reads again before or after the lease is there."""
        for lease_first in (True, False):
            with self.subTest(lease_first=lease_first):
                self.begin()
                self.producer().pauseProducing()
                self.send(0, 15)
                steps = [self.leases.answer, self.producer().resumeProducing]
                self.let_go(steps if lease_first else steps[::-1])

    def test_lease_first(self) -> None:
        """The lease was missing before."""
        for lease_first in (True, False):
            with self.subTest(lease_first=lease_first):
                self.begin()
                self.send(0, 15)
                self.producer().pauseProducing()
                steps = [self.leases.answer, self.producer().resumeProducing]
                self.let_go(steps if lease_first else steps[::-1])

    def let_go(self, steps: Any) -> None:
        """Take the reasons away, and see the host's time begin with the last."""
        self.assertTrue(self.stream.paused)
        self.clock.advance(1)
        steps[0]()
        self.assertTrue(self.stream.paused)
        self.clock.advance(1)
        steps[1]()
        self.assertFalse(self.stream.paused)
        self.assert_read(15)
        self.clock.advance(IDLE_S - 1)
        self.assertNoResult(self.running)
        self.clock.advance(1)
        self.ended(End.UPSTREAM_IDLE)

    def test_stalled(self) -> None:
        """The client's time runs from when he was slow, whatever the leases do."""
        self.send(0, 5)
        self.producer().pauseProducing()
        self.clock.advance(STALL_S - 2)
        self.send(5, 15)
        self.leases.answer()
        self.clock.advance(1)
        self.assertNoResult(self.running)
        self.clock.advance(1)
        self.ended(End.CLIENT_STALLED)
        self.assertEqual(self.client.ends, ["abort"])

    def test_stalled_while_held(self) -> None:
        """So it does while a lease is missing; once he reads, only the lease is waited for."""
        self.send(0, 15)
        self.producer().pauseProducing()
        self.clock.advance(STALL_S - 1)
        self.producer().resumeProducing()
        self.clock.advance(STALL_S - 1)
        self.producer().pauseProducing()
        self.clock.advance(STALL_S - 0.5)
        self.assertNoResult(self.running)
        self.clock.advance(0.5)
        self.ended(End.CUT_WITHOUT_LIMITS)

    def test_client_gone(self) -> None:
        """A client that goes while both hold the host leaves nothing behind."""
        self.send(0, 15)
        self.producer().pauseProducing()
        self.producer().stopProducing()
        self.ended(End.CLIENT_GONE)
        self.leases.answer()
        self.assertTrue(self.stream.paused)


class RedisAwayTests(LeasedTestCase):
    """Leases that nobody can grant."""

    def setUp(self) -> None:
        """Redis is away."""
        super().setUp()
        self.leases.flow()
        self.leases.away = True

    def test_ten_seconds(self) -> None:
        """What no lease covers waits for ten seconds, then ends with the honest error."""
        self.send(0, 15)
        self.clock.pump([0.1] * 99)
        self.assertNoResult(self.running)
        self.assert_read(10)
        self.clock.advance(0.11)
        outcome = self.ended(End.CUT_WITHOUT_LIMITS)
        self.assertEqual(outcome.status, 200)
        self.assertEqual(self.lines()[-1]["code"], "limits_unavailable")
        self.assertEqual(self.client.ends, ["break_off"])
        expected = Usage(prompt_tokens=PROMPT, completion_tokens=15, estimated=True)
        self.assertEqual(outcome.usage, expected)

    def test_a_draw_without_an_answer(self) -> None:
        """One that hangs is as one that fails."""
        self.leases.away = False
        self.leases.held = True
        self.send(0, 15)
        self.clock.advance(HOLD_S - 0.01)
        self.assertNoResult(self.running)
        self.clock.advance(0.01)
        self.ended(End.CUT_WITHOUT_LIMITS)
        self.assertEqual(self.lines()[-1]["code"], "limits_unavailable")

    def test_asked_again(self) -> None:
        """The same is asked again after a pause that grows, until it is answered."""
        self.send(0, 15)
        self.clock.pump([0.1] * 8)
        self.assertEqual(self.leases.asked, [(REQUEST_ID, 23)] * 4)
        self.leases.away = False
        self.clock.advance(1)
        self.assert_read(15)
        self.assertFalse(self.stream.paused)
        self.send(15, 16, FINAL)
        self.ended(End.COMPLETE)

    def test_ahead_of_need(self) -> None:
        """Where nothing waits for it, it is asked again with a later read, without a timer."""
        self.send(0, 5)
        self.send(5, 6)
        self.assertEqual(len(self.leases.asked), 1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0.1)
        self.send(6, 7)
        self.assertEqual(len(self.leases.asked), 2)
        self.assertFalse(self.stream.paused)

    def test_the_spool_is_full(self) -> None:
        """A reservation that cannot be written is no lease: asked again, in the end an error."""
        self.leases.away = False
        self.slot.full = True
        self.send(0, 15)
        self.assert_read(10)
        self.clock.advance(0.1)
        self.assertEqual(self.leases.asked, [(REQUEST_ID, 23)] * 2)
        self.slot.full = False
        self.clock.advance(0.2)
        self.assert_read(15)
        self.assertEqual(self.slot.reserved, [23, 33])
        self.slot.full = True
        self.send(15, 40)
        self.assert_read(30)
        self.clock.pump([0.1] * 101)
        outcome = self.ended(End.CUT_WITHOUT_LIMITS)
        self.assertEqual(self.lines()[-1]["code"], "audit_unavailable")
        self.assertEqual(outcome.usage.completion_tokens, 40)


class CutTests(LeasedTestCase):
    """A budget that is used up."""

    def test_streamed(self) -> None:
        """The client has what was covered, and a last frame that says why there is no more."""
        self.begin(budget=PROMPT + 12)
        self.leases.flow()
        self.clock.advance(1.5)
        self.send(0, 15)
        outcome = self.ended(End.CUT_BY_BUDGET)
        self.assertEqual(self.client.ends, ["complete"])
        self.assertEqual(self.said(), list(range(12)))
        self.assertEqual(
            self.lines()[-1],
            {
                "model": "llama3:latest",
                "created_at": "2023-11-14T22:13:21.500000Z",
                "message": {"role": "assistant", "content": ""},
                "done": True,
                "done_reason": "length",
                "eval_count": 12,
                "gateway_cut": "budget",
            },
        )
        self.assertEqual((outcome.word, outcome.status), ("cut/budget", 200))
        expected = Usage(prompt_tokens=PROMPT, completion_tokens=15, estimated=True)
        self.assertEqual(outcome.usage, expected)
        self.assertEqual(outcome.bytes_sent, len(self.client.sent))
        self.assertEqual(self.slot.reserved, [15])

    def test_before_the_final_frame(self) -> None:
        """A final frame behind frames that the budget does not cover does not go out."""
        self.begin(budget=PROMPT + 12)
        self.leases.flow()
        self.send(0, 15, FINAL)
        self.ended(End.CUT_BY_BUDGET)
        self.assertEqual(self.lines()[-1]["gateway_cut"], "budget")
        self.assertEqual(self.lines()[-1]["eval_count"], 12)

    def test_final_frame_behind_the_last_token(self) -> None:
        """What the budget just covers is complete."""
        self.begin(budget=PROMPT + 12)
        self.leases.flow()
        self.send(0, 12, FINAL)
        self.ended(End.COMPLETE)
        self.assertNotIn("gateway_cut", self.lines()[-1])

    def test_most_that_is_charged(self) -> None:
        """However much was read, it costs no more than one lease beyond what was granted."""
        ways: tuple[tuple[Callable[[LeasedTestCase], object], End], ...] = (
            (lambda case: case.leases.answer(), End.CUT_BY_BUDGET),
            (lambda case: case.running.cancel(), End.CLIENT_GONE),
            (lambda case: case.clock.advance(HOLD_S), End.CUT_WITHOUT_LIMITS),
        )
        for way, end in ways:
            with self.subTest(end=end):
                self.begin(budget=PROMPT + 12)
                self.send(0, 100, FINAL)
                self.leases.answer()
                way(self)
                usage = self.ended(end).usage
                expected = Usage(prompt_tokens=PROMPT, completion_tokens=22, estimated=True)
                self.assertEqual(usage, expected)

    def test_generate(self) -> None:
        """The other route says it in its own form."""
        self.path = GENERATE_PATH
        self.begin(budget=PROMPT + 10)
        self.leases.flow()
        frame = {"model": "m", "created_at": "t", "response": "a", "done": False}
        self.stream.send(*[orjson.dumps(frame)] * 11)
        self.ended(End.CUT_BY_BUDGET)
        last = self.lines()[-1]
        self.assertEqual((last["response"], last["done_reason"]), ("", "length"))
        self.assertNotIn("message", last)

    def completion(self, *, include_usage: bool) -> list[Any]:
        """The events of a chat completion that the budget has cut, without `[DONE]`."""
        writer = ChatCompletionWriter(id="x", created=1, model="m", include_usage=include_usage)
        self.begin(budget=PROMPT + 10, writer=writer)
        self.leases.flow()
        self.send(0, 15)
        self.ended(End.CUT_BY_BUDGET)
        self.assertEqual(self.client.ends, ["complete"])
        *events, done, nothing = self.client.sent.split(b"\n\n")
        self.assertEqual((done, nothing), (b"data: [DONE]", b""))
        return [json.loads(event.removeprefix(b"data: ")) for event in events]

    def test_chat_completion(self) -> None:
        """The last chunk has the reason of the length, and who has cut it."""
        events = self.completion(include_usage=False)
        self.assertEqual(len(events), 11)
        self.assertEqual(events[-1]["choices"][0]["finish_reason"], "length")
        self.assertEqual(events[-1]["gateway_cut"], "budget")
        self.assertNotIn("gateway_cut", events[-2])

    def test_chat_completion_with_usage(self) -> None:
        """The usage that was asked for is what is charged."""
        *_, last, usage = self.completion(include_usage=True)
        self.assertEqual((last["gateway_cut"], last["usage"]), ("budget", None))
        self.assertEqual(usage["usage"]["completion_tokens"], 15)
        self.assertEqual(usage["usage"]["prompt_tokens"], PROMPT)

    def test_length_that_the_budget_gave(self) -> None:
        """A host that ended for a length that was the budget's says so; no other does."""
        for clamped, reason, cut in (
            (20, "length", "budget"),
            (20, "stop", None),
            (99, "length", None),
        ):
            with self.subTest(clamped=clamped, reason=reason):
                self.begin(asked_predict=99, num_predict=clamped)
                self.send(0, 5, chat_final(reason=reason))
                self.ended(End.COMPLETE)
                self.assertEqual(self.lines()[-1].get("gateway_cut"), cut)

    def test_word_of_the_host(self) -> None:
        """What a model host says of a budget is not believed."""
        final = orjson.dumps({**orjson.loads(FINAL), "gateway_cut": "budget"})
        frame = orjson.dumps({**orjson.loads(chat_frame("0 ")), "gateway_cut": "budget"})
        for has_budget in (True, False):
            with self.subTest(has_budget=has_budget):
                self.begin(has_budget=has_budget)
                self.stream.send(frame, final)
                self.ended(End.COMPLETE)
                self.assertNotIn(b"gateway_cut", self.client.sent)


class FoldedTests(LeasedTestCase):
    """The same for answers in one piece."""

    stream_asked = False

    def test_cut(self) -> None:
        """What was covered is answered, with its reason."""
        self.begin(budget=PROMPT + 12)
        self.leases.flow()
        self.send(0, 15)
        self.assertEqual(self.ended(End.CUT_BY_BUDGET).status, 200)
        self.assertEqual(self.client.ends, ["answer"])
        (body,) = self.lines()
        self.assertEqual(self.said(), list(range(12)))
        self.assertEqual((body["done"], body["done_reason"]), (True, "length"))
        self.assertEqual((body["gateway_cut"], body["eval_count"]), ("budget", 12))

    def test_chat_completion(self) -> None:
        """The object has the reason and who has cut it."""
        writer = ChatCompletionWriter(id="x", created=1, model="m", include_usage=False)
        self.begin(budget=PROMPT + 12, writer=writer)
        self.leases.flow()
        self.send(0, 15)
        self.ended(End.CUT_BY_BUDGET)
        body = json.loads(self.client.sent)
        self.assertEqual(body["choices"][0]["finish_reason"], "length")
        self.assertEqual(body["gateway_cut"], "budget")
        self.assertEqual(body["usage"]["completion_tokens"], 15)

    def test_length_that_the_budget_gave(self) -> None:
        """A host that ended for the budget's length says so."""
        for writer in (
            NativeWriter(),
            ChatCompletionWriter(id="x", created=1, model="m", include_usage=False),
        ):
            with self.subTest(writer=writer):
                self.begin(asked_predict=99, num_predict=20, writer=writer)
                self.send(0, 5, chat_final(reason="length"))
                self.ended(End.COMPLETE)
                self.assertEqual(json.loads(self.client.sent)["gateway_cut"], "budget")

    def test_limits_are_away(self) -> None:
        """After ten seconds without a lease it is a plain refusal."""
        self.leases.flow()
        self.leases.away = True
        self.send(0, 15)
        self.assertTrue(self.stream.paused)
        self.clock.pump([0.1] * 101)
        outcome = self.ended(End.CUT_WITHOUT_LIMITS)
        self.assertEqual(outcome.status, 503)
        self.assertIsInstance(self.client.refusal, LimitsUnavailable)

    def test_held(self) -> None:
        """The host is held while a lease is missing, and the whole answer follows."""
        self.send(0, 15)
        self.assertTrue(self.stream.paused)
        self.clock.advance(HOLD_S - 1)
        self.leases.answer()
        self.assertFalse(self.stream.paused)
        self.stream.send(FINAL)
        self.ended(End.COMPLETE)
        self.assertEqual(self.said(), list(range(15)))

    def test_too_large(self) -> None:
        """Leases change nothing about how large an answer may be."""
        self.stream.send(chat_frame("x" * 100_000))
        self.ended(End.UPSTREAM_ERROR)
        self.assertIsInstance(self.client.refusal, UpstreamFailed)


EVENTS = st.one_of(
    st.integers(1, 30),
    st.sampled_from(["answer", "fail", "full", "pause", "resume", "look"]),
    st.sampled_from(["final", "lost", "gone", "nonsense"]),
)


class WhateverHappensTests(LeasedTestCase):
    """Reads, answers, failures and pauses in any order."""

    @settings(deadline=None, max_examples=300)
    @given(
        budget=st.integers(1, 120),
        size=st.integers(1, 20),
        held=st.booleans(),
        events=st.lists(EVENTS, max_size=40),
    )
    def test_covered(self, *, budget: int, size: int, held: bool, events: list[int | str]) -> None:
        """What goes on is granted and written down, in order; there is one end, and rest."""
        first = min(size, budget)
        self.begin(budget=PROMPT + budget, size=size, lease=first, num_predict=budget)
        self.leases.held = held
        self.read, self.is_slow = 0, False
        for event in events:
            if self.client.producer is not None:
                self.take(event)
            self.look(first)
        self.leases.away = True
        while self.leases.waiting:
            self.leases.fail(LimitsUnavailable())
        self.clock.pump([0.1] * 400)
        self.look(first)
        outcome = self.successResultOf(self.running)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.client.ends), 0 if outcome.end is End.CLIENT_GONE else 1)
        if outcome.end is not End.COMPLETE:
            self.assertLessEqual(outcome.usage.completion_tokens, budget + size)

    def take(self, event: int | str) -> None:
        """Let something happen, as far as it can."""
        producer: Any = self.client.producer
        if isinstance(event, int):
            self.send(self.read, self.read + event)
            self.read += event
        elif event in {"answer", "fail"} and self.leases.waiting:
            self.leases.answer() if event == "answer" else self.leases.fail(LimitsUnavailable())
        elif event == "full":
            self.slot.full = not self.slot.full
        elif event == "look":
            self.clock.advance(0.3)
        elif event == "gone":
            producer.stopProducing()
        elif event in {"pause", "resume"}:
            self.is_slow = event == "pause"
            producer.pauseProducing() if self.is_slow else producer.resumeProducing()
        elif event == "final":
            self.stream.send(FINAL)
        elif event == "nonsense":
            self.stream.send(b"gibberish")
        elif event == "lost":
            self.stream.end(clean=False)

    def look(self, first: int) -> None:
        """See what must hold at every moment."""
        said = self.said()
        self.assertEqual(said, list(range(len(said))))
        covered = max([first, *(tokens - PROMPT for tokens in self.slot.reserved)])
        self.assertLessEqual(len(said), covered)
        self.assertLessEqual(covered, max(first, self.leases.granted - PROMPT))
        self.assertLessEqual(len(self.client.ends), 1)
        if self.client.producer is not None:
            self.assertEqual(self.stream.paused, self.is_slow or len(said) < self.read)
