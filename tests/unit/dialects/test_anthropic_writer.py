"""What clients of Anthropic's messages read, byte for byte."""

import orjson
from hypothesis import example, given, settings
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.anthropic_writer import MessageWriter
from neuronetz_twisted.dialects.events import CUT_FIELDS
from neuronetz_twisted.errors import UpstreamFailed
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

START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_the-id",'
    b'"type":"message","role":"assistant","model":"llama3","content":[],"stop_reason":null,'
    b'"stop_sequence":null,"usage":{"input_tokens":9,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"output_tokens":0}}}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
COUNTS = (
    b'"usage":{"input_tokens":3,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"output_tokens":2}'
)


def writer() -> MessageWriter:
    """A writer of one answer."""
    return MessageWriter(id="the-id", model="llama3", input_tokens=9)


def block_start(index: int, block: bytes) -> bytes:
    """The event that opens a block."""
    return (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,'
        b'"content_block":%b}\n\n' % (index, block)
    )


def block_delta(index: int, delta: bytes) -> bytes:
    """The event that adds to a block."""
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
        b'"delta":%b}\n\n' % (index, delta)
    )


def block_stop(index: int) -> bytes:
    """The event that ends a block."""
    return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % index


def message_delta(reason: bytes, beside: bytes = b"") -> bytes:
    """The event that says why the message ended, and what it has cost."""
    return (
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"%b",'
        b'"stop_sequence":null},%b%b}\n\n' % (reason, COUNTS, beside)
    )


TEXT = b'{"type":"text","text":""}'
THINKING = b'{"type":"thinking","thinking":"","signature":""}'


class StreamedTests(SynchronousTestCase):
    def test_golden_text(self) -> None:
        """One block of text, which the first frame opens and the final one ends."""
        answer = writer()
        self.assertEqual(
            answer.frames([chat_frame("a"), chat_frame("b")]),
            START
            + block_start(0, TEXT)
            + block_delta(0, b'{"type":"text_delta","text":"a"}')
            + block_delta(0, b'{"type":"text_delta","text":"b"}'),
        )
        self.assertEqual(
            answer.last(final(), USAGE), block_stop(0) + message_delta(b"end_turn") + STOP
        )

    def test_golden_blocks(self) -> None:
        """Thinking, text and each call are blocks of their own, in the order of the frames."""
        calls = calling("add", {"a": 1}), calling("now", {})
        frames = [message_frame("", "Hm"), chat_frame("ab"), *calls, message_frame("", "So")]
        self.assertEqual(
            writer().frames(frames),
            START
            + block_start(0, THINKING)
            + block_delta(0, b'{"type":"thinking_delta","thinking":"Hm"}')
            + block_stop(0)
            + block_start(1, TEXT)
            + block_delta(1, b'{"type":"text_delta","text":"ab"}')
            + block_stop(1)
            + block_start(2, b'{"type":"tool_use","id":"toolu_the-id_1","name":"add","input":{}}')
            + block_delta(2, b'{"type":"input_json_delta","partial_json":"{\\"a\\":1}"}')
            + block_stop(2)
            + block_start(3, b'{"type":"tool_use","id":"toolu_the-id_2","name":"now","input":{}}')
            + block_delta(3, b'{"type":"input_json_delta","partial_json":"{}"}')
            + block_stop(3)
            + block_start(4, THINKING)
            + block_delta(4, b'{"type":"thinking_delta","thinking":"So"}'),
        )

    @settings(deadline=None)
    @given(SPOKEN)
    @example(Spoken.of([(ODD_TEXT, "</think>")]))
    def test_texts(self, spoken: Spoken) -> None:
        """Text that was never parsed arrives whole, in blocks that never overlap."""
        answer = writer()
        events = events_of(answer.frames(spoken.lines) + answer.last(final(), USAGE))
        said: dict[str, str] = {"text": "", "thinking": ""}
        opened: list[int] = []
        closed: list[int] = []
        for event in events:
            if event["type"] == "content_block_start":
                self.assertEqual(opened, closed)
                opened.append(event["index"])
            elif event["type"] == "content_block_stop":
                closed.append(event["index"])
            elif event["type"] == "content_block_delta":
                self.assertEqual(event["index"], opened[-1])
                name = event["delta"]["type"].removesuffix("_delta")
                said[name] += event["delta"][name]
        self.assertEqual(opened, list(range(len(opened))))
        self.assertEqual(opened, closed)
        self.assertEqual(said, {"text": spoken.content, "thinking": spoken.thinking})

    def test_nothing_said(self) -> None:
        """An answer without a word has no block."""
        self.assertEqual(
            writer().last(final("load"), USAGE), START + message_delta(b"end_turn") + STOP
        )

    def test_stop_reasons(self) -> None:
        """A length that was reached goes before calls; what Ollama does not tell ends a turn."""
        for reason, called, expected in (
            ("stop", False, b"end_turn"),
            ("stop", True, b"tool_use"),
            ("length", False, b"max_tokens"),
            ("length", True, b"max_tokens"),
            ("unload", False, b"end_turn"),
        ):
            with self.subTest(reason=reason, called=called):
                answer = writer()
                answer.frames([calling("add", {})] if called else [chat_frame("a")])
                data = answer.last(final(reason), USAGE)
                self.assertIn(message_delta(expected), data)
                message = orjson.loads(calling("add", {}))["message"] if called else {}
                whole = orjson.loads(writer().whole(final(reason, **message), USAGE))
                self.assertEqual(whole["stop_reason"], expected.decode())

    def test_golden_cut(self) -> None:
        """The event with the reason says who has cut the answer, and so does the whole one."""
        cut = {**final("length"), **CUT_FIELDS}
        self.assertEqual(
            writer().last(cut, USAGE),
            START + message_delta(b"max_tokens", b',"gateway_cut":"budget"') + STOP,
        )
        self.assertTrue(writer().whole(cut, USAGE).endswith(COUNTS + b',"gateway_cut":"budget"}'))

    def test_golden_fault(self) -> None:
        """An error event, and no message_stop."""
        self.assertEqual(
            writer().fault(UpstreamFailed(), "the-id"),
            b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":'
            b'"the model host failed to answer","code":"upstream_failed"},'
            b'"request_id":"the-id"}\n\n',
        )


class WholeTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """The answer in one piece, its blocks in Anthropic's order."""
        call = {"function": {"name": "add", "arguments": {"a": 1}}}
        said = final(content="ab", thinking="Hm", tool_calls=[call])
        self.assertEqual(
            writer().whole(said, USAGE),
            b'{"id":"msg_the-id","type":"message","role":"assistant","model":"llama3","content":'
            b'[{"type":"thinking","thinking":"Hm","signature":""},{"type":"text","text":"ab"},'
            b'{"type":"tool_use","id":"toolu_the-id_1","name":"add","input":{"a":1}}],'
            b'"stop_reason":"tool_use","stop_sequence":null,' + COUNTS + b"}",
        )

    def test_nothing_said(self) -> None:
        """No block at all."""
        self.assertEqual(orjson.loads(writer().whole(final(), USAGE))["content"], [])
