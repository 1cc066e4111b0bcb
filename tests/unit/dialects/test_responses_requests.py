"""OpenAI's responses as native requests."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.native_requests import MESSAGE_BYTES
from neuronetz_twisted.dialects.responses_requests import parse_response
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest

CAP = 100
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ECHO: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
}


def parse(**body: Any) -> NativeRequest:
    """Parse a request with a model."""
    return parse_response(orjson.dumps({"model": "llama3", **body}), CAP)


class ResponsesTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """Instructions, input and sampling become a native chat."""
        request = parse(
            instructions="Be brief",
            input="hi",
            stream=True,
            temperature=0,
            top_p=0.5,
            max_output_tokens=9,
            user="someone",
            store=False,
            background=False,
        )
        self.assertEqual(
            request.body,
            {
                "messages": [
                    {"role": "system", "content": "Be brief"},
                    {"role": "user", "content": "hi"},
                ],
                "options": {"temperature": 0, "top_p": 0.5, "num_predict": 9},
            },
        )
        self.assertEqual((request.path, request.stream), ("/api/chat", True))
        self.assertEqual(request.ignored, ("user",))
        self.assertEqual(request.prompt_bytes, 10 + 2 * MESSAGE_BYTES)
        self.assertEqual(request.predict_name, "max_output_tokens")
        self.assertEqual(
            request.echo,
            {
                **ECHO,
                "instructions": "Be brief",
                "max_output_tokens": 9,
                "temperature": 0,
                "top_p": 0.5,
            },
        )

    def test_defaults(self) -> None:
        """Not streamed, the sampling that Ollama's own layer sets, nothing to say."""
        bodies: tuple[dict[str, Any], ...] = (
            {},
            {"input": ""},
            {"input": []},
            {"input": None, "instructions": ""},
        )
        for body in bodies:
            with self.subTest(body=body):
                request = parse(**body)
                options = {"temperature": 1.0, "num_predict": CAP}
                self.assertEqual(request.body, {"messages": [], "options": options})
                self.assertEqual((request.stream, request.predict_name), (False, None))
                self.assertEqual((request.ignored, request.images), ((), 0))
                self.assertEqual(request.echo, {**ECHO, "instructions": body.get("instructions")})

    def test_items(self) -> None:
        """An input of items is a conversation; thoughts at its end are a turn."""
        thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]}
        request = parse(input=[{"role": "user", "content": "hi"}, thought])
        self.assertEqual(
            request.body["messages"],
            [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "", "thinking": "Hm"},
            ],
        )
        self.assertEqual(request.prompt_bytes, 4 + 2 * MESSAGE_BYTES)

    def test_limits_on_tokens(self) -> None:
        """What was lowered is named."""
        for wanted, sent, ignored in (
            (5, 5, ()),
            (CAP + 1, CAP, ("max_output_tokens",)),
            (0, CAP, ("max_output_tokens",)),
        ):
            with self.subTest(wanted=wanted):
                request = parse(max_output_tokens=wanted)
                self.assertEqual(request.body["options"]["num_predict"], sent)
                self.assertEqual(request.ignored, ignored)

    def test_tools(self) -> None:
        """Functions are Ollama's, but for their form; the answer repeats them."""
        tools = [
            {"type": "function", "name": "add", "description": "Adds", "parameters": SCHEMA},
            {"type": "function", "name": "now", "parameters": None, "strict": True},
        ]
        request = parse(input="hi", tools=tools, tool_choice="auto")
        functions = (
            {"name": "add", "description": "Adds", "parameters": SCHEMA},
            {"name": "now"},
        )
        expected = [{"type": "function", "function": function} for function in functions]
        self.assertEqual(request.body["tools"], expected)
        self.assertEqual(request.ignored, ("strict",))
        self.assertEqual(request.prompt_bytes, 2 + MESSAGE_BYTES + len(orjson.dumps(expected)))
        assert request.echo is not None
        self.assertEqual(
            request.echo["tools"],
            [
                {"type": "function", "strict": False, **functions[0]},
                {"type": "function", "strict": False, "parameters": None, "name": "now"},
            ],
        )

    def test_tools_of_others(self) -> None:
        """A tool that OpenAI would run is left out and named."""
        request = parse(tools=[{"type": "web_search"}, {"type": "code_interpreter"}])
        self.assertNotIn("tools", request.body)
        self.assertEqual(request.ignored, ("tools.web_search", "tools.code_interpreter"))

    def test_tool_choice(self) -> None:
        """No choice but none can be kept; what can not is named."""
        for choice, has_tools, ignored in (
            ("auto", True, ()),
            ("none", False, ()),
            ("required", True, ("tool_choice",)),
            ({"type": "function", "name": "add"}, True, ("tool_choice",)),
        ):
            with self.subTest(choice=choice):
                request = parse(tools=[{"type": "function", "name": "add"}], tool_choice=choice)
                self.assertEqual("tools" in request.body, has_tools)
                self.assertEqual(request.ignored, ignored)
                assert request.echo is not None
                self.assertEqual(request.echo["tool_choice"], "auto" if has_tools else "none")

    def test_text(self) -> None:
        """The form of the answer, which it repeats."""
        named = {"type": "json_schema", "name": "sum", "strict": True, "schema": SCHEMA}
        for form, sent in (
            ({"type": "text"}, None),
            ({"type": "json_object"}, "json"),
            (named, SCHEMA),
        ):
            with self.subTest(form=form):
                request = parse(text={"format": form})
                self.assertEqual(request.body.get("format"), sent)
                self.assertEqual(request.ignored, ())
                assert request.echo is not None
                self.assertEqual(request.echo["text"], {"format": form})
        self.assertEqual(parse(text={"verbosity": "low"}).ignored, ("verbosity",))

    def test_effort(self) -> None:
        """OpenAI's scale on Ollama's; a summary is given anyway."""
        for effort, think in (
            ("none", False),
            ("minimal", "low"),
            ("high", "high"),
            ("xhigh", "max"),
            (None, None),
        ):
            with self.subTest(effort=effort):
                request = parse(reasoning={"effort": effort, "summary": "auto"})
                self.assertEqual(request.body.get("think"), think)
                self.assertEqual(request.ignored, ())
                assert request.echo is not None
                self.assertEqual(request.echo["reasoning"], {"effort": effort, "summary": None})

    def test_dropped(self) -> None:
        """What nobody here could do is named; to keep the response, too."""
        self.assertEqual(
            set(parse(store=True, metadata={}, include=[], truncation="auto").ignored),
            {"store", "metadata", "include", "truncation"},
        )

    def test_refused(self) -> None:
        """What cannot be carried is refused by its name."""
        for body, param in (
            ({"model": ""}, "model"),
            ({"Input": "x"}, "input"),
            ({"input": 1}, "input"),
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"conversation": "conv_1"}, "conversation"),
            ({"prompt": {"id": "pmpt_1"}}, "prompt"),
            ({"background": True}, "background"),
            ({"tools": [{"name": "add", "type": 1}]}, "type"),
            ({"tools": [{"type": "function"}]}, "tools"),
            ({"tool_choice": "any"}, "tool_choice"),
            ({"tool_choice": []}, "tool_choice"),
            ({"text": {"format": {"type": "xml"}}}, "type"),
            ({"text": {"format": {"type": "json_schema"}}}, "schema"),
            ({"text": {"format": {"type": "json_schema", "schema": {"$ref": "#"}}}}, "schema"),
            ({"reasoning": {"effort": "utmost"}}, "effort"),
            ({"max_output_tokens": "9"}, "max_output_tokens"),
        ):
            with self.subTest(body=body):
                with self.assertRaises(InvalidRequest) as caught:
                    parse(**body)
                self.assertEqual(caught.exception.param, param)
