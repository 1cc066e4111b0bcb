"""The routes of the app by which a test steers the twin and reads what it saw."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.catalogue import DEFAULT_MODELS
from tests.unit.mock_ollama.peer import Peer

CHAT = {"model": "llama3.2", "messages": [{"role": "user", "content": "good morning"}]}


class ControlTests(SynchronousTestCase):
    def test_seen(self) -> None:
        """What arrived is shown as it arrived, polls included."""
        clock = Clock()
        clock.advance(1000)
        peer = Peer(clock)
        peer.ask("GET", "/api/tags")
        answer = peer.ask("POST", "/api/chat", CHAT, Authorization="Bearer x")
        poll, chat = peer.ask("GET", "/mock/seen").json()["requests"]
        self.assertEqual((poll["method"], poll["path"], poll["body"]), ("GET", "/api/tags", None))
        self.assertEqual(chat["body"], CHAT)
        self.assertEqual(chat["headers"]["authorization"], "Bearer x")
        self.assertEqual(chat["bytes_sent"], len(answer.body))
        self.assertEqual(chat["frames_sent"], len(answer.lines()))
        self.assertEqual(chat["tokens"], {"prompt": 3, "completion": chat["frames_sent"] - 1})
        self.assertEqual((chat["state"], chat["closed_at"]), ("complete", 1000.0))
        self.assertEqual(chat["received_at"], 1000.0)

    def test_seen_body_that_is_no_json(self) -> None:
        """A body that is no JSON is shown as null."""
        peer = Peer()
        peer.ask("POST", "/api/chat", b"{")
        self.assertIsNone(peer.seen()["body"])

    def test_seen_decoded(self) -> None:
        """What Ollama understands is shown beside what was sent."""
        peer = Peer()
        peer.ask(
            "POST", "/api/chat", b'{"Model":"x","MODEL":"llama3.2","nothing":1,"options":null}'
        )
        self.assertEqual(peer.seen()["decoded"], {"model": "llama3.2"})
        peer.ask("POST", "/api/chat", b'{"model":7}')
        self.assertIsNone(peer.seen()["decoded"])

    def test_seen_deep_body(self) -> None:
        """A body that is nested too deeply to be shown does not break the list."""
        peer = Peer()
        peer.ask("POST", "/api/chat", b'{"x":' + b"[" * 300 + b"]" * 300 + b"}")
        self.assertEqual(peer.ask("GET", "/mock/seen").status, 200)
        self.assertIsNone(peer.seen()["body"])

    def test_reset(self) -> None:
        """A reset empties the list."""
        peer = Peer()
        peer.ask("GET", "/api/tags")
        peer.ask("POST", "/mock/reset")
        peer.ask("POST", "/api/generate", {"model": "llama3.2"})
        peer.ask("POST", "/mock/reset")
        expected = {"requests": [], "loads": 0, "reloads": 0, "models": {}}
        self.assertEqual(peer.ask("GET", "/mock/seen").json(), expected)
        self.assertEqual(len(peer.ask("GET", "/api/ps").json()["models"]), 1)

    def test_configure(self) -> None:
        """Version and models change, each only if it is named."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"version": "0.1.0"})
        self.assertEqual(peer.ask("GET", "/api/version").json(), {"version": "0.1.0"})
        self.assertEqual(len(peer.ask("GET", "/api/tags").json()["models"]), len(DEFAULT_MODELS))
        peer.ask("POST", "/mock/config", {"models": ["one"]})
        self.assertEqual(peer.ask("GET", "/api/version").json(), {"version": "0.1.0"})
        (model,) = peer.ask("GET", "/api/tags").json()["models"]
        self.assertEqual(model["name"], "one:latest")

    def test_fail_with_a_status(self) -> None:
        """Every answer under /api/ fails with the status until it is lifted."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"fail": 503})
        self.assertEqual(peer.ask("GET", "/api/tags").status, 503)
        self.assertEqual(peer.seen()["state"], "fault")
        self.assertEqual(peer.ask("GET", "/").status, 200)
        peer.ask("POST", "/mock/config", {"fail": None})
        self.assertEqual(peer.ask("GET", "/api/tags").status, 200)

    def test_fail_by_refusing(self) -> None:
        """A refused request gets a reset and no byte."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"fail": "refuse"})
        peer.transport.clear()
        peer.send("GET", "/api/tags")
        self.assertEqual((peer.transport.value(), peer.transport.disconnected), (b"", True))
        peer.close()
        self.assertEqual(peer.seen()["state"], "fault")

    def test_fail_by_hanging(self) -> None:
        """A hung request gets no byte, until its peer goes."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"fail": "hang"})
        peer.transport.clear()
        peer.send("GET", "/api/tags")
        peer.clock.advance(3600)
        self.assertEqual((peer.transport.value(), peer.seen()["state"]), (b"", "open"))
        peer.close()
        self.assertEqual(peer.seen()["state"], "peer_closed")

    def test_configure_refuses_mistakes(self) -> None:
        """A mistake in the configuration changes nothing."""
        peer = Peer()
        bodies: tuple[Any, ...] = (
            {"fail": "x"},
            {"fail": 200},
            {"models": [1]},
            {"models": "x"},
            {"version": 1},
            {"verison": "1"},
            {"lie": "x"},
            {"slow": -1},
            {"slow": True},
            {"num_parallel": 1.5},
            {"directive": "x=1"},
            [],
            b"x",
        )
        for body in bodies:
            with self.subTest(body=body):
                self.assertEqual(peer.ask("POST", "/mock/config", body).status, 400)
        self.assertEqual(len(peer.ask("GET", "/api/tags").json()["models"]), len(DEFAULT_MODELS))
