"""Lines out of any chunks, and which of them may pass unread."""

import json
import re
from itertools import pairwise
from time import process_time

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama import generation
from mock_ollama.asking import Ask
from mock_ollama.directives import Directive
from mock_ollama.gojson import go_json
from mock_ollama.recorder import Tokens
from neuronetz_twisted.dialects.frames import (
    MAX_LINE_BYTES,
    MOST_TOKENS,
    LineSplitter,
    is_ordinary,
    read_frame,
    said_in,
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
    return lines, splitter.held > 0


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


# The definition of an ordinary frame, as text: JSON strings whose \\u escapes are no surrogates.
STRING = (
    r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]'
    r'|\\u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]|[dD][0-7])[0-9a-fA-F]{2})*"'
)
SAID = f'{STRING}(?:,"thinking":{STRING})?'
DEFINITION = re.compile(
    rf'\{{"model":{STRING},"created_at":{STRING},'
    rf'(?:"message":\{{"role":"assistant","content":{SAID}\}}|"response":{SAID}),"done":false\}}'
)


def defined_as_ordinary(line: bytes) -> bool:
    """Whether a line is UTF-8 and of the form that passes unread."""
    try:
        return DEFINITION.fullmatch(line.decode()) is not None
    except UnicodeDecodeError:
        return False


HEAD = b'{"model":"m","created_at":"t",'
CHAT = HEAD + b'"message":{"role":"assistant","content":"a"},"done":false}'
GENERATE = HEAD + b'"response":"a","thinking":"b","done":false}'
LIMIT_S = 2.0


