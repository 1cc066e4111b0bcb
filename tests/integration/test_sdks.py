"""The `ollama` and `openai` clients, unmodified, through the gateway and when things go wrong."""

from collections.abc import Iterable

import ollama
import openai
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import MODEL, marker, shared_stack

BROKEN_STREAMS = ("reset@5", "nofinal", "error@5", "garbage@5")
BROKEN_BEFORE = ("reset@0", "error@0", "garbage@0", "status:500")
UNINSTALLED = "not-installed"


def user(prompt: str) -> list[dict[str, str]]:
    """A conversation of one message."""
    return [{"role": "user", "content": prompt}]


class OllamaTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A client with a key, one without."""
        stack = shared_stack()
        self.client = self.client_of(stack.url, stack.new_key())
        self.stranger = self.client_of(stack.url, "nz_unknown")

    def client_of(self, url: str, key: str) -> ollama.Client:
        """A client as its documentation makes one."""
        return ollama.Client(url, headers={"Authorization": f"Bearer {key}"}, timeout=20)

    def raises(self, status: int, call: Iterable[object]) -> ollama.ResponseError:
        """The client's own error from consuming a stream, after some of it or none."""
        error: ollama.ResponseError = self.assertRaises(ollama.ResponseError, list, call)
        self.assertEqual(error.status_code, status)
        return error

    def test_chat(self) -> None:
        """One object, with the counts of the model host."""
        answer = self.client.chat(MODEL, user("hello there"))
        self.assertTrue(answer.done)
        self.assertIn("You said: hello there", answer.message.content or "")
        self.assertEqual(answer.done_reason, "stop")
        self.assertTrue(answer.prompt_eval_count and answer.eval_count)

    def test_chat_streamed(self) -> None:
        """The same in pieces, of which the last one is final."""
        chunks = list(self.client.chat(MODEL, user("hello there [[n=12]]"), stream=True))
        self.assertEqual([chunk.done for chunk in chunks], [False] * 12 + [True])
        text = "".join(chunk.message.content or "" for chunk in chunks)
        self.assertIn("You said: hello there", text)
        self.assertEqual(chunks[-1].eval_count, 12)

    def test_generate(self) -> None:
        """A completion, streamed and not, without the context that could be replayed."""
        answer = self.client.generate(MODEL, "hello there")
        chunks = list(self.client.generate(MODEL, "hello there", stream=True))
        self.assertIn("You said: hello there", answer.response)
        self.assertEqual("".join(chunk.response or "" for chunk in chunks), answer.response)
        self.assertIsNone(answer.context)
        self.assertIsNone(chunks[-1].context)

    def test_options(self) -> None:
        """The client's options reach the model host."""
        answer = self.client.chat(
            MODEL, user("hi [[n=50]]"), options={"num_predict": 3, "temperature": 0}
        )
        self.assertEqual((answer.eval_count, answer.done_reason), (3, "length"))

    def test_preloading(self) -> None:
        """A request without a prompt, with which clients load a model, is answered at once."""
        for answer in (
            self.client.generate(MODEL, ""),
            self.client.chat(MODEL, []),
            *self.client.generate(MODEL, "", stream=True),
            *self.client.chat(MODEL, [], stream=True),
        ):
            self.assertEqual((answer.done, answer.done_reason), (True, "load"))

    def test_list_and_show(self) -> None:
        """Models and their details."""
        names = [model.model for model in self.client.list().models]
        self.assertIn("llama3.2:latest", names)
        shown = self.client.show(MODEL)
        self.assertIn("completion", shown.capabilities or [])
        self.assertIsNone(shown.template)
        self.assertIsNone(shown.license)

    def test_401(self) -> None:
        """A wrong key is the client's ResponseError with its status."""
        for stream in (False, True):
            error = self.assertRaises(
                ollama.ResponseError,
                lambda stream: list(self.stranger.chat(MODEL, user("hi"), stream=stream)),
                stream,
            )
            self.assertEqual(error.status_code, 401)
        self.assertEqual(
            self.assertRaises(ollama.ResponseError, self.stranger.list).status_code, 401
        )

    def test_403(self) -> None:
        """So is a model that is not there, and a path that is not."""
        error = self.assertRaises(ollama.ResponseError, self.client.chat, UNINSTALLED, user("hi"))
        self.assertEqual(error.status_code, 403)
        self.raises(403, self.client.chat(UNINSTALLED, user("hi"), stream=True))
        error = self.assertRaises(ollama.ResponseError, self.client.pull, MODEL)
        self.assertEqual(error.status_code, 403)

    def test_stream_that_dies(self) -> None:
        """Whatever breaks a stream, the client raises, after the pieces that did come."""
        for fault in BROKEN_STREAMS:
            for ask in (
                lambda prompt: self.client.chat(MODEL, user(prompt), stream=True),
                lambda prompt: self.client.generate(MODEL, prompt, stream=True),
            ):
                received: list[object] = []
                error = self.assertRaises(
                    ollama.ResponseError, received.extend, ask(f"hi [[n=9 fault={fault}]]")
                )
                self.assertNotIn("ollama", error.error)
                self.assertNotIn("blobs", error.error)

    def test_pieces_before_the_end(self) -> None:
        """What was said before the stream died has been delivered."""
        received = []
        stream = self.client.chat(MODEL, user("hi [[n=9 fault=reset@5]]"), stream=True)
        with self.assertRaises(ollama.ResponseError):
            for chunk in stream:
                received.append(chunk.done)  # noqa: PERF401 - kept when the stream raises
        self.assertEqual(received, [False] * 5)

    def test_answer_that_dies(self) -> None:
        """A folded answer that broke is a 502, in every phase."""
        for fault in (*BROKEN_STREAMS, *BROKEN_BEFORE):
            error = self.assertRaises(
                ollama.ResponseError, self.client.chat, MODEL, user(f"hi [[n=9 fault={fault}]]")
            )
            self.assertEqual((fault, error.status_code), (fault, 502))

    def test_stream_that_never_began(self) -> None:
        """Before the first frame a failure is a plain status."""
        for fault in BROKEN_BEFORE:
            prompt = f"hi [[n=9 fault={fault}]]"
            self.raises(502, self.client.chat(MODEL, user(prompt), stream=True))
        prompt = "hi [[fault=status:503]]"
        self.raises(503, self.client.chat(MODEL, user(prompt), stream=True))


class OpenaiTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A client with a key, one without; neither asks twice."""
        stack = shared_stack()
        self.client = self.client_of(stack.url, stack.new_key())
        self.stranger = self.client_of(stack.url, "nz_unknown")

    def client_of(self, url: str, key: str) -> openai.OpenAI:
        """A client as its documentation makes one, but for the retries."""
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=20)
        self.addCleanup(client.close)
        return client

    def chat(
        self, prompt: str, model: str = MODEL, client: openai.OpenAI | None = None
    ) -> openai.types.chat.ChatCompletion:
        """An answer in one piece."""
        return (client or self.client).chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}]
        )

    def stream(
        self, prompt: str, model: str = MODEL, client: openai.OpenAI | None = None
    ) -> list[openai.types.chat.ChatCompletionChunk]:
        """An answer in chunks."""
        with (client or self.client).chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": prompt}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            return list(stream)

    def test_chat(self) -> None:
        """One object with its usage."""
        answer = self.chat("hello there")
        choice = answer.choices[0]
        self.assertIn("You said: hello there", choice.message.content or "")
        self.assertEqual(choice.finish_reason, "stop")
        usage = answer.usage
        assert usage is not None
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)

    def test_chat_streamed(self) -> None:
        """Chunks of one id, then the finish reason, then the usage."""
        chunks = self.stream("hello there [[n=12]]")
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
        self.assertIn("You said: hello there", "".join(pieces))
        self.assertEqual(reasons, [None] * 12 + ["stop"])
        self.assertEqual(len({chunk.id for chunk in chunks}), 1)
        usage = chunks[-1].usage
        assert usage is not None
        self.assertEqual(usage.completion_tokens, 12)

    def test_parameters(self) -> None:
        """OpenAI's names reach the model host as its own."""
        mark = marker()
        answer = self.client.chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": f"{mark} [[n=50]]"},
            ],
            max_completion_tokens=3,
            temperature=0,
            top_p=0.5,
            seed=7,
            stop=["never"],
        )
        self.assertEqual(answer.choices[0].finish_reason, "length")
        entry = shared_stack().mock.entry(mark)
        expected = {"num_predict": 3, "temperature": 0, "top_p": 0.5, "seed": 7, "stop": ["never"]}
        self.assertEqual(entry["body"]["options"], expected)

    def test_models(self) -> None:
        """The list, and one of it."""
        names = [model.id for model in self.client.models.list()]
        self.assertIn("llama3.2:latest", names)
        self.assertEqual(self.client.models.retrieve(names[0]).id, names[0])

    def test_401(self) -> None:
        """A wrong key is the client's AuthenticationError."""
        for call in (self.chat, self.stream):
            self.assertRaises(openai.AuthenticationError, call, "hi", client=self.stranger)
        self.assertRaises(openai.AuthenticationError, self.stranger.models.list)

    def test_403(self) -> None:
        """What may not be used is its PermissionDeniedError."""
        for call in (self.chat, self.stream):
            error = self.assertRaises(openai.PermissionDeniedError, call, "hi", UNINSTALLED)
            self.assertEqual(error.code, "not_allowed")
        self.assertRaises(openai.PermissionDeniedError, self.client.models.retrieve, UNINSTALLED)
        self.assertRaises(openai.PermissionDeniedError, self.client.files.list)

    def test_stream_that_dies(self) -> None:
        """Whatever breaks a stream, the client raises its APIError."""
        for fault in BROKEN_STREAMS:
            error = self.assertRaises(openai.APIError, self.stream, f"hi [[n=9 fault={fault}]]")
            self.assertNotIsInstance(error, openai.APIStatusError)
            self.assertNotIn("ollama", str(error))

    def test_answer_that_dies(self) -> None:
        """A folded answer that broke is a 502; so is a stream that never began."""
        for fault in (*BROKEN_STREAMS, *BROKEN_BEFORE):
            error = self.assertRaises(
                openai.InternalServerError, self.chat, f"hi [[n=9 fault={fault}]]"
            )
            self.assertEqual((fault, error.status_code), (fault, 502))
        for fault in BROKEN_BEFORE:
            self.assertRaises(openai.InternalServerError, self.stream, f"hi [[n=9 fault={fault}]]")

    def test_the_model_host_is_busy(self) -> None:
        """Its 503 stays a 503 with a time to wait."""
        error = self.assertRaises(openai.InternalServerError, self.chat, "[[fault=status:503]]")
        self.assertEqual((error.status_code, error.code), (503, "upstream_busy"))
        self.assertTrue(int(error.response.headers["retry-after"]) > 0)
