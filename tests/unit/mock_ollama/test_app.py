"""Ollama's routes, shapes, defaults and status codes."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.app import MockOllama
from mock_ollama.catalogue import DEFAULT_MODELS
from mock_ollama.control import Settings
from mock_ollama.speech import count_tokens
from tests.unit.mock_ollama.peer import Answer, Peer

CHAT = {"model": "llama3.2", "messages": [{"role": "user", "content": "good morning"}]}
GENERATE = {"model": "llama3.2", "prompt": "good morning"}


def ask(method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Ask a fresh twin one thing."""
    return Peer().ask(method, path, body, **headers)


class ListTests(SynchronousTestCase):
    def test_root(self) -> None:
        """The root says that Ollama is running."""
        answer = ask("GET", "/")
        self.assertEqual((answer.status, answer.body), (200, b"Ollama is running"))

    def test_head(self) -> None:
        """HEAD is answered without a body exactly where Ollama answers it."""
        for path, status in (
            ("/", 200),
            ("/api/version", 200),
            ("/api/tags", 200),
            ("/api/ps", 405),
            ("/api/chat", 405),
        ):
            with self.subTest(path=path):
                answer = ask("HEAD", path)
                self.assertEqual((answer.status, answer.body), (status, b""))

    def test_version(self) -> None:
        """The version is the one that the twin was made with."""
        self.assertEqual(ask("GET", "/api/version").json(), {"version": "0.30.0"})
        clock = Clock()
        peer = Peer(clock, MockOllama(clock, settings=Settings(version="0.1.2")))
        self.assertEqual(peer.ask("GET", "/api/version").json(), {"version": "0.1.2"})

    def test_tags(self) -> None:
        """Tags lists the default models with the fields of Ollama, in Ollama's order."""
        answer = ask("GET", "/api/tags")
        models = answer.json()["models"]
        self.assertEqual(
            [model["name"] for model in models],
            list(DEFAULT_MODELS),
        )
        self.assertEqual(
            list(models[0]), ["name", "model", "modified_at", "size", "digest", "details"]
        )
        self.assertEqual(
            list(models[0]["details"]),
            [
                "parent_model",
                "format",
                "family",
                "families",
                "parameter_size",
                "quantization_level",
            ],
        )
        self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
        self.assertNotIn("server", answer.headers)

    def test_ps(self) -> None:
        """A model is loaded by its use and for five minutes."""
        peer = Peer()
        self.assertEqual(peer.ask("GET", "/api/ps").json(), {"models": []})
        peer.ask("POST", "/api/generate", {"model": "llama3.2"})
        (loaded,) = peer.ask("GET", "/api/ps").json()["models"]
        self.assertEqual(loaded["name"], "llama3.2:latest")
        self.assertEqual(loaded["expires_at"], "1970-01-01T00:05:00Z")

    def test_show(self) -> None:
        """Show takes model or name and tells what a gateway must not relay, too."""
        for key in ("model", "name"):
            with self.subTest(key=key):
                shown = ask("POST", "/api/show", {key: "LLAMA3.2"}).json()
                self.assertEqual(shown["capabilities"], ["completion", "tools"])
                self.assertLessEqual(
                    {
                        "license",
                        "modelfile",
                        "parameters",
                        "template",
                        "system",
                        "details",
                        "model_info",
                        "modified_at",
                    },
                    set(shown),
                )

    def test_unknown_path_and_method(self) -> None:
        """Unknown paths and methods get the router's plain text, and the methods that there are."""
        for method, path, status, allow in (
            ("GET", "/api/nothing", 404, None),
            ("GET", "/API/tags", 404, None),
            ("GET", "//api/tags", 404, None),
            ("POST", "/api//chat", 404, None),
            ("DELETE", "/api/chat", 405, "post"),
            ("OPTIONS", "/api/tags", 405, "head, get"),
            ("POST", "/api/ps", 405, "get"),
            ("HEAD", "/api/ps", 405, "get"),
            ("POST", "/", 405, "head, get"),
        ):
            with self.subTest(method=method, path=path):
                answer = ask(method, path)
                self.assertEqual((answer.status, answer.headers.get("allow")), (status, allow))
                self.assertEqual(answer.headers["content-type"], "text/plain")

    def test_slash_at_the_end(self) -> None:
        """A route with a slash too much is pointed to, GET for good and others for now."""
        for method, path, status, location in (
            ("GET", "/api/tags/", 301, "/api/tags"),
            ("HEAD", "/api/tags/", 307, "/api/tags"),
            ("POST", "/api/chat/", 307, "/api/chat"),
            ("GET", "/api/chat/", 404, None),
            ("GET", "/api/tags//", 404, None),
        ):
            with self.subTest(method=method, path=path):
                answer = ask(method, path)
                self.assertEqual(
                    (answer.status, answer.headers.get("location")), (status, location)
                )


