"""OpenAI's chat completions as native requests."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.native_requests import MAX_MODEL_NAME, MESSAGE_BYTES
from neuronetz_twisted.dialects.openai_requests import parse_chat_completion
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest
from tests.unit.dialects.pictures import in_base64, png

CAP = 100
NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "num_predict": CAP}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it", "parameters": SCHEMA},
}


def parse(**body: Any) -> NativeRequest:
    """Parse a completion with a model."""
    return parse_chat_completion(orjson.dumps({"model": "llama3", **body}), CAP)


class BodyTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """Messages and sampling become a native chat."""
        request = parse(
            messages=[{"role": "developer", "content": "Be brief"}],
            stream=True,
            stream_options={"include_usage": True},
            temperature=0,
            top_p=0.5,
            frequency_penalty=0.1,
            presence_penalty=-1,
            seed=7,
            stop="x",
            max_tokens=9,
        )
        self.assertEqual(
            request.body,
            {
                "messages": [{"role": "system", "content": "Be brief"}],
                "options": {
                    "seed": 7,
                    "stop": ["x"],
                    "frequency_penalty": 0.1,
                    "presence_penalty": -1,
                    "temperature": 0,
                    "top_p": 0.5,
                    "num_predict": 9,
                },
            },
        )
        self.assertEqual((request.path, request.stream), ("/api/chat", True))
        self.assertTrue(request.include_usage)
        self.assertEqual(request.ignored, ())
        self.assertEqual(request.prompt_bytes, 8 + MESSAGE_BYTES)

    def test_defaults(self) -> None:
        """Not streamed, no usage chunk, the sampling that Ollama's own layer sets."""
        request = parse()
        self.assertEqual(request.body, {"messages": [], "options": NEUTRAL})
        self.assertFalse(request.stream)
        self.assertFalse(request.include_usage)
        self.assertEqual((request.images, request.prompt_bytes), (0, 0))

    def test_limits_on_tokens(self) -> None:
        """The newer name wins; what was lowered is named as the client wrote it."""
        for body, sent, ignored in (
            ({"max_tokens": 5}, 5, ()),
            ({"max_completion_tokens": 5}, 5, ()),
            ({"max_tokens": 5, "max_completion_tokens": 7}, 7, ()),
            ({"max_tokens": CAP + 1}, CAP, ("max_tokens",)),
            ({"max_completion_tokens": CAP + 1}, CAP, ("max_completion_tokens",)),
            ({"max_tokens": 0}, CAP, ("max_tokens",)),
            ({"max_completion_tokens": -1}, CAP, ("max_completion_tokens",)),
            ({"max_tokens": None}, CAP, ()),
        ):
            with self.subTest(body=body):
                request = parse(**body)
                self.assertEqual(request.body["options"]["num_predict"], sent)
                self.assertEqual(request.ignored, ignored)

    def test_absent(self) -> None:
        """Nulls, and values that ask for nothing, change nothing and are not named."""
        for body in (
            dict.fromkeys(
                (
                    "audio",
                    "frequency_penalty",
                    "function_call",
                    "functions",
                    "logit_bias",
                    "logprobs",
                    "max_completion_tokens",
                    "max_tokens",
                    "messages",
                    "metadata",
                    "modalities",
                    "n",
                    "parallel_tool_calls",
                    "reasoning",
                    "reasoning_effort",
                    "response_format",
                    "seed",
                    "stop",
                    "store",
                    "stream",
                    "stream_options",
                    "temperature",
                    "tool_choice",
                    "tools",
                    "top_logprobs",
                    "top_p",
                    "user",
                    "whatever",
                )
            ),
            {
                "n": 1,
                "tools": [],
                "tool_choice": "auto",
                "functions": [],
                "function_call": "auto",
                "logprobs": False,
                "top_logprobs": 0,
                "modalities": ["text"],
                "response_format": {"type": "text", "json_schema": None},
                "reasoning": {"effort": None},
                "reasoning_effort": "",
                "stream_options": {"include_usage": False},
                "_debug_render_only": False,
            },
        ):
            with self.subTest(body=body):
                request = parse(**body)
                self.assertEqual(request.body, {"messages": [], "options": NEUTRAL})
                self.assertEqual(request.ignored, ())

    def test_dropped(self) -> None:
        """What clients send and nobody reads is named, known or not."""
        names = (
            "user",
            "store",
            "metadata",
            "service_tier",
            "logit_bias",
            "prediction",
            "parallel_tool_calls",
            "keep_alive",
            "whatever",
        )
        request = parse(**dict.fromkeys(names, 1))
        self.assertEqual(request.ignored, names)
        self.assertEqual(request.body, {"messages": [], "options": NEUTRAL})

    def test_logprobs(self) -> None:
        """They are asked for as Ollama has them; without them their number means nothing."""
        for body, expected, ignored in (
            ({"logprobs": True}, {"logprobs": True}, ()),
            (
                {"logprobs": True, "top_logprobs": 20},
                {"logprobs": True, "top_logprobs": 20},
                (),
            ),
            ({"logprobs": True, "top_logprobs": 0}, {"logprobs": True}, ()),
            ({"logprobs": False, "top_logprobs": 3}, {}, ("top_logprobs",)),
            ({"top_logprobs": 3}, {}, ("top_logprobs",)),
        ):
            with self.subTest(body=body):
                request = parse(**body)
                self.assertEqual(request.body, {"messages": [], **expected, "options": NEUTRAL})
                self.assertEqual(request.ignored, ignored)

    def test_reasoning(self) -> None:
        """OpenAI's efforts are Ollama's words for thinking; the object's wins."""
        for effort, think in (
            ("none", False),
            ("minimal", "low"),
            ("low", "low"),
            ("medium", "medium"),
            ("high", "high"),
            ("xhigh", "max"),
            ("ultra", "max"),
            ("max", "max"),
        ):
            with self.subTest(effort=effort):
                self.assertEqual(parse(reasoning_effort=effort).body["think"], think)
                request = parse(reasoning={"effort": effort}, reasoning_effort="low")
                self.assertEqual(request.body["think"], think)
        request = parse(reasoning={"summary": "auto"}, reasoning_effort="high")
        self.assertEqual((request.body["think"], request.ignored), ("high", ("summary",)))

    def test_response_format(self) -> None:
        """JSON, or a schema that is kept to."""
        for asked, expected in (
            ({"type": "json_object"}, "json"),
            ({"type": "json_schema", "json_schema": {"schema": SCHEMA}}, SCHEMA),
            (
                {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "answer",
                        "description": "one",
                        "strict": True,
                        "schema": SCHEMA,
                    },
                },
                SCHEMA,
            ),
        ):
            with self.subTest(asked=asked):
                request = parse(response_format=asked)
                self.assertEqual((request.body["format"], request.ignored), (expected, ()))

    def test_tools(self) -> None:
        """Tools pass as they are, and are part of the prompt."""
        for choice in (None, "auto"):
            with self.subTest(choice=choice):
                messages = [{"role": "user", "content": "Hi"}]
                request = parse(messages=messages, tools=[TOOL], tool_choice=choice)
                self.assertEqual(request.body["tools"], [TOOL])
                self.assertEqual(request.ignored, ())
                tools = len(orjson.dumps([TOOL]))
                self.assertEqual(request.prompt_bytes, MESSAGE_BYTES + 2 + tools)

    def test_tool_choice(self) -> None:
        """Without tools the model has none; it cannot be made to use them."""
        request = parse(tools=[TOOL], tool_choice="none")
        self.assertNotIn("tools", request.body)
        self.assertEqual(request.ignored, ())
        named = {"type": "function", "function": {"name": "weather"}}
        for choice in ("required", "any", named):
            with self.subTest(choice=choice):
                request = parse(tools=[TOOL], tool_choice=choice)
                self.assertEqual(request.body["tools"], [TOOL])
                self.assertEqual(request.ignored, ("tool_choice",))

    def test_images(self) -> None:
        """All images of a request are counted together."""
        part = {"type": "image_url", "image_url": {"url": f"data:;base64,{in_base64(png())}"}}
        message = {"role": "user", "content": [part] * 8}
        self.assertEqual(parse(messages=[message, message]).images, 16)
        with self.assertRaises(InvalidRequest) as caught:
            parse(messages=[message, message, {"role": "user", "content": [part]}])
        self.assertEqual(caught.exception.param, "image_url")

    def test_refused(self) -> None:
        """What would change the answer and is not carried is refused by its name."""
        deep: Any = "x"
        for _ in range(20):
            deep = {"type": "array", "items": deep}
        for body, param in (
            ({"n": 2}, "n"),
            ({"n": 0}, "n"),
            ({"n": "1"}, "n"),
            ({"tools": {}}, "tools"),
            ({"tools": [{}]}, "tools"),
            ({"tools": [{"type": "web_search"}]}, "type"),
            ({"tools": [{**TOOL, "type": "custom"}]}, "type"),
            ({"tool_choice": 1}, "tool_choice"),
            ({"functions": [{}]}, "functions"),
            ({"function_call": {"name": "x"}}, "function_call"),
            ({"modalities": ["text", "audio"]}, "modalities"),
            ({"logprobs": 1}, "logprobs"),
            ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
            ({"response_format": "json"}, "response_format"),
            ({"response_format": {"type": "grammar"}}, "type"),
            ({"response_format": {"type": "json_schema"}}, "response_format"),
            ({"response_format": {"type": "json_schema", "json_schema": []}}, "json_schema"),
            (
                {"response_format": {"type": "json_schema", "json_schema": {"schema": "x"}}},
                "schema",
            ),
            ({"reasoning_effort": "much"}, "reasoning_effort"),
            ({"reasoning_effort": 1}, "reasoning_effort"),
            ({"reasoning": "high"}, "reasoning"),
            ({"reasoning": {"effort": "much"}}, "effort"),
            ({"stream_options": {"Include_Usage": True}}, "include_usage"),
            ({"stream_options": True}, "stream_options"),
            ({"_debug_render_only": True}, "_debug_render_only"),
            ({"messages": {}}, "messages"),
            ({"messages": ["x"]}, "messages"),
            ({"Messages": []}, "messages"),
            ({"model": None}, "model"),
            ({"model": "x" * (MAX_MODEL_NAME + 1)}, "model"),
            ({"temperature": 1e7}, "temperature"),
        ):
            with self.subTest(body=body):
                with self.assertRaises(InvalidRequest) as caught:
                    parse(**body)
                self.assertEqual(caught.exception.param, param)
