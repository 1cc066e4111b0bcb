"""Scripted model hosts say what real ones do, when the test lets them."""

import orjson
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.frames import is_ordinary, read_frame
from neuronetz_twisted.errors import Draining, UpstreamBusy
from neuronetz_twisted.testing.calls import made_ticket
from neuronetz_twisted.testing.upstream import (
    RecordingOpening,
    ScriptedStream,
    ScriptedUpstream,
    chat_final,
    chat_frame,
)


class FrameTests(SynchronousTestCase):
    def test_frames(self) -> None:
        """They are what the code takes for Ollama's."""
        self.assertTrue(is_ordinary(chat_frame("x")))
        self.assertEqual(orjson.loads(chat_frame("x"))["message"]["content"], "x")
        self.assertFalse(is_ordinary(chat_final()))
        self.assertTrue(read_frame(chat_final())["done"])
        self.assertNotIn("eval_count", read_frame(chat_final(answer=None)))


class ScriptedUpstreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Nothing is asked yet."""
        self.upstream = ScriptedUpstream()
        self.opening = RecordingOpening()

    def open(self) -> "Deferred[ScriptedStream]":
        """Ask."""
        return Deferred.fromCoroutine(self.upstream.open(made_ticket(), self.opening))

    def test_two_waits(self) -> None:
        """For a slot, before which nothing is sent, and for the first frame."""
        self.upstream.slots.held = self.upstream.gate.held = True
        opening = self.open()
        self.assertEqual((len(self.upstream.asked), self.opening.asked), (1, []))
        self.upstream.slots.release()
        self.assertEqual(self.opening.asked, ["default"])
        self.assertNoResult(opening)
        self.upstream.gate.release()
        self.assertEqual(self.successResultOf(opening).backend, "default")

    def test_cut(self) -> None:
        """Ends either wait, with the refusal."""
        for gate in (self.upstream.slots, self.upstream.gate):
            gate.held = True
            opening = self.open()
            self.opening.cut(Draining())
            self.failureResultOf(opening, Draining)
            gate.release_all()

    def test_refusal(self) -> None:
        """Comes instead of a stream."""
        self.upstream.refusal = UpstreamBusy()
        self.failureResultOf(self.open(), UpstreamBusy)