class RefusalTests(SynchronousTestCase):
    def test_unknown_model(self) -> None:
        """An unknown model is 404 in the words of the route."""
        pull = 'model "NoSuch" not found, try pulling it first'
        for path, text in (
            ("chat", "model 'NoSuch' not found"),
            ("generate", "model 'NoSuch' not found"),
            ("embed", pull),
            ("embeddings", pull),
            ("show", "model 'NoSuch:latest' not found"),
        ):
            with self.subTest(path=path):
                answer = ask("POST", f"/api/{path}", {"model": "NoSuch"})
                self.assertEqual((answer.status, answer.json()), (404, {"error": text}))

    def test_no_model(self) -> None:
        """A request that names no model is refused as each route does it."""
        for path, status, text in (
            ("chat", 400, "model is required"),
            ("generate", 404, "model '' not found"),
            ("embed", 404, "model '' not found"),
            ("embeddings", 400, "model is required"),
            ("show", 400, "model is required"),
        ):
            for body in ({}, {"model": " \u2003"}):
                with self.subTest(path=path, body=body):
                    answer = ask("POST", f"/api/{path}", body)
                    self.assertEqual((answer.status, answer.json()), (status, {"error": text}))

    def test_invalid_name(self) -> None:
        """A name that Ollama could not store is 400 on every route."""
        for path in ("chat", "generate", "embed", "embeddings", "show"):
            for name, text in (
                ("a b", "invalid model name"),
                ("llama3.2:", "invalid model name"),
                ("llama3.2:local:cloud", "use either :local or :cloud, not both"),
            ):
                with self.subTest(path=path, name=name):
                    answer = ask("POST", f"/api/{path}", {"model": name})
                    self.assertEqual(answer.status, 400)
                    self.assertTrue(answer.json()["error"].startswith(text))

    def test_cloud(self) -> None:
        """A model of ollama.com is noted as such, and refused as without an account."""
        for name in ("llama3.2:cloud", "gpt-oss:120b-cloud", "llama3.2: CLOUD"):
            with self.subTest(name=name):
                peer = Peer()
                answer = peer.ask("POST", "/api/chat", {"model": name})
                self.assertEqual(answer.status, 401)
                self.assertEqual(list(answer.json()), ["error", "signin_url"])
                self.assertTrue(peer.seen()["cloud"])
                peer.ask("POST", "/api/chat", {"model": "llama3.2:local"})
                self.assertEqual((peer.seen()["cloud"], peer.seen()["state"]), (False, "complete"))

    def test_bad_bodies(self) -> None:
        """A missing, malformed or mistyped body gets an error object, 500 for a mistyped option."""
        for path, body, status in (
            ("chat", b"", 400),
            ("chat", b"{", 400),
            ("chat", b"[]", 400),
            ("chat", {"messages": []}, 400),
            ("chat", {"model": 7}, 400),
            ("chat", {"model": "llama3.2", "messages": "hi"}, 400),
            ("chat", {"model": "llama3.2", "messages": ["hi"]}, 400),
            ("chat", {"model": "llama3.2", "messages": [{"content": 1}]}, 400),
            ("chat", CHAT | {"stream": "no"}, 400),
            ("chat", CHAT | {"top_logprobs": 21}, 400),
            ("chat", CHAT | {"options": {"stop": "x"}}, 500),
            ("chat", CHAT | {"options": {"num_predict": "x"}}, 500),
            ("generate", GENERATE | {"prompt": "[[n=x]]"}, 400),
            ("generate", GENERATE | {"raw": True, "template": "x"}, 400),
            ("embed", {"model": "nomic-embed-text", "input": 5}, 400),
            ("embed", {"model": "nomic-embed-text", "input": [5]}, 400),
            ("embeddings", {"model": "nomic-embed-text", "prompt": []}, 400),
        ):
            with self.subTest(path=path, body=body):
                answer = ask("POST", f"/api/{path}", body)
                self.assertEqual((answer.status, list(answer.json())), (status, ["error"]))

    def test_capabilities(self) -> None:
        """What a model cannot do is 400 in Ollama's words."""
        full = "registry.ollama.ai/library"
        for path, body, text in (
            ("chat", {"model": "nomic-embed-text"}, '"nomic-embed-text" does not support chat'),
            ("generate", {"model": "nomic-embed-text"}, "does not support generate"),
            ("chat", CHAT | {"think": True}, '"llama3.2" does not support thinking'),
            ("generate", GENERATE | {"suffix": "x"}, f"{full}/llama3.2:latest does not support"),
            ("embed", {"model": "llama3.2", "input": "x"}, "does not support embeddings"),
        ):
            with self.subTest(text=text):
                answer = ask("POST", f"/api/{path}", body)
                self.assertEqual(answer.status, 400)
                self.assertIn(text, answer.json()["error"])

    def test_capable(self) -> None:
        """A model that thinks and uses tools may be asked to."""
        body = CHAT | {"model": "qwen3:8b", "think": True, "tools": [{}]}
        self.assertEqual(ask("POST", "/api/chat", body).status, 200)

    def test_foreign_host(self) -> None:
        """On a loopback address, a Host that is not local gets a bare 403."""
        address = IPv4Address("TCP", "127.0.0.1", 11434)
        for host, status in (
            ("example.com", 403),
            ("8.8.8.8", 403),
            ("localhost:11434", 200),
            ("127.0.0.1:11434", 200),
            ("[::1]:11434", 200),
            ("gpu.local", 200),
        ):
            with self.subTest(host=host):
                answer = Peer(address=address).ask("GET", "/api/version", host=host)
                self.assertEqual(answer.status, status)


