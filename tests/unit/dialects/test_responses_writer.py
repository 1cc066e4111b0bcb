"""What clients of OpenAI's responses read, byte for byte."""

from collections.abc import Mapping
from typing import Any

import orjson
from hypothesis import example, given, settings
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.events import CUT_FIELDS
from neuronetz_twisted.dialects.responses_writer import MAX_SAID_BYTES, ResponseWriter
from neuronetz_twisted.errors import BudgetExhausted, UpstreamFailed, UpstreamNonsense
from neuronetz_twisted.testing.upstream import chat_frame
from tests.unit.dialects.spoken import (
    ODD_TEXT,
    SPOKEN,
    USAGE,
    Spoken,
    calling,
    events_of,
    final,
    message_frame,
)

COUNTS = (
    b'"usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,'
    b'"output_tokens_details":{"reasoning_tokens":0},"total_tokens":5}'
)
REST = (
    b'"previous_response_id":null,"background":false,"store":false,"parallel_tool_calls":true,'
    b'"truncation":"disabled","metadata":{},'
)
ECHO = b',"tool_choice":"auto"'
MESSAGE = (
    b'{"id":"msg_the-id_0","type":"message","role":"assistant","status":"completed","content":'
    b'[{"type":"output_text","annotations":[],"logprobs":[],"text":"ab"}]}'
)


def writer() -> ResponseWriter:
    """A writer of one answer."""
    return ResponseWriter(id="the-id", created=7, model="llama3", echo={"tool_choice": "auto"})


def response(
    status: bytes, output: bytes, usage: bytes, details: bytes = b"null", beside: bytes = b""
) -> bytes:
    """The object of an answer."""
    return (
        b'{"id":"resp_the-id","object":"response","created_at":7,"status":"%b","error":null,'
        b'"incomplete_details":%b,"model":"llama3","output":[%b],%b%b%b%b}'
        % (status, details, output, REST, usage, ECHO, beside)
    )


def event(name: bytes, data: bytes, number: int) -> bytes:
    """One event."""
    return b'event: %b\ndata: {"type":"%b",%b,"sequence_number":%d}\n\n' % (
        name,
        name,
        data,
        number,
    )


BEGUN = b"".join(
    event(name, b'"response":' + response(b"in_progress", b"", b'"usage":null'), number)
    for number, name in enumerate((b"response.created", b"response.in_progress"))
)
PLACE = b'"item_id":"msg_the-id_0","output_index":0,"content_index":0,'


def part(text: bytes) -> bytes:
    """The part of a message."""
    return b'"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"%b"}' % text


