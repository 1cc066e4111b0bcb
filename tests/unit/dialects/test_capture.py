"""What is kept of an answer is what the client was told, up to a limit."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.capture import CapturingWriter
from neuronetz_twisted.dialects.openai_writers import ChatCompletionWriter
from neuronetz_twisted.dialects.writers import NativeWriter
from neuronetz_twisted.errors import UpstreamFailed, UpstreamNonsense
from neuronetz_twisted.testing.upstream import chat_final, chat_frame
from neuronetz_twisted.vocabulary import Usage

USAGE = Usage()


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


def heard(writer: CapturingWriter) -> Any:
    """All that was heard."""
    return orjson.loads(writer.said())


def openai() -> ChatCompletionWriter:
    """A writer of OpenAI's dialect."""
    return ChatCompletionWriter(id="1", created=1, model="m", include_usage=False)


class CapturingTests(SynchronousTestCase):
    def test_nothing_changes_for_the_client(self) -> None:
        """All that goes out is the other writer's, in both dialects."""
        lines = [chat_frame("Hello"), thinking_frame("hm"), chat_frame(' "wörld"\n')]
        final = orjson.loads(chat_final())
        for plain, writer in (
            (NativeWriter(), CapturingWriter(NativeWriter())),
            (openai(), CapturingWriter(openai())),
        ):
            self.assertEqual(writer.stream_type, plain.stream_type)
            self.assertEqual(writer.frames(lines), plain.frames(lines))
            self.assertEqual(writer.last(final, USAGE), plain.last(final, USAGE))
            refusal = UpstreamFailed()
            self.assertEqual(writer.fault(refusal, "id"), plain.fault(refusal, "id"))
            self.assertEqual(writer.whole(final, USAGE), plain.whole(final, USAGE))

    def test_streamed(self) -> None:
        """Content and thinking of all frames, the final one too."""
        writer = CapturingWriter(NativeWriter())
        writer.frames([thinking_frame("let me "), thinking_frame("see")])
        writer.frames([chat_frame("Hello"), chat_frame(' "wörld"\n')])
        final = orjson.loads(chat_final())
        writer.last({**final, "message": {"role": "assistant", "content": "!"}}, USAGE)
        self.assertEqual(
            heard(writer), {"content": 'Hello "wörld"\n!', "thinking": "let me see", "cut": False}
        )

    def test_whole(self) -> None:
        """An answer in one piece."""
        writer = CapturingWriter(openai())
        writer.whole({"message": {"content": "Hello", "thinking": "hm"}}, USAGE)
        self.assertEqual(heard(writer), {"content": "Hello", "thinking": "hm", "cut": False})

    def test_nothing(self) -> None:
        """An answer that broke before it said anything."""
        self.assertEqual(
            heard(CapturingWriter(NativeWriter())), {"content": "", "thinking": "", "cut": False}
        )

    def test_limit(self) -> None:
        """What is beyond the limit is left out, and the answer says so."""
        writer = CapturingWriter(NativeWriter(), 5)
        writer.frames([chat_frame("12345")])
        self.assertFalse(heard(writer)["cut"])
        writer.frames([chat_frame("")])
        self.assertFalse(heard(writer)["cut"])
        writer.frames([chat_frame("6"), chat_frame("7")])
        writer.frames([chat_frame("8")])
        writer.last(orjson.loads(chat_final()), USAGE)
        self.assertEqual(heard(writer), {"content": "12345", "thinking": "", "cut": True})

    def test_cut_between_characters(self) -> None:
        """Half a character is none, and nothing comes behind a gap."""
        writer = CapturingWriter(NativeWriter(), 5)
        writer.frames([chat_frame("üüü"), chat_frame("x")])
        self.assertEqual(heard(writer), {"content": "üü", "thinking": "", "cut": True})

    def test_thinking_counts(self) -> None:
        """Thinking and content share the limit; who thinks too long is heard saying nothing."""
        writer = CapturingWriter(NativeWriter(), 4)
        writer.whole({"message": {"content": "Hello", "thinking": "12345"}}, USAGE)
        self.assertEqual(heard(writer), {"content": "", "thinking": "1234", "cut": True})

    def test_tool_calls(self) -> None:
        """Calls of tools are part of what was said, each a line of JSON; in all frames."""
        writer = CapturingWriter(NativeWriter())
        writer.frames([chat_frame("Hm"), calling_frame("w", "x")])
        writer.last(orjson.loads(calling_frame("y")), USAGE)
        said = heard(writer)
        self.assertEqual((said["content"], said["cut"]), ("Hm", False))
        called = [orjson.loads(line) for line in said["tool_calls"].splitlines()]
        self.assertEqual([call["function"]["name"] for call in called], ["w", "x", "y"])
        self.assertEqual(called[0]["function"]["arguments"], {"city": "Köln"})

    def test_tool_calls_in_one_piece(self) -> None:
        """As in a stream."""
        streamed, whole = CapturingWriter(NativeWriter()), CapturingWriter(NativeWriter())
        streamed.frames([calling_frame("w", "x")])
        whole.whole(orjson.loads(calling_frame("w", "x")), USAGE)
        self.assertEqual(heard(whole), heard(streamed))

    def test_tool_calls_count(self) -> None:
        """They share the limit with all that was said before them."""
        writer = CapturingWriter(NativeWriter(), 10)
        writer.frames([chat_frame("12345"), calling_frame("w"), chat_frame("6")])
        self.assertEqual(
            heard(writer),
            {"content": "12345", "thinking": "", "tool_calls": '{"fun', "cut": True},
        )

    def test_nonsense(self) -> None:
        """Frames that the other writer refuses are not heard."""
        writer = CapturingWriter(openai())
        with self.assertRaises(UpstreamNonsense):
            writer.frames([b'{"model":"m","created_at":"t","response":"x","done":false}'])
        self.assertEqual(heard(writer)["content"], "")