class AnswerTests(SynchronousTestCase):
    def test_chat_streams_by_default(self) -> None:
        """Without `stream`, chat answers in lines of Go's form and ends with the counts."""
        answer = ask("POST", "/api/chat", CHAT)
        self.assertEqual(answer.headers["content-type"], "application/x-ndjson")
        self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        self.assertTrue(answer.complete)
        first = (
            b'{"model":"llama3.2","created_at":"1970-01-01T00:00:00Z",'
            b'"message":{"role":"assistant","content":"You"},"done":false}\n'
        )
        self.assertTrue(answer.body.startswith(first))
        *frames, final = answer.lines()
        self.assertFalse(any(frame["done"] for frame in frames))
        self.assertEqual(final["done_reason"], "stop")
        self.assertEqual(final["prompt_eval_count"], count_tokens("good morning"))
        self.assertEqual(final["eval_count"], len(frames))
        # The clock stands still, and a duration of zero is absent.
        self.assertEqual(
            list(final),
            [
                "model",
                "created_at",
                "message",
                "done",
                "done_reason",
                "total_duration",
                "load_duration",
                "prompt_eval_count",
                "prompt_eval_duration",
                "eval_count",
            ],
        )

    def test_generate_streams_by_default(self) -> None:
        """Generate answers in lines too, and its last one holds the context."""
        *frames, final = ask("POST", "/api/generate", GENERATE).lines()
        self.assertEqual(frames[0]["response"], "You")
        self.assertEqual(len(final["context"]), final["prompt_eval_count"] + final["eval_count"])

    def test_folded(self) -> None:
        """With `stream` false the answer is one object with the text of all the lines."""
        for path, body in (("chat", CHAT), ("generate", GENERATE)):
            with self.subTest(path=path):
                *frames, final = ask("POST", f"/api/{path}", body).lines()
                folded = ask("POST", f"/api/{path}", body | {"stream": False})
                texts = [frame.get("response") or frame["message"]["content"] for frame in frames]
                whole = folded.json()
                text = whole.get("response") or whole["message"]["content"]
                self.assertEqual(text, "".join(texts))
                self.assertEqual(whole["eval_count"], final["eval_count"])
                self.assertEqual(folded.headers["content-length"], str(len(folded.body)))

    def test_counts_all_prompts(self) -> None:
        """The prompt's count is over all messages, or over system and prompt."""
        messages = [{"role": "system", "content": "a" * 40}, {"role": "user", "content": "b" * 8}]
        final = ask("POST", "/api/chat", {"model": "llama3.2", "messages": messages}).lines()[-1]
        self.assertEqual(final["prompt_eval_count"], 12)
        body = {"model": "llama3.2", "system": "a" * 40, "prompt": "b" * 8}
        final = ask("POST", "/api/generate", body).lines()[-1]
        self.assertEqual(final["prompt_eval_count"], 12)

    def test_num_predict(self) -> None:
        """A limit ends the answer with the reason length; none, zero and -1 are no limit."""
        *frames, final = ask("POST", "/api/chat", CHAT | {"options": {"num_predict": 3}}).lines()
        self.assertEqual((len(frames), final["eval_count"]), (3, 3))
        self.assertEqual(final["done_reason"], "length")
        for limit in (0, -1, 1000):
            with self.subTest(limit=limit):
                body = CHAT | {"options": {"num_predict": limit}}
                self.assertEqual(ask("POST", "/api/chat", body).lines()[-1]["done_reason"], "stop")

    def test_stop(self) -> None:
        """A stop text ends the answer before it, with the reason stop."""
        body = GENERATE | {"options": {"stop": ["fine thing"]}, "stream": False}
        answer = ask("POST", "/api/generate", body).json()
        self.assertEqual(answer["response"], "You said: good morning. That is a ")
        self.assertEqual(answer["done_reason"], "stop")

    def test_empty_loads(self) -> None:
        """A request without messages or prompt loads the model, or unloads it, in one object."""
        chat, generate = {"model": "llama3.2"}, {"model": "llama3.2", "prompt": ""}
        for path, body in (("chat", chat), ("generate", generate)):
            with self.subTest(path=path):
                answer = ask("POST", f"/api/{path}", body)
                self.assertEqual(answer.json()["done_reason"], "load")
                self.assertNotIn("eval_count", answer.json())
                answer = ask("POST", f"/api/{path}", body | {"keep_alive": 0})
                self.assertEqual(answer.json()["done_reason"], "unload")

    def test_embed(self) -> None:
        """Embed gives a normalised vector for each input and counts their tokens."""
        body = {"model": "nomic-embed-text", "input": ["abcd", "abcdefgh"], "dimensions": 4}
        answer = ask("POST", "/api/embed", body).json()
        self.assertEqual([len(vector) for vector in answer["embeddings"]], [4, 4])
        self.assertEqual(answer["prompt_eval_count"], 3)
        answer = ask("POST", "/api/embed", {"model": "nomic-embed-text", "input": "abcd"}).json()
        self.assertEqual([len(vector) for vector in answer["embeddings"]], [768])

    def test_embed_nothing(self) -> None:
        """Embedding nothing gives no vectors."""
        answer = ask("POST", "/api/embed", {"model": "nomic-embed-text"}).json()
        self.assertEqual(answer, {"model": "nomic-embed-text", "embeddings": []})

    def test_embeddings(self) -> None:
        """The legacy route gives one vector without any count."""
        body = {"model": "nomic-embed-text", "prompt": "abcd"}
        answer = ask("POST", "/api/embeddings", body).json()
        self.assertEqual(list(answer), ["embedding"])
        self.assertEqual(len(answer["embedding"]), 768)
