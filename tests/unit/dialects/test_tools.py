"""Tools and calls of tools, written anew."""

from collections.abc import Callable
from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.anthropic_requests import parse_messages
from neuronetz_twisted.dialects.native_requests import parse_chat
from neuronetz_twisted.dialects.openai_requests import parse_chat_completion
from neuronetz_twisted.dialects.responses_requests import parse_response
from neuronetz_twisted.dialects.schemas import MAX_SUBSCHEMAS
from neuronetz_twisted.dialects.tools import (
    MAX_CALLS,
    MAX_TOOLS,
    MAX_TOOLS_BYTES,
    guarded_tools,
    read_tool_calls,
    read_tools,
)
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest

WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "pattern": {"type": "string"}},
        "required": ["city"],
    },
}
LONGEST = "n" * 128
Parse = Callable[[bytes, int], NativeRequest]
CALL = {"function": {"name": "get_weather", "arguments": {"city": "Ulm"}}}


def tool(**function: Any) -> dict[str, Any]:
    """A function in Ollama's form."""
    return {"type": "function", "function": function}


class ToolsTests(SynchronousTestCase):
    def read(self, *tools: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        """What goes on, and what is ignored."""
        ignored: list[str] = []
        return read_tools(tools, ignored), ignored

    def test_written_anew(self) -> None:
        """Known fields go on, parameters as they are; others are named."""
        sent = tool(**WEATHER, strict=True) | {"cache_control": {"type": "ephemeral"}}
        self.assertEqual(self.read(sent), ([tool(**WEATHER)], ["cache_control", "strict"]))

    def test_least(self) -> None:
        """A name is all that a function needs; a type is implied."""
        self.assertEqual(self.read({"function": {"name": "a.b-C_9"}}), ([tool(name="a.b-C_9")], []))
        self.assertEqual(self.read(), ([], []))

    def test_parameters_are_opaque(self) -> None:
        """In parameters no key is known, so none can be the twin of one."""
        parameters = {"Type": "object", "type": "object", "PROPERTIES": {"Name": {}, "name": {}}}
        self.assertEqual(
            self.read(tool(name="a", parameters=parameters)),
            ([tool(name="a", parameters=parameters)], []),
        )

    def test_loosened(self) -> None:
        """What no grammar can keep is left out and named, and only that."""
        email = {"type": "string", "format": "email", "pattern": "^(?!\\.)[^@]+@x$"}
        long = {"type": "string", "maxLength": 65_536, "minLength": 1}
        parameters = {
            "type": "object",
            "properties": {"a": email, "b": {"items": long}, "c": {"pattern": "^[a-z]+$"}},
        }
        self.assertEqual(
            self.read(tool(name="a", parameters=parameters)),
            (
                [
                    tool(
                        name="a",
                        parameters={
                            "type": "object",
                            "properties": {
                                "a": {"type": "string", "format": "email"},
                                "b": {"items": {"type": "string", "minLength": 1}},
                                "c": {"pattern": "^[a-z]+$"},
                            },
                        },
                    )
                ],
                ["pattern", "maxLength"],
            ),
        )

    def test_a_loose_end_that_is_met_twice(self) -> None:
        """A schema that is referred to and in place is loosened once."""
        parameters = {"properties": {"a": {"pattern": "("}, "b": {"$ref": "#/properties/a"}}}
        tools, _ = self.read(tool(name="a", parameters=parameters))
        self.assertEqual(
            tools[0]["function"]["parameters"],
            {"properties": {"a": {}, "b": {"$ref": "#/properties/a"}}},
        )

    def test_refused(self) -> None:
        """What is no function, has no good name, or is too much."""
        cycle = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"a": {"$ref": "#/$defs/a"}}}
        branch = {"anyOf": [{"$ref": "#/$defs/b"}] * 80}
        bush = {"$defs": {"a": branch, "b": {"items": [{}] * 20}}, "items": {"$ref": "#/$defs/a"}}
        cases: tuple[tuple[str, list[dict[str, Any]]], ...] = (
            ("type", [{"type": "web_search", "function": WEATHER}]),
            ("type", [{"type": "web_search_20250305", "name": "web_search"}]),
            ("type", [{"type": "Function", "function": WEATHER}]),
            ("type", [{"Type": "function", "function": WEATHER}]),
            ("tools", [{"type": "function"}]),
            ("tools", [{}]),
            ("function", [{"type": "function", "function": "get_weather"}]),
            ("function", [{"type": "function", "Function": WEATHER}]),
            ("tools", [tool(description="no name")]),
            ("name", [tool(name="")]),
            ("name", [tool(name="a b")]),
            ("name", [tool(name="é")]),
            ("name", [tool(name="a\n")]),
            ("name", [tool(name="a" * 129)]),
            ("name", [tool(name=1)]),
            ("name", [tool(name="a", NAME="b")]),
            ("description", [tool(name="a", description=1)]),
            ("parameters", [tool(name="a", parameters=[])]),
            ("parameters", [tool(name="a", parameters=cycle)]),
            ("parameters", [tool(name="a", parameters={}, Parameters={})]),
            ("tools", [tool(name="a")] * (MAX_TOOLS + 1)),
            ("tools", [tool(name="a", description="x" * MAX_TOOLS_BYTES)]),
            ("tools", [tool(name="a", parameters={"description": "x" * 45_000})] * 2),
            ("tools", [tool(name="a", parameters=bush)] * (MAX_SUBSCHEMAS // 1700 + 1)),
        )
        for param, tools in cases:
            with self.subTest(tools=str(tools)[:120]):
                with self.assertRaises(InvalidRequest) as caught:
                    self.read(*tools)
                self.assertEqual(caught.exception.param, param)

    def test_of_other_dialects(self) -> None:
        """Functions that another dialect has read take the same form, under the same guard."""
        self.assertEqual(guarded_tools([dict(WEATHER)], []), [tool(**WEATHER)])


class ToolCallsTests(SynchronousTestCase):
    def read(self, *calls: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
        """What goes on, and what is ignored."""
        ignored: list[str] = []
        return read_tool_calls(calls, ignored), ignored

    def test_written_anew(self) -> None:
        """Known fields go on; arguments are opaque, and none are an empty object."""
        arguments = {"City": "Ulm", "city": [{"CITY": None}]}
        self.assertEqual(
            self.read(
                CALL,
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"index": 1.0, "name": "an odd"},
                },
                {"function": {"name": "a", "arguments": arguments}},
            ),
            (
                [
                    CALL,
                    {"id": "call_1", "function": {"index": 1, "name": "an odd", "arguments": {}}},
                    {"function": {"name": "a", "arguments": arguments}},
                ],
                ["type"],
            ),
        )

    def test_refused(self) -> None:
        """Calls of nothing, arguments that are text, and too many."""
        cases: tuple[tuple[str, list[dict[str, Any]]], ...] = (
            ("tool_calls", [{}]),
            ("tool_calls", [{"function": {"arguments": {}}}]),
            ("function", [{"function": []}]),
            ("function", [{"Function": CALL["function"]}]),
            ("name", [{"function": {"name": "a" * 257}}]),
            ("name", [{"function": {"name": 1}}]),
            ("id", [{"id": 1, **CALL}]),
            ("id", [{"id": "a" * 257, **CALL}]),
            ("arguments", [{"function": {"name": "a", "arguments": "{}"}}]),
            ("index", [{"function": {"name": "a", "index": -1}}]),
            ("index", [{"function": {"name": "a", "index": MAX_CALLS}}]),
            ("tool_calls", [CALL] * (MAX_CALLS + 1)),
        )
        for param, calls in cases:
            with self.subTest(calls=str(calls)[:120]):
                with self.assertRaises(InvalidRequest) as caught:
                    self.read(*calls)
                self.assertEqual(caught.exception.param, param)


class LongestNameTests(SynchronousTestCase):
    """A name of 128 characters, which Anthropic allows, wherever a tool is named."""

    def check(self, parse: Parse, **body: Any) -> None:
        """The name goes on in the tool, in its call, and beside what that gave."""
        request = parse(orjson.dumps({"model": "llama3", **body}), 100)
        (described,) = request.body["tools"]
        self.assertEqual(described["function"]["name"], LONGEST)
        called, gave = request.body["messages"]
        self.assertEqual(called["tool_calls"][0]["function"]["name"], LONGEST)
        self.assertEqual(gave["tool_name"], LONGEST)

    def test_native(self) -> None:
        """In Ollama's own chat."""
        self.check(
            parse_chat,
            tools=[tool(name=LONGEST)],
            messages=[
                {"role": "assistant", "tool_calls": [{"function": {"name": LONGEST}}]},
                {"role": "tool", "content": "3", "tool_name": LONGEST},
            ],
        )

    def test_openai(self) -> None:
        """In OpenAI's chat."""
        call = {"id": "x", "type": "function", "function": {"name": LONGEST, "arguments": "{}"}}
        self.check(
            parse_chat_completion,
            tools=[tool(name=LONGEST)],
            tool_choice={"type": "function", "function": {"name": LONGEST}},
            messages=[
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "content": "3", "tool_call_id": "x"},
            ],
        )

    def test_anthropic(self) -> None:
        """In Anthropic's messages."""
        use = {"type": "tool_use", "id": "x", "name": LONGEST, "input": {}}
        result = {"type": "tool_result", "tool_use_id": "x", "content": "3"}
        self.check(
            parse_messages,
            max_tokens=9,
            tools=[{"name": LONGEST}],
            tool_choice={"type": "tool", "name": LONGEST},
            messages=[
                {"role": "assistant", "content": [use]},
                {"role": "user", "content": [result]},
            ],
        )

    def test_responses(self) -> None:
        """In OpenAI's responses."""
        self.check(
            parse_response,
            tools=[{"type": "function", "name": LONGEST}],
            tool_choice={"type": "function", "name": LONGEST},
            input=[
                {"type": "function_call", "call_id": "x", "name": LONGEST, "arguments": "{}"},
                {"type": "function_call_output", "call_id": "x", "output": "3"},
            ],
        )
