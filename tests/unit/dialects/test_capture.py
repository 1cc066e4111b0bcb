"""What is kept of an answer is what the client was told, up to a limit."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.capture import (
    MAX_ANSWER_BYTES,
    CapturingStreamWriter,
    CapturingWriter,
    Heard,
)
from neuronetz_twisted.dialects.openai_writers import ChatCompletionWriter
from neuronetz_twisted.dialects.writers import NativeWriter
from neuronetz_twisted.errors import UpstreamFailed, UpstreamNonsense
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from neuronetz_twisted.vocabulary import Usage

USAGE = Usage()
Chatting = NativeWriter | ChatCompletionWriter


def thinking_frame(text: str) -> bytes:
    """A frame in which the model thinks."""
    frame = orjson.loads(chat_frame(""))
    frame["message"]["thinking"] = text
    return orjson.dumps(frame)


def calling_frame(*names: str) -> bytes:
    """A frame that calls tools."""
    frame = orjson.loads(chat_frame(""))
    frame["message"]["tool_calls"] = [
        {"function": {"name": name, "arguments": {"city": "Köln"}}} for name in names
    ]
    return orjson.dumps(frame)


def streaming(limit: int = MAX_ANSWER_BYTES) -> tuple[CapturingStreamWriter, Heard]:
    """What writes a native stream, and what it hears."""
    heard = Heard(limit)
    return CapturingStreamWriter(NativeWriter(), heard), heard


def said(heard: Heard) -> Any:
    """All that was heard."""
    return orjson.loads(heard.said())


def openai() -> ChatCompletionWriter:
    """A writer of OpenAI's dialect."""
    return ChatCompletionWriter(id="1", created=1, model="m", include_usage=False)


class CapturingTests(SynchronousTestCase):
    def test_nothing_changes_for_the_client(self) -> None:
        """All that goes out is the other writer's, in both dialects."""
        lines = [chat_frame("Hello"), thinking_frame("hm"), chat_frame(' "wörld"\n')]
        final, refusal = orjson.loads(chat_final()), UpstreamFailed()
        both: list[tuple[Chatting, Chatting]]
        both = [(NativeWriter(), NativeWriter()), (openai(), openai())]
        for plain, other in both:
            writer = CapturingStreamWriter(other, Heard())
            self.assertEqual(writer.stream_type, plain.stream_type)
            self.assertEqual(writer.frames(lines), plain.frames(lines))
            self.assertEqual(writer.last(final, USAGE), plain.last(final, USAGE))
            self.assertEqual(writer.fault(refusal, "id"), plain.fault(refusal, "id"))
            whole = CapturingWriter(other, Heard()).whole(final, USAGE)
            self.assertEqual(whole, plain.whole(final, USAGE))

    def test_streamed(self) -> None:
        """Content and thinking of all frames, the final one too."""
        writer, heard = streaming()
        writer.frames([thinking_frame("let me "), thinking_frame("see")])
        writer.frames([chat_frame("Hello"), chat_frame(' "wörld"\n')])
        final = orjson.loads(chat_final())
        writer.last({**final, "message": {"role": "assistant", "content": "!"}}, USAGE)
        self.assertEqual(
            said(heard), {"content": 'Hello "wörld"\n!', "thinking": "let me see", "cut": False}
        )

    def test_whole(self) -> None:
        """An answer in one piece."""
        heard = Heard()
        message = {"content": "Hello", "thinking": "hm"}
        CapturingWriter(openai(), heard).whole({"message": message}, USAGE)
        self.assertEqual(said(heard), {**message, "cut": False})

    def test_nothing(self) -> None:
        """An answer that broke before it said anything."""
        self.assertEqual(said(Heard()), {"content": "", "thinking": "", "cut": False})

    def test_limit(self) -> None:
        """What is beyond the limit is left out, and the answer says so."""
        writer, heard = streaming(5)
        writer.frames([chat_frame("12345")])
        self.assertFalse(said(heard)["cut"])
        writer.frames([chat_frame("")])
        self.assertFalse(said(heard)["cut"])
        writer.frames([chat_frame("6"), chat_frame("7")])
        writer.frames([chat_frame("8")])
        writer.last(orjson.loads(chat_final()), USAGE)
        self.assertEqual(said(heard), {"content": "12345", "thinking": "", "cut": True})

    def test_cut_between_characters(self) -> None:
        """Half a character is none, and nothing comes behind a gap."""
        writer, heard = streaming(5)
        writer.frames([chat_frame("üüü"), chat_frame("x")])
        self.assertEqual(said(heard), {"content": "üü", "thinking": "", "cut": True})

    def test_thinking_counts(self) -> None:
        """Thinking and content share the limit; who thinks too long is heard saying nothing."""
        heard = Heard(4)
        heard.hear("Hello", "12345", None)
        self.assertEqual(said(heard), {"content": "", "thinking": "1234", "cut": True})

    def test_tool_calls(self) -> None:
        """Calls of tools are part of what was said, each a line of JSON; in all frames."""
        writer, heard = streaming()
        writer.frames([chat_frame("Hm"), calling_frame("w", "x")])
        writer.last(orjson.loads(calling_frame("y")), USAGE)
        kept = said(heard)
        self.assertEqual((kept["content"], kept["cut"]), ("Hm", False))
        called = [orjson.loads(line) for line in kept["tool_calls"].splitlines()]
        self.assertEqual([call["function"]["name"] for call in called], ["w", "x", "y"])
        self.assertEqual(called[0]["function"]["arguments"], {"city": "Köln"})

    def test_tool_calls_in_one_piece(self) -> None:
        """As in a stream."""
        writer, streamed = streaming()
        writer.frames([calling_frame("w", "x")])
        whole = Heard()
        frame = orjson.loads(calling_frame("w", "x"))
        CapturingWriter(NativeWriter(), whole).whole(frame, USAGE)
        self.assertEqual(said(whole), said(streamed))

    def test_tool_calls_count(self) -> None:
        """They share the limit with all that was said before them."""
        writer, heard = streaming(10)
        writer.frames([chat_frame("12345"), calling_frame("w"), chat_frame("6")])
        self.assertEqual(
            said(heard), {"content": "12345", "thinking": "", "tool_calls": '{"fun', "cut": True}
        )

    def test_nonsense(self) -> None:
        """Frames that the other writer refuses are not heard."""
        heard = Heard()
        with self.assertRaises(UpstreamNonsense):
            CapturingStreamWriter(openai(), heard).frames(
                [b'{"model":"m","created_at":"t","response":"x","done":false}']
            )
        self.assertEqual(said(heard)["content"], "")