def shape(line: bytes) -> tuple[list[str], list[str]]:
    """The names in a frame, and those in its message, in order and each as often as it comes."""
    pairs = json.loads(line, object_pairs_hook=list)
    message: list[str] = []
    for name, value in pairs:
        if name == "message":
            message = [key for key, text in value if isinstance(text, str)]
            assert len(message) == len(value)
        elif name == "done":
            assert value is False
        else:
            assert isinstance(value, str)
    return [name for name, _ in pairs], message


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An ordinary frame with some bytes of it replaced."""
    line = draw(st.sampled_from((CHAT, GENERATE)))
    begin = draw(st.integers(0, len(line)))
    end = begin + draw(st.integers(0, 12))
    pieces = st.sampled_from((b'"', b"\\", b"{", b"}", b",", b" ", b'","', b'":"', b"\\u00e9"))
    put = draw(st.binary(max_size=3) | pieces | TEXTS.map(orjson.dumps))
    return line[:begin] + put + line[end:]


class OrdinaryTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(damaged() | OBJECTS.map(orjson.dumps))
    @example(CHAT)
    @example(GENERATE)
    @example(CHAT.replace(b'"a"', b'"\xff"'))
    @example(CHAT.replace(b'"a"', b'"\\ud800"'))
    def test_what_passes_unread_is_known(self, line: bytes) -> None:
        """It is JSON of the known fields in their order, all of them text, and done is false."""
        if not is_ordinary(line):
            return
        parsed = orjson.loads(line)
        self.assertEqual(orjson.dumps(read_frame(line)), orjson.dumps(parsed))
        names, message = shape(line)
        self.assertEqual((names[:2], names[-1]), (["model", "created_at"], "done"))
        self.assertIn(
            (names[2:-1], message),
            (
                (["message"], ["role", "content"]),
                (["message"], ["role", "content", "thinking"]),
                (["response"], []),
                (["response", "thinking"], []),
            ),
        )

    @settings(deadline=None, max_examples=500)
    @given(damaged() | OBJECTS.map(orjson.dumps))
    @example(CHAT.replace(b'"a"', b'"\xff"'))
    @example(CHAT.replace(b'"a"', b'"\xc3\xa9\x7f"'))
    @example(CHAT.replace(b'"a"', b'"\xed\xa0\x80"'))
    @example(CHAT.replace(b'"m"', b'"\xc3') + b"\xa9")
    def test_definition(self, line: bytes) -> None:
        """It is found in bytes what is defined in text."""
        self.assertEqual(is_ordinary(line), defined_as_ordinary(line), line)

    def test_every_byte(self) -> None:
        """Each byte, in a string, before and behind a quote, as defined."""
        for number in range(256):
            byte = bytes([number])
            for put in (byte, b"\\" + byte, byte + b'"', b"\\u00" + byte + b"0", b"\xc3" + byte):
                line = CHAT.replace(b'"a"', b'"' + put + b'"')
                with self.subTest(line=line):
                    self.assertEqual(is_ordinary(line), defined_as_ordinary(line))

    @settings(deadline=None)
    @given(TEXTS, st.none() | TEXTS)
    def test_whatever_ollama_says_passes_unread(self, said: str, thought: str | None) -> None:
        """Text of any script, with escapes and with our own marks in it, on both routes."""
        thinking = {} if thought is None else {"thinking": thought}
        message = {"role": "assistant", "content": said, **thinking}
        for text in ({"message": message}, {"response": said, **thinking}):
            frame = {"model": "m", "created_at": "t", **text, "done": False}
            for line in (go_json(frame), orjson.dumps(frame)):
                self.assertTrue(is_ordinary(line), line)

    @settings(deadline=None)
    @given(TEXTS)
    def test_whatever_the_twin_says_passes_unread(self, prompt: str) -> None:
        """All of its frames but the last one."""
        for route in (generation.CHAT, generation.GENERATE):
            lines = twin_lines(route, prompt)
            self.assertTrue(all(map(is_ordinary, lines[:-1])))
            self.assertGreater(len(lines), 1)
            self.assertFalse(is_ordinary(lines[-1]))

    def test_table(self) -> None:
        """Frames that are read before anything of them passes."""
        for line, old, new in (
            (CHAT, b"false", b"true"),
            (CHAT, b'"done":false', b'"done":null'),
            (CHAT, b',"done":false', b""),
            (CHAT, b',"done":false', b',"done":false,"done_reason":"stop"'),
            (CHAT, b',"done":false', b',"error":"x","done":false'),
            (CHAT, b',"done":false', b',"context":[1],"done":false'),
            (CHAT, b'"created_at"', b'"remote_host":"h","created_at"'),
            (CHAT, b'"created_at"', b'"createdAt"'),
            (CHAT, b'"content":"a"', b'"content":"a","tool_name":"x"'),
            (CHAT, b'"content":"a"', b'"content":"a","content":"b"'),
            (CHAT, b'"content":"a"', b'"content":7'),
            (CHAT, b'"role":"assistant","content":"a"', b'"content":"a","role":"assistant"'),
            (CHAT, b"assistant", b"tool"),
            (CHAT, b'"m"', b'"\n"'),
            (CHAT, b'"m"', b'"\\x"'),
            (CHAT, b'"m"', b'"\\u00g0"'),
            (CHAT, b'"a"', b'"\xff"'),
            (CHAT, b'"a"', b'"\\ud83d\\ude00"'),
            (CHAT, b'"done":false}', b'"done": false}'),
            (CHAT, b"false}", b"false} "),
            (CHAT, b"false}", b"false}\n"),
            (CHAT, b'{"model"', b' {"model"'),
            (CHAT, b'{"model"', b'[{"model"'),
            (CHAT, b"false}", b"false}{}"),
            (GENERATE, b'"response":"a","thinking":"b"', b'"thinking":"b","response":"a"'),
            (GENERATE, b'"response":"a",', b""),
            (GENERATE, HEAD, b"{"),
        ):
            changed = line.replace(old, new)
            with self.subTest(line=changed):
                self.assertTrue(is_ordinary(line))
                self.assertNotEqual(changed, line)
                self.assertFalse(is_ordinary(changed))

    def test_long_lines(self) -> None:
        """A line costs as much as it is long, whatever a host thinks of."""
        size = 1_000_000
        begin = HEAD + b'"response":"'
        for line in (
            begin + b"x" * size,
            begin + b"\\" * size,
            begin + b'\\"' * (size // 2),
            begin + b"\\u00e9" * (size // 6) + b'","done":true}',
            begin + b"x" * size + b'","thinking":"' + b"y" * size,
            begin + b'","thinking":"' * (size // 14),
            b'{"model":"' * (size // 10),
            b'"' * size,
            b"{" * size,
        ):
            with self.subTest(begin=line[:60]):
                began = process_time()
                self.assertFalse(is_ordinary(line))
                self.assertLess(process_time() - began, LIMIT_S)


def twin_lines(route: generation.Shape, prompt: str) -> list[bytes]:
    """What the twin answers to a prompt."""
    asked = Ask(
        model="m",
        prompts=(prompt,),
        empty=False,
        stream=True,
        num_predict=0,
        stop=(),
        needs=(),
        unload=False,
    )
    answer = generation.Generation(
        ask=asked, shape=route, directive=Directive(), tokens=Tokens(), now=lambda: 0.5
    )
    return [step.removesuffix(b"\n") for step in answer.steps() if isinstance(step, bytes)]


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
                "gateway_cut": "budget",
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


class JsonTextsTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=500)
    @given(damaged() | OBJECTS.map(orjson.dumps))
    @example(CHAT)
    @example(GENERATE)
    @example(CHAT.replace(b'"a"', b'"\xff"'))
    def test_as_parsed(self, line: bytes) -> None:
        """Taken out of a frame or parsed, it says the same, and nonsense is nonsense."""
        try:
            frame = read_frame(line)
        except UpstreamNonsense:
            with self.assertRaises(UpstreamNonsense):
                said_in(line)
            return
        field, content, thinking, _ = said_in(line)
        self.assertEqual(field == "message", "message" in frame)
        self.assertEqual((orjson.loads(content), orjson.loads(thinking)), text_of(frame))

    @settings(deadline=None)
    @given(TEXTS, st.none() | TEXTS)
    def test_ordinary(self, said: str, thought: str | None) -> None:
        """The texts of both routes, as Go and as orjson write them."""
        thinking = {} if thought is None else {"thinking": thought}
        message = {"role": "assistant", "content": said, **thinking}
        for text in ({"message": message}, {"response": said, **thinking}):
            frame = {"model": "m", "created_at": "t", **text, "done": False}
            for line in (go_json(frame), orjson.dumps(frame)):
                field, *texts, _ = said_in(line)
                self.assertIn(field, text)
                self.assertEqual([orjson.loads(each) for each in texts], [said, thought or ""])


class UsageTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Ollama's counts where it gives them; frames and an estimate, marked, where not."""
        for final, frames, estimate, expected in (
            (
                {"prompt_eval_count": 5, "eval_count": 6},
                9,
                90,
                Usage(prompt_tokens=5, completion_tokens=6),
            ),
            (
                {"prompt_eval_count": 5},
                2,
                3,
                Usage(prompt_tokens=5, completion_tokens=2, estimated=True),
            ),
            ({"eval_count": 6}, 9, 4, Usage(prompt_tokens=4, completion_tokens=6, estimated=True)),
            ({"eval_count": 6}, 9, 0, Usage(completion_tokens=6)),
            ({}, 0, 0, Usage()),
            ({}, 0, 1, Usage(prompt_tokens=1, estimated=True)),
            (None, 0, 0, Usage(estimated=True)),
            (None, 3, 1, Usage(prompt_tokens=1, completion_tokens=3, estimated=True)),
        ):
            with self.subTest(final=final, frames=frames, estimate=estimate):
                self.assertEqual(usage_of(final, frames, estimate), expected)

    def test_what_is_no_count(self) -> None:
        """Negative, beyond any context or no whole number: as if it were missing."""
        for wrong in (-1, MOST_TOKENS + 1, 1 << 62, True, 2.0, "7"):
            with self.subTest(wrong=wrong):
                self.assertEqual(
                    usage_of({"prompt_eval_count": wrong, "eval_count": 6}, 2, 3),
                    Usage(prompt_tokens=3, completion_tokens=6, estimated=True),
                )
                self.assertEqual(
                    usage_of({"prompt_eval_count": 5, "eval_count": wrong}, 2, 3),
                    Usage(prompt_tokens=5, completion_tokens=2, estimated=True),
                )

    def test_bounds_of_a_count(self) -> None:
        """None and ten million are counts."""
        self.assertEqual(
            usage_of({"prompt_eval_count": 0, "eval_count": 10_000_000}, 2, 9),
            Usage(prompt_tokens=0, completion_tokens=10_000_000),
        )
        self.assertEqual(
            usage_of({"prompt_eval_count": 10_000_000, "eval_count": 0}, 2, 9),
            Usage(prompt_tokens=10_000_000, completion_tokens=0),
        )
