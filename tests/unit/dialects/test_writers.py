"""What clients read, byte for byte."""

from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.gojson import go_json
from neuronetz_twisted.admission.leases import CUT_FIELDS
from neuronetz_twisted.dialects.openai_writers import ChatCompletionWriter
from neuronetz_twisted.dialects.writers import NativeWriter
from neuronetz_twisted.errors import UpstreamFailed, UpstreamNonsense
from neuronetz_twisted.testing.upstream import chat_frame
from neuronetz_twisted.vocabulary import Usage

USAGE = Usage(prompt_tokens=3, completion_tokens=2)
FINAL = {
    "model": "m",
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "length",
    "eval_count": 2,
}


class NativeWriterTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """Frames keep their bytes; final frame and error are one line each."""
        writer = NativeWriter()
        self.assertEqual(writer.frames([b'{"a":1}', b'{"b":2}']), b'{"a":1}\n{"b":2}\n')
        self.assertEqual(
            writer.last(FINAL, USAGE),
            b'{"model":"m","message":{"role":"assistant","content":""},"done":true,'
            b'"done_reason":"length","eval_count":2}\n',
        )
        self.assertEqual(
            writer.fault(UpstreamFailed(), "the-id"),
            b'{"error":"the model host failed to answer","code":"upstream_failed",'
            b'"request_id":"the-id"}\n',
        )
        self.assertEqual(writer.whole({"response": "x"}, USAGE), b'{"response":"x"}')


def completion(*, include_usage: bool = False) -> ChatCompletionWriter:
    """A writer of one answer."""
    return ChatCompletionWriter(id="the-id", created=7, model="llama3", include_usage=include_usage)


HEAD = (
    b'data: {"id":"chatcmpl-the-id","object":"chat.completion.chunk","created":7,'
    b'"model":"llama3","system_fingerprint":"fp_ollama","choices":['
)


def parsed_chunk(content: str, thinking: str, *, first: bool, include_usage: bool) -> bytes:
    """A chunk in the middle of a stream, made from parsed text in one piece."""
    delta = {"role": "assistant"} if first else {}
    delta["content"] = content
    if thinking:
        delta["reasoning"] = thinking
    chunk: dict[str, Any] = {
        "id": "chatcmpl-the-id",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "llama3",
        "system_fingerprint": "fp_ollama",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
    }
    if include_usage:
        chunk["usage"] = None
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SPOKEN = st.lists(st.tuples(TEXTS, st.none() | TEXTS), min_size=1, max_size=4)


