"""Ollama's own bodies as checked requests."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.native_requests import (
    MAX_MODEL_NAME,
    MESSAGE_BYTES,
    parse_chat,
    parse_generate,
    parse_show,
)
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest
from tests.unit.dialects.pictures import in_base64, jpeg, png

CAP = 100
PNG, JPEG = in_base64(png()), in_base64(jpeg())
SCHEMA = {"type": "object", "properties": {"Name": {"type": "string"}}, "required": ["Name"]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "w", "description": "The weather", "parameters": SCHEMA},
}
CALL = {"id": "call_1", "function": {"index": 0, "name": "w", "arguments": {"Name": "Ulm"}}}


def chat(**body: Any) -> NativeRequest:
    """Parse a chat with a model."""
    return parse_chat(orjson.dumps({"model": "llama3", **body}), CAP)


def generate(**body: Any) -> NativeRequest:
    """Parse a generate with a model."""
    return parse_generate(orjson.dumps({"model": "llama3", **body}), CAP)


class ChatTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """A body is written anew from what was checked."""
        request = chat(
            messages=[
                {"role": "system", "content": "Be brief"},
                {"role": "User", "content": "Grüße", "name": "x"},
            ],
            stream=False,
            think="low",
            format="json",
            keep_alive=-1,
            shift="any",
            truncate=False,
            logprobs=True,
            top_logprobs=20,
            options={"seed": 1.0, "num_ctx": 9, "stop": "x", "num_predict": 5},
        )
        self.assertEqual(
            request.body,
            {
                "messages": [
                    {"role": "system", "content": "Be brief"},
                    {"role": "user", "content": "Grüße"},
                ],
                "options": {"seed": 1, "stop": ["x"], "num_predict": 5},
                "think": "low",
                "format": "json",
                "truncate": False,
                "logprobs": True,
                "top_logprobs": 20,
            },
        )
        self.assertEqual((request.path, request.model), ("/api/chat", "llama3"))
        self.assertFalse(request.stream)
        self.assertEqual(request.ignored, ("keep_alive", "shift", "name", "num_ctx"))
        self.assertEqual(request.predict_name, "num_predict")
        text_bytes = len("Be briefGrüße".encode())
        self.assertEqual(request.prompt_bytes, text_bytes + 2 * MESSAGE_BYTES)
        self.assertEqual(request.images, 0)

    def test_a_conversation_with_tools(self) -> None:
        """Tools, calls of them, their results, thinking and images go on as Ollama knows them."""
        messages = [
            {"role": "user", "content": "Is it like this?", "images": [PNG, JPEG]},
            {"role": "assistant", "content": "", "thinking": "Hm", "tool_calls": [CALL]},
            {"role": "tool", "content": "rain", "tool_name": "w", "tool_call_id": "call_1"},
        ]
        request = chat(messages=messages, tools=[TOOL], think="max")
        self.assertEqual(
            request.body,
            {
                "messages": messages,
                "tools": [TOOL],
                "options": {"num_predict": CAP},
                "think": "max",
            },
        )
        self.assertEqual((request.ignored, request.predict_name), ((), None))
        self.assertEqual(request.images, 2)
        self.assertEqual(
            request.prompt_bytes,
            len("Is it like this?Hmrainw")
            + 3 * MESSAGE_BYTES
            + len(orjson.dumps([CALL]))
            + len(orjson.dumps([TOOL])),
        )

    def test_what_tools_lose_is_named(self) -> None:
        """In tools, in their functions and in calls."""
        request = chat(
            messages=[{"role": "assistant", "tool_calls": [{**CALL, "type": "function"}]}],
            tools=[{**TOOL, "function": {**TOOL["function"], "strict": True}}],
        )
        self.assertEqual(request.body["messages"][0]["tool_calls"], [CALL])
        self.assertEqual(request.body["tools"], [TOOL])
        self.assertEqual(request.ignored, ("type", "strict"))

    def test_streams_unless_told_otherwise(self) -> None:
        """Ollama's default is to stream, also where stream is null."""
        self.assertTrue(chat().stream)
        self.assertTrue(chat(stream=None).stream)
        self.assertFalse(chat(stream=False).stream)

    def test_preload(self) -> None:
        """A request without messages is an ordinary one, of no prompt, whatever else is in it."""
        bodies: tuple[dict[str, Any], ...] = (
            {},
            {"messages": []},
            {"messages": None},
            {"tools": [TOOL], "format": SCHEMA, "keep_alive": 0},
        )
        for body in bodies:
            with self.subTest(body=body):
                request = chat(**body)
                self.assertEqual(request.body["messages"], [])
                self.assertNotIn("keep_alive", request.body)
                self.assertEqual(request.prompt_bytes, 0)

    def test_all_text_counts_for_the_estimate(self) -> None:
        """Content and thinking in bytes, and what a template adds to each message."""
        for messages, count in (
            ([{"role": "user"}], MESSAGE_BYTES),
            ([{"role": "user", "content": "é"}], 2 + MESSAGE_BYTES),
            ([{"role": "assistant", "content": "a", "thinking": "éb"}], 4 + MESSAGE_BYTES),
            ([{"role": "user", "content": "a"}] * 3, 3 + 3 * MESSAGE_BYTES),
        ):
            with self.subTest(messages=messages):
                self.assertEqual(chat(messages=messages).prompt_bytes, count)
        with_format = chat(messages=[{"role": "user"}], format=SCHEMA)
        self.assertEqual(with_format.prompt_bytes, MESSAGE_BYTES + len(orjson.dumps(SCHEMA)))

    def test_long_model_names(self) -> None:
        """A name may be as long as the limit."""
        self.assertEqual(len(chat(model="x" * MAX_MODEL_NAME).model), MAX_MODEL_NAME)

    def test_neutral_values(self) -> None:
        """What is empty is absent; thinking that is off is passed on, and so is `false`."""
        request = chat(
            format="",
            think=False,
            tools=[],
            logprobs=False,
            _debug_render_only=False,
            messages=[{"role": "user", "content": "", "images": [], "tool_calls": []}],
        )
        self.assertEqual(
            request.body,
            {
                "messages": [{"role": "user", "content": ""}],
                "options": {"num_predict": CAP},
                "think": False,
                "logprobs": False,
            },
        )
        self.assertEqual(request.ignored, ())

    def test_format(self) -> None:
        """JSON, or a schema, which goes on as it is."""
        self.assertEqual(chat(format="json").body["format"], "json")
        self.assertEqual(chat(format=SCHEMA).body["format"], SCHEMA)
        self.assertEqual(chat(format={}).body["format"], {})

    def test_thinking(self) -> None:
        """On, off, or how much."""
        for think in (True, False, "low", "medium", "high", "max"):
            self.assertEqual(chat(think=think).body["think"], think)

    def test_sixteen_images_in_all(self) -> None:
        """The images of all messages count together."""
        half = {"role": "user", "images": [PNG] * 8}
        self.assertEqual(chat(messages=[half, half]).images, 16)
        with self.assertRaises(InvalidRequest):
            chat(messages=[half, half, {"role": "user", "images": [PNG]}])

    def test_refused(self) -> None:
        """What no such request may hold is refused by its name."""
        user = {"role": "user"}
        for body, param in (
            ({"tools": [{}]}, "tools"),
            ({"tools": TOOL}, "tools"),
            ({"tools": [TOOL | {"type": "web_search"}]}, "type"),
            ({"_debug_render_only": True}, "_debug_render_only"),
            ({"format": {"type": "string", "pattern": "^]$"}}, "format"),
            ({"format": {"$ref": "#"}}, "format"),
            ({"format": "yaml"}, "format"),
            ({"format": True}, "format"),
            ({"format": []}, "format"),
            ({"think": "a lot"}, "think"),
            ({"think": ""}, "think"),
            ({"think": 1}, "think"),
            ({"stream": "no"}, "stream"),
            ({"truncate": 1}, "truncate"),
            ({"logprobs": 5}, "logprobs"),
            ({"top_logprobs": 21}, "top_logprobs"),
            ({"top_logprobs": -1}, "top_logprobs"),
            ({"messages": {}}, "messages"),
            ({"messages": ["hi"]}, "messages"),
            ({"messages": [{"content": "x"}]}, "messages"),
            ({"messages": [{"role": "developer"}]}, "role"),
            ({"messages": [{"role": ["user"]}]}, "role"),
            ({"messages": [user | {"content": []}]}, "content"),
            ({"messages": [user | {"images": ["aGk="]}]}, "images"),
            ({"messages": [user | {"images": ["https://example.com/a.png"]}]}, "images"),
            ({"messages": [user | {"images": PNG}]}, "images"),
            ({"messages": [user | {"Content": "x"}]}, "content"),
            ({"messages": [user | {"IMAGES": []}]}, "images"),
            ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "tool_calls"),
            ({"messages": [{"role": "tool", "tool_name": "x" * 257}]}, "tool_name"),
            ({"messages": [{"role": "tool", "tool_call_id": 1}]}, "tool_call_id"),
            ({"options": []}, "options"),
            ({"options": {"temperature": "hot"}}, "temperature"),
            ({"options": {"Num_Predict": 1}}, "num_predict"),
            ({"options": {"NUM_CTX": None}}, "num_ctx"),
            ({"options": {"seed": 1.5}}, "seed"),
            ({"Keep_Alive": 0}, "keep_alive"),
            ({"model": ""}, "model"),
            ({"model": "  "}, "model"),
            ({"model": None}, "model"),
            ({"model": 7}, "model"),
            ({"model": "x" * (MAX_MODEL_NAME + 1)}, "model"),
            ({"Model": "x"}, "model"),
        ):
            with self.subTest(body=body):
                with self.assertRaises(InvalidRequest) as caught:
                    chat(**body)
                self.assertEqual(caught.exception.param, param)


