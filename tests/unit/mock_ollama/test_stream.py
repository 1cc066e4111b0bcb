"""Streaming on a clock: pace, faults, disconnects and back-pressure."""

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.mock_ollama.peer import Peer


class PaceTests(SynchronousTestCase):
    def test_delay(self) -> None:
        """Tokens come one by one, a delay apart, and the final frame a delay after the last."""
        peer = Peer()
        peer.chat("[[n=3 delay=1s]]")
        for frames in (1, 2, 3, 4):
            self.assertEqual(len(peer.answer().lines()), frames)
            peer.clock.advance(1)
        self.assertEqual(peer.answer().lines()[-1]["eval_duration"], 3_000_000_000)
        self.assertTrue(peer.answer().complete)

    def test_wait(self) -> None:
        """Before the wait is over there is not even a response head."""
        peer = Peer()
        peer.chat("[[n=1 wait=500ms]]")
        peer.clock.advance(0.4)
        self.assertEqual(peer.transport.value(), b"")
        peer.pump(0.1, 2)
        self.assertEqual(len(peer.answer().lines()), 2)

    def test_folded_takes_as_long(self) -> None:
        """A folded answer is sent when its last token would have been."""
        peer = Peer()
        peer.chat("[[n=3 delay=1s]]", stream=False)
        peer.pump(1, 2)
        self.assertEqual(peer.transport.value(), b"")
        self.assertEqual(peer.seen()["tokens"]["completion"], 3)
        peer.clock.advance(1)
        self.assertEqual(peer.answer().json()["eval_count"], 3)
        self.assertEqual(peer.seen()["frames_sent"], 1)

    def test_turns_are_bounded(self) -> None:
        """Without a delay a turn sends many frames, but no more than 64 KiB of them."""
        peer = Peer()
        peer.chat("[[n=1000 size=1000]]")
        self.assertEqual(peer.seen()["frames_sent"], 59)
        peer.clock.advance(0)
        self.assertEqual(peer.seen()["frames_sent"], 118)

    def test_folded_turns_are_bounded(self) -> None:
        """Tokens that send nothing give way to others, too."""
        peer = Peer()
        peer.chat("[[n=100000]]", stream=False)
        self.assertEqual(peer.seen()["tokens"]["completion"], 1024)

    def test_connection_is_reused(self) -> None:
        """After one stream has ended, the next request is answered on the same connection."""
        peer = Peer()
        for _ in range(2):
            peer.transport.clear()
            peer.chat("[[n=2]]")
            self.assertTrue(peer.answer().complete)


class FaultTests(SynchronousTestCase):
    def test_reset(self) -> None:
        """A reset comes after the frames, in a turn of its own, so that they are on their way."""
        peer = Peer()
        peer.chat("[[n=50 fault=reset@5]]")
        self.assertEqual(len(peer.answer().lines()), 5)
        self.assertFalse(peer.transport.disconnected)
        peer.clock.advance(0)
        self.assertTrue(peer.transport.disconnected)
        peer.close()
        self.assertEqual((peer.seen()["frames_sent"], peer.seen()["state"]), (5, "fault"))
        self.assertEqual(peer.seen()["tokens"]["completion"], 5)

    def test_reset_before_the_head(self) -> None:
        """A reset after no frames leaves no byte."""
        peer = Peer()
        peer.chat("[[fault=reset@0]]")
        peer.clock.advance(0)
        self.assertEqual((peer.transport.value(), peer.transport.disconnected), (b"", True))
        peer.close()

    def test_hang(self) -> None:
        """After the frames there is silence, without end and without a timer."""
        for frames in (0, 5):
            with self.subTest(frames=frames):
                peer = Peer()
                peer.chat(f"[[n=50 delay=1s fault=hang@{frames}]]")
                peer.pump(1, 20)
                self.assertEqual(peer.seen()["frames_sent"], frames)
                self.assertEqual(peer.seen()["state"], "open")
                self.assertEqual(peer.clock.getDelayedCalls(), [])
                peer.close()

    def test_hang_is_not_ended_by_a_reader(self) -> None:
        """A pause and its end do not make a hung stream go on."""
        peer = Peer()
        peer.chat("[[n=50 fault=hang@5]]")
        peer.producer.pauseProducing()
        peer.producer.resumeProducing()
        peer.pump(1, 3)
        self.assertEqual(peer.seen()["frames_sent"], 5)
        peer.close()

    def test_nofinal(self) -> None:
        """Without a final frame the stream ends cleanly after the last token."""
        peer = Peer()
        peer.chat("[[n=5 fault=nofinal]]")
        answer = peer.answer()
        self.assertTrue(answer.complete)
        self.assertEqual([line["done"] for line in answer.lines()], [False] * 5)
        self.assertEqual(peer.seen()["state"], "fault")

    def test_error_line(self) -> None:
        """An error line with a path in it follows the frames, then a clean end."""
        peer = Peer()
        peer.chat("[[n=50 fault=error@5]]")
        answer = peer.answer()
        self.assertEqual((answer.status, answer.complete), (200, True))
        *frames, last = answer.lines()
        self.assertEqual(len(frames), 5)
        self.assertIn("/usr/share/ollama/", last["error"])
        self.assertEqual(peer.seen()["state"], "fault")

    def test_error_before_the_head(self) -> None:
        """An error before any frame, or in a folded answer, is a 500."""
        for fault, fields in (("error@0", {}), ("error@5", {"stream": False})):
            with self.subTest(fault=fault):
                peer = Peer()
                peer.chat(f"[[n=50 fault={fault}]]", **fields)
                self.assertEqual(peer.answer().status, 500)
                self.assertEqual(list(peer.answer().json()), ["error"])

    def test_garbage(self) -> None:
        """A line that is no JSON comes between the frames, and the stream goes on."""
        peer = Peer()
        peer.chat("[[n=5 fault=garbage@2]]")
        lines = peer.answer().body.splitlines()
        self.assertEqual(len(lines), 7)
        self.assertEqual(lines[2], b'{"model": this is no JSON')
        self.assertIn(b'"done":true', lines[-1])
        self.assertEqual(peer.seen()["state"], "complete")

    def test_folded_garbage(self) -> None:
        """A folded answer is garbage as a whole."""
        peer = Peer()
        peer.chat("[[n=5 fault=garbage@2]]", stream=False)
        self.assertEqual(peer.answer().body, b'{"model": this is no JSON\n')
        self.assertTrue(peer.answer().complete)

    def test_folded_nofinal(self) -> None:
        """A folded answer without a final frame is not done, as Ollama would send it."""
        peer = Peer()
        peer.chat("[[n=5 fault=nofinal]]", stream=False)
        self.assertFalse(peer.answer().json()["done"])
        self.assertNotIn("eval_count", peer.answer().json())

    def test_status(self) -> None:
        """An upstream status comes after the wait and before any frame."""
        peer = Peer()
        peer.chat("[[wait=1s fault=status:503]]")
        self.assertEqual(peer.transport.value(), b"")
        peer.clock.advance(1)
        self.assertEqual(peer.answer().status, 503)
        self.assertEqual(peer.answer().headers["content-type"], "application/json; charset=utf-8")
        self.assertEqual(peer.seen()["state"], "fault")

    def test_embed_obeys(self) -> None:
        """Wait and faults hold for embeddings as well."""
        for path, key in (("embed", "input"), ("embeddings", "prompt")):
            with self.subTest(path=path):
                peer = Peer()
                body = {"model": "nomic-embed-text", key: "[[wait=1s fault=status:503]]"}
                peer.send("POST", f"/api/{path}", body)
                self.assertEqual(peer.transport.value(), b"")
                peer.clock.advance(1)
                self.assertEqual(peer.answer().status, 503)


