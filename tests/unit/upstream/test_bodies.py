"""Whole bodies, up to a bound."""

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.testing.agent import ScriptedResponse
from neuronetz_twisted.upstream.bodies import is_encoded, read_bounded


class ReadBoundedTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Begin to read a body of at most five bytes."""
        self.response = ScriptedResponse(200, Headers())
        self.body = read_bounded(self.response, 5)

    def test_whole(self) -> None:
        """A body up to the limit is read."""
        self.response.send(b"123")
        self.response.send(b"45")
        self.response.finish()
        self.assertEqual(self.successResultOf(self.body), b"12345")

    def test_too_long(self) -> None:
        """A longer one is given up at once, and its connection closed."""
        self.response.send(b"123")
        self.response.send(b"456")
        self.failureResultOf(self.body, UpstreamNonsense)
        self.assertTrue(self.response.transport.aborted)
        self.response.send(b"7")
        self.response.lose()

    def test_too_long_and_over(self) -> None:
        """One that came whole has no connection of its own any more, so none is closed."""
        response = ScriptedResponse(200, Headers())
        response.send(b"123456")
        response.finish()
        self.failureResultOf(read_bounded(response, 5), UpstreamNonsense)
        self.assertFalse(response.transport.aborted)

    def test_cut_short(self) -> None:
        """A body without its end is none."""
        self.response.send(b"123")
        self.response.lose()
        self.failureResultOf(self.body, UpstreamNonsense)

    def test_cancel(self) -> None:
        """Who reads no more closes the connection."""
        self.body.cancel()
        self.failureResultOf(self.body, CancelledError)
        self.assertTrue(self.response.transport.aborted)
        self.response.lose()


class IsEncodedTests(SynchronousTestCase):
    def test_encodings(self) -> None:
        """Any encoding counts, since none was offered."""
        self.assertFalse(is_encoded(ScriptedResponse(200, Headers())))
        for name in (b"gzip", b"identity"):
            response = ScriptedResponse(200, Headers({b"content-encoding": [name]}))
            self.assertTrue(is_encoded(response))
