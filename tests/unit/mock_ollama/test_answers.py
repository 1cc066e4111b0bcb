"""Answers with thinking, tools, formats, probabilities and images, in Ollama's shapes."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.speech import count_tokens
from tests.unit.mock_ollama.peer import Answer, Peer

PARAMETERS = {
    "type": "object",
    "required": ["city"],
    "properties": {
        "city": {"type": "string", "enum": ["Paris", "Rome"]},
        "days": {"type": "integer"},
    },
}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "clock"}},
]
FINAL = "done_reason total_duration load_duration prompt_eval_count prompt_eval_duration eval_count"


def chat(text: str, **fields: Any) -> Answer:
    """Chat with a fresh twin."""
    message = {"role": "user", "content": text, **fields.pop("message", {})}
    body = {"model": "qwen3:8b", "messages": [message], **fields}
    return Peer().ask("POST", "/api/chat", body)


def generate(text: str, **fields: Any) -> Answer:
    """Ask a fresh twin to go on from a prompt."""
    return Peer().ask("POST", "/api/generate", {"model": "qwen3:8b", "prompt": text, **fields})


def folded(case: SynchronousTestCase, frames: list[Any], whole: dict[str, Any]) -> None:
    """Check that an answer in one object is what Ollama makes of the frames."""
    messages = [frame["message"] for frame in frames]
    expected: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(part["content"] for part in messages),
    }
    thinking = "".join(part.get("thinking", "") for part in messages)
    calls = [call for part in messages for call in part.get("tool_calls", ())]
    expected |= {"thinking": thinking} if thinking else {}
    expected |= {"tool_calls": calls} if calls else {}
    probable = [one for frame in frames for one in frame.get("logprobs", ())]
    joined = {**frames[-1], "message": expected} | ({"logprobs": probable} if probable else {})
    case.assertEqual(whole, joined)


class ToolTests(SynchronousTestCase):
    def test_call(self) -> None:
        """A call comes in a frame of its own with Ollama's shape, and the answer has no text."""
        first, final = chat("[[tool=weather]]", tools=TOOLS).lines()
        message = first["message"]
        self.assertEqual(list(message), ["role", "content", "tool_calls"])
        self.assertEqual(message["content"], "")
        (call,) = message["tool_calls"]
        self.assertRegex(call.pop("id"), "^call_[a-z0-9]{8}$")
        function = {"index": 0, "name": "weather", "arguments": {"city": "Paris"}}
        self.assertEqual(call, {"function": function})
        self.assertEqual((final["done"], final["done_reason"]), (True, "stop"))
        self.assertEqual(final["eval_count"], count_tokens(orjson.dumps(function).decode()))

    def test_grouping(self) -> None:
        """Several calls come together, apart, or in the last frame; their ids differ."""
        for how, counts in (("together", [3, 0]), ("apart", [1, 1, 1, 0]), ("final", [3])):
            with self.subTest(how=how):
                text = f"[[tools=2 tool=weather calls={how}]]"
                frames = chat(text, tools=TOOLS).lines()
                calls = [frame["message"].get("tool_calls", []) for frame in frames]
                self.assertEqual([len(some) for some in calls], counts)
                flat = [call for some in calls for call in some]
                self.assertEqual([call["function"]["index"] for call in flat], [0, 1, 2])
                self.assertEqual(
                    [call["function"]["name"] for call in flat], ["weather", "weather", "clock"]
                )
                self.assertEqual(len({call["id"] for call in flat}), 3)
                folded(self, frames, chat(text, tools=TOOLS, stream=False).json())

    def test_text_before_calls(self) -> None:
        """With a number of tokens there is text before the calls."""
        frames = chat("[[n=2 tools=1]]", tools=TOOLS).lines()
        self.assertEqual(
            [bool(frame["message"]["content"]) for frame in frames], [True, True, False, False]
        )

    def test_only_on_request(self) -> None:
        """Tools alone change nothing, nor does a directive without tools."""
        for text, fields in (("hi", {"tools": TOOLS}), ("hi [[tools=2]]", {})):
            with self.subTest(text=text):
                frames = chat(text, **fields).lines()
                self.assertFalse([frame for frame in frames if "tool_calls" in frame["message"]])
                self.assertGreater(len(frames), 30)

    def test_unknown_tool(self) -> None:
        """A model may call what is not there, without arguments."""
        first, _ = chat("[[tool=nothing]]", tools=[{"function": {"name": "x"}}, {}]).lines()
        self.assertEqual(first["message"]["tool_calls"][0]["function"]["arguments"], {})

    def test_limit(self) -> None:
        """No call is begun at the limit of the answer."""
        answer = chat("[[n=5 tools=1]]", tools=TOOLS, options={"num_predict": 3})
        *frames, final = answer.lines()
        self.assertEqual((len(frames), final["done_reason"]), (3, "length"))

    def test_capability(self) -> None:
        """A model without the capability refuses tools."""
        answer = chat("hi", model="llava:7b", tools=TOOLS)
        self.assertEqual(answer.status, 400)
        text = "registry.ollama.ai/library/llava:7b does not support tools"
        self.assertEqual(answer.json(), {"error": text})