class DisconnectTests(SynchronousTestCase):
    def test_every_phase(self) -> None:
        """A peer that goes is noticed at once in every phase, and nothing is left running."""
        for directive, frames in (
            ("[[wait=60s]]", 0),
            ("[[fault=hang@0]]", 0),
            ("[[n=100 delay=2s]]", 6),
            ("[[n=100 delay=5s fault=hang@2]]", 2),
        ):
            with self.subTest(directive=directive):
                peer = Peer()
                peer.chat(directive)
                peer.pump(1, 11)
                peer.close()
                seen = peer.seen()
                self.assertEqual((seen["state"], seen["closed_at"]), ("peer_closed", 11.0))
                self.assertEqual(seen["frames_sent"], frames)
                self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_folded(self) -> None:
        """A peer that goes during a folded answer ends its generation."""
        peer = Peer()
        peer.chat("[[n=100 delay=1s]]", stream=False)
        peer.pump(1, 5)
        peer.close()
        self.assertEqual(peer.seen()["state"], "peer_closed")
        self.assertEqual(peer.seen()["tokens"]["completion"], 6)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_while_paused(self) -> None:
        """A peer that goes while it is not reading ends its generation."""
        peer = Peer()
        peer.chat("[[n=1000 size=1000]]")
        peer.producer.pauseProducing()
        peer.close()
        self.assertEqual(peer.seen()["state"], "peer_closed")
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_transport_stops_first(self) -> None:
        """The transport's own stop, which comes before the close, ends the generation."""
        peer = Peer()
        peer.chat("[[n=1000 delay=1s]]")
        peer.producer.stopProducing()
        self.assertEqual(peer.clock.getDelayedCalls(), [])
        peer.close()
        self.assertEqual(peer.seen()["state"], "peer_closed")


class BackPressureTests(SynchronousTestCase):
    def test_pause_holds_the_frames(self) -> None:
        """A full transport stops the frames until it is empty again."""
        peer = Peer()
        peer.chat("[[n=1000 size=1000]]")
        peer.producer.pauseProducing()
        sent = peer.seen()["frames_sent"]
        peer.pump(1, 10)
        self.assertEqual(peer.seen()["frames_sent"], sent)
        peer.producer.resumeProducing()
        peer.clock.advance(0)
        self.assertGreater(peer.seen()["frames_sent"], sent)
        peer.pump(0, 100)
        self.assertEqual(peer.seen()["frames_sent"], 1001)

    def test_pause_during_a_delay(self) -> None:
        """A delay that ends during a pause sends nothing until the pause ends."""
        peer = Peer()
        peer.chat("[[n=10 delay=1s]]")
        peer.producer.pauseProducing()
        peer.pump(1, 5)
        self.assertEqual(peer.seen()["frames_sent"], 1)
        peer.producer.resumeProducing()
        peer.clock.advance(0)
        self.assertEqual(peer.seen()["frames_sent"], 2)
        peer.close()

    def test_short_pause_does_not_hurry(self) -> None:
        """A pause that ends before the delay does neither shortens it nor doubles the stream."""
        peer = Peer()
        peer.chat("[[n=10 delay=1s]]")
        peer.producer.pauseProducing()
        peer.producer.resumeProducing()
        peer.clock.advance(0.5)
        self.assertEqual(peer.seen()["frames_sent"], 1)
        peer.clock.advance(0.5)
        self.assertEqual(peer.seen()["frames_sent"], 2)
        peer.close()
