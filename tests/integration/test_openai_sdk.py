"""The `openai` client, unmodified, through the gateway: all of what it can ask for."""

import json
from typing import Any, cast

import openai
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.vocabulary import Scope
from tests.gateway import MODEL, marker, shared_stack
from tests.http_client import ask
from tests.unit.dialects.pictures import in_base64, png

EMBEDDER = "nomic-embed-text"
THINKER = "qwen3:8b"
SEER = "llava:7b"
FILLER = "qwen2.5-coder:7b"
BROKEN_STREAMS = ("reset@5", "nofinal", "error@5", "garbage@5")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "Tells it",
            "parameters": SCHEMA,
            "strict": True,
        },
    }
    for name in ("weather", "time")
]


def user(content: Any) -> Any:
    """A conversation of one message."""
    return [{"role": "user", "content": content}]


class OpenaiSdkTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """A client whose key may do all that the surface has, and that never asks twice."""
        self.stack = shared_stack()
        self.key = self.stack.new_key(scopes=(Scope.CHAT, Scope.EMBEDDINGS))
        self.client = openai.OpenAI(
            base_url=f"{self.stack.url}/v1", api_key=self.key, max_retries=0, timeout=20
        )
        self.addCleanup(self.client.close)

    def sent(self, mark: str) -> Any:
        """The body that the model host got."""
        return self.stack.mock.entry(mark)["body"]


