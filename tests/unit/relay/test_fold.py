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
