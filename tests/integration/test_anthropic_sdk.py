"""The `anthropic` client, unmodified, through the gateway and when things go wrong."""

from typing import Any

import anthropic
from anthropic.types import Message, MessageParam, TextBlock, ToolParam, ToolUseBlock
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import MODEL, marker, shared_stack
from tests.unit.dialects.pictures import in_base64, png

THINKER, SEER, CODER = "qwen3:8b", "llava:7b", "qwen2.5-coder:7b"
BROKEN_STREAMS = ("reset@5", "nofinal", "error@5", "garbage@5")
BROKEN_BEFORE = ("reset@0", "error@0", "garbage@0", "status:500")
UNINSTALLED = "not-installed"
WEATHER: ToolParam = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def user(prompt: str) -> list[MessageParam]:
    """A conversation of one message."""
    return [{"role": "user", "content": prompt}]


def text_of(message: Message) -> str:
    """What a message says."""
    return "".join(block.text for block in message.content if isinstance(block, TextBlock))


class MessagesCase(SynchronousTestCase):
    """One client with a key."""

    def setUp(self) -> None:
        """Make it as its documentation does."""
        stack = shared_stack()
        self.client = self.client_of(stack.new_key())

    def client_of(self, key: str) -> anthropic.Anthropic:
        """A client with a key."""
        client = anthropic.Anthropic(
            base_url=shared_stack().url, api_key=key, max_retries=0, timeout=20
        )
        self.addCleanup(client.close)
        return client

    def ask(self, prompt: str | list[MessageParam], model: str = MODEL, **fields: Any) -> Message:
        """An answer in one piece."""
        messages = user(prompt) if isinstance(prompt, str) else prompt
        asked = {"max_tokens": 200, **fields}
        answer: Message = self.client.messages.create(model=model, messages=messages, **asked)
        return answer

    def hear(self, prompt: str | list[MessageParam], model: str = MODEL, **fields: Any) -> Message:
        """The same from the pieces of a stream, put together by the client."""
        messages = user(prompt) if isinstance(prompt, str) else prompt
        asked = {"max_tokens": 200, **fields}
        with self.client.messages.stream(model=model, messages=messages, **asked) as stream:
            answer: Message = stream.get_final_message()
        return answer


class MessagesTests(MessagesCase):
    def test_message(self) -> None:
        """Streamed or not, one message with the counts of the model host."""
        for call in (self.ask, self.hear):
            answer = call("hello there [[n=12]]")
            self.assertIn("You said: hello there", text_of(answer))
            self.assertEqual((answer.type, answer.role), ("message", "assistant"))
            self.assertEqual((answer.stop_reason, answer.stop_sequence), ("end_turn", None))
            self.assertTrue(answer.id.startswith("msg_"))
            self.assertEqual(answer.model, f"{MODEL}:latest")
            self.assertEqual(answer.usage.output_tokens, 12)
            self.assertTrue(answer.usage.input_tokens)

    def test_events(self) -> None:
        """The events come in Anthropic's order."""
        stream = self.client.messages.create(
            model=MODEL, max_tokens=9, messages=user("hi [[n=3]]"), stream=True
        )
        self.assertEqual(
            [event.type for event in stream],
            [
                "message_start",
                "content_block_start",
                *["content_block_delta"] * 3,
                "content_block_stop",
                "message_delta",
                "message_stop",
            ],
        )

    def test_parameters(self) -> None:
        """Anthropic's names reach the model host as its own; the rest is named."""
        mark = marker()
        answer = self.client.messages.with_raw_response.create(
            model=MODEL,
            max_tokens=3,
            system=[{"type": "text", "text": "be brief"}],
            messages=user(f"{mark} [[n=50]]"),
            stop_sequences=["never"],
            metadata={"user_id": "someone"},
            service_tier="auto",
            extra_body={"temperature": 0, "top_p": 0.5, "top_k": 7},
        )
        self.assertEqual(answer.parse().stop_reason, "max_tokens")
        self.assertEqual(answer.headers["X-Gateway-Ignored"], "metadata, service_tier")
        body = shared_stack().mock.entry(mark)["body"]
        options = {"num_predict": 3, "temperature": 0, "top_p": 0.5, "top_k": 7, "stop": ["never"]}
        self.assertEqual(body["options"], options)
        self.assertEqual(body["messages"][0], {"role": "system", "content": "be brief"})

    def test_as_agents_ask(self) -> None:
        """What agents send by habit never fails a request, whatever the model can."""
        asked: dict[str, Any] = {
            "messages": user("hi"),
            "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
            "tools": [WEATHER, {"type": "web_search_20250305", "name": "web_search"}],
            "tool_choice": {"type": "auto"},
            "thinking": {"type": "enabled", "budget_tokens": 31_999},
            "output_config": {"effort": "high"},
            "betas": ["interleaved-thinking-2025-05-14"],
        }
        stream: Any = self.client.beta.messages.create(
            model=CODER, max_tokens=32_000, stream=True, **asked
        )
        self.assertEqual([event.type for event in stream][-1], "message_stop")

    def test_tools(self) -> None:
        """A call, and an answer to what it gave."""
        for call in (self.ask, self.hear):
            prompt = "hi [[tool=weather]]"
            answer = call(prompt, tools=[WEATHER])
            self.assertEqual(answer.stop_reason, "tool_use")
            (use,) = answer.content
            assert isinstance(use, ToolUseBlock)
            self.assertEqual(use.name, "weather")
            self.assertIsInstance(use.input, dict)
            mark = marker()
            given: list[MessageParam] = [
                {"role": "assistant", "content": answer.content},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": use.id, "content": "rain"},
                        {"type": "text", "text": f"{mark} thanks [[n=3]]"},
                    ],
                },
            ]
            talk = [*user(prompt), *given]
            self.assertEqual(call(talk, tools=[WEATHER]).stop_reason, "end_turn")
            sent = shared_stack().mock.entry(mark)["body"]["messages"]
            self.assertEqual(
                [message["role"] for message in sent], ["user", "assistant", "tool", "user"]
            )
            self.assertEqual(sent[2]["tool_name"], "weather")
            self.assertEqual(sent[1]["tool_calls"][0]["id"], sent[2]["tool_call_id"])

    def test_thinking(self) -> None:
        """Thoughts are a block before the text, and are taken back."""
        for call in (self.ask, self.hear):
            prompt = "hi [[n=3 think=4]]"
            thinking = {"type": "enabled", "budget_tokens": 1024}
            answer = call(prompt, THINKER, thinking=thinking)
            self.assertEqual([block.type for block in answer.content], ["thinking", "text"])
            said: MessageParam = {"role": "assistant", "content": answer.content}
            talk = [*user(prompt), said, *user("Go on [[n=2 think=1]]")]
            self.assertEqual(len(call(talk, THINKER, thinking=thinking).content), 2)
            silent = call(prompt, THINKER, thinking={"type": "disabled"})
            self.assertEqual([block.type for block in silent.content], ["text"])

    def test_images(self) -> None:
        """An image in base64 goes with its message."""
        mark = marker()
        picture = in_base64(png(2, 2))
        source = {"type": "base64", "media_type": "image/png", "data": picture}
        content: Any = [{"type": "image", "source": source}, {"type": "text", "text": mark}]
        self.assertTrue(text_of(self.ask([{"role": "user", "content": content}], SEER)))
        sent = shared_stack().mock.entry(mark)["body"]["messages"]
        self.assertEqual(sent, [{"role": "user", "content": mark, "images": [picture]}])

    def test_preloading(self) -> None:
        """A conversation of nothing is answered at once."""
        for call in (self.ask, self.hear):
            self.assertEqual(call([]).content, [])


