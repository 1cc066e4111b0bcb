"""Ollama's own routes byte for byte: what a client reads is what the model host has written.

The body that the gateway wrote is sent to the twin once more, directly, and both answers compared.
They were made at different moments, so times are blotted out in both, and nothing else.
"""

import http.client
import json
import re
from itertools import product
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import Stack, marker, shared_stack
from tests.http_client import HOST, TIMEOUT_S

TALKER, THINKER = "llama3.2", "qwen3:8b"
SPECIAL = 'Grüße <b> & "quotes" \\ \u2028\u2029 \u0007 \x7f 🙂 \u200d'
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "get_time")
]
ASKED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (TALKER, "", {}),
    (TALKER, "[[n=40]]", {"options": {"num_predict": 7}}),
    (TALKER, "[[n=3 size=70000]]", {}),
    (TALKER, "", {"logprobs": True, "top_logprobs": 3}),
    (TALKER, "", {"format": "json"}),
    (TALKER, "", {"options": {"stop": ["fine"]}}),
    (THINKER, "[[think=3]]", {"think": True}),
    (THINKER, "[[think=3]]", {"think": False}),
    (THINKER, "[[think=2]]", {"think": True, "logprobs": True}),
)
CALLED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (TALKER, "[[tools=2]]", {"tools": TOOLS}),
    (TALKER, "[[tools=2 calls=apart]]", {"tools": TOOLS}),
    (THINKER, "[[think=2 tools=2 calls=final]]", {"tools": TOOLS, "think": True}),
    (TALKER, "[[tools=1 n=4]]", {"tools": TOOLS, "logprobs": True}),
)

_MADE = re.compile(rb'"created_at":"[^"]*"')
_TOOK = re.compile(rb'"((?:[a-z]+_)*duration)":[0-9]+')
_CONTEXT = re.compile(rb'"context":\[[0-9,]*\],?')
_CALL_ID = re.compile(rb'"id":"call_[^"]*"')
_DURATION = re.compile(rb',"(?:[a-z]+_)*duration":[0-9]+')


def timeless(answer: bytes) -> bytes:
    """An answer without what the moment puts into it: times, and the made-up ids of calls."""
    still = _TOOK.sub(rb'"\1":0', _MADE.sub(b'"created_at":""', answer))
    return _CALL_ID.sub(b'"id":""', still)


def answer_to(port: int, path: str, body: object, key: str = "") -> tuple[bytes, dict[str, str]]:
    """The bytes of a whole answer, which must be a 200, and its headers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("POST", path, json.dumps(body).encode(), headers)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise AssertionError(f"{body}: {response.status} {content!r}")
    return content, {name.lower(): value for name, value in response.getheaders()}


def named_in(answer: bytes) -> str:
    """The model that an answer names."""
    name: str = json.loads(answer)["model"]
    return name


class ByteTests(SynchronousTestCase):
    stack: Stack
    key: str

    def use(self, stack: Stack) -> None:
        """Take a stack, and a key of its own."""
        self.stack, self.key = stack, stack.new_key()

    def both(self, path: str, model: str, prompt: str, fields: dict[str, Any]) -> list[bytes]:
        """What the gateway answers, and what the twin answers to the body that it was sent."""
        word = marker()
        text = f"{SPECIAL} {word} {prompt}"
        said = (
            {"messages": [{"role": "user", "content": text}]}
            if path == "/api/chat"
            else {"prompt": text}
        )
        through, headers = answer_to(
            self.stack.port, path, {"model": model, **said, **fields}, self.key
        )
        body = {**self.stack.mock.entry(word)["body"], "stream": fields.get("stream", True)}
        direct, expected = answer_to(self.stack.mock.port, path, body)
        self.assertEqual(
            headers["content-type"].partition(";")[0], expected["content-type"].partition(";")[0]
        )
        return [through, direct]

    def cases(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """Every question on both routes; tools are of chats only."""
        return [
            *((path, *asked) for path, asked in product(("/api/chat", "/api/generate"), ASKED)),
            *(("/api/chat", *asked) for asked in CALLED),
        ]

    def test_streamed(self) -> None:
        """Each frame as it was, but for `context`."""
        self.use(shared_stack())
        for path, model, prompt, fields in self.cases():
            with self.subTest(path, model=model, prompt=prompt, fields=fields):
                through, direct = self.both(path, model, prompt, fields)
                self.assertEqual(timeless(through), timeless(_CONTEXT.sub(b"", direct)))
                self.assertNotIn(b'"context"', through)
                self.assertGreater(through.count(b"\n"), 1)

    def test_folded(self) -> None:
        """An answer in one piece is what the twin gives when asked for one piece."""
        self.use(shared_stack())
        for path, model, prompt, fields in self.cases():
            with self.subTest(path, model=model, prompt=prompt, fields=fields):
                through, direct = self.both(path, model, prompt, {**fields, "stream": False})
                self.assertEqual(timeless(through), timeless(_CONTEXT.sub(b"", direct)))

    def test_preload(self) -> None:
        """So is the answer to a request of nothing."""
        self.use(shared_stack())
        for path, model in product(("/api/chat", "/api/generate"), (TALKER, THINKER)):
            for stream in (True, False):
                body = {"model": model, "stream": stream}
                through, _ = answer_to(self.stack.port, path, body, self.key)
                direct, _ = answer_to(
                    self.stack.mock.port, path, {**body, "model": named_in(through)}
                )
                self.assertEqual(timeless(through).strip(), timeless(direct).strip())

    def test_without_timings(self) -> None:
        """HIDE_TIMINGS takes the durations out of the final frame, and nothing else."""
        self.use(shared_stack(HIDE_TIMINGS="true"))
        for path, model, prompt, fields in self.cases():
            for stream in (True, False):
                with self.subTest(path, model=model, prompt=prompt, stream=stream):
                    through, direct = self.both(path, model, prompt, {**fields, "stream": stream})
                    self.assertIn(b"_duration", direct)
                    expected = _DURATION.sub(b"", _CONTEXT.sub(b"", direct))
                    self.assertEqual(timeless(through), timeless(expected))
