"""What clients of OpenAI's chat read, byte for byte."""

from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.gojson import go_json
from neuronetz_twisted.dialects.events import CUT_FIELDS
from neuronetz_twisted.dialects.openai_writers import ChatCompletionWriter
from neuronetz_twisted.errors import UpstreamFailed, UpstreamNonsense
from neuronetz_twisted.testing.upstream import chat_frame
from tests.unit.dialects.spoken import DUMPS, ODD_TEXT, TEXTS, USAGE, final

FINAL = final("length")
LOGPROB = {
    "token": "a",
    "logprob": -0.5,
    "bytes": [97],
    "top_logprobs": [{"token": "b", "logprob": -1.5}],
}
SHOWN_LOGPROB = (
    b'{"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":'
    b'[{"token":"b","logprob":-1.5,"bytes":null}]}],"refusal":null}'
)
CALL = {"function": {"name": "weather", "arguments": {"city": "Ulm", "days": [1]}}}
HEAD = (
    b'data: {"id":"chatcmpl-the-id","object":"chat.completion.chunk","created":7,'
    b'"model":"llama3","system_fingerprint":"fp_ollama","choices":['
)
SPOKEN = st.lists(st.tuples(TEXTS, st.none() | TEXTS), min_size=1, max_size=4)


def completion(*, include_usage: bool = False) -> ChatCompletionWriter:
    """A writer of one answer."""
    return ChatCompletionWriter(id="the-id", created=7, model="llama3", include_usage=include_usage)


def frame(**message: Any) -> bytes:
    """A frame in the middle of a chat; `logprobs` stand beside its message."""
    beside = {"logprobs": message.pop("logprobs")} if "logprobs" in message else {}
    shown = {"role": "assistant", "content": "", **message}
    return orjson.dumps({"model": "m", "message": shown, "done": False, **beside})


def deltas(events: bytes) -> list[dict[str, Any]]:
    """The deltas of a stream's chunks."""
    lines = [line for line in events.split(b"\n\n") if line not in (b"", b"data: [DONE]")]
    chunks = [orjson.loads(line.removeprefix(b"data: ")) for line in lines]
    return [chunk["choices"][0]["delta"] for chunk in chunks]


def parsed_chunks(content: str, thinking: str, *, first: bool, usage: bool) -> bytes:
    """What a frame in the middle of a stream becomes, made from parsed text in one piece."""
    said: list[dict[str, str]] = [{"content": content}]
    if thinking and content:
        said = [{"reasoning": thinking}, {"content": content}]
    elif thinking:
        said = [{"content": content, "reasoning": thinking}]
    if first:
        said[0] = {"role": "assistant", **said[0]}
    chunks = b""
    for delta in said:
        chunk: dict[str, Any] = {
            "id": "chatcmpl-the-id",
            "object": "chat.completion.chunk",
            "created": 7,
            "model": "llama3",
            "system_fingerprint": "fp_ollama",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
        }
        if usage:
            chunk["usage"] = None
        chunks += b"data: " + orjson.dumps(chunk) + b"\n\n"
    return chunks


