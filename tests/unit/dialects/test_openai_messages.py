"""Messages of OpenAI's chat as Ollama's."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.openai_messages import read_messages
from neuronetz_twisted.errors import InvalidRequest
from tests.unit.dialects.pictures import in_base64, png

PICTURE = in_base64(png())
URL = f"data:image/png;base64,{PICTURE}"


def native(*messages: dict[str, Any]) -> tuple[list[Any], list[str]]:
    """Native messages, and the names of what was left out."""
    ignored: list[str] = []
    return read_messages(messages, ignored), ignored


def text(words: str) -> dict[str, Any]:
    """A part of text."""
    return {"type": "text", "text": words}


def image(url: str = URL) -> dict[str, Any]:
    """A part that is an image."""
    return {"type": "image_url", "image_url": {"url": url}}


def call(**changes: Any) -> dict[str, Any]:
    """A tool call, as a client got it."""
    function = {"name": "weather", "arguments": '{"city": "Ulm"}'}
    return {"id": "call_1", "type": "function", "function": function, **changes}


class MessageTests(SynchronousTestCase):
    def test_roles(self) -> None:
        """Each role as Ollama's; a developer is the system."""
        for role, expected in (
            ("system", "system"),
            ("developer", "system"),
            ("user", "user"),
            ("assistant", "assistant"),
            ("tool", "tool"),
        ):
            with self.subTest(role=role):
                messages, ignored = native({"role": role, "content": "Hi"})
                self.assertEqual(messages, [{"role": expected, "content": "Hi"}])
                self.assertEqual(ignored, [])

    def test_absent(self) -> None:
        """An answer as the client's library writes it back: nulls say nothing."""
        nulls = dict.fromkeys(
            (
                "content",
                "refusal",
                "annotations",
                "audio",
                "function_call",
                "tool_calls",
                "tool_call_id",
                "name",
                "reasoning",
            )
        )
        for message in ({}, nulls, {"tool_calls": [], "content": [], "reasoning": ""}):
            with self.subTest(message=message):
                messages, ignored = native({"role": "assistant", **message})
                self.assertEqual(messages, [{"role": "assistant", "content": ""}])
                self.assertEqual(ignored, [])

    def test_reasoning(self) -> None:
        """What an assistant thought goes back as that."""
        messages, _ = native({"role": "assistant", "content": "a", "reasoning": "Hm"})
        self.assertEqual(messages, [{"role": "assistant", "content": "a", "thinking": "Hm"}])

    def test_dropped(self) -> None:
        """What has no meaning in a message, or not for its role, is named."""
        messages, ignored = native(
            {"role": "user", "content": "a", "name": "Ann", "tool_call_id": "x", "weight": 1},
            {"role": "assistant", "refusal": "no", "annotations": [], "content": "b"},
        )
        self.assertEqual(
            messages, [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        )
        self.assertEqual(
            sorted(ignored), ["annotations", "name", "refusal", "tool_call_id", "weight"]
        )

    def test_images(self) -> None:
        """Each message keeps its own."""
        first, second = in_base64(png(1, 2)), in_base64(png(3, 4))
        said = [
            {"role": "user", "content": [image(f"data:;base64,{picture}")]}
            for picture in (first, second)
        ]
        messages, _ = native(*said)
        self.assertEqual([message["images"] for message in messages], [[first], [second]])

    def test_refused(self) -> None:
        """What cannot be carried is refused by its name."""
        for message, param in (
            ({"content": "x"}, "messages"),
            ({"role": "function", "content": "x"}, "role"),
            ({"role": "user", "content": 1}, "content"),
            ({"role": "user", "content": {}}, "content"),
            ({"role": "user", "content": ["x"]}, "content"),
            ({"role": "user", "content": [{}]}, "content"),
            ({"role": "user", "content": [{"text": "x"}]}, "content"),
            ({"role": "user", "content": [{"type": "input_audio"}]}, "type"),
            ({"role": "user", "content": [{"type": "file"}]}, "type"),
            ({"role": "user", "content": [{"input_audio": {}}]}, "input_audio"),
            ({"role": "user", "content": [{"file": {}}]}, "file"),
            ({"role": "user", "content": [{"type": "text", "text": 1}]}, "text"),
            ({"role": "user", "content": [{"type": "text", "text": None}]}, "content"),
            ({"role": "user", "content": [{"type": "image_url"}]}, "content"),
            ({"role": "user", "content": [{"type": "image_url", "text": "x"}]}, "content"),
            ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "image_url"),
            ({"role": "user", "content": [{"type": "image_url", "image_url": 1}]}, "image_url"),
            ({"role": "user", "content": [image("http://x/a.png")]}, "image_url"),
            ({"role": "user", "content": [image("HTTPS://x/a.png")]}, "image_url"),
            ({"role": "user", "content": [image("file:///etc/passwd")]}, "image_url"),
            ({"role": "user", "content": [image("data:image/png,x")]}, "image_url"),
            ({"role": "user", "content": [image("")]}, "image_url"),
            ({"role": "assistant", "audio": {"id": "x"}}, "audio"),
            ({"role": "assistant", "function_call": {}}, "function_call"),
            ({"role": "assistant", "Tool_Calls": []}, "tool_calls"),
            ({"role": "assistant", "tool_calls": {}}, "tool_calls"),
            ({"role": "assistant", "tool_calls": [{}]}, "tool_calls"),
            ({"role": "assistant", "tool_calls": [call(type="custom")]}, "type"),
            ({"role": "assistant", "tool_calls": [call(id="x" * 300)]}, "id"),
            ({"role": "tool", "tool_call_id": 1}, "tool_call_id"),
        ):
            with self.subTest(message=message):
                with self.assertRaises(InvalidRequest) as caught:
                    native(message)
                self.assertEqual(caught.exception.param, param)


