"""What of a model host's answer can be seen."""

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface.verify import verifyObject

from neuronetz_twisted.upstream.answer_parser import Head
from neuronetz_twisted.upstream.response import Body, Response


def response(code: int = 200, version: str = "1.1", length: int | None = None) -> Response:
    """Make a response whose body is over."""
    fields = [(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")]
    return Response(Head(code, version, fields, length, chunked=length is None), Body(None))


class ResponseTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """It is a response, and its body's transport a producer."""
        verifyObject(IResponse, response())
        verifyObject(IPushProducer, Body(None))

    def test_head(self) -> None:
        """Status, version, length and fields are the host's; the words are ours."""
        made = response(404, "1.0", 5)
        self.assertEqual(
            (made.code, made.version, made.length, made.phrase),
            (404, (b"HTTP", 1, 0), 5, b"Not Found"),
        )
        headers: Any = made.headers
        self.assertEqual(headers.getRawHeaders(b"Content-Encoding"), [b"gzip"])
        other = response(599)
        self.assertEqual((other.length, other.phrase), (UNKNOWN_LENGTH, b""))

    def test_previous(self) -> None:
        """There is none, unless an agent of somebody else's says so."""
        first, second = response(), response()
        self.assertIsNone(second.previousResponse)
        second.setPreviousResponse(first)
        self.assertIs(second.previousResponse, first)
