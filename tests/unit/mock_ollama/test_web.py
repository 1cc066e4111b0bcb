"""Bounds on what a peer sends."""

from twisted.trial.unittest import SynchronousTestCase

from mock_ollama import web
from tests.unit.mock_ollama.peer import Peer


class BodyTests(SynchronousTestCase):
    def test_too_large(self) -> None:
        """A peer that sends more than the bound is hung up on, unanswered and unrecorded."""
        self.patch(web, "MAX_BODY_BYTES_KEPT", 100)
        peer = Peer()
        peer.send("POST", "/api/chat", b"x" * 101)
        self.assertTrue(peer.transport.disconnected)
        peer.close()

    def test_at_the_bound(self) -> None:
        """A body of exactly the bound is read."""
        self.patch(web, "MAX_BODY_BYTES_KEPT", 100)
        answer = Peer().ask("POST", "/api/chat", b"x" * 100)
        self.assertEqual(answer.status, 400)

    def test_odd_hosts_do_not_reach_the_router(self) -> None:
        """A Host header that the router could not parse is answered like any other."""
        for host in ("..", "x" * 80, ""):
            with self.subTest(host=host):
                self.assertEqual(Peer().ask("GET", "/api/version", host=host).status, 200)