class OptionTests(SynchronousTestCase):
    def test_ranges(self) -> None:
        """The ends of each range go on, what is beyond them is refused by its name."""
        for name, low, high in (
            ("top_k", 0, 100_000),
            ("repeat_last_n", -1, 32_768),
            ("num_keep", -1, 32_768),
            ("mirostat", 0, 2),
            ("temperature", -1e6, 1e6),
            ("mirostat_tau", -1e6, 1e6),
        ):
            for value in (low, high):
                with self.subTest(name=name, value=value):
                    self.assertEqual(chat(options={name: value}).body["options"][name], value)
            for value in (low - 1, high + 1):
                with self.subTest(name=name, value=value):
                    with self.assertRaises(InvalidRequest) as caught:
                        chat(options={name: value})
                    self.assertEqual(caught.exception.param, name)


class PredictTests(SynchronousTestCase):
    def test_cap(self) -> None:
        """Absent, below one and too large become the cap; what was changed is named."""
        for asked, sent, ignored in (
            (None, CAP, ()),
            (-1, CAP, ("num_predict",)),
            (-2, CAP, ("num_predict",)),
            (CAP + 1, CAP, ("num_predict",)),
            (2**62, CAP, ("num_predict",)),
            (CAP, CAP, ()),
            (1, 1, ()),
            (0, CAP, ("num_predict",)),
            (-(2**63), CAP, ("num_predict",)),
        ):
            with self.subTest(asked=asked):
                request = chat(options={"num_predict": asked})
                self.assertEqual(request.body["options"], {"num_predict": sent})
                self.assertEqual(request.ignored, ignored)


class GenerateTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """Prompt and system go on; neutral values do not."""
        request = generate(
            prompt="Hi",
            system="Be brief",
            template="",
            context=[],
            images=[],
            suffix="",
            format="",
            raw=False,
            keep_alive="5m",
            tools=[],
        )
        expected = {"prompt": "Hi", "system": "Be brief", "options": {"num_predict": CAP}}
        self.assertEqual(request.body, expected)
        self.assertEqual((request.path, request.prompt_bytes), ("/api/generate", 10))
        self.assertEqual(request.ignored, ("keep_alive", "tools"))

    def test_all_fields(self) -> None:
        """What comes behind the prompt, pictures of it, and what the answer must look like."""
        fields = {
            "prompt": "def f(",
            "suffix": "return é",
            "images": [PNG],
            "format": SCHEMA,
            "think": True,
            "truncate": True,
            "logprobs": True,
            "top_logprobs": 0,
        }
        request = generate(**fields, options={"num_predict": 3})
        self.assertEqual(request.body, {**fields, "options": {"num_predict": 3}})
        self.assertEqual((request.images, request.predict_name), (1, "num_predict"))
        text_bytes = len("def f(return é".encode())
        self.assertEqual(request.prompt_bytes, text_bytes + len(orjson.dumps(SCHEMA)))

    def test_preload(self) -> None:
        """Without a prompt nothing is read, whatever else is there."""
        bodies: tuple[dict[str, Any], ...] = (
            {},
            {"prompt": ""},
            {"system": "Be brief", "format": SCHEMA},
        )
        for body in bodies:
            with self.subTest(body=body):
                request = generate(**body)
                self.assertNotIn("prompt", request.body)
                self.assertEqual(request.prompt_bytes, 0)

    def test_raw(self) -> None:
        """Raw is passed to admission, which knows the scopes; false is absent."""
        self.assertEqual(generate(raw=True).body["raw"], True)
        self.assertNotIn("raw", generate(raw=False).body)

    def test_refused(self) -> None:
        """What could carry another tenant's text, or is of another type."""
        bodies: tuple[dict[str, Any], ...] = (
            {"template": "{{ .Prompt }}"},
            {"context": [1, 2]},
            {"images": ["aGk="]},
            {"images": [PNG] * 17},
            {"suffix": 1},
            {"_debug_render_only": True},
            {"prompt": ["a"]},
            {"system": {}},
            {"raw": 1},
            {"format": "xml"},
            {"top_logprobs": 0.5},
            {"truncate": "no"},
        )
        for body in bodies:
            with self.subTest(body=body):
                with self.assertRaises(InvalidRequest) as caught:
                    generate(**body)
                self.assertEqual([caught.exception.param], list(body))


class ShowTests(SynchronousTestCase):
    def test_model_or_name(self) -> None:
        """Either names the model; an empty one counts as absent."""
        for body in (
            {"model": "m"},
            {"name": "m"},
            {"model": "", "name": "m"},
            {"model": "m", "name": "n"},
            {"model": "m", "verbose": True, "system": 1, "template": [], "options": 7, "x": {}},
        ):
            with self.subTest(body=body):
                self.assertEqual(parse_show(orjson.dumps(body)), "m")

    def test_refused(self) -> None:
        """Without a model there is nothing to show."""
        for body in (b"{}", b'{"model":""}', b'{"model":7}', b'{"MODEL":"m"}', b"[]"):
            with self.subTest(body=body), self.assertRaises(InvalidRequest):
                parse_show(body)
