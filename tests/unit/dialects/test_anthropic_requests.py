"""Anthropic's messages as native requests."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.anthropic_requests import parse_messages
from neuronetz_twisted.dialects.faults import anthropic_error
from neuronetz_twisted.dialects.native_requests import MESSAGE_BYTES, bytes_of_chat
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest
from tests.unit.dialects.pictures import in_base64, png

CAP = 100
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def parse(**body: Any) -> NativeRequest:
    """Parse a request with a model and a length; None takes one away."""
    fields = {"model": "llama3", "max_tokens": 9, "messages": [], **body}
    return parse_messages(orjson.dumps(fields), CAP)


def messages_of(*messages: Any) -> Any:
    """The native messages of a conversation."""
    return parse(messages=messages).body["messages"]


def image(data: str) -> dict[str, Any]:
    """A block with an image."""
    source = {"type": "base64", "media_type": "image/png", "data": data}
    return {"type": "image", "source": source}


def tool_use(number: int, arguments: Any) -> dict[str, Any]:
    """A block with a call."""
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "add", "input": arguments}


class MessagesTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """System, messages and sampling become a native chat."""
        request = parse(
            system="Be brief",
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "assistant", "content": "b"},
                {"role": "system", "content": "c"},
            ],
            stream=True,
            temperature=0,
            top_p=0.5,
            top_k=7,
            stop_sequences=["x"],
            metadata={"user_id": "someone"},
        )
        self.assertEqual(
            request.body,
            {
                "messages": [
                    {"role": "system", "content": "Be brief"},
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                    {"role": "system", "content": "c"},
                ],
                "options": {
                    "temperature": 0,
                    "top_p": 0.5,
                    "top_k": 7,
                    "stop": ["x"],
                    "num_predict": 9,
                },
            },
        )
        self.assertEqual((request.path, request.stream), ("/api/chat", True))
        self.assertEqual(request.model, "llama3")
        self.assertEqual(request.ignored, ("metadata",))
        self.assertEqual(request.prompt_bytes, 11 + 4 * MESSAGE_BYTES)
        self.assertEqual(request.predict_name, "max_tokens")
        self.assertIsNone(request.echo)

    def test_defaults(self) -> None:
        """Not streamed, the sampling of the model's own file, nothing to say."""
        request = parse()
        self.assertEqual(request.body, {"messages": [], "options": {"num_predict": 9}})
        self.assertFalse(request.stream)
        self.assertEqual((request.ignored, request.prompt_bytes, request.images), ((), 0, 0))

    def test_nulls(self) -> None:
        """A null is as good as nothing."""
        nulls = dict.fromkeys(("system", "tools", "tool_choice", "thinking", "top_k"))
        self.assertEqual(parse(**nulls).body, parse().body)

    def test_max_tokens(self) -> None:
        """Needed, and capped."""
        self.assertEqual(parse(max_tokens=CAP).ignored, ())
        capped = parse(max_tokens=CAP + 1)
        self.assertEqual(capped.body["options"]["num_predict"], CAP)
        self.assertEqual(capped.ignored, ("max_tokens",))

    def test_messages(self) -> None:
        """Needed, as Anthropic needs them; an empty list of them loads the model."""
        body = {"model": "llama3", "max_tokens": 9}
        for raw in (orjson.dumps(body), orjson.dumps({**body, "messages": None})):
            with self.subTest(raw=raw):
                with self.assertRaises(InvalidRequest) as caught:
                    parse_messages(raw, CAP)
                self.assertEqual(caught.exception.param, "messages")
                error = anthropic_error(caught.exception, "the-id")["error"]
                self.assertEqual(error["type"], "invalid_request_error")
                self.assertEqual(error["message"], "messages is required")
        self.assertEqual(messages_of(), [])

    def test_system(self) -> None:
        """A text or text blocks; an empty one is none."""
        blocks = [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "b"},
        ]
        request = parse(system=blocks)
        self.assertEqual(request.body["messages"], [{"role": "system", "content": "ab"}])
        self.assertEqual(request.ignored, ("cache_control",))
        self.assertEqual(parse(system="").body["messages"], [])
        self.assertEqual(parse(system=[]).body["messages"], [])

    def test_content(self) -> None:
        """Text, thoughts and images of a message are one message; an empty one stays."""
        picture = in_base64(png(2, 3))
        request = parse(
            messages=[
                {"role": "user", "content": [image(picture), {"type": "text", "text": "See"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm", "signature": ""},
                        {"type": "redacted_thinking", "data": "secret"},
                        {"type": "text", "text": "I "},
                        {"type": "text", "text": "do"},
                    ],
                },
                {"role": "user", "content": []},
                {"role": "user"},
            ]
        )
        self.assertEqual(
            request.body["messages"],
            [
                {"role": "user", "content": "See", "images": [picture]},
                {"role": "assistant", "content": "I do", "thinking": "Hm"},
                {"role": "user", "content": ""},
                {"role": "user", "content": ""},
            ],
        )
        self.assertEqual(request.images, 1)
        self.assertEqual(request.prompt_bytes, 9 + 4 * MESSAGE_BYTES)
        self.assertEqual(request.ignored, ("redacted_thinking",))

    def test_tools_at_work(self) -> None:
        """Calls belong to what was said; what they gave goes before what the user adds."""
        picture = in_base64(png())
        given = [{"type": "text", "text": "3"}, image(picture)]
        request = parse(
            messages=[
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "So"},
                        tool_use(1, {"a": 1}),
                        tool_use(2, {}),
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "And?"},
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": given},
                        {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "other", "content": "x"},
                    ],
                },
            ]
        )
        self.assertEqual(
            request.body["messages"],
            [
                {
                    "role": "assistant",
                    "content": "So",
                    "tool_calls": [
                        {"id": "toolu_1", "function": {"name": "add", "arguments": {"a": 1}}},
                        {"id": "toolu_2", "function": {"name": "add", "arguments": {}}},
                    ],
                },
                {
                    "role": "tool",
                    "content": "3",
                    "images": [picture],
                    "tool_call_id": "toolu_1",
                    "tool_name": "add",
                },
                {"role": "tool", "content": "", "tool_call_id": "toolu_2", "tool_name": "add"},
                {"role": "user", "content": "And?"},
                {"role": "tool", "content": "x", "tool_call_id": "other"},
            ],
        )
        self.assertEqual(request.ignored, ("is_error",))
        self.assertEqual(request.prompt_bytes, bytes_of_chat(request.body))

    def test_tools(self) -> None:
        """Tools of the client's own are Ollama's functions, and counted."""
        tools = [
            {"name": "add", "description": "Adds", "input_schema": SCHEMA},
            {"type": "custom", "name": "now", "cache_control": {"type": "ephemeral"}},
        ]
        request = parse(
            messages=[{"role": "user", "content": "hi"}], tools=tools, tool_choice={"type": "auto"}
        )
        functions = (
            {"name": "add", "description": "Adds", "parameters": SCHEMA},
            {"name": "now"},
        )
        expected = [{"type": "function", "function": function} for function in functions]
        self.assertEqual(request.body["tools"], expected)
        self.assertEqual(request.ignored, ("cache_control",))
        self.assertEqual(request.prompt_bytes, 2 + MESSAGE_BYTES + len(orjson.dumps(expected)))

    def test_tools_of_others(self) -> None:
        """A tool that the client does not describe is left out and named."""
        tools = [
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
            {"type": "bash_20250124", "name": "bash"},
        ]
        request = parse(tools=tools)
        self.assertNotIn("tools", request.body)
        self.assertEqual(request.ignored, ("tools.web_search_20250305", "tools.bash_20250124"))

    def test_tool_choice(self) -> None:
        """No choice but none can be kept; what can not is named."""
        for choice, has_tools, ignored in (
            ({"type": "auto"}, True, ()),
            ({"type": "none"}, False, ()),
            ({"type": "any"}, True, ("tool_choice",)),
            ({"type": "tool", "name": "add"}, True, ("tool_choice",)),
            (
                {"type": "auto", "disable_parallel_tool_use": True},
                True,
                ("disable_parallel_tool_use",),
            ),
        ):
            with self.subTest(choice=choice):
                request = parse(tools=[{"name": "add"}], tool_choice=choice)
                self.assertEqual("tools" in request.body, has_tools)
                self.assertEqual(request.ignored, ignored)

    def test_thinking(self) -> None:
        """Models think unless they are told not to; how long cannot be said."""
        for thinking, think, ignored in (
            ({"type": "enabled", "budget_tokens": 1024}, None, ("budget_tokens",)),
            ({"type": "adaptive"}, None, ()),
            ({"type": "disabled"}, False, ()),
        ):
            with self.subTest(thinking=thinking):
                request = parse(thinking=thinking)
                self.assertEqual(request.body.get("think"), think)
                self.assertEqual(request.ignored, ignored)

    def test_output(self) -> None:
        """A schema for the answer passes, an effort does not."""
        form = {"type": "json_schema", "schema": SCHEMA}
        request = parse(
            messages=[{"role": "user", "content": "hi"}],
            output_config={"format": form, "effort": "high"},
        )
        self.assertEqual(request.body["format"], SCHEMA)
        self.assertEqual(request.prompt_bytes, 2 + MESSAGE_BYTES + len(orjson.dumps(SCHEMA)))
        self.assertEqual(request.ignored, ("effort",))

    def test_refused(self) -> None:
        """What cannot be carried is refused by its name."""
        url = {"type": "image", "source": {"type": "url", "url": "https://x/"}}
        result = {"type": "tool_result", "tool_use_id": "x", "content": [tool_use(1, {})]}
        for body, param in (
            ({"max_tokens": None}, "max_tokens"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"max_tokens": "9"}, "max_tokens"),
            ({"model": ""}, "model"),
            ({"Model": "llama3"}, "model"),
            ({"system": 1}, "system"),
            ({"system": [image(in_base64(png()))]}, "system"),
            ({"system": [{"type": "thinking", "thinking": "x"}]}, "content"),
            ({"messages": [{"content": "x"}]}, "messages"),
            ({"messages": [{"role": "tool", "content": "x"}]}, "role"),
            ({"messages": [{"role": "user", "content": 1}]}, "content"),
            ({"messages": [{"role": "user", "content": [{}]}]}, "type"),
            ({"messages": [{"role": "user", "content": [{"type": []}]}]}, "type"),
            ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "type"),
            ({"messages": [{"role": "user", "content": [{"type": "text", "Text": ""}]}]}, "text"),
            ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "source"),
            ({"messages": [{"role": "user", "content": [url]}]}, "type"),
            ({"messages": [{"role": "user", "content": [image("bm9uZQ==")]}]}, "images"),
            ({"messages": [{"role": "user", "content": [result]}]}, "content"),
            ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "tool_use_id"),
            ({"messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}]}, "id"),
            (
                {"messages": [{"role": "assistant", "content": [tool_use(1, {})] * 129}]},
                "tool_calls",
            ),
            ({"tools": [{"description": "x"}]}, "tools"),
            ({"tools": [{"name": "a b"}]}, "name"),
            ({"tools": [{"type": 1, "name": "add"}]}, "type"),
            ({"tools": [{"name": "add", "input_schema": {"$ref": "#"}}]}, "parameters"),
            ({"tool_choice": {"type": "some"}}, "type"),
            ({"thinking": {"type": "sometimes"}}, "type"),
            ({"output_config": {"format": {"type": "xml"}}}, "type"),
            ({"top_k": -1}, "top_k"),
        ):
            with self.subTest(body=body):
                with self.assertRaises(InvalidRequest) as caught:
                    parse(**body)
                self.assertEqual(caught.exception.param, param)
