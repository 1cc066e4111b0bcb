"""OpenAI's routes from the body to the answer: what the model host is asked, and what is said."""

from typing import Any

import orjson

from neuronetz_twisted.testing.calls import made_model
from neuronetz_twisted.testing.upstream import chat_final
from tests.unit.edge.surface import SurfaceTestCase

CALL = {"function": {"name": "weather", "arguments": {"city": "Ulm"}}}


class OpenaiSurfaceTests(SurfaceTestCase):
    def ask(self, path: str, *frames: bytes, **body: Any) -> tuple[Any, bytes]:
        """What the model host was asked, and what the client read, `frames` having come."""
        self.upstream.frames = frames
        raw = orjson.dumps({"model": "llama3", **body})
        client = self.house.ask("POST", path, raw)
        answer = client.answer()
        self.assertEqual(answer.status, 200)
        return self.upstream.asked[-1].call, answer.body

    def test_completion(self) -> None:
        """A text completion, whole and streamed, under the model's own name."""
        listing = {"name": "Llama3:latest", "model": "Llama3:latest"}
        self.house.catalog.installed = [made_model(listing=listing)]
        frames = (b'{"response":"Hi","done":false}', b'{"response":"","done":true}')
        call, raw = self.ask("/v1/completions", *frames, prompt="x")
        body = orjson.loads(raw)
        self.assertEqual(call.request.path, "/api/generate")
        self.assertEqual(body["id"], f"cmpl-{call.id}")
        self.assertEqual((body["choices"][0]["text"], body["model"]), ("Hi", "Llama3:latest"))
        _, events = self.ask("/v1/completions", *frames, prompt="x", stream=True)
        self.assertIn(b'"object":"text_completion"', events)
        self.assertTrue(events.endswith(b"data: [DONE]\n\n"))

    def test_embeddings(self) -> None:
        """Vectors in both forms."""
        vectors = b'{"model":"m","embeddings":[[1,-0.5]],"prompt_eval_count":2}'
        call, raw = self.ask("/v1/embeddings", vectors, input="x")
        self.assertEqual((call.request.path, call.dialect), ("/api/embed", "openai"))
        self.assertIn(b'"embedding":[1,-0.5]', raw)
        self.assertEqual(orjson.loads(raw)["usage"], {"prompt_tokens": 2, "total_tokens": 2})
        _, raw = self.ask("/v1/embeddings", vectors, input="x", encoding_format="base64")
        self.assertIn(b'"embedding":"AACAPwAAAL8="', raw)

    def test_vectors_that_are_no_numbers(self) -> None:
        """Nothing can be made of them, so the model host has failed."""
        self.upstream.frames = [b'{"embeddings":[[1-2]]}']
        body = b'{"model":"llama3","input":"x","encoding_format":"base64"}'
        answer = self.answered("POST", "/v1/embeddings", body)
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (502, "upstream_failed"))

    def test_tool_calls(self) -> None:
        """A streamed call of a tool has an id that holds the request's."""
        message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
        frame = orjson.dumps({"message": message, "done": False})
        tools = [{"type": "function", "function": {"name": "weather"}}]
        messages = [{"role": "user", "content": "x"}]
        call, events = self.ask(
            "/v1/chat/completions",
            frame,
            chat_final(),
            messages=messages,
            tools=tools,
            stream=True,
        )
        self.assertEqual(call.request.body["tools"], tools)
        self.assertIn(b'"id":"call_%b_0"' % call.id.encode(), events)
        self.assertIn(b'"finish_reason":"tool_calls"', events)
        _, raw = self.ask(
            "/v1/chat/completions", frame, chat_final(), messages=messages, tools=tools
        )
        self.assertEqual(len(orjson.loads(raw)["choices"][0]["message"]["tool_calls"]), 1)
