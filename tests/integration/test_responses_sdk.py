"""The `openai` client's responses, unmodified, through the gateway and when things go wrong."""

from typing import Any

import openai
import pydantic
from openai.types.responses import Response, ResponseFunctionToolCall
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import MODEL, marker, shared_stack
from tests.unit.dialects.pictures import in_base64, png

THINKER, SEER = "qwen3:8b", "llava:7b"
BROKEN_STREAMS = ("reset@5", "nofinal", "error@5", "garbage@5")
BROKEN_BEFORE = ("reset@0", "error@0", "garbage@0", "status:500")
UNINSTALLED = "not-installed"
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


class City(pydantic.BaseModel):
    """What an answer is to look like."""

    name: str
    size: int


class ResponsesCase(SynchronousTestCase):
    """One client with a key."""

    def setUp(self) -> None:
        """Make it as its documentation does."""
        self.client = self.client_of(shared_stack().new_key())

    def client_of(self, key: str) -> openai.OpenAI:
        """A client with a key."""
        client = openai.OpenAI(
            base_url=f"{shared_stack().url}/v1", api_key=key, max_retries=0, timeout=20
        )
        self.addCleanup(client.close)
        return client

    def ask(self, said: Any, model: str = MODEL, **fields: Any) -> Response:
        """An answer in one piece."""
        answer: Response = self.client.responses.create(model=model, input=said, **fields)
        return answer

    def hear(self, said: Any, model: str = MODEL, **fields: Any) -> Response:
        """The same from the pieces of a stream, put together by the client."""
        with self.client.responses.stream(model=model, input=said, **fields) as stream:
            answer: Response = stream.get_final_response()
        return answer


class ResponsesTests(ResponsesCase):
    def test_response(self) -> None:
        """Streamed or not, one response with the counts of the model host."""
        for call in (self.ask, self.hear):
            answer = call("hello there [[n=12]]")
            self.assertIn("You said: hello there", answer.output_text)
            self.assertEqual((answer.object, answer.status), ("response", "completed"))
            self.assertEqual(answer.model, f"{MODEL}:latest")
            self.assertEqual([item.type for item in answer.output], ["message"])
            usage = answer.usage
            assert usage is not None
            self.assertEqual(usage.output_tokens, 12)
            self.assertEqual(usage.total_tokens, usage.input_tokens + 12)

    def test_events(self) -> None:
        """The events come in OpenAI's order, numbered."""
        stream = self.client.responses.create(model=MODEL, input="hi [[n=3]]", stream=True)
        events = list(stream)
        self.assertEqual(
            [event.type.removeprefix("response.") for event in events],
            [
                "created",
                "in_progress",
                "output_item.added",
                "content_part.added",
                *["output_text.delta"] * 3,
                "output_text.done",
                "content_part.done",
                "output_item.done",
                "completed",
            ],
        )
        numbers = [event.sequence_number for event in events]
        self.assertEqual(numbers, list(range(len(events))))

    def test_parameters(self) -> None:
        """OpenAI's names reach the model host as its own; the rest is named, and repeated."""
        mark = marker()
        raw = self.client.responses.with_raw_response.create(
            model=MODEL,
            instructions="be brief",
            input=f"{mark} [[n=50]]",
            max_output_tokens=3,
            temperature=0,
            top_p=0.5,
            store=True,
            metadata={"a": "b"},
            user="someone",
        )
        answer = raw.parse()
        self.assertEqual(answer.status, "incomplete")
        assert answer.incomplete_details is not None
        self.assertEqual(answer.incomplete_details.reason, "max_output_tokens")
        self.assertEqual(
            set(raw.headers["X-Gateway-Ignored"].split(", ")), {"store", "metadata", "user"}
        )
        body = shared_stack().mock.entry(mark)["body"]
        self.assertEqual(body["options"], {"num_predict": 3, "temperature": 0, "top_p": 0.5})
        self.assertEqual(body["messages"][0], {"role": "system", "content": "be brief"})
        self.assertEqual((answer.instructions, answer.max_output_tokens), ("be brief", 3))

    def test_length(self) -> None:
        """A stream that met its length ends in an incomplete response."""
        stream = self.client.responses.create(
            model=MODEL, input="hi [[n=50]]", max_output_tokens=3, stream=True
        )
        last = list(stream)[-1]
        assert last.type == "response.incomplete"
        self.assertEqual(last.response.status, "incomplete")

    def test_tools(self) -> None:
        """A call, and an answer to what it gave."""
        for call in (self.ask, self.hear):
            question = {"role": "user", "content": "hi [[tool=weather]]"}
            answer = call([question], tools=[WEATHER], tool_choice="auto")
            (use,) = answer.output
            assert isinstance(use, ResponseFunctionToolCall)
            self.assertEqual((use.name, use.status), ("weather", "completed"))
            mark = marker()
            given = {"type": "function_call_output", "call_id": use.call_id, "output": "rain"}
            thanks = {"role": "user", "content": f"{mark} thanks [[n=3]]"}
            talk = [question, *answer.output, given, thanks]
            self.assertTrue(call(talk, tools=[WEATHER]).output_text)
            sent = shared_stack().mock.entry(mark)["body"]["messages"]
            self.assertEqual(
                [message["role"] for message in sent], ["user", "assistant", "tool", "user"]
            )
            self.assertEqual(sent[2]["tool_name"], "weather")
            self.assertEqual(sent[1]["tool_calls"][0]["id"], sent[2]["tool_call_id"])

    def test_tools_of_others(self) -> None:
        """A tool that OpenAI would run is offered by habit, and fails nothing."""
        tools: Any = [{"type": "web_search"}, WEATHER]
        raw = self.client.responses.with_raw_response.create(
            model=MODEL, input="hi", tools=tools, include=["reasoning.encrypted_content"]
        )
        self.assertEqual(
            set(raw.headers["X-Gateway-Ignored"].split(", ")),
            {"include", "strict", "tools.web_search"},
        )

    def test_thinking(self) -> None:
        """Thoughts are an item before the message, and are taken back."""
        for call in (self.ask, self.hear):
            question = {"role": "user", "content": "hi [[n=3 think=4]]"}
            answer = call([question], THINKER, reasoning={"effort": "high", "summary": "auto"})
            self.assertEqual([item.type for item in answer.output], ["reasoning", "message"])
            further = {"role": "user", "content": "Go on [[n=2 think=1]]"}
            self.assertEqual(len(call([question, *answer.output, further], THINKER).output), 2)
            silent = call([question], THINKER, reasoning={"effort": "none"})
            self.assertEqual([item.type for item in silent.output], ["message"])

    def test_images(self) -> None:
        """A data URL is an image of its message."""
        mark = marker()
        picture = in_base64(png(2, 2))
        url = f"data:image/png;base64,{picture}"
        parts = [
            {"type": "input_text", "text": mark},
            {"type": "input_image", "image_url": url, "detail": "auto"},
        ]
        self.assertTrue(self.ask([{"role": "user", "content": parts}], SEER).output_text)
        sent = shared_stack().mock.entry(mark)["body"]["messages"]
        self.assertEqual(sent, [{"role": "user", "content": mark, "images": [picture]}])

    def test_schemas(self) -> None:
        """The client's own parser reads an answer that had to keep to a schema."""
        mark = marker()
        answer = self.client.responses.parse(
            model=MODEL, input=f"{mark} which city?", text_format=City
        )
        self.assertIsInstance(answer.output_parsed, City)
        self.assertEqual(
            set(shared_stack().mock.entry(mark)["body"]["format"]["properties"]), {"name", "size"}
        )
        with self.client.responses.stream(
            model=MODEL, input="which city?", text_format=City
        ) as stream:
            self.assertIsInstance(stream.get_final_response().output_parsed, City)

    def test_preloading(self) -> None:
        """A conversation of nothing is answered at once."""
        for call in (self.ask, self.hear):
            self.assertEqual(call([]).output_text, "")


