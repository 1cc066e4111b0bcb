"""Input items of OpenAI's responses as the messages of a native chat."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.conversations import Conversation
from neuronetz_twisted.dialects.responses_input import InputReader
from neuronetz_twisted.dialects.tools import MAX_CALLS
from neuronetz_twisted.errors import InvalidRequest
from tests.unit.dialects.pictures import in_base64, png

PICTURE = in_base64(png())


def read(*items: Any) -> Conversation:
    """Read items into a conversation."""
    talk = Conversation()
    reader = InputReader(talk)
    for item in items:
        reader.read(item)
    reader.finish()
    return talk


def said(role: str, text: str) -> dict[str, Any]:
    """A message as clients shorten it."""
    return {"role": role, "content": text}


def called(number: int, arguments: str = "") -> dict[str, Any]:
    """The call of a function."""
    return {
        "type": "function_call",
        "id": f"fc_{number}",
        "call_id": f"call_{number}",
        "name": "add",
        "arguments": arguments,
        "status": "completed",
    }


def gave(number: int, output: Any) -> dict[str, Any]:
    """What a call gave."""
    return {"type": "function_call_output", "call_id": f"call_{number}", "output": output}


def native_call(number: int, arguments: dict[str, Any]) -> dict[str, Any]:
    """The call as Ollama has it."""
    return {"id": f"call_{number}", "function": {"name": "add", "arguments": arguments}}


def thought(text: str) -> dict[str, Any]:
    """Thoughts as answers give them."""
    return {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": text}],
    }


class InputTests(SynchronousTestCase):
    def test_messages(self) -> None:
        """Each role has its name with Ollama; parts are put together."""
        answer = {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "b"},
            ],
        }
        talk = read(
            said("developer", "Be brief"),
            said("system", "Be kind"),
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "See"},
                    {
                        "type": "input_image",
                        "image_url": f"data:image/png;base64,{PICTURE}",
                        "detail": "auto",
                    },
                ],
            },
            answer,
            {"role": "user"},
        )
        self.assertEqual(
            talk.messages,
            [
                {"role": "system", "content": "Be brief"},
                {"role": "system", "content": "Be kind"},
                {"role": "user", "content": "See", "images": [PICTURE]},
                {"role": "assistant", "content": "ab"},
                {"role": "user", "content": ""},
            ],
        )
        self.assertEqual(talk.ignored, ["detail"])

    def test_calls(self) -> None:
        """The calls of one turn are one message, with what was thought and said before."""
        picture = {"type": "input_image", "image_url": f"data:;base64,{PICTURE}"}
        talk = read(
            thought("Hm"),
            said("assistant", "So"),
            called(1, '{"a":1}'),
            called(2),
            gave(1, "3"),
            gave(2, [{"type": "input_text", "text": "4"}, picture]),
            called(3),
            gave(3, "5"),
        )
        result = {"role": "tool", "tool_name": "add"}
        self.assertEqual(
            talk.messages,
            [
                {
                    "role": "assistant",
                    "content": "So",
                    "thinking": "Hm",
                    "tool_calls": [native_call(1, {"a": 1}), native_call(2, {})],
                },
                {**result, "content": "3", "tool_call_id": "call_1"},
                {**result, "content": "4", "images": [PICTURE], "tool_call_id": "call_2"},
                {"role": "assistant", "content": "", "tool_calls": [native_call(3, {})]},
                {**result, "content": "5", "tool_call_id": "call_3"},
            ],
        )

    def test_said_beside_calls(self) -> None:
        """What is said between a call and its output joins the call, which the output answers."""
        picture = {"type": "input_image", "image_url": f"data:;base64,{PICTURE}"}
        talk = read(
            called(1),
            thought("Hm"),
            {"role": "assistant", "content": [{"type": "output_text", "text": "Wait"}, picture]},
            thought("Well"),
            called(2),
            gave(1, "3"),
        )
        self.assertEqual(
            talk.messages[0],
            {
                "role": "assistant",
                "content": "Wait",
                "thinking": "HmWell",
                "images": [PICTURE],
                "tool_calls": [native_call(1, {}), native_call(2, {})],
            },
        )

    def test_turns_without_calls(self) -> None:
        """Two answers in a row are two messages."""
        talk = read(said("assistant", "a"), said("assistant", "b"))
        self.assertEqual([message["content"] for message in talk.messages], ["a", "b"])

    def test_thoughts(self) -> None:
        """The thoughts themselves go before their summary; the last ones are a turn."""
        full = {**thought("short"), "content": [{"type": "reasoning_text", "text": "long"}]}
        self.assertEqual(
            read({**full, "encrypted_content": "x"}, thought("!")).messages,
            [{"role": "assistant", "content": "", "thinking": "long!"}],
        )
        self.assertEqual(read({**full, "encrypted_content": "x"}).ignored, ["encrypted_content"])

    def test_unknown_call(self) -> None:
        """What a call gave that is not here has no name."""
        self.assertEqual(
            read(gave(1, "x")).messages,
            [{"role": "tool", "content": "x", "tool_call_id": "call_1"}],
        )

    def test_refused(self) -> None:
        """What cannot be carried is refused by its name."""
        for item, param in (
            ({"type": "item_reference", "id": "msg_1"}, "input"),
            ({"type": []}, "type"),
            ({"type": ["message"]}, "input"),
            ({"content": "x"}, "input"),
            ({"role": "tool"}, "role"),
            ({"Role": "user"}, "role"),
            ({"Type": "function_call"}, "type"),
            (said("user", 1), "content"),  # type: ignore[arg-type] # what clients may send
            ({"role": "user", "content": [{"type": "input_file"}]}, "type"),
            ({"role": "user", "content": [{"type": {}}]}, "type"),
            ({"role": "user", "content": [{"type": "input_image"}]}, "image_url"),
            (
                {"role": "user", "content": [{"type": "input_image", "image_url": "https://x/"}]},
                "image_url",
            ),
            (called(1, "[1]"), "arguments"),
            (called(1, "{"), "arguments"),
            (called(1, "[" * 40 + "]" * 40), "arguments"),
            ({**called(1), "call_id": ""}, "call_id"),
            ({**called(1), "name": None}, "name"),
            ({"type": "function_call_output"}, "call_id"),
        ):
            with self.subTest(item=item):
                with self.assertRaises(InvalidRequest) as caught:
                    read(item)
                self.assertEqual(caught.exception.param, param)

    def test_too_many_calls(self) -> None:
        """The calls of one message have a limit, however they come."""
        calls = [called(number) for number in range(MAX_CALLS + 1)]
        read(*calls[1:])
        with self.assertRaises(InvalidRequest) as caught:
            read(*calls)
        self.assertEqual(caught.exception.param, "tool_calls")
