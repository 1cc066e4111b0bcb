"""Only the answers of keys with a prompt log are heard, and hearing changes nothing."""

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.writers import NativeWriter, StreamWriter
from neuronetz_twisted.relay import relay
from neuronetz_twisted.relay.answer import RelayLimits
from neuronetz_twisted.relay.live import LiveCalls
from neuronetz_twisted.relay.relay import Relay
from neuronetz_twisted.relay.streamed import StreamedAnswer
from neuronetz_twisted.testing.calls import (
    RecordingClient,
    made_principal,
    made_request,
    made_ticket,
)
from neuronetz_twisted.testing.identity import FakeKeyStore
from neuronetz_twisted.testing.leases import NO_LEASES
from neuronetz_twisted.testing.upstream import ScriptedStream, chat_final, chat_frame
from neuronetz_twisted.vocabulary import End, Outcome


class PromptLoggingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A model host that has begun to answer."""
        self.stream = ScriptedStream(backend="default")
        self.client = RecordingClient()

    def begin(self, *, logging: bool, stream: bool = True) -> "Deferred[Outcome]":
        """Run an answer."""
        call = made_ticket(
            principal=made_principal(prompt_logging=logging), request=made_request(stream=stream)
        )
        live = LiveCalls(FakeKeyStore(), lambda *_: None).enter(call)
        limits = RelayLimits(idle_s=10, stall_s=10, max_folded_bytes=1000)
        relaying = Relay(Clock(), limits, NO_LEASES)
        running = relaying.run(self.stream, self.client, live, NativeWriter())
        return Deferred.fromCoroutine(running)

    def heard(self, running: "Deferred[Outcome]") -> Any:
        """What was heard of an answer that is over."""
        answer = self.successResultOf(running).answer
        assert answer is not None
        return json.loads(answer)["content"]

    def test_streamed(self) -> None:
        """What the client has read is in the outcome."""
        running = self.begin(logging=True)
        self.stream.send(chat_frame("Hello"), chat_frame(" world"), chat_final())
        self.assertEqual(self.heard(running), "Hello world")
        self.assertEqual(self.client.ends, ["complete"])

    def test_folded(self) -> None:
        """Also where the answer goes out in one piece."""
        running = self.begin(logging=True, stream=False)
        self.stream.send(chat_frame("Hello"), chat_final())
        self.assertEqual(self.heard(running), "Hello")

    def test_client_goes_in_the_middle(self) -> None:
        """Up to there it was said, and is in the outcome."""
        running = self.begin(logging=True)
        self.stream.send(chat_frame("Hello"))
        running.cancel()
        outcome = self.successResultOf(running)
        self.assertIs(outcome.end, End.CLIENT_GONE)
        self.assertIn(b'"content":"Hello"', outcome.answer or b"")

    def test_not_asked_for(self) -> None:
        """The answers of other keys have their own writer, with nothing before it."""
        writers: list[StreamWriter] = []

        class Noting(StreamedAnswer):
            def _begin(self) -> None:
                writers.append(self._writer)
                super()._begin()

        self.patch(relay, "StreamedAnswer", Noting)
        running = self.begin(logging=False)
        self.stream.send(chat_frame("Hello"), chat_final())
        self.assertIsNone(self.successResultOf(running).answer)
        self.assertIsInstance(writers[0], NativeWriter)