class ThinkingTests(SynchronousTestCase):
    def test_chat(self) -> None:
        """Thinking comes before the text and counts with it."""
        for think in (None, True, "low", "max"):
            with self.subTest(think=think):
                frames = chat("[[think=2 n=1]]", think=think).lines()
                self.assertEqual(
                    [frame["message"] for frame in frames],
                    [
                        {"role": "assistant", "content": "", "thinking": "Let"},
                        {"role": "assistant", "content": "", "thinking": " me"},
                        {"role": "assistant", "content": "You"},
                        {"role": "assistant", "content": ""},
                    ],
                )
                self.assertEqual(frames[-1]["eval_count"], 3)
                whole = chat("[[think=2 n=1]]", think=think, stream=False).json()
                folded(self, frames, whole)

    def test_generate(self) -> None:
        """Generate has the thinking beside the response."""
        first, _, final = generate("[[think=1 n=1]]").lines()
        self.assertEqual(list(first), ["model", "created_at", "response", "thinking", "done"])
        self.assertEqual((first["thinking"], final["eval_count"]), ("Let", 2))
        whole = generate("[[think=2 n=1]]", stream=False).json()
        self.assertEqual((whole["response"], whole["thinking"]), ("You", "Let me"))

    def test_off(self) -> None:
        """There is none where it is switched off, or where the model cannot."""
        for fields in ({"think": False}, {"model": "llama3.2"}):
            with self.subTest(fields=fields):
                frames = chat("[[think=2 n=1]]", **fields).lines()
                self.assertEqual([frame["message"]["content"] for frame in frames], ["You", ""])

    def test_limit(self) -> None:
        """The limit counts thinking."""
        *frames, final = chat("[[think=9]]", options={"num_predict": 3}).lines()
        self.assertEqual(len(frames), 3)
        self.assertTrue(all("thinking" in frame["message"] for frame in frames))
        self.assertEqual(final["done_reason"], "length")

    def test_levels(self) -> None:
        """A model that does not think refuses a level as it does true."""
        answer = chat("hi", model="llama3.2", think="high")
        self.assertEqual(answer.json(), {"error": '"llama3.2" does not support thinking'})
        self.assertEqual(chat("hi", model="gpt-oss:20b", think="high").status, 200)