class RefusedTests(ResponsesCase):
    def test_400(self) -> None:
        """What refers to something kept is the client's BadRequestError."""
        for call in (self.ask, self.hear):
            error = self.assertRaises(
                openai.BadRequestError, call, "hi", previous_response_id="resp_1"
            )
            self.assertEqual(error.param, "previous_response_id")

    def test_401(self) -> None:
        """A wrong key is its AuthenticationError."""
        self.client = self.client_of("nz_unknown")
        for call in (self.ask, self.hear):
            self.assertRaises(openai.AuthenticationError, call, "hi")

    def test_403(self) -> None:
        """What may not be used, or is not there, is its PermissionDeniedError."""
        for call in (self.ask, self.hear):
            self.assertRaises(openai.PermissionDeniedError, call, "hi", UNINSTALLED)
        self.assertRaises(openai.PermissionDeniedError, self.client.responses.retrieve, "resp_1")

    def test_429(self) -> None:
        """A limit that is reached is its RateLimitError, with a time to wait."""
        stack = shared_stack()
        key = stack.new_key()
        stack.command("set-limits", "--key", key[:12], "--rpm", "1")
        self.client = self.client_of(key)
        self.ask("hi")
        for call in (self.ask, self.hear):
            error = self.assertRaises(openai.RateLimitError, call, "hi")
            self.assertTrue(int(error.response.headers["retry-after"]) > 0)

    def test_stream_that_dies(self) -> None:
        """Whatever breaks a stream, the client raises, after the pieces that did come."""
        for fault in BROKEN_STREAMS:
            stream = self.client.responses.create(
                model=MODEL, input=f"hi [[n=9 fault={fault}]]", stream=True
            )
            came = []
            with self.assertRaises(openai.APIError) as caught:
                for event in stream:
                    came.append(event.type)  # noqa: PERF401 - kept when the stream raises
            self.assertIn("response.output_text.delta", came)
            self.assertNotIn("response.completed", came)
            self.assertEqual(caught.exception.code, "upstream_failed")
            self.assertNotIn("ollama", str(caught.exception))
            self.assertRaises(openai.APIError, self.hear, f"hi [[n=9 fault={fault}]]")

    def test_answer_that_dies(self) -> None:
        """A folded answer that broke is a 502; so is a stream that never began."""
        for fault in (*BROKEN_STREAMS, *BROKEN_BEFORE):
            error = self.assertRaises(
                openai.InternalServerError, self.ask, f"hi [[n=9 fault={fault}]]"
            )
            self.assertEqual((fault, error.status_code), (fault, 502))
        for fault in BROKEN_BEFORE:
            self.assertRaises(openai.InternalServerError, self.hear, f"hi [[n=9 fault={fault}]]")
