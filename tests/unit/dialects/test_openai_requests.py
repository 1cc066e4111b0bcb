"""OpenAI's chat completions as native requests."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.native_requests import MAX_MODEL_NAME, MESSAGE_BYTES
from neuronetz_twisted.dialects.openai_requests import parse_chat_completion
from neuronetz_twisted.errors import InvalidRequest
from neuronetz_twisted.vocabulary import NativeRequest

CAP = 100
NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "num_predict": CAP}


def parse(**body: Any) -> NativeRequest:
    """Parse a completion with a model."""
    return parse_chat_completion(orjson.dumps({"model": "llama3", **body}), CAP)


class ChatCompletionTests(SynchronousTestCase):
    def test_rewritten(self) -> None:
        """Messages and sampling become a native chat."""
        request = parse(
            messages=[
                {"role": "developer", "content": "Be brief"},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "b"}]},
                {"role": "assistant", "content": None},
            ],
            stream=True,
            stream_options={"include_usage": True},
            temperature=0,
            top_p=0.5,
            frequency_penalty=0.1,
            presence_penalty=-1,
            seed=7,
            stop="x",
            max_tokens=9,
            user="someone",
        )
        self.assertEqual(
            request.body,
            {
                "messages": [
                    {"role": "system", "content": "Be brief"},
                    {"role": "user", "content": "ab"},
                    {"role": "assistant", "content": ""},
                ],
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
        self.assertEqual(request.ignored, ("user",))
        self.assertEqual(request.prompt_bytes, 10 + 3 * MESSAGE_BYTES)

    def test_defaults(self) -> None:
        """Not streamed, no usage chunk, the sampling that Ollama's own layer sets."""
        request = parse()
        self.assertEqual(request.body, {"messages": [], "options": NEUTRAL})
        self.assertFalse(request.stream)
        self.assertFalse(request.include_usage)

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

    def test_neutral_values(self) -> None:
        """Fields that are not carried may have the value that asks for nothing."""
        request = parse(
            n=1, tools=[], functions=[], logprobs=False, response_format={"type": "text"}
        )
        self.assertEqual(request.ignored, ())

    def test_refused(self) -> None:
        """What would change the answer and is not carried is refused by its name."""
        part = {"type": "image_url", "image_url": {"url": "http://x/"}}
        for body, param in (
            ({"n": 2}, "n"),
            ({"n": 0}, "n"),
            ({"n": "1"}, "n"),
            ({"tools": [{}]}, "tools"),
            ({"functions": [{}]}, "functions"),
            ({"logprobs": True}, "logprobs"),
            ({"response_format": {"type": "json_object"}}, "response_format"),
            ({"stream_options": {"Include_Usage": True}}, "include_usage"),
            ({"stream_options": True}, "stream_options"),
            ({"messages": [{"content": "x"}]}, "messages"),
            ({"messages": [{"role": "tool", "content": "x"}]}, "role"),
            ({"messages": [{"role": "user", "content": 1}]}, "content"),
            ({"messages": [{"role": "user", "content": [part]}]}, "type"),
            ({"messages": [{"role": "user", "content": [{"image_url": {}}]}]}, "image_url"),
            ({"messages": [{"role": "user", "audio": {}}]}, "audio"),
            ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "tool_calls"),
            ({"model": None}, "model"),
            ({"model": "x" * (MAX_MODEL_NAME + 1)}, "model"),
            ({"temperature": 1e7}, "temperature"),
        ):
            with self.subTest(body=body):
                with self.assertRaises(InvalidRequest) as caught:
                    parse(**body)
                self.assertEqual(caught.exception.param, param)