class ShapeTests(SynchronousTestCase):
    def test_format(self) -> None:
        """The text is JSON, and has the wanted schema."""
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        for form, value in (("json", {"answer": "always the same"}), (schema, {"name": "text"})):
            with self.subTest(form=form):
                frames = chat("hi", format=form).lines()
                text = "".join(frame["message"]["content"] for frame in frames)
                self.assertEqual(orjson.loads(text), value)
                folded(self, frames, chat("hi", format=form, stream=False).json())
                self.assertEqual(
                    orjson.loads(generate("hi", format=form, stream=False).json()["response"]),
                    value,
                )

    def test_neutral_formats(self) -> None:
        """Null and the empty text are no format."""
        for form in (None, ""):
            self.assertIn(
                "You said", chat("hi", format=form, stream=False).json()["message"]["content"]
            )

    def test_unknown_format(self) -> None:
        """Any other format is refused in Ollama's words."""
        answer = chat("hi", format="xml")
        self.assertEqual(answer.status, 500)
        words = 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object'
        self.assertEqual(answer.json(), {"error": words})

    def test_logprobs(self) -> None:
        """Each frame of text has the probability of its token, with alternatives if asked."""
        first, final = chat("[[n=1]]", logprobs=True, top_logprobs=2).lines()
        self.assertEqual(list(first), ["model", "created_at", "message", "done", "logprobs"])
        (entry,) = first["logprobs"]
        top = entry.pop("top_logprobs")
        self.assertEqual(entry, {"token": "You", "logprob": -0.125, "bytes": [89, 111, 117]})
        self.assertEqual([list(one) for one in top], [["token", "logprob", "bytes"]] * 2)
        self.assertNotIn("logprobs", final)
        frames = chat("[[think=1 n=2]]", logprobs=True).lines()
        self.assertEqual([len(frame.get("logprobs", [])) for frame in frames], [1, 1, 1, 0])
        folded(self, frames, chat("[[think=1 n=2]]", logprobs=True, stream=False).json())
        self.assertEqual(
            list(generate("[[n=1]]", logprobs=True, stream=False).json())[-1], "logprobs"
        )

    def test_top_logprobs_alone(self) -> None:
        """Alternatives alone are no wish for probabilities."""
        self.assertNotIn("logprobs", chat("[[n=1]]", top_logprobs=2).lines()[0])

    def test_order_of_final_fields(self) -> None:
        """The last frame's fields are in the order of Ollama's types."""
        fields = ["model", "created_at", "message", "done", *FINAL.split()]
        self.assertEqual(list(chat("[[think=1]]").lines()[-1]), fields)
        whole = chat("[[n=1]]", logprobs=True, stream=False).json()
        self.assertEqual(list(whole)[3:6], ["done", "done_reason", "logprobs"])

    def test_nofinal(self) -> None:
        """Without a final frame a rich answer ends after its last token, too."""
        frames = chat("[[n=2 think=1 fault=nofinal]]").lines()
        self.assertEqual([frame["done"] for frame in frames], [False] * 3)
        whole = chat("[[n=2 tools=1 calls=final fault=nofinal]]", tools=TOOLS, stream=False).json()
        self.assertEqual((whole["done"], "tool_calls" in whole["message"]), (False, False))

    def test_nocounts(self) -> None:
        """A final frame may be without counts."""
        for text in ("[[n=2 fault=nocounts]]", "[[n=2 think=1 fault=nocounts]]"):
            final = chat(text).lines()[-1]
            self.assertTrue(final["done"])
            self.assertEqual(set(final) & {"prompt_eval_count", "eval_count"}, set())
            self.assertIn("total_duration", final)


class ImageTests(SynchronousTestCase):
    def test_vision(self) -> None:
        """Only a model that sees takes images."""
        for path, body in (
            ("chat", {"messages": [{"role": "user", "content": "hi", "images": ["YWJj"]}]}),
            ("generate", {"prompt": "hi", "images": ["YWJj"]}),
        ):
            with self.subTest(path=path):
                seeing = Peer().ask("POST", f"/api/{path}", body | {"model": "llava:7b"})
                self.assertEqual(seeing.status, 200)
                blind = Peer().ask("POST", f"/api/{path}", body | {"model": "llama3.2"})
                text = "registry.ollama.ai/library/llama3.2:latest does not support vision"
                self.assertEqual((blind.status, blind.json()), (400, {"error": text}))

    def test_no_images(self) -> None:
        """An empty list of images needs nothing."""
        self.assertEqual(chat("hi", message={"images": []}).status, 200)

    def test_insert(self) -> None:
        """A model that inserts takes a suffix."""
        self.assertEqual(generate("hi", model="qwen2.5-coder:7b", suffix="x").status, 200)
        answer = generate("hi", model="qwen3:8b", suffix="x")
        self.assertIn("does not support insert", answer.json()["error"])
