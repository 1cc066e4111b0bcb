"""The life of a request: whoever was admitted is settled once, whatever happens."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.estimates import PromptEstimates
from neuronetz_twisted.admission.failures import FailureBuckets
from neuronetz_twisted.admission.identify import Identifier
from neuronetz_twisted.dialects.writers import NativeWriter
from neuronetz_twisted.errors import (
    AuditUnavailable,
    Draining,
    InvalidApiKey,
    LimitsUnavailable,
    NotAllowed,
    UpstreamBusy,
)
from neuronetz_twisted.pipeline import Pipeline
from neuronetz_twisted.relay.answer import RelayLimits
from neuronetz_twisted.relay.live import LiveCalls
from neuronetz_twisted.relay.relay import Relay
from neuronetz_twisted.settlement.settle import Settlement
from neuronetz_twisted.testing.admission import (
    DEFAULTS,
    FakeCatalog,
    FakeLimiter,
    made_admission,
)
from neuronetz_twisted.testing.audit import FakePrompts, FakeTrail
from neuronetz_twisted.testing.calls import (
    TENANT,
    RecordingClient,
    RecordingSink,
    made_call,
    made_model,
    made_request,
)
from neuronetz_twisted.testing.identity import FakeKeyStore, FakePrincipalCache, FakeVerifier
from neuronetz_twisted.testing.leases import FakeLeases
from neuronetz_twisted.testing.upstream import ScriptedUpstream, chat_final, chat_frame
from neuronetz_twisted.vocabulary import Ticket

LONG = made_request(body={"options": {"num_predict": DEFAULTS.max_predict}})


class PipelineTests(SynchronousTestCase):
    def setUp(self) -> None:
        """The real steps, between fakes."""
        self.clock = Clock()
        self.keys = FakeKeyStore()
        identifier = Identifier(
            store=self.keys,
            cache=FakePrincipalCache(self.clock.seconds),
            verifier=FakeVerifier(),
            failures=FailureBuckets(limit=20),
            clock=self.clock,
            now=self.clock.seconds,
        )
        self.limiter = FakeLimiter()
        self.upstream = ScriptedUpstream()
        self.sink = RecordingSink()
        self.trail = FakeTrail()
        self.client = RecordingClient()
        self.admissions = 0
        limits = RelayLimits(idle_s=10, stall_s=10, max_folded_bytes=1000)
        self.live = LiveCalls(self.keys, lambda *_: None)
        self.pipeline = Pipeline(
            made_admission(
                identifier,
                self.limiter,
                FakeCatalog([made_model()]),
                self.trail,
                self.upstream.check,
            ),
            self.upstream,
            self.live,
            Relay(self.clock, limits, FakeLeases().source),
            Settlement(
                clock=self.clock,
                trail=self.trail,
                limiter=self.limiter,
                estimates=PromptEstimates(),
                log=self.sink,
                prompts=FakePrompts(),
                bucket_of=str,
            ),
            self.trail,
        )

    def admitted(self, ticket: Ticket) -> None:
        """Note that the call is settled from here on."""
        del ticket
        self.admissions += 1

    def run_call(self, **changes: Any) -> "Deferred[None]":
        """Run a call."""
        call = made_call(**changes)
        running = self.pipeline.run(call, self.client, lambda _: NativeWriter(), self.admitted)
        return Deferred.fromCoroutine(running)

    def settled(self, outcome: str, status: int) -> dict[str, Any]:
        """The one record, at rest."""
        self.assertEqual(self.sink.outcomes, [outcome])
        self.assertEqual(self.sink.events[0]["status"], status)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.live), 0)
        self.assertEqual(self.trail.records, self.sink.events)
        self.assertEqual(self.trail.pending, 0)
        return dict(self.sink.events[0])

    def test_answered(self) -> None:
        """A whole answer, with what it cost."""
        running = self.run_call()
        self.clock.advance(1)
        self.upstream.streams[0].send(chat_frame("Hello"), chat_final(3, 1))
        self.successResultOf(running)
        event = self.settled("ok", 200)
        self.assertEqual((event["prompt_tokens"], event["completion_tokens"]), (3, 1))
        self.assertEqual(event["backend"], "default")
        self.assertEqual(event["duration_ms"], 1000.0)

    def test_not_admitted(self) -> None:
        """A call that is not admitted is not settled here; nothing goes upstream."""
        self.limiter.away = True
        self.failureResultOf(self.run_call(), LimitsUnavailable)
        self.assertEqual((self.sink.events, self.admissions), ([], 0))
        self.assertEqual(self.upstream.asked, [])

    def test_not_allowed(self) -> None:
        """Nor one of a model that is not there."""
        running = self.run_call(request=made_request(model="other"))
        self.failureResultOf(running, NotAllowed)
        self.assertEqual(self.upstream.asked, [])

    def test_upstream_refuses(self) -> None:
        """The client gets the refusal; the record has it too."""
        self.upstream.refusal = UpstreamBusy(why="queue")
        self.successResultOf(self.run_call())
        event = self.settled("refused:upstream_busy/queue", 503)
        self.assertEqual((event["prompt_tokens"], event["backend"]), (0, "default"))
        self.assertEqual(self.client.ends, ["refuse"])

    def test_no_room(self) -> None:
        """Where it would be turned away at once, a call gets no slot: nothing is written for it."""
        self.upstream.full = True
        self.failureResultOf(self.run_call(), UpstreamBusy)
        self.assertEqual((self.trail.slots, self.sink.events, self.admissions), ([], [], 0))

    def test_client_goes_before_the_first_frame(self) -> None:
        """Settled, and nobody is answered."""
        self.upstream.gate.held = True
        running = self.run_call()
        running.cancel()
        self.successResultOf(running)
        self.charged(self.settled("client_abort", 499))
        self.assertEqual(self.client.ends, [])

    def charged(self, event: dict[str, Any]) -> None:
        """The prompt of nine bytes was computed, on a backend that is known."""
        prompt, completion = event["prompt_tokens"], event["completion_tokens"]
        self.assertEqual((prompt, completion, event["estimated"]), (3, 0, True))
        self.assertEqual(event["backend"], "default")

    def free(self, event: dict[str, Any]) -> None:
        """No backend was asked for anything."""
        prompt, completion = event["prompt_tokens"], event["completion_tokens"]
        self.assertEqual((prompt, completion, event["estimated"]), (0, 0, False))
        self.assertIsNone(event["backend"])

    def test_client_goes_before_its_slot(self) -> None:
        """Nothing was sent, so it cost nothing."""
        self.upstream.slots.held = True
        self.run_call().cancel()
        self.free(self.settled("client_abort", 499))

    def test_revoked_while_it_waits(self) -> None:
        """Refused at once as any call of that key, whatever it waits for."""
        for gate, cost in ((self.upstream.slots, self.free), (self.upstream.gate, self.charged)):
            with self.subTest(cost=cost.__name__):
                gate.held = True
                running = self.run_call()
                self.successResultOf(self.live.epoch_changed(TENANT, 2))
                self.successResultOf(running)
                cost(self.settled("refused:invalid_api_key/revoked", 401))
                self.assertEqual(self.client.ends, ["refuse"])
                self.assertIsInstance(self.client.refusal, InvalidApiKey)
                gate.release_all()
                self.client = RecordingClient()
                self.sink.events.clear()
                self.trail.slots.clear()

    def test_stopped_while_it_waits(self) -> None:
        """Told that the gateway stops."""
        self.upstream.gate.held = True
        running = self.run_call()
        self.live.cut_all()
        self.successResultOf(running)
        self.settled("refused:draining", 503)
        self.assertIsInstance(self.client.refusal, Draining)

    def test_client_goes_in_the_middle(self) -> None:
        """Settled with what it cost so far; a second cancel changes nothing."""
        running = self.run_call()
        self.upstream.streams[0].send(chat_frame("Hello"))
        running.cancel()
        running.cancel()
        self.successResultOf(running)
        self.assertEqual(self.settled("client_abort", 499)["completion_tokens"], 1)

    def test_client_goes_before_it_is_admitted(self) -> None:
        """Nothing was taken, so nothing is settled."""
        self.limiter.gate.held = True
        running = self.run_call()
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(self.sink.events, [])

    def test_intent(self) -> None:
        """It is in the spool before any backend is asked, with what the call may cost."""
        self.upstream.slots.held = True
        running = self.run_call(request=LONG)
        (slot,) = self.trail.slots
        self.assertEqual(slot.intent["reservation"], 3 + DEFAULTS.max_predict)
        self.assertEqual((slot.intent["model"], slot.record), ("llama3:latest", None))
        running.cancel()
        self.settled("client_abort", 499)

    def test_no_slot(self) -> None:
        """Without room for its record a call is not admitted."""
        self.trail.full = True
        self.failureResultOf(self.run_call(), AuditUnavailable)
        self.assertEqual((self.upstream.asked, len(self.live)), ([], 0))

    def test_durable(self) -> None:
        """With AUDIT_DURABILITY=disk no backend is asked before the intent is on the disk."""
        self.trail.durable = self.trail.gate.held = True
        running = self.run_call()
        self.assertEqual(self.upstream.asked, [])
        self.trail.gate.release()
        self.upstream.streams[0].send(chat_frame("Hello"), chat_final(3, 1))
        self.successResultOf(running)
        self.settled("ok", 200)

    def test_the_disk_fails(self) -> None:
        """An intent that is not on the disk is refused, and its slot completed."""
        self.trail.disk_fails = True
        self.successResultOf(self.run_call())
        self.free(self.settled("refused:audit_unavailable/io", 503))
        self.assertEqual((self.client.ends, self.upstream.asked), (["refuse"], []))

    def test_gone_or_cut_while_the_disk_is_slow(self) -> None:
        """Completed as what it is; nothing goes upstream."""
        for end, outcome, status in (
            (lambda running: running.cancel(), "client_abort", 499),
            (lambda _: self.live.cut_all(), "refused:draining", 503),
        ):
            with self.subTest(outcome=outcome):
                self.trail.durable = self.trail.gate.held = True
                running = self.run_call()
                end(running)
                self.trail.gate.release_all()
                self.successResultOf(running)
                self.free(self.settled(outcome, status))
                self.assertEqual(self.upstream.asked, [])
                self.client = RecordingClient()
                self.sink.events.clear()
                self.trail.slots.clear()

    def test_bug(self) -> None:
        """A fault of ours is settled as unknown, and told to the edge."""
        self.upstream.refusal = ZeroDivisionError()  # type: ignore[assignment]
        self.failureResultOf(self.run_call(request=LONG), ZeroDivisionError)
        self.assertEqual(self.admissions, 1)
        event = self.settled("unknown", 500)
        self.assertEqual((event["charged"], event["estimated"]), (3 + DEFAULTS.max_predict, True))