class StreamedTests(SynchronousTestCase):
    def test_golden_text(self) -> None:
        """One message, which the first frame opens and the final one ends and repeats."""
        answer = writer()
        begun = MESSAGE.replace(b"completed", b"in_progress").partition(b"[")[0] + b"[]}"
        delta = PLACE + b'"delta":"%b","logprobs":[]'
        self.assertEqual(
            answer.frames([chat_frame("a"), chat_frame("b")]),
            BEGUN
            + event(b"response.output_item.added", b'"output_index":0,"item":' + begun, 2)
            + event(b"response.content_part.added", PLACE + part(b""), 3)
            + event(b"response.output_text.delta", delta % b"a", 4)
            + event(b"response.output_text.delta", delta % b"b", 5),
        )
        self.assertEqual(
            answer.last(final(), USAGE),
            event(b"response.output_text.done", PLACE + b'"text":"ab","logprobs":[]', 6)
            + event(b"response.content_part.done", PLACE + part(b"ab"), 7)
            + event(b"response.output_item.done", b'"output_index":0,"item":' + MESSAGE, 8)
            + event(
                b"response.completed",
                b'"response":' + response(b"completed", MESSAGE, COUNTS),
                9,
            ),
        )

    def test_golden_reasoning(self) -> None:
        """Thinking is a summary of the reasoning."""
        place = b'"item_id":"rs_the-id_0","output_index":0,"summary_index":0,'
        item = b'{"id":"rs_the-id_0","type":"reasoning","status":"%b","summary":[%b]}'
        summary = b'{"type":"summary_text","text":"%b"}'
        name = b"response.reasoning_summary_"
        answer = writer()
        data = answer.frames([message_frame("", "Hm"), chat_frame("ab")])
        self.assertTrue(
            data.startswith(
                BEGUN
                + event(
                    b"response.output_item.added",
                    b'"output_index":0,"item":' + item % (b"in_progress", b""),
                    2,
                )
                + event(name + b"part.added", place + b'"part":' + summary % b"", 3)
                + event(name + b"text.delta", place + b'"delta":"Hm"', 4)
                + event(name + b"text.done", place + b'"text":"Hm"', 5)
                + event(name + b"part.done", place + b'"part":' + summary % b"Hm", 6)
                + event(
                    b"response.output_item.done",
                    b'"output_index":0,"item":' + item % (b"completed", summary % b"Hm"),
                    7,
                )
                + b"event: response.output_item.added"
            ),
            data,
        )

    def test_golden_call(self) -> None:
        """The arguments of a call come in one piece, whatever was said before it is over."""
        place = b'"item_id":"fc_the-id_1","output_index":1,'
        item = (
            b'"output_index":1,"item":{"id":"fc_the-id_1","type":"function_call","status":"%b",'
            b'"call_id":"call_the-id_1","name":"add","arguments":"%b"}'
        )
        arguments = rb"{\"a\":1}"
        name = b"response.function_call_arguments"
        answer = writer()
        answer.frames([chat_frame("ab")])
        data = answer.frames([calling("add", {"a": 1})])
        self.assertTrue(
            data.endswith(
                event(b"response.output_item.done", b'"output_index":0,"item":' + MESSAGE, 7)
                + event(b"response.output_item.added", item % (b"in_progress", b""), 8)
                + event(name + b".delta", place + b'"delta":"%b"' % arguments, 9)
                + event(name + b".done", place + b'"name":"add","arguments":"%b"' % arguments, 10)
                + event(b"response.output_item.done", item % (b"completed", arguments), 11)
            ),
            data,
        )

    @settings(deadline=None)
    @given(SPOKEN)
    @example(Spoken.of([(ODD_TEXT, "</think>")]))
    def test_texts(self, spoken: Spoken) -> None:
        """Text that was never parsed arrives whole, in deltas, in each item and at the end."""
        answer = writer()
        events = events_of(answer.frames(spoken.lines) + answer.last(final(), USAGE))
        self.assertEqual([each["sequence_number"] for each in events], list(range(len(events))))
        streamed: dict[str, str] = {}
        done: list[Mapping[str, Any]] = []
        for each in events:
            if each["type"].endswith("_text.delta"):
                streamed[each["item_id"]] = streamed.get(each["item_id"], "") + each["delta"]
            elif each["type"].endswith("_text.done"):
                self.assertEqual(streamed[each["item_id"]], each["text"])
            elif each["type"] == "response.output_item.done":
                self.assertEqual(each["output_index"], len(done))
                done.append(each["item"])
        output = events[-1]["response"]["output"]
        self.assertEqual(output, done)
        self.assertEqual({item["id"]: text_of(item) for item in output}, streamed)
        said = {"message": "", "reasoning": ""}
        for item in output:
            said[item["type"]] += text_of(item)
        self.assertEqual(said, {"message": spoken.content, "reasoning": spoken.thinking})

    def test_nothing_said(self) -> None:
        """An answer without a word has no item."""
        completed = b'"response":' + response(b"completed", b"", COUNTS)
        self.assertEqual(
            writer().last(final("load"), USAGE),
            BEGUN + event(b"response.completed", completed, 2),
        )

    def test_golden_length(self) -> None:
        """A response that met its length is incomplete, and so is what it was saying."""
        answer = writer()
        answer.frames([chat_frame("ab")])
        data = answer.last({**final("length"), **CUT_FIELDS}, USAGE)
        message = MESSAGE.replace(b"completed", b"incomplete")
        self.assertTrue(
            data.endswith(
                event(b"response.output_item.done", b'"output_index":0,"item":' + message, 7)
                + event(
                    b"response.incomplete",
                    b'"response":'
                    + response(
                        b"incomplete",
                        message,
                        COUNTS,
                        b'{"reason":"max_output_tokens"}',
                        b',"gateway_cut":"budget"',
                    ),
                    8,
                )
            ),
            data,
        )

    def test_golden_fault(self) -> None:
        """An error event with the next number, and no response that is over."""
        answer = writer()
        answer.frames([chat_frame("a")])
        self.assertEqual(
            answer.fault(UpstreamFailed(), "the-id"),
            event(
                b"error",
                b'"code":"upstream_failed","message":"the model host failed to answer",'
                b'"param":null,"error":{"message":"the model host failed to answer","type":'
                b'"api_error","param":null,"code":"upstream_failed","request_id":"the-id"}',
                5,
            ),
        )

    def test_fault_for_a_limit(self) -> None:
        """A limit that was reached is named inside."""
        refusal = BudgetExhausted(limit="day", retry_after=1, why="key/day", fields=())
        (error,) = events_of(writer().fault(refusal, "the-id"))
        self.assertEqual(error["error"]["limit"], "day")

    def test_too_large(self) -> None:
        """What is kept to be repeated has a limit, over all items."""
        half = "x" * (MAX_SAID_BYTES // 2)
        answer = writer()
        answer.frames([message_frame("", half), chat_frame(half[:-4])])
        with self.assertRaises(UpstreamNonsense):
            answer.frames([chat_frame("x")])
        answer = writer()
        answer.frames([chat_frame(half)])
        with self.assertRaises(UpstreamNonsense):
            answer.frames([calling("add", {"a": half})])


class WholeTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """The answer in one piece, its items in the order of a stream."""
        call = {"function": {"name": "add", "arguments": {"a": 1}}}
        said = final(content="ab", thinking="Hm", tool_calls=[call])
        output = (
            b'{"id":"rs_the-id_0","type":"reasoning","status":"completed","summary":'
            b'[{"type":"summary_text","text":"Hm"}]},'
            + MESSAGE.replace(b"_0", b"_1")
            + b',{"id":"fc_the-id_2","type":"function_call","status":"completed","call_id":'
            b'"call_the-id_2","name":"add","arguments":"{\\"a\\":1}"}'
        )
        self.assertEqual(writer().whole(said, USAGE), response(b"completed", output, COUNTS))

    def test_length(self) -> None:
        """What was being said is incomplete; a call that is there is whole."""
        call = {"function": {"name": "add", "arguments": {}}}
        for message, expected in (
            ({"content": "ab"}, ["incomplete"]),
            ({"content": "", "thinking": "Hm"}, ["incomplete"]),
            ({"content": "ab", "thinking": "Hm"}, ["completed", "incomplete"]),
            ({"content": "ab", "tool_calls": [call]}, ["completed", "completed"]),
            ({"content": ""}, []),
        ):
            with self.subTest(message=message):
                cut = {**final("length", **message), **CUT_FIELDS}
                body = orjson.loads(writer().whole(cut, USAGE))
                self.assertEqual([item["status"] for item in body["output"]], expected)
                self.assertEqual(body["status"], "incomplete")
                self.assertEqual(body["incomplete_details"], {"reason": "max_output_tokens"})
                self.assertEqual(body["gateway_cut"], "budget")


def text_of(item: Mapping[str, Any]) -> str:
    """The text of an item."""
    parts = item["content"] if item["type"] == "message" else item["summary"]
    return "".join(each["text"] for each in parts)