class ChatCompletionWriterTests(SynchronousTestCase):
    def test_golden_chunks(self) -> None:
        """The first chunk has the role, the last one the reason; [DONE] ends the stream."""
        writer = completion()
        self.assertEqual(
            writer.frames([chat_frame("a"), chat_frame("b")]),
            HEAD + b'{"index":0,"delta":{"role":"assistant","content":"a"},"logprobs":null,'
            b'"finish_reason":null}]}\n\n'
            + HEAD
            + b'{"index":0,"delta":{"content":"b"},"logprobs":null,"finish_reason":null}]}\n\n',
        )
        self.assertEqual(
            writer.last(FINAL, USAGE),
            HEAD + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}\n\n'
            b"data: [DONE]\n\n",
        )

    @settings(deadline=None)
    @given(
        spoken=SPOKEN, dumps=st.sampled_from([go_json, orjson.dumps]), include_usage=st.booleans()
    )
    @example(spoken=[('<&>\u2028\x00\x7f"\\/é😀', "</think>")], dumps=go_json, include_usage=True)
    def test_as_from_parsed_frames(
        self, *, spoken: list[tuple[str, str | None]], dumps: Any, include_usage: bool
    ) -> None:
        """Text that was never parsed reads as if it had been, byte for byte."""
        lines, expected = [], b""
        for content, thinking in spoken:
            message = {"role": "assistant", "content": content}
            if thinking is not None:
                message["thinking"] = thinking
            frame = {"model": "m", "created_at": "t", "message": message, "done": False}
            lines.append(dumps(frame))
            expected += parsed_chunk(
                content, thinking or "", first=not expected, include_usage=include_usage
            )
        self.assertEqual(completion(include_usage=include_usage).frames(lines), expected)

    def test_usage_chunk(self) -> None:
        """Where usage was asked for, chunks have none and one without choices follows."""
        writer = completion(include_usage=True)
        frame = writer.frames([chat_frame("a")])
        self.assertTrue(frame.endswith(b'"finish_reason":null}],"usage":null}\n\n'))
        events = writer.last(FINAL, USAGE).split(b"\n\n")
        self.assertEqual(
            events[1] + b"\n\n",
            HEAD + b'],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n',
        )
        self.assertEqual(events[2], b"data: [DONE]")

    def test_answer_of_one_frame(self) -> None:
        """A final frame that is the only one carries role and text."""
        final = {**FINAL, "message": {"content": "all"}, "done_reason": "stop"}
        chunk = orjson.loads(completion().last(final, USAGE).split(b"\n\n")[0][6:])
        choice = chunk["choices"][0]
        self.assertEqual(choice["delta"], {"role": "assistant", "content": "all"})
        self.assertEqual(choice["finish_reason"], "stop")

    def test_thinking(self) -> None:
        """Thinking is called reasoning here."""
        frame = orjson.dumps({"message": {"content": "", "thinking": "Hm"}, "done": False})
        chunk = orjson.loads(completion().frames([frame])[6:])
        self.assertEqual(
            chunk["choices"][0]["delta"], {"role": "assistant", "content": "", "reasoning": "Hm"}
        )

    def test_finish_reasons(self) -> None:
        """Ollama's reasons as OpenAI's: whatever is not the length is a stop."""
        for reason, expected in (
            ({"done_reason": "length"}, "length"),
            ({"done_reason": "stop"}, "stop"),
            ({"done_reason": "unload"}, "stop"),
            ({}, "stop"),
        ):
            with self.subTest(reason=reason):
                body = completion().whole({"message": {}, **reason}, USAGE)
                self.assertEqual(orjson.loads(body)["choices"][0]["finish_reason"], expected)

    def test_golden_cut(self) -> None:
        """The last chunk says who has cut the answer, the usage behind it does not."""
        cut = {**FINAL, **CUT_FIELDS}
        writer = completion()
        writer.frames([chat_frame("a")])
        self.assertEqual(
            writer.last(cut, USAGE),
            HEAD + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}],'
            b'"gateway_cut":"budget"}\n\ndata: [DONE]\n\n',
        )
        chunk, usage, _ = completion(include_usage=True).last(cut, USAGE).split(b"\n\n", 2)
        self.assertTrue(chunk.endswith(b'"usage":null,"gateway_cut":"budget"}'))
        self.assertNotIn(b"gateway_cut", usage)
        whole = completion().whole(cut, USAGE)
        self.assertTrue(whole.endswith(b'"total_tokens":5},"gateway_cut":"budget"}'))

    def test_golden_whole(self) -> None:
        """The answer in one piece."""
        folded = {**FINAL, "message": {"role": "assistant", "content": "ab", "thinking": "Hm"}}
        self.assertEqual(
            completion().whole(folded, USAGE),
            b'{"id":"chatcmpl-the-id","object":"chat.completion","created":7,"model":"llama3",'
            b'"system_fingerprint":"fp_ollama","choices":[{"index":0,"message":'
            b'{"role":"assistant","content":"ab","reasoning":"Hm"},"logprobs":null,'
            b'"finish_reason":"length"}],"usage":'
            b'{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}',
        )

    def test_golden_fault(self) -> None:
        """An error event, without [DONE]."""
        self.assertEqual(
            completion().fault(UpstreamFailed(), "the-id"),
            b'data: {"error":{"message":"the model host failed to answer","type":"api_error",'
            b'"param":null,"code":"upstream_failed","request_id":"the-id"}}\n\n',
        )

    def test_no_chat_frame(self) -> None:
        """A frame of another route is nonsense."""
        with self.assertRaises(UpstreamNonsense):
            completion().frames([b'{"response":"x","done":false}'])
