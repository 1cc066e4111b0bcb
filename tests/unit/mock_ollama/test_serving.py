"""Requests for models as a whole: residency, slots, truncation and how to be told to fail."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.mock_ollama.peer import Peer

CHAT = {"model": "llama3.2", "messages": [{"role": "user", "content": "good morning"}]}
EMBED = {"model": "nomic-embed-text", "input": ["abcd" * 10, "abcd"]}


def seen(peer: Peer) -> Any:
    """Give all that the twin has seen."""
    return peer.ask("GET", "/mock/seen").json()


def running(peer: Peer) -> list[Any]:
    """Give the loaded models."""
    models: list[Any] = peer.ask("GET", "/api/ps").json()["models"]
    return models


class ResidencyTests(SynchronousTestCase):
    def test_reload_rule(self) -> None:
        """Runner options that differ reload the model, all others do not; the counts tell."""
        peer = Peer()
        for fields, reloads in (
            ({}, 0),
            ({"options": {"num_ctx": 4096, "temperature": 2, "seed": 5, "NUM_CTX": 7}}, 0),
            ({"options": {"num_gpu": -1, "num_batch": 512, "use_mmap": None}}, 0),
            ({"options": {"num_ctx": 8192}}, 1),
            ({}, 2),
            ({"shift": True}, 2),
            ({"shift": False}, 3),
            ({"shift": False, "options": {"num_thread": 3}}, 4),
        ):
            with self.subTest(fields=fields):
                self.assertEqual(peer.ask("POST", "/api/chat", CHAT | fields).status, 200)
                self.assertEqual(seen(peer)["reloads"], reloads)
        self.assertEqual(seen(peer)["loads"], 5)
        self.assertEqual(seen(peer)["models"], {"llama3.2:latest": {"loads": 5, "reloads": 4}})

    def test_keep_alive(self) -> None:
        """Seconds, durations, for ever, and not at all."""
        for keep_alive, expires in (
            (None, "1970-01-01T00:05:00Z"),
            (60, "1970-01-01T00:01:00Z"),
            ("1h", "1970-01-01T01:00:00Z"),
            (-1, "2262-04-11T23:47:16.854776Z"),
            ("-1s", "2262-04-11T23:47:16.854776Z"),
            (0, None),
            ("0s", None),
        ):
            for path, body in (("chat", CHAT), ("embed", EMBED)):
                with self.subTest(keep_alive=keep_alive, path=path):
                    peer = Peer()
                    peer.ask("POST", f"/api/{path}", body | {"keep_alive": keep_alive})
                    loaded = [model["expires_at"] for model in running(peer)]
                    self.assertEqual(loaded, [expires] if expires else [])

    def test_unload(self) -> None:
        """An empty request without keep-alive unloads the model for everybody."""
        peer = Peer()
        peer.ask("POST", "/api/chat", CHAT)
        answer = peer.ask("POST", "/api/chat", {"model": "llama3.2", "keep_alive": 0})
        self.assertEqual((answer.json()["done_reason"], running(peer)), ("unload", []))

    def test_context_length(self) -> None:
        """The list of loaded models tells their context."""
        peer = Peer()
        peer.ask("POST", "/api/chat", CHAT | {"options": {"num_ctx": 8192}})
        self.assertEqual([model["context_length"] for model in running(peer)], [8192])

    def test_load_time(self) -> None:
        """A load delays the answer, which tells it."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"load_time": 2})
        peer.transport.clear()
        peer.send("POST", "/api/chat", CHAT)
        peer.clock.advance(1)
        self.assertEqual(peer.transport.value(), b"")
        peer.pump(1, 2)
        self.assertEqual(peer.answer().lines()[-1]["load_duration"], 2_001_000_000)

    def test_gone_while_loading(self) -> None:
        """A peer that goes during a load is noticed."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"load_time": 2})
        peer.send("POST", "/api/chat", CHAT)
        peer.close()
        self.assertEqual(peer.seen()["state"], "peer_closed")
        peer.pump(1, 3)
        self.assertEqual(peer.seen()["frames_sent"], 0)


class QueueTests(SynchronousTestCase):
    def test_slots(self) -> None:
        """More requests than slots wait, more than the queue holds are refused, leavers free it."""
        first = Peer()
        first.ask("POST", "/mock/config", {"num_parallel": 1, "max_queue": 1})
        second, third = Peer(first.clock, first.mock), Peer(first.clock, first.mock)
        first.transport.clear()
        first.chat("[[n=2 delay=1s]]")
        second.send("POST", "/api/chat", CHAT)
        answer = third.ask("POST", "/api/chat", CHAT)
        self.assertEqual(answer.status, 503)
        text = "server busy, please try again.  maximum pending requests exceeded"
        self.assertEqual(answer.json(), {"error": text})
        self.assertEqual(second.transport.value(), b"")
        second.close()
        third.transport.clear()
        third.send("POST", "/api/chat", CHAT)
        self.assertEqual(third.transport.value(), b"")
        first.pump(1, 3)
        self.assertTrue(first.answer().complete)
        first.clock.advance(0)
        self.assertTrue(third.answer().complete)

    def test_slot_of_a_peer_that_goes(self) -> None:
        """A peer that goes frees its slot."""
        first = Peer()
        first.ask("POST", "/mock/config", {"num_parallel": 1})
        second = Peer(first.clock, first.mock)
        first.chat("[[fault=hang@1]]")
        second.send("POST", "/api/chat", CHAT)
        first.close()
        second.clock.advance(0)
        self.assertTrue(second.answer().complete)


class TruncationTests(SynchronousTestCase):
    def test_generation(self) -> None:
        """A prompt counts for no more than the context, and is refused if it may not be cut."""
        message = {"role": "user", "content": "abcd" * 100}
        small: dict[str, Any] = {"options": {"num_ctx": 50}}
        for path, body in (
            ("chat", {"model": "llama3.2", "messages": [message]}),
            ("generate", {"model": "llama3.2", "prompt": "abcd" * 100}),
        ):
            with self.subTest(path=path):
                final = Peer().ask("POST", f"/api/{path}", body | small).lines()[-1]
                self.assertEqual(final["prompt_eval_count"], 50)
                answer = Peer().ask("POST", f"/api/{path}", body | small | {"truncate": False})
                self.assertEqual(answer.status, 400)
                text = "the input length exceeds the context length"
                self.assertEqual(answer.json(), {"error": text})
                fits: dict[str, Any] = {"options": {"num_ctx": 100}, "truncate": False}
                self.assertEqual(Peer().ask("POST", f"/api/{path}", body | fits).status, 200)

    def test_embedding(self) -> None:
        """Each input is cut for itself."""
        body: dict[str, Any] = EMBED | {"options": {"num_ctx": 4}}
        self.assertEqual(Peer().ask("POST", "/api/embed", body).json()["prompt_eval_count"], 5)
        answer = Peer().ask("POST", "/api/embed", body | {"truncate": False})
        self.assertEqual(answer.status, 400)
        body = EMBED | {"truncate": False}
        self.assertEqual(Peer().ask("POST", "/api/embed", body).json()["prompt_eval_count"], 11)


class FaultTests(SynchronousTestCase):
    def test_header(self) -> None:
        """A header directs prompts that have no directive of their own."""
        peer = Peer()
        header = {"X-Mock-Directive": "n=2 fault=nofinal"}
        self.assertEqual(len(peer.ask("POST", "/api/chat", CHAT, **header).lines()), 2)
        body = {"model": "llama3.2", "prompt": "[[n=3]]"}
        self.assertEqual(len(peer.ask("POST", "/api/generate", body, **header).lines()), 4)
        answer = peer.ask("POST", "/api/chat", CHAT, **{"X-Mock-Directive": "fault=x"})
        self.assertEqual(answer.status, 400)

    def test_configured(self) -> None:
        """A configured directive holds for all until it is lifted, behind those of requests."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"directive": "n=2"})
        self.assertEqual(len(peer.ask("POST", "/api/chat", CHAT).lines()), 3)
        header = {"X-Mock-Directive": "n=5"}
        self.assertEqual(len(peer.ask("POST", "/api/chat", CHAT, **header).lines()), 6)
        peer.ask("POST", "/mock/config", {"directive": ""})
        self.assertGreater(len(peer.ask("POST", "/api/chat", CHAT).lines()), 30)

    def test_slow(self) -> None:
        """A slow twin keeps every answer back, and no list."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"slow": 5})
        self.assertEqual(peer.ask("GET", "/api/tags").status, 200)
        for path, body in (("chat", CHAT), ("embed", EMBED)):
            with self.subTest(path=path):
                peer.transport.clear()
                peer.send("POST", f"/api/{path}", body)
                peer.clock.advance(4)
                self.assertEqual(peer.transport.value(), b"")
                peer.pump(1, 2)
                self.assertEqual(peer.answer().status, 200)

    def test_stall(self) -> None:
        """A stalled twin answers its lists and nothing else."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"fail": "stall"})
        for path in ("tags", "version", "ps"):
            self.assertEqual(peer.ask("GET", f"/api/{path}").status, 200)
        peer.transport.clear()
        peer.send("POST", "/api/chat", CHAT)
        peer.clock.advance(3600)
        self.assertEqual((peer.transport.value(), peer.seen()["state"]), (b"", "open"))
        peer.close()

    def test_lie(self) -> None:
        """A lying twin lists models that are not there."""
        peer = Peer()
        peer.ask("POST", "/mock/config", {"lie": True})
        for model in peer.ask("GET", "/api/tags").json()["models"]:
            body = CHAT | {"model": model["name"]}
            self.assertEqual(peer.ask("POST", "/api/chat", body).status, 404)
        peer.ask("POST", "/mock/config", {"lie": False})
        self.assertEqual(peer.ask("POST", "/api/chat", CHAT).status, 200)

    def test_render_only(self) -> None:
        """The debug option shows the prompt instead of an answer."""
        answer = Peer().ask("POST", "/api/chat", CHAT | {"_debug_render_only": True}).json()
        self.assertEqual(answer["_debug_info"], {"rendered_template": "good morning"})
        self.assertFalse(answer["done"])