class PartTests(SynchronousTestCase):
    def test_text(self) -> None:
        """Texts are joined as Ollama's templates join messages."""
        messages, _ = native({"role": "user", "content": [text("a"), text("b")]})
        self.assertEqual(messages, [{"role": "user", "content": "a\n\nb"}])

    def test_one_image(self) -> None:
        """An image and its text are one message, whichever came first."""
        expected = [{"role": "user", "content": "a", "images": [PICTURE]}]
        for parts in ([text("a"), image()], [image(), text("a")]):
            with self.subTest(parts=parts):
                self.assertEqual(native({"role": "user", "content": parts}), (expected, []))

    def test_url_alone(self) -> None:
        """As Ollama's own layer, a URL needs no object; what it cannot use is named."""
        for url in (URL, {"url": URL, "detail": "high"}):
            with self.subTest(url=url):
                part = {"type": "image_url", "image_url": url}
                messages, ignored = native({"role": "user", "content": [part]})
                self.assertEqual(messages[0]["images"], [PICTURE])
                self.assertEqual(ignored, [] if url is URL else ["detail"])

    def test_several_images(self) -> None:
        """Images between texts keep their places: a native message shows its images first."""
        first, second = in_base64(png(1, 2)), in_base64(png(3, 4))
        parts = [
            text("This:"),
            image(f"data:;base64,{first}"),
            image(f"data:;base64,{second}"),
            text("or this:"),
            image(f"data:;base64,{second}"),
        ]
        messages, _ = native({"role": "user", "content": parts})
        self.assertEqual(
            messages,
            [
                {"role": "user", "content": "This:"},
                {"role": "user", "content": "or this:", "images": [first, second]},
                {"role": "user", "content": "", "images": [second]},
            ],
        )


class ToolTests(SynchronousTestCase):
    def test_calls(self) -> None:
        """A call's arguments are JSON in a string; its index means nothing here."""
        messages, ignored = native(
            {"role": "assistant", "content": None, "tool_calls": [call(index=0)]}
        )
        self.assertEqual(
            messages[0]["tool_calls"],
            [{"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Ulm"}}}],
        )
        self.assertEqual((messages[0]["content"], ignored), ("", ["index"]))

    def test_calls_beside_parts(self) -> None:
        """Calls and thoughts belong to the last of several messages."""
        messages, _ = native(
            {
                "role": "assistant",
                "content": [text("a"), image(), image()],
                "reasoning": "Hm",
                "tool_calls": [call()],
            }
        )
        self.assertEqual(
            [("tool_calls" in m, "thinking" in m) for m in messages],
            [
                (False, False),
                (True, True),
            ],
        )

    def test_no_arguments(self) -> None:
        """None, or an empty string, are no arguments."""
        for function in ({"name": "a"}, {"name": "a", "arguments": ""}):
            with self.subTest(function=function):
                messages, _ = native({"role": "assistant", "tool_calls": [{"function": function}]})
                self.assertEqual(
                    messages[0]["tool_calls"], [{"function": {"name": "a", "arguments": {}}}]
                )

    def test_bad_arguments(self) -> None:
        """Arguments that are no object, or too deep, are refused; so is an object as it is."""
        for arguments in ("{", "[]", "1", '{"a":NaN}', '{"a":' * 40 + "1" + "}" * 40, {"a": 1}):
            with self.subTest(arguments=arguments):
                function = {"name": "a", "arguments": arguments}
                with self.assertRaises(InvalidRequest) as caught:
                    native({"role": "assistant", "tool_calls": [call(function=function)]})
                self.assertEqual(caught.exception.param, "arguments")

    def test_results(self) -> None:
        """A result has the name of the tool whose call it answers, unless it says it itself."""
        again = call(function={"name": "again", "arguments": "{}"})
        calls = {"role": "assistant", "tool_calls": [call(), call(id="call_2"), again]}
        for result, expected in (
            ({"tool_call_id": "call_2"}, {"tool_name": "weather", "tool_call_id": "call_2"}),
            ({"tool_call_id": "call_1"}, {"tool_name": "again", "tool_call_id": "call_1"}),
            ({"tool_call_id": "call_3"}, {"tool_call_id": "call_3"}),
            (
                {"tool_call_id": "call_2", "name": "own"},
                {"tool_name": "own", "tool_call_id": "call_2"},
            ),
            ({"name": "own"}, {"tool_name": "own"}),
            ({}, {}),
        ):
            with self.subTest(result=result):
                messages, ignored = native(calls, {"role": "tool", "content": "12", **result})
                self.assertEqual(messages[1], {"role": "tool", "content": "12", **expected})
                self.assertEqual(ignored, [])
