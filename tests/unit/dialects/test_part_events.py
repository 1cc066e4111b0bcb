"""What dialects share that tell of an answer part by part; their own tests have the bytes."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.anthropic_writer import MessageWriter
from neuronetz_twisted.dialects.responses_writer import ResponseWriter
from neuronetz_twisted.errors import UpstreamNonsense
from neuronetz_twisted.testing.upstream import chat_frame
from tests.unit.dialects.spoken import USAGE, calling, final, message_frame

Writing = MessageWriter | ResponseWriter


def anthropic() -> Writing:
    """A writer of Anthropic's messages."""
    return MessageWriter(id="the-id", model="llama3", input_tokens=9)


def responses() -> Writing:
    """A writer of OpenAI's responses."""
    return ResponseWriter(id="the-id", created=7, model="llama3", echo={})


WRITERS = (anthropic, responses)


class PartEventsTests(SynchronousTestCase):
    def test_reads(self) -> None:
        """How many frames come in one read is nothing to the client."""
        lines = [
            *(message_frame("", "Hm"), message_frame("", "so"), chat_frame("a"), chat_frame("")),
            *(calling("add", {"a": 1}), chat_frame("b"), message_frame("c", "d")),
        ]
        for make in WRITERS:
            with self.subTest(make.__name__):
                one_by_one, at_once = make(), make()
                self.assertEqual(
                    b"".join(one_by_one.frames([line]) for line in lines), at_once.frames(lines)
                )

    def test_the_final_frame_speaks(self) -> None:
        """What it says is told as that of any other, if it is the only one as well."""
        for make in WRITERS:
            with self.subTest(make.__name__):
                answer = make()
                told = answer.frames([message_frame("all", "Hm")]) + answer.last(final(), USAGE)
                self.assertEqual(make().last(final(content="all", thinking="Hm"), USAGE), told)

    def test_a_frame_without_a_word(self) -> None:
        """It opens the answer, and adds nothing more."""
        for make in WRITERS:
            with self.subTest(make.__name__):
                answer = make()
                self.assertTrue(answer.frames([chat_frame("")]))
                self.assertEqual(answer.frames([chat_frame("")]), b"")

    def test_no_chat_frame(self) -> None:
        """A frame of another route is nonsense, and so is such a final one."""
        for make in WRITERS:
            with self.subTest(make.__name__):
                with self.assertRaises(UpstreamNonsense):
                    make().frames([b'{"response":"x","done":false}'])
                with self.assertRaises(UpstreamNonsense):
                    make().last({"response": "", "done": True}, USAGE)
