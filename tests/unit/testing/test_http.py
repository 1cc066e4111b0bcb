"""The connection in memory behaves as a socket would."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from neuronetz_twisted.testing.http import MemoryConnection


class Chunks(Resource):
    """Writes two chunks and leaves the end to the test."""

    isLeaf = True

    def __init__(self) -> None:
        """No request yet."""
        super().__init__()
        self.requests: list[Request] = []

    def render(self, request: Request) -> int:
        """Write."""
        self.requests.append(request)
        request.write(b"one")
        request.write(b"\r\n2\r\n")
        return NOT_DONE_YET


class MemoryConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        """One answer under way."""
        self.chunks = Chunks()
        site = Site(self.chunks, Request, reactor=Clock())
        self.client = MemoryConnection(site).request("GET", "/", X_Some="thing")

    def test_request(self) -> None:
        """Headers are spelled with hyphens."""
        (request,) = self.chunks.requests
        self.assertEqual(request.getHeader(b"x-some"), b"thing")
        self.assertEqual(request.getClientAddress().host, "192.0.2.1")

    def test_part_of_an_answer(self) -> None:
        """What has come is read, and that it is not whole is known."""
        answer = self.client.answer()
        self.assertEqual((answer.status, answer.body, answer.whole), (200, b"one\r\n2\r\n", False))

    def test_whole_answer(self) -> None:
        """Its end is seen; what follows stays on the wire."""
        self.chunks.requests[0].finish()
        self.client.write(b"rest")
        answer = self.client.answer()
        self.assertEqual((answer.body, answer.whole), (b"one\r\n2\r\n", True))
        self.assertEqual(self.client.value(), b"rest")

    def test_no_answer(self) -> None:
        """To read where nothing is, is a fault of the test's."""
        self.client.clear()
        with self.assertRaises(AssertionError):
            self.client.answer()

    def test_leave(self) -> None:
        """A client that goes is noticed once."""
        gone: list[object] = []
        self.chunks.requests[0].notifyFinish().addErrback(gone.append)
        self.client.leave()
        self.client.leave()
        self.assertEqual(len(gone), 1)
        self.assertFalse(self.client.open)

    def test_settle(self) -> None:
        """A close of our side happens when it is let to, and only then."""
        self.client.settle()
        self.assertTrue(self.client.open)
        self.client.abortConnection()
        self.assertTrue(self.client.reset)
        self.assertTrue(self.client.open)
        self.client.settle()
        self.assertFalse(self.client.open)
