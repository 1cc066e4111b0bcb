"""A body as lines: held until read, one end."""

from collections.abc import Sequence

from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from neuronetz_twisted.dialects.frames import MAX_LINE_BYTES
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.testing.agent import ScriptedResponse
from neuronetz_twisted.upstream.stream import LineStream


@define
class Reader:
    """A `FrameReceiver` that keeps what it hears, and may hold the stream while it does."""

    stream: LineStream
    holds: bool = False
    heard: list[object] = field(factory=list)

    def framesReceived(self, lines: Sequence[bytes]) -> None:
        """Keep lines."""
        self.heard.extend(lines)
        if self.holds:
            self.stream.pause()

    def streamEnded(self, *, clean: bool) -> None:
        """Keep the end."""
        self.heard.append("clean" if clean else "lost")

    def streamBroken(self) -> None:
        """Keep the end."""
        self.heard.append("broken")


class LineStreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A body of which nothing has come."""
        self.stream = LineStream("default")
        self.response = ScriptedResponse(200, Headers())
        self.response.deliverBody(self.stream)
        self.transport = self.response.transport
        self.reader = Reader(self.stream)

    def test_held_after_the_first_line(self) -> None:
        """The first line ends the wait and holds the host; nothing is lost meanwhile."""
        self.response.send(b"on")
        self.assertIsNone(self.stream.first)
        first = self.stream.until_first()
        self.assertNoResult(first)
        self.assertFalse(self.transport.paused)
        self.response.send(b"e\ntwo\nthr")
        self.assertEqual(self.successResultOf(first), b"one")
        self.assertEqual(self.stream.first, b"one")
        self.assertTrue(self.transport.paused)
        self.response.send(b"ee\n")
        self.stream.attach(self.reader)
        self.assertEqual(self.reader.heard, [b"one", b"two", b"three"])
        self.assertFalse(self.transport.paused)
        self.response.send(b"four\n")
        self.assertEqual(self.reader.heard[-1], b"four")

    def test_pause_while_held_lines_are_delivered(self) -> None:
        """A reader whose client is full at once keeps the host held."""
        self.response.send(b"one\n")
        self.reader.holds = True
        self.stream.attach(self.reader)
        self.assertTrue(self.transport.paused)
        self.stream.resume()
        self.assertFalse(self.transport.paused)

    def test_clean_end(self) -> None:
        """A body that is over as its framing says."""
        self.response.send(b"one\n")
        self.stream.attach(self.reader)
        self.response.finish()
        self.assertEqual(self.reader.heard, [b"one", "clean"])

    def test_lost(self) -> None:
        """A connection that dies."""
        self.response.send(b"one\n")
        self.stream.attach(self.reader)
        self.response.lose()
        self.assertEqual(self.reader.heard, [b"one", "lost"])

    def test_last_line_without_a_line_feed(self) -> None:
        """A body that ends as its framing says ends its last line; one that is lost does not."""
        for end, heard in (("finish", [b"one", b"two", "clean"]), ("lose", [b"one", "lost"])):
            with self.subTest(end=end):
                self.setUp()
                self.response.send(b"one\ntwo")
                self.stream.attach(self.reader)
                getattr(self.response, end)()
                self.assertEqual(self.reader.heard, heard)

    def test_only_line_without_a_line_feed(self) -> None:
        """It is the first one, and read when the stream is."""
        self.response.send(b"one")
        first = self.stream.until_first()
        self.assertNoResult(first)
        self.response.finish()
        self.assertEqual(self.successResultOf(first), b"one")
        self.stream.attach(self.reader)
        self.assertEqual(self.reader.heard, [b"one", "clean"])

    def test_over_before_it_is_attached(self) -> None:
        """Lines and end of a short body wait for their reader; nothing is resumed."""
        for end, word in (("finish", "clean"), ("lose", "lost")):
            with self.subTest(end=end):
                self.setUp()
                self.response.send(b"one\ntwo\n")
                getattr(self.response, end)()
                self.stream.attach(self.reader)
                self.assertEqual(self.reader.heard, [b"one", b"two", word])
                self.stream.stop()
                self.assertFalse(self.transport.aborted)

    def test_end_before_a_line(self) -> None:
        """A body without a line has no first one, whether somebody waits for it or asks later."""
        for body, end in ((b"", "finish"), (b"\n", "finish"), (b"", "lose"), (b"half", "lose")):
            with self.subTest(body=body, end=end):
                self.setUp()
                first = self.stream.until_first()
                self.response.send(body)
                getattr(self.response, end)()
                self.failureResultOf(first, UpstreamNonsense)
                with self.assertRaises(UpstreamNonsense):
                    _ = self.stream.first

    def test_stop(self) -> None:
        """A stopped stream closes at once and is silent."""
        self.response.send(b"one\n")
        self.stream.attach(self.reader)
        self.stream.stop()
        self.assertTrue(self.transport.aborted)
        self.response.send(b"two\n")
        self.stream.resume()
        self.response.lose()
        self.assertEqual(self.reader.heard, [b"one"])

    def test_stopped_by_its_reader(self) -> None:
        """A reader that stops the stream while it is attached hears no more."""
        self.response.send(b"one\n")
        self.response.finish()

        class Impatient(Reader):
            def framesReceived(self, lines: Sequence[bytes]) -> None:
                super().framesReceived(lines)
                self.stream.stop()

        reader = Impatient(self.stream)
        self.stream.attach(reader)
        self.assertEqual(reader.heard, [b"one"])

    def test_cancel_of_the_wait(self) -> None:
        """Who waits for the first line no more closes the connection."""
        first = self.stream.until_first()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertTrue(self.transport.aborted)
        self.response.send(b"one\n")
        self.response.lose()

    def test_line_too_long(self) -> None:
        """It breaks the stream, before the first line and after."""
        long = b"x" * (MAX_LINE_BYTES + 1)
        first = self.stream.until_first()
        self.response.send(long)
        self.failureResultOf(first, UpstreamNonsense)
        self.assertTrue(self.transport.aborted)
        self.setUp()
        self.response.send(b"one\n")
        self.stream.attach(self.reader)
        self.response.send(long)
        self.assertEqual(self.reader.heard, [b"one", "broken"])
        self.assertTrue(self.transport.aborted)
