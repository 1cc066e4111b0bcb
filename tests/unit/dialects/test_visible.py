"""What a client may see of a frame, and how it is written."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.visible import (
    as_go_writes,
    logprobs_of,
    tool_calls_of,
    visible,
)
from neuronetz_twisted.errors import UpstreamNonsense

FUNCTION = {"index": 0, "name": "w", "arguments": {"City": "Ulm"}}
CALL = {"id": "call_1", "function": FUNCTION}
TOKEN = {"token": "a", "logprob": -0.25, "bytes": [97]}
LOGPROB = {**TOKEN, "top_logprobs": [TOKEN, {"token": "b", "logprob": -2}]}


def nested(levels: int) -> dict[str, Any]:
    """Arguments of so many levels."""
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


class VisibleTests(SynchronousTestCase):
    def test_chat(self) -> None:
        """All that Ollama documents of a chat's frame, in the order in which it came."""
        frame = {
            "model": "m",
            "created_at": "t",
            "message": {
                "role": "assistant",
                "content": "",
                "thinking": "Hm",
                "tool_calls": [CALL],
            },
            "done": True,
            "done_reason": "stop",
            "logprobs": [LOGPROB],
            "total_duration": 1,
            "eval_count": 2,
        }
        self.assertEqual(orjson.dumps(visible(frame)), orjson.dumps(frame))

    def test_generate(self) -> None:
        """A completion has its calls of tools beside it, behind the counts."""
        frame = {
            "model": "m",
            "created_at": "t",
            "response": "a",
            "thinking": "b",
            "done": True,
            "eval_count": 2,
            "tool_calls": [CALL],
            "logprobs": [LOGPROB],
        }
        self.assertEqual(orjson.dumps(visible(frame)), orjson.dumps(frame))

    def test_left_out(self) -> None:
        """What may tell of the host, or is not known, at each level."""
        frame = {
            "model": "m",
            "remote_model": "x",
            "remote_host": "https://example.com",
            "context": [1],
            "_debug_info": {"rendered_template": "secret"},
            "message": {
                "content": "a",
                "images": ["aGk="],
                "tool_name": "x",
                "tool_call_id": "y",
                "role": 7,
                "tool_calls": [
                    {**CALL, "type": "function", "function": {**FUNCTION, "path": "/x"}}
                ],
            },
            "done": False,
            "eval_count": 2,
            "logprobs": [{**TOKEN, "id": 7, "top_logprobs": [{**LOGPROB, "id": 8}]}],
        }
        self.assertEqual(
            visible(frame),
            {
                "model": "m",
                "message": {"content": "a", "tool_calls": [CALL]},
                "done": False,
                "logprobs": [{**TOKEN, "top_logprobs": [TOKEN]}],
            },
        )

    def test_calls_that_are_none(self) -> None:
        """A call without a name is none; a list without one falls away."""
        cases: tuple[Any, ...] = (
            "text",
            {},
            [],
            ["text"],
            [{}],
            [{"function": "w"}],
            [{"function": {"arguments": {}}}],
            [{"function": {"name": 7}}],
        )
        for calls in cases:
            with self.subTest(calls=calls):
                frame = visible({"message": {"content": "", "tool_calls": calls}, "done": False})
                self.assertEqual(frame, {"message": {"content": ""}, "done": False})
                self.assertEqual(list(tool_calls_of(frame)), [])

    def test_half_a_call(self) -> None:
        """Of a call what is right is shown; arguments are an object, if an empty one."""
        for call, shown in (
            ({"function": {"name": "w"}}, {"function": {"name": "w", "arguments": {}}}),
            (
                {"id": 7, "function": {"index": "0", "name": "w", "arguments": "{}"}},
                {"function": {"name": "w", "arguments": {}}},
            ),
        ):
            with self.subTest(call=call):
                frame = visible({"message": {"tool_calls": [{}, call]}})
                self.assertEqual(list(tool_calls_of(frame)), [shown])

    def test_deep_arguments(self) -> None:
        """Arguments that nobody could write out again are nonsense."""
        call = {"function": {"name": "w", "arguments": nested(64)}}
        self.assertEqual(list(tool_calls_of(visible({"tool_calls": [call]}))), [call])
        call["function"]["arguments"] = nested(65)
        self.assertRaises(UpstreamNonsense, visible, {"message": {"tool_calls": [call]}})

    def test_logprobs_that_are_none(self) -> None:
        """A token has its text and its number; of what is beside it only the right is shown."""
        for logprobs, shown in (
            ("text", []),
            ([1, {}, {"token": "a"}, {"logprob": -1}, {"token": 1, "logprob": -1}], []),
            ([{"token": "a", "logprob": True}, {"token": "a", "logprob": "-1"}], []),
            (
                [{"token": "a", "logprob": -1, "bytes": ["x"], "top_logprobs": 7}],
                [{"token": "a", "logprob": -1}],
            ),
            (
                [{"token": "a", "logprob": -1, "top_logprobs": [{}]}],
                [{"token": "a", "logprob": -1}],
            ),
        ):
            with self.subTest(logprobs=logprobs):
                self.assertEqual(list(logprobs_of(visible({"logprobs": logprobs}))), shown)

    def test_nonsense(self) -> None:
        """A text that is none."""
        for name in ("model", "created_at", "response", "thinking", "done_reason"):
            with self.subTest(name=name):
                self.assertRaises(UpstreamNonsense, visible, {name: None, "done": True})

    def test_numbers(self) -> None:
        """Counts and durations are whole, and belong to a final frame."""
        frame = {"done": True, "eval_count": 2.5, "eval_duration": -1, "total_duration": 1 << 53}
        self.assertEqual(visible(frame), {"done": True})
        self.assertEqual(visible({"done": False, "eval_count": 2}), {"done": False})


class AsGoWritesTests(SynchronousTestCase):
    def test_numbers(self) -> None:
        """Floats have the form that Go gives them, wherever they are."""
        for written in (
            b"0",
            b"-1.5",
            b"0.00001",
            b"-0.000001",
            b"0.0000012345678901234567",
            b"-0.000009999999999999999",
            b"9.99999999999999e-7",
            b"-1.1920928955078125e-7",
            b"1e-10",
            b"10000000000000000000",
            b"100000000000000000000",
            b"123456789012345680000",
            b"1e+21",
            b"1.5e+300",
        ):
            with self.subTest(written=written):
                self.assertEqual(as_go_writes(orjson.loads(written)), written)
                within = b'{"a":[1,{"b":%b}],"c":-0.000005}' % written
                self.assertEqual(as_go_writes(orjson.loads(within)), within)

    @settings(deadline=None)
    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_any_number(self, number: float) -> None:
        """No number changes by being written."""
        self.assertEqual(float(as_go_writes(number)), number)

    def test_text_that_looks_like_a_number(self) -> None:
        """Text is not touched, but for what Go escapes."""
        self.assertEqual(
            as_go_writes({"a": "1e-6 & 2e+7 <b>", "b": 0.5}),
            b'{"a":"1e-6 \\u0026 2e+7 \\u003cb\\u003e","b":0.5}',
        )
