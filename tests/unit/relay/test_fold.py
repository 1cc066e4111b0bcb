"""A stream as the one object that Ollama answers without streaming."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.gojson import go_json
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.relay.fold import Fold
from neuronetz_twisted.testing.upstream import chat_frame

CALLS: list[dict[str, Any]] = [
    {"function": {"index": index, "name": "w", "arguments": {"n": index}}} for index in range(3)
]


def folded(frames: list[dict[str, Any]], final: dict[str, Any]) -> dict[str, Any]:
    """Fold frames and a final one."""
    fold = Fold(10_000)
    fold.add([orjson.dumps({**frame, "done": False}) for frame in frames])
    return fold.finish({**final, "done": True})


class FoldTests(SynchronousTestCase):
    def test_chat(self) -> None:
        """Content and thinking are joined inside the message, text of the final frame last."""
        frames = [
            {"message": {"role": "assistant", "thinking": "Hm"}},
            {"message": {"content": "a"}},
        ]
        final = {"message": {"role": "assistant", "content": "b"}, "eval_count": 2}
        expected = {
            "message": {"role": "assistant", "content": "ab", "thinking": "Hm"},
            "eval_count": 2,
            "done": True,
        }
        self.assertEqual(folded(frames, final), expected)

    def test_generate(self) -> None:
        """Response and thinking are joined beside each other."""
        frames = [{"response": "a", "thinking": "x"}, {"response": "b"}]
        expected = {"response": "abc", "thinking": "x", "done": True}
        self.assertEqual(folded(frames, {"response": "c"}), expected)

    def test_tool_calls(self) -> None:
        """Calls of all frames are one list, in the message, or beside the response."""
        first, second, third = CALLS
        frames = [
            {"message": {"role": "assistant", "content": "", "tool_calls": [first]}},
            {"message": {"role": "assistant", "content": "a", "tool_calls": [second]}},
        ]
        final = {"message": {"role": "assistant", "content": "", "tool_calls": [third]}}
        self.assertEqual(
            folded(frames, final),
            {
                "message": {
                    "role": "assistant",
                    "content": "a",
                    "tool_calls": [first, second, third],
                },
                "done": True,
            },
        )
        beside = folded(
            [{"response": "", "tool_calls": [first]}], {"response": "", "tool_calls": [second]}
        )
        expected = {"response": "", "done": True, "tool_calls": [first, second]}
        self.assertEqual(beside, expected)

    def test_logprobs(self) -> None:
        """What is said of each token is one list, with nothing of a token lost."""
        said = [{"token": text, "logprob": -1.5, "bytes": [97]} for text in "abc"]
        frames = [{"response": "a", "logprobs": said[:1]}, {"response": "b", "logprobs": said[1:2]}]
        expected = {"response": "abc", "done": True, "logprobs": said}
        self.assertEqual(folded(frames, {"response": "c", "logprobs": said[2:]}), expected)

    def test_order(self) -> None:
        """Fields come in the order of Ollama's types, ours behind them."""
        frames = [{"message": {"content": "a", "thinking": "b", "tool_calls": CALLS[:1]}}]
        final = {
            "model": "m",
            "message": {"content": "", "role": "assistant"},
            "eval_count": 2,
            "gateway_cut": "budget",
            "done_reason": "stop",
            "logprobs": [{"token": "a", "logprob": 0}],
        }
        answer = folded(frames, final)
        self.assertEqual(
            list(answer),
            ["model", "message", "done", "done_reason", "logprobs", "eval_count", "gateway_cut"],
        )
        self.assertEqual(list(answer["message"]), ["role", "content", "thinking", "tool_calls"])

    def test_vectors(self) -> None:
        """An answer in one object has nothing to be folded."""
        final = {"model": "m", "embeddings": b"[[1]]", "done": True}
        self.assertEqual(Fold(0).finish(final), final)

    @settings(deadline=None)
    @given(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5),
        st.sampled_from([go_json, orjson.dumps]),
    )
    def test_any_text(self, said: list[str], dumps: Any) -> None:
        """What was said in pieces is one text, whatever had to be escaped in it."""
        fold = Fold(10_000)
        for text in said:
            message = {"role": "assistant", "content": text, "thinking": text}
            frame = {"model": "m", "created_at": "t", "message": message, "done": False}
            fold.add([dumps(frame)])
        message = fold.finish({"message": {"content": "."}})["message"]
        whole = "".join(said)
        self.assertEqual((message["content"], message.get("thinking", "")), (whole + ".", whole))

    def test_nothing_said(self) -> None:
        """An answer without text has an empty one, and no thinking."""
        self.assertEqual(folded([], {"response": ""}), {"response": "", "done": True})

    def test_limit(self) -> None:
        """The bytes of all frames count, to the last one that fits."""
        frame = chat_frame("a")
        fold = Fold(2 * len(frame))
        fold.add([frame, frame])
        with self.assertRaises(UpstreamNonsense):
            fold.add([frame])

    def test_nonsense(self) -> None:
        """A line that only looks ordinary is found here."""
        with self.assertRaises(UpstreamNonsense):
            Fold(1000).add([b'{gibberish,"done":false}'])
