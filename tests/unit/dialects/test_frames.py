"""Lines out of any chunks, and which of them may pass unread."""

import json
from itertools import pairwise
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.frames import (
    MAX_LINE_BYTES,
    LineSplitter,
    is_ordinary,
    read_frame,
    text_of,
    usage_of,
)
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.vocabulary import Usage

TRICKY = (
    '"done":false}',
    ',"done":false}',
    '"error":',
    '{"error":"x"}',
    '\\","done":false}',
    '"done":true,"x":"',
    "\n",
    '"context":[1]',
)
TEXTS = st.one_of(st.sampled_from(TRICKY), st.text(st.characters(exclude_categories=["Cs"])))
NAMES = st.one_of(
    st.sampled_from(["done", "error", "message", '"done', ',"done', "model", "arguments"]), TEXTS
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)


def split(chunks: list[bytes]) -> tuple[list[bytes], bool]:
    """The lines of chunks, and whether one is unfinished."""
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines, splitter.unfinished


class LineSplitterTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
    def test_any_chunking_gives_the_same_lines(self, data: bytes, cuts: list[int]) -> None:
        """Where the network cuts decides nothing."""
        edges = [0, *sorted(cuts), len(data)]
        data = data.replace(b"\x00", b"\n")
        chunks = [data[start:end] for start, end in pairwise(edges)]
        self.assertEqual(split(chunks), split([data]))

    @settings(deadline=None)
    @given(st.binary(max_size=60))
    def test_lines_are_those_between_line_feeds(self, data: bytes) -> None:
        """Empty lines vanish; what follows the last line feed is unfinished."""
        *whole, rest = data.split(b"\n")
        self.assertEqual(split([data]), ([line for line in whole if line], rest != b""))

    def test_limit(self) -> None:
        """A line may be as long as the limit and not a byte longer, in however many pieces."""
        splitter = LineSplitter()
        half = b"x" * (MAX_LINE_BYTES // 2)
        splitter.feed(half)
        splitter.feed(half)
        self.assertEqual(len(splitter.feed(b"\n")[0]), MAX_LINE_BYTES)
        splitter.feed(half)
        splitter.feed(half)
        with self.assertRaises(UpstreamNonsense):
            splitter.feed(b"x")


class OrdinaryTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(OBJECTS, st.lists(st.booleans(), max_size=1))
    @example({"done": True, '"done': False}, [])
    @example({"done": True, ',"done': False}, [])
    @example({"done": True, "message": {"done": False}}, [])
    @example({"error": "x"}, [False])
    def test_no_final_and_no_error_frame_is_ordinary(
        self, data: dict[str, Any], last: list[bool]
    ) -> None:
        """Whatever passes unread is a frame in the middle, by its own parsed words."""
        for done in last:
            data = {**{name: data[name] for name in data if name != "done"}, "done": done}
        for line in (orjson.dumps(data), json.dumps(data).encode(), _compact(data)):
            if is_ordinary(line):
                parsed = json.loads(line)
                self.assertTrue(parsed["done"] is False)
                self.assertNotIn("error", parsed)
                self.assertNotIn("context", parsed)

    @settings(deadline=None)
    @given(TEXTS)
    def test_no_text_makes_a_frame_suspect(self, content: str) -> None:
        """Content that quotes our marks passes as any other."""
        message = {"role": "assistant", "content": content}
        self.assertTrue(
            is_ordinary(orjson.dumps({"model": "m", "message": message, "done": False}))
        )
        self.assertTrue(is_ordinary(orjson.dumps({"response": content, "done": False})))

    def test_table(self) -> None:
        """Frames that are read before anything of them passes."""
        for line in (
            b"",
            b'"done":false}',
            b'{"done":false}',
            b'[{"a":1,"done":false}',
            b'{"model":"m","done":true}',
            b'{"model":"m","done":false,"x":1}',
            b'{"model":"m","done": false}',
            b'{"error":"x","done":false}',
            b'{"remote_host":"h","done":false}',
            b'{"context":[1],"done":false}',
            b'{"_debug_info":{},"done":false}',
            b'{"model":"m","done":false} ',
        ):
            with self.subTest(line=line):
                self.assertFalse(is_ordinary(line))


def _compact(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


class ReadFrameTests(SynchronousTestCase):
    def test_only_known_fields(self) -> None:
        """Fields that are not ours to show are left out, at both levels."""
        line = orjson.dumps(
            {
                "model": "m",
                "created_at": "t",
                "message": {"role": "assistant", "content": "a", "tool_name": "x"},
                "done": True,
                "done_reason": "stop",
                "context": [1],
                "remote_host": "h",
                "eval_count": 2,
                "prompt_eval_count": 0,
                "total_duration": 5,
            }
        )
        expected = {
            "model": "m",
            "created_at": "t",
            "message": {"role": "assistant", "content": "a"},
            "done": True,
            "done_reason": "stop",
            "eval_count": 2,
            "prompt_eval_count": 0,
            "total_duration": 5,
        }
        self.assertEqual(read_frame(line), expected)

    def test_counts_that_are_none(self) -> None:
        """A count that is no count is left out, so that the estimate takes its place."""
        for count in (b"-1", b"true", b'"3"', b"1.5", b"9007199254740992", b"null", b"[]"):
            with self.subTest(count=count):
                self.assertEqual(
                    read_frame(b'{"done":true,"eval_count":%b}' % count), {"done": True}
                )

    def test_nonsense(self) -> None:
        """Lines that are no frame, or whose text is none."""
        for line in (
            b"",
            b"{",
            b"null",
            b"[]",
            b"{}",
            b'{"done":null}',
            b'{"done":"false"}',
            b'{"error":"x","done":true}',
            b'{"error":null,"done":false}',
            b'{"done":false,"response":1}',
            b'{"done":false,"thinking":[]}',
            b'{"done":true,"done_reason":{}}',
            b'{"done":false,"model":null}',
            b'{"done":false,"a":NaN}',
            b'{"done":false,"response":"\xff"}',
            b"[" * 5000,
        ):
            with self.subTest(line=line[:40]), self.assertRaises(UpstreamNonsense):
                read_frame(line)

    def test_text(self) -> None:
        """The text of a frame of either route; what is missing is empty."""
        for frame, expected in (
            ({"message": {"content": "a", "thinking": "b"}}, ("a", "b")),
            ({"message": {}}, ("", "")),
            ({"response": "a", "thinking": "b"}, ("a", "b")),
            ({}, ("", "")),
        ):
            with self.subTest(frame=frame):
                self.assertEqual(text_of(frame), expected)


class UsageTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Ollama's counts where it gives them; frames and an estimate, marked, where not."""
        for final, frames, prompt_bytes, expected in (
            (
                {"prompt_eval_count": 5, "eval_count": 6},
                9,
                90,
                Usage(prompt_tokens=5, completion_tokens=6),
            ),
            (
                {"prompt_eval_count": 5},
                2,
                9,
                Usage(prompt_tokens=5, completion_tokens=2, estimated=True),
            ),
            ({"eval_count": 6}, 9, 10, Usage(prompt_tokens=4, completion_tokens=6, estimated=True)),
            ({"eval_count": 6}, 9, 0, Usage(completion_tokens=6)),
            ({}, 0, 0, Usage()),
            ({}, 0, 1, Usage(prompt_tokens=1, estimated=True)),
            (None, 0, 0, Usage(estimated=True)),
            (None, 3, 3, Usage(prompt_tokens=1, completion_tokens=3, estimated=True)),
        ):
            with self.subTest(final=final, frames=frames, prompt_bytes=prompt_bytes):
                self.assertEqual(usage_of(final, frames, prompt_bytes), expected)