class StreamTests(SynchronousTestCase):
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
    @given(spoken=SPOKEN, dumps=DUMPS, include_usage=st.booleans())
    @example(
        spoken=[
            (ODD_TEXT, "</think>"),
            ("", "</think>"),
            ("</think>", None),
            ("", ""),
        ],
        dumps=go_json,
        include_usage=True,
    )
    def test_as_from_parsed_frames(
        self, *, spoken: list[tuple[str, str | None]], dumps: Any, include_usage: bool
    ) -> None:
        """Text that was never parsed reads as if it had been, byte for byte."""
        lines, expected = [], b""
        for content, thinking in spoken:
            message = {"role": "assistant", "content": content}
            if thinking is not None:
                message["thinking"] = thinking
            line = {"model": "m", "created_at": "t", "message": message, "done": False}
            lines.append(dumps(line))
            expected += parsed_chunks(
                content, thinking or "", first=not expected, usage=include_usage
            )
        self.assertEqual(completion(include_usage=include_usage).frames(lines), expected)

    def test_usage_chunk(self) -> None:
        """Where usage was asked for, chunks have none and one without choices follows."""
        writer = completion(include_usage=True)
        first = writer.frames([chat_frame("a")])
        self.assertTrue(first.endswith(b'"finish_reason":null}],"usage":null}\n\n'))
        events = writer.last(FINAL, USAGE).split(b"\n\n")
        self.assertEqual(
            events[1] + b"\n\n",
            HEAD + b'],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n',
        )
        self.assertEqual(events[2], b"data: [DONE]")

    def test_answer_of_one_frame(self) -> None:
        """A final frame that is the only one makes a chunk with role and text, and one without."""
        events = completion().last(final(content="all"), USAGE)
        self.assertEqual(deltas(events), [{"role": "assistant", "content": "all"}, {}])

    def test_nothing_said(self) -> None:
        """An answer of nothing, as to a request that loads a model, still has a role."""
        events = completion().last(final("load"), USAGE)
        self.assertEqual(deltas(events), [{"role": "assistant", "content": ""}, {}])
        self.assertIn(b'"finish_reason":"stop"', events)

    def test_thinking(self) -> None:
        """Thinking is called reasoning here."""
        writer = completion()
        self.assertEqual(
            deltas(writer.frames([frame(thinking="Hm"), frame(thinking="So")])),
            [
                {"role": "assistant", "content": "", "reasoning": "Hm"},
                {"content": "", "reasoning": "So"},
            ],
        )

    def test_thinking_and_answer(self) -> None:
        """A frame that is both becomes two chunks: none of them is both."""
        writer = completion()
        events = writer.frames([frame(content="a", thinking="Hm", tool_calls=[CALL])])
        first, second = deltas(events)
        self.assertEqual(first, {"role": "assistant", "reasoning": "Hm"})
        self.assertEqual(second["content"], "a")
        self.assertIn("tool_calls", second)
        self.assertNotIn("reasoning", second)

    def test_golden_tool_calls(self) -> None:
        """A call is one delta: index, id, and arguments as a string of JSON."""
        writer = completion()
        self.assertEqual(
            writer.frames([frame(tool_calls=[{"id": "call_x", **CALL}])]),
            HEAD + b'{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"index":0,'
            b'"id":"call_x","type":"function","function":{"name":"weather","arguments":'
            b'"{\\"city\\":\\"Ulm\\",\\"days\\":[1]}"}}]},"logprobs":null,"finish_reason":null}]}\n\n',
        )
        self.assertTrue(
            writer.last(final(), USAGE).startswith(
                HEAD + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}]}'
            )
        )

    def test_tool_calls_are_numbered(self) -> None:
        """Each call has an index and an id of its own, whatever frame it came in."""
        writer = completion()
        same = {"id": "", "function": {"index": 0, "name": "again", "arguments": {}}}
        events = writer.frames([frame(tool_calls=[same, same]), frame(content="and")])
        events += writer.last(final(tool_calls=[same]), USAGE)
        calls = [call for delta in deltas(events) for call in delta.get("tool_calls", ())]
        self.assertEqual([call["index"] for call in calls], [0, 1, 2])
        self.assertEqual(
            [call["id"] for call in calls],
            ["call_the-id_0", "call_the-id_1", "call_the-id_2"],
        )
        self.assertEqual({call["function"]["arguments"] for call in calls}, {"{}"})

    def test_finish_reasons(self) -> None:
        """Ollama's reasons as OpenAI's: a stop that called tools says so, a length is one."""
        for called in (False, True):
            for reason, expected in (
                ("length", "length"),
                ("stop", "tool_calls" if called else "stop"),
                ("unload", "tool_calls" if called else "stop"),
                ("", "tool_calls" if called else "stop"),
            ):
                with self.subTest(reason=reason, called=called):
                    message = {"tool_calls": [CALL]} if called else {"content": "a"}
                    streamed = completion().last(final(reason, **message), USAGE)
                    self.assertIn(
                        b'"delta":{},"logprobs":null,"finish_reason":"%b"' % (expected.encode()),
                        streamed,
                    )
                    body = completion().whole(final(reason, **message), USAGE)
                    self.assertEqual(orjson.loads(body)["choices"][0]["finish_reason"], expected)

    def test_golden_logprobs(self) -> None:
        """The likelihood of tokens, with the fields that OpenAI's always have."""
        writer = completion()
        writer.frames([chat_frame("a")])
        self.assertEqual(
            writer.frames([frame(content="a", logprobs=[LOGPROB])]),
            HEAD
            + b'{"index":0,"delta":{"content":"a"},"logprobs":'
            + SHOWN_LOGPROB
            + b',"finish_reason":null}]}\n\n',
        )

    def test_logprobs_of_a_divided_frame(self) -> None:
        """Those of a frame that becomes two chunks stand in the first one."""
        events = completion().frames([frame(content="a", thinking="b", logprobs=[LOGPROB])])
        first, second = events.removesuffix(b"\n\n").split(b"\n\n")
        self.assertIn(SHOWN_LOGPROB, first)
        self.assertIn(b'"logprobs":null', second)

    def test_logprobs_of_the_final_frame(self) -> None:
        """They alone make a chunk of it."""
        writer = completion()
        writer.frames([chat_frame("a")])
        events = writer.last({**final(), "logprobs": [LOGPROB]}, USAGE)
        self.assertEqual(deltas(events), [{"content": ""}, {}])
        self.assertIn(SHOWN_LOGPROB, events)

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
        writer = completion(include_usage=True)
        writer.frames([chat_frame("a")])
        chunk, usage, _ = writer.last(cut, USAGE).split(b"\n\n", 2)
        self.assertTrue(chunk.endswith(b'"usage":null,"gateway_cut":"budget"}'))
        self.assertNotIn(b"gateway_cut", usage)

    def test_golden_fault(self) -> None:
        """An error event, without [DONE]."""
        self.assertEqual(
            completion().fault(UpstreamFailed(), "the-id"),
            b'data: {"error":{"message":"the model host failed to answer","type":"api_error",'
            b'"param":null,"code":"upstream_failed","request_id":"the-id"}}\n\n',
        )

    def test_no_chat_frame(self) -> None:
        """A frame of another route is nonsense, in the middle and at the end."""
        with self.assertRaises(UpstreamNonsense):
            completion().frames([b'{"response":"x","done":false}'])
        with self.assertRaises(UpstreamNonsense):
            completion().last({"response": "x", "done": True}, USAGE)


class WholeTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """The answer in one piece."""
        self.assertEqual(
            completion().whole(final("length", content="ab", thinking="Hm"), USAGE),
            b'{"id":"chatcmpl-the-id","object":"chat.completion","created":7,"model":"llama3",'
            b'"system_fingerprint":"fp_ollama","choices":[{"index":0,"message":'
            b'{"role":"assistant","content":"ab","reasoning":"Hm"},"logprobs":null,'
            b'"finish_reason":"length"}],"usage":'
            b'{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}',
        )

    def test_tool_calls(self) -> None:
        """Calls have ids and no index; beside them no text is null."""
        choice = orjson.loads(completion().whole(final(tool_calls=[CALL, CALL]), USAGE))["choices"]
        message = choice[0]["message"]
        self.assertIsNone(message["content"])
        self.assertEqual(
            message["tool_calls"],
            [
                {
                    "id": f"call_the-id_{index}",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Ulm","days":[1]}'},
                }
                for index in range(2)
            ],
        )
        body = completion().whole(final(content="so", tool_calls=[CALL]), USAGE)
        self.assertIn(b'"content":"so"', body)

    def test_logprobs(self) -> None:
        """The likelihood of all tokens."""
        body = completion().whole({**final(content="a"), "logprobs": [LOGPROB]}, USAGE)
        self.assertIn(b'"logprobs":' + SHOWN_LOGPROB, body)

    def test_cut(self) -> None:
        """An answer that a budget has cut says so."""
        whole = completion().whole({**FINAL, **CUT_FIELDS}, USAGE)
        self.assertTrue(whole.endswith(b'"total_tokens":5},"gateway_cut":"budget"}'))
