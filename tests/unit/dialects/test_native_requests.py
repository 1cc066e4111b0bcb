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

CAP = 100


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
                {"role": "user", "content": "Grüße", "tool_name": "x"},
            ],
            stream=False,
            think="low",
            format="json",
            keep_alive="5m",
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
            },
        )
        self.assertEqual((request.path, request.model), ("/api/chat", "llama3"))
        self.assertFalse(request.stream)
        self.assertEqual(request.ignored, ("keep_alive", "tool_name", "num_ctx"))
        text_bytes = len("Be briefGrüße".encode())
        self.assertEqual(request.prompt_bytes, text_bytes + 2 * MESSAGE_BYTES)

    def test_streams_unless_told_otherwise(self) -> None:
        """Ollama's default is to stream, also where stream is null."""
        self.assertTrue(chat().stream)
        self.assertTrue(chat(stream=None).stream)
        self.assertFalse(chat(stream=False).stream)

    def test_preload(self) -> None:
        """A request without messages is an ordinary one, of no prompt."""
        bodies: tuple[dict[str, Any], ...] = ({}, {"messages": []}, {"messages": None})
        for body in bodies:
            with self.subTest(body=body):
                request = chat(**body)
                self.assertEqual(request.body["messages"], [])
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

    def test_long_model_names(self) -> None:
        """A name may be as long as the limit."""
        self.assertEqual(len(chat(model="x" * MAX_MODEL_NAME).model), MAX_MODEL_NAME)

    def test_neutral_format_and_think(self) -> None:
        """An empty format is none; thinking that is off is passed on."""
        self.assertEqual(set(chat(format="", think=False).body), {"messages", "options", "think"})

    def test_refused(self) -> None:
        """What is not carried and would change the answer is refused by its name."""
        for body, param in (
            ({"tools": [{}]}, "tools"),
            ({"_debug_render_only": True}, "_debug_render_only"),
            ({"format": {"type": "object"}}, "format"),
            ({"format": "yaml"}, "format"),
            ({"think": "a lot"}, "think"),
            ({"think": 1}, "think"),
            ({"stream": "no"}, "stream"),
            ({"messages": {}}, "messages"),
            ({"messages": ["hi"]}, "messages"),
            ({"messages": [{"content": "x"}]}, "messages"),
            ({"messages": [{"role": "tool"}]}, "role"),
            ({"messages": [{"role": "user", "content": []}]}, "content"),
            ({"messages": [{"role": "user", "images": ["aGk="]}]}, "images"),
            ({"messages": [{"role": "user", "Content": "x"}]}, "content"),
            ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "tool_calls"),
            ({"options": []}, "options"),
            ({"options": {"temperature": "hot"}}, "temperature"),
            ({"options": {"Num_Predict": 1}}, "num_predict"),
            ({"options": {"seed": 1.5}}, "seed"),
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
        """Prompt and system go on; neutral values of refused fields do not."""
        request = generate(prompt="Hi", system="Be brief", template="", context=[], images=[])
        expected = {"prompt": "Hi", "system": "Be brief", "options": {"num_predict": CAP}}
        self.assertEqual(request.body, expected)
        self.assertEqual((request.path, request.prompt_bytes), ("/api/generate", 10))
        self.assertEqual(request.ignored, ())

    def test_raw(self) -> None:
        """Raw is passed to admission, which knows the scopes; false is absent."""
        self.assertEqual(generate(raw=True).body["raw"], True)
        self.assertNotIn("raw", generate(raw=False).body)

    def test_refused(self) -> None:
        """What could carry another tenant's text, or is not carried, is refused."""
        for body in (
            {"template": "{{ .Prompt }}"},
            {"context": [1, 2]},
            {"images": ["aGk="]},
            {"suffix": "x"},
            {"_debug_render_only": True},
            {"prompt": ["a"]},
            {"raw": 1},
        ):
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
        ):
            with self.subTest(body=body):
                self.assertEqual(parse_show(orjson.dumps(body)), "m")

    def test_refused(self) -> None:
        """Without a model there is nothing to show."""
        for body in (b"{}", b'{"model":""}', b'{"model":7}', b'{"MODEL":"m"}', b"[]"):
            with self.subTest(body=body), self.assertRaises(InvalidRequest):
                parse_show(body)