class ChatTests(OpenaiSdkTestCase):
    def test_preloading(self) -> None:
        """No messages load the model and are answered with nothing, streamed and not."""
        whole = self.client.chat.completions.create(model=MODEL, messages=[])
        self.assertEqual(
            (whole.choices[0].message.content, whole.choices[0].finish_reason),
            (
                "",
                "stop",
            ),
        )
        with self.client.chat.completions.create(model=MODEL, messages=[], stream=True) as stream:
            chunks = list(stream)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")

    def test_tools(self) -> None:
        """A call, its result, and the answer: as in any agent's loop."""
        mark = marker()
        asked: list[Any] = user(f"{mark} [[tool=weather tool=time]]")
        answer = self.client.chat.completions.create(model=MODEL, messages=asked, tools=TOOLS)
        choice = answer.choices[0]
        calls = choice.message.tool_calls
        assert calls is not None
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertIsNone(choice.message.content)
        self.assertEqual([call.function.name for call in calls], ["weather", "time"])  # type: ignore[union-attr]
        self.assertEqual(len({call.id for call in calls}), 2)
        for call in calls:
            self.assertIsInstance(json.loads(call.function.arguments), dict)  # type: ignore[union-attr]
        then = marker()
        answer = self.client.chat.completions.create(
            model=MODEL,
            messages=[
                *asked,
                cast("Any", choice.message),
                {"role": "tool", "tool_call_id": calls[1].id, "content": f"noon {then}"},
                {"role": "user", "content": "so? [[n=3]]"},
            ],
            tools=TOOLS,
        )
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        _, said, result, _ = self.sent(then)["messages"]
        self.assertEqual(
            [call["function"]["name"] for call in said["tool_calls"]],
            [
                "weather",
                "time",
            ],
        )
        self.assertEqual(result["tool_name"], "time")
        self.assertEqual(result["tool_call_id"], calls[1].id)

    def test_tools_streamed(self) -> None:
        """However calls are put into frames, the client's own accumulator finds each once."""
        for calls in ("together", "apart", "final"):
            with self.subTest(calls=calls):
                with self.client.chat.completions.stream(
                    model=MODEL,
                    messages=user(f"hi [[n=2 tool=weather tool=time calls={calls}]]"),
                    tools=TOOLS,
                ) as stream:
                    stream.until_done()
                choice = stream.get_final_completion().choices[0]
                self.assertEqual(choice.finish_reason, "tool_calls")
                found = choice.message.tool_calls
                assert found is not None
                self.assertEqual([call.function.name for call in found], ["weather", "time"])
                self.assertEqual(len({call.id for call in found}), 2)

    def test_tool_choice(self) -> None:
        """`none` takes the tools away; what cannot be promised is named."""
        mark = marker()
        choices = self.client.chat.completions.with_raw_response
        choices.create(model=MODEL, messages=user(mark), tools=TOOLS, tool_choice="none")
        self.assertNotIn("tools", self.sent(mark))
        raw = choices.create(model=MODEL, messages=user("hi"), tools=TOOLS, tool_choice="required")
        self.assertIn("tool_choice", raw.headers["x-gateway-ignored"])

    def test_json_schema(self) -> None:
        """A schema reaches the model host as it is, and so does the wish for any JSON."""
        mark = marker()
        self.client.chat.completions.create(
            model=MODEL,
            messages=user(mark),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "place", "strict": True, "schema": dict(SCHEMA)},
            },
        )
        self.assertEqual(self.sent(mark)["format"], SCHEMA)
        mark = marker()
        self.client.chat.completions.create(
            model=MODEL, messages=user(mark), response_format={"type": "json_object"}
        )
        self.assertEqual(self.sent(mark)["format"], "json")

    def test_images(self) -> None:
        """A picture in a URL reaches the model host; one on another host is never fetched."""
        mark, picture = marker(), in_base64(png())
        parts = [
            {"type": "text", "text": mark},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        ]
        self.client.chat.completions.create(model=SEER, messages=user(parts))
        [message] = self.sent(mark)["messages"]
        self.assertEqual((message["content"], message["images"]), (mark, [picture]))
        parts[1] = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}
        error = self.assertRaises(
            openai.BadRequestError,
            self.client.chat.completions.create,
            model=SEER,
            messages=user(parts),
        )
        self.assertEqual(error.param, "image_url")

    def test_thinking(self) -> None:
        """An effort is the model's thinking; what it thought is `reasoning`."""
        mark = marker()
        answer = self.client.chat.completions.create(
            model=THINKER, messages=user(f"{mark} [[think=3 n=2]]"), reasoning_effort="high"
        )
        self.assertEqual(self.sent(mark)["think"], "high")
        self.assertTrue((answer.choices[0].message.model_extra or {})["reasoning"])
        with self.client.chat.completions.create(
            model=THINKER, messages=user("hi [[think=3 n=2]]"), stream=True
        ) as stream:
            deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]
        thoughts = [delta for delta in deltas if (delta.model_extra or {}).get("reasoning")]
        self.assertEqual(len(thoughts), 3)
        self.assertFalse(any(delta.content for delta in thoughts))

    def test_logprobs(self) -> None:
        """The likelihood of each token, in the client's own types."""
        answer = self.client.chat.completions.create(
            model=MODEL, messages=user("hi [[n=3]]"), logprobs=True, top_logprobs=2
        )
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content is not None
        self.assertEqual(len(logprobs.content), 3)
        self.assertEqual({len(token.top_logprobs) for token in logprobs.content}, {2})

    def test_habits(self) -> None:
        """What clients send by habit never fails a request."""
        mark = marker()
        raw = self.client.chat.completions.with_raw_response.create(
            model=MODEL,
            messages=[
                {"role": "developer", "content": "be brief"},
                {"role": "user", "content": mark, "name": "ann"},
                {"role": "assistant", "content": None, "refusal": None},
            ],
            tools=TOOLS,
            tool_choice="auto",
            parallel_tool_calls=True,
            user="someone",
            store=False,
            metadata={"a": "b"},
            service_tier="auto",
            logit_bias={"1": 1},
            n=1,
            stop=None,
            seed=None,
            extra_body={"keep_alive": 0, "num_ctx": 99, "options": {"num_ctx": 99}},
        )
        self.assertEqual(raw.parse().choices[0].finish_reason, "stop")
        body = self.sent(mark)
        self.assertEqual(body["messages"][0]["role"], "system")
        self.assertEqual(body["messages"][2]["content"], "")
        self.assertNotIn("num_ctx", body["options"])
        self.assertFalse({"keep_alive", "num_ctx", "user"} & body.keys())
        ignored = raw.headers["x-gateway-ignored"].split(", ")
        self.assertEqual(
            sorted(set(ignored)),
            [
                "keep_alive",
                "logit_bias",
                "metadata",
                "name",
                "num_ctx",
                "options",
                "parallel_tool_calls",
                "service_tier",
                "store",
                "strict",
                "user",
            ],
        )

    def test_form_content_type(self) -> None:
        """`curl -d` says that a body is a form; nobody minds."""
        answer = ask(
            self.stack.port,
            "POST",
            "/v1/chat/completions",
            key=self.key,
            body={"model": MODEL, "messages": user("hi")},
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        self.assertEqual(answer.status, 200)

    def test_refused(self) -> None:
        """What cannot be done is the client's BadRequestError, which names the field."""
        refused: tuple[tuple[dict[str, Any], str], ...] = (
            ({"n": 2}, "n"),
            ({"functions": [{"name": "a"}]}, "functions"),
            ({"tools": [{"type": "web_search"}]}, "type"),
            ({"reasoning_effort": "much"}, "reasoning_effort"),
        )
        for fields, param in refused:
            with self.subTest(param=param):
                error = self.assertRaises(
                    openai.BadRequestError,
                    self.client.chat.completions.create,
                    model=MODEL,
                    messages=user("hi"),
                    extra_body=fields,
                )
                self.assertEqual((error.param, error.code), (param, "invalid_request"))


class CompletionTests(OpenaiSdkTestCase):
    def test_completion(self) -> None:
        """A text, streamed and not, with an id of its own and its usage."""
        mark = marker()
        answer = self.client.completions.create(model=MODEL, prompt=[f"{mark} [[n=6]]"], stop=["#"])
        self.assertIn(mark, answer.choices[0].text)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        assert answer.usage is not None
        self.assertEqual(answer.usage.completion_tokens, 6)
        self.assertEqual(self.sent(mark)["options"]["stop"], ["#"])
        with self.client.completions.create(
            model=MODEL,
            prompt="hello there [[n=6]]",
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            chunks = list(stream)
        text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
        self.assertIn("hello there", text)
        self.assertEqual(len({chunk.id for chunk in chunks} | {answer.id}), 2)
        usage = chunks[-1].usage
        assert usage is not None
        self.assertEqual(usage.completion_tokens, 6)

    def test_suffix_and_logprobs(self) -> None:
        """What editors ask for."""
        mark = marker()
        answer = self.client.completions.create(
            model=FILLER, prompt=f"{mark} [[n=3]]", suffix="end", logprobs=1, max_tokens=50
        )
        self.assertEqual(self.sent(mark)["suffix"], "end")
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        self.assertEqual(len(logprobs.tokens or ()), 3)
        self.assertEqual(len(logprobs.text_offset or ()), 3)

    def test_preloading(self) -> None:
        """An empty prompt loads the model."""
        answer = self.client.completions.create(model=MODEL, prompt="")
        self.assertEqual(answer.choices[0].text, "")

    def test_refused(self) -> None:
        """One request has one answer to one text."""
        for prompt in (["a", "b"], [1, 2], [[1, 2]]):
            with self.subTest(prompt=prompt):
                error = self.assertRaises(
                    openai.BadRequestError,
                    self.client.completions.create,
                    model=MODEL,
                    prompt=prompt,
                )
                self.assertEqual(error.param, "prompt")

    def test_stream_that_dies(self) -> None:
        """Whatever breaks a stream, the client raises."""
        for fault in BROKEN_STREAMS:
            with self.subTest(fault=fault):
                stream = self.client.completions.create(
                    model=MODEL, prompt=f"hi [[n=9 fault={fault}]]", stream=True
                )
                self.assertRaises(openai.APIError, list, stream)


class EmbeddingTests(OpenaiSdkTestCase):
    def test_a_thousand(self) -> None:
        """As floats and as the base64 that the client asks for by itself: the same vectors."""
        texts = [f"text {number}" for number in range(1000)]
        packed = self.client.embeddings.create(model=EMBEDDER, input=texts)
        floats = self.client.embeddings.create(model=EMBEDDER, input=texts, encoding_format="float")
        self.assertEqual([entry.index for entry in packed.data], list(range(1000)))
        self.assertEqual(packed.usage, floats.usage)
        self.assertTrue(packed.usage.prompt_tokens >= 1000)
        for one, other in zip(packed.data, floats.data, strict=True):
            self.assertEqual(len(one.embedding), 768)
            error = max(map(abs, map(float.__sub__, one.embedding, other.embedding)))
            self.assertTrue(error < 1e-6, error)

    def test_dimensions(self) -> None:
        """Fewer numbers, where fewer are asked for."""
        answer = self.client.embeddings.create(model=EMBEDDER, input="a", dimensions=64)
        self.assertEqual(len(answer.data[0].embedding), 64)

    def test_refused(self) -> None:
        """Tokens cannot be embedded; a model without embeddings is said to have none."""
        for tokens in ([1, 2], [[1, 2], [3]]):
            with self.subTest(tokens=tokens):
                error = self.assertRaises(
                    openai.BadRequestError,
                    self.client.embeddings.create,
                    model=EMBEDDER,
                    input=tokens,
                )
                self.assertEqual(error.param, "input")

    def test_without_the_scope(self) -> None:
        """A key for chats embeds nothing."""
        stranger = self.client.with_options(api_key=self.stack.new_key())
        self.assertRaises(
            openai.PermissionDeniedError, stranger.embeddings.create, model=EMBEDDER, input="a"
        )