class RefusedTests(MessagesCase):
    def test_400(self) -> None:
        """A body that is not Anthropic's is the client's BadRequestError, in its form."""
        for call in (self.ask, self.hear):
            error = self.assertRaises(anthropic.BadRequestError, call, "hi", max_tokens=0)
            self.assertIn("max_tokens", error.message)
            self.assertEqual(error.type, "invalid_request_error")

    def test_401(self) -> None:
        """A wrong key is its AuthenticationError."""
        self.client = self.client_of("nz_unknown")
        for call in (self.ask, self.hear):
            self.assertRaises(anthropic.AuthenticationError, call, "hi")

    def test_403(self) -> None:
        """What may not be used is its PermissionDeniedError."""
        for call in (self.ask, self.hear):
            self.assertRaises(anthropic.PermissionDeniedError, call, "hi", UNINSTALLED)
        with self.assertRaises(anthropic.PermissionDeniedError):
            self.client.messages.count_tokens(model=MODEL, messages=user("hi"))

    def test_429(self) -> None:
        """A limit that is reached is its RateLimitError, with a time to wait."""
        stack = shared_stack()
        key = stack.new_key()
        stack.command("set-limits", "--key", key[:12], "--rpm", "1")
        self.client = self.client_of(key)
        self.ask("hi")
        for call in (self.ask, self.hear):
            error = self.assertRaises(anthropic.RateLimitError, call, "hi")
            self.assertTrue(int(error.response.headers["retry-after"]) > 0)

    def test_stream_that_dies(self) -> None:
        """Whatever breaks a stream, the client raises, after the pieces that did come."""
        for fault in BROKEN_STREAMS:
            stream = self.client.messages.create(
                model=MODEL,
                max_tokens=99,
                messages=user(f"hi [[n=9 fault={fault}]]"),
                stream=True,
            )
            came = []
            with self.assertRaises(anthropic.APIStatusError) as caught:
                for event in stream:
                    came.append(event.type)  # noqa: PERF401 - kept when the stream raises
            self.assertIn("content_block_delta", came)
            self.assertNotIn("message_stop", came)
            self.assertNotIn("ollama", str(caught.exception))
            self.assertIn("the model host failed", str(caught.exception))

    def test_answer_that_dies(self) -> None:
        """A folded answer that broke is a 502; so is a stream that never began."""
        for fault in (*BROKEN_STREAMS, *BROKEN_BEFORE):
            error = self.assertRaises(
                anthropic.InternalServerError, self.ask, f"hi [[n=9 fault={fault}]]"
            )
            self.assertEqual((fault, error.status_code), (fault, 502))
        for fault in BROKEN_BEFORE:
            self.assertRaises(anthropic.InternalServerError, self.hear, f"hi [[n=9 fault={fault}]]")
