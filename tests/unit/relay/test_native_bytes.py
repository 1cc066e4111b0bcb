"""An answer of the model host's own routes goes by byte for byte, but for `context`."""

import re
from itertools import product
from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama import generation
from mock_ollama.asking import chat_ask, generate_ask
from mock_ollama.directives import find_directive
from mock_ollama.recorder import Tokens
from neuronetz_twisted.dialects.writers import NativeWriter
from neuronetz_twisted.relay.fold import Fold
from neuronetz_twisted.relay.meter import Meter

CONTEXT = re.compile(rb'"context":\[[0-9,]*\],')
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "get_time")
]
DIRECTIVES = (
    "",
    "[[n=3 size=7]]",
    "[[think=2]]",
    "[[think=2 n=2 tools=2]]",
    "[[tools=2 calls=apart]]",
    "[[think=1 tools=2 calls=final]]",
    "[[fault=nocounts]]",
)
REQUESTS: tuple[dict[str, Any], ...] = (
    {},
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 3},
    {"tools": TOOLS},
    {"tools": TOOLS, "logprobs": True, "top_logprobs": 2},
    {"format": "json"},
    {"think": False},
)
TEXT = 'Grüße <b> & "quotes" \\ \u2028 🙂'


def asked(route: str, directive: str, fields: dict[str, Any], *, stream: bool) -> list[bytes]:
    """The lines that the twin answers with."""
    prompt = f"{TEXT} {directive}"
    body: dict[str, Any] = {"model": "m:<1>", "stream": stream, **fields}
    if route == "chat":
        ask = chat_ask({**body, "messages": [{"role": "user", "content": prompt}]})
    else:
        ask = generate_ask({**body, "prompt": prompt})
    answer = generation.Generation(
        ask=ask,
        shape=generation.CHAT if route == "chat" else generation.GENERATE,
        directive=find_directive([prompt]),
        tokens=Tokens(),
        now=iter([1_700_000_000.25] * 1000).__next__,
        thinks=True,
    )
    steps = (step for step in answer.steps() if isinstance(step, bytes))
    return [step.removesuffix(b"\n") for step in steps if step]


class NativeBytesTests(SynchronousTestCase):
    def test_streamed(self) -> None:
        """Each line as the twin wrote it."""
        for route, directive, fields in product(("chat", "generate"), DIRECTIVES, REQUESTS):
            with self.subTest(route, directive=directive, fields=fields):
                lines = asked(route, directive, fields, stream=True)
                meter, writer = Meter(0), NativeWriter()
                passed = meter.feed(lines)
                self.assertFalse(meter.broken)
                if meter.final is None:
                    self.fail("there was no final frame")
                sent = writer.frames(passed) + writer.last(meter.final, meter.usage())
                self.assertEqual(sent, CONTEXT.sub(b"", b"\n".join(lines)) + b"\n")

    def test_folded(self) -> None:
        """What was streamed, in one piece, is what the twin answers when asked for one piece."""
        for route, directive, fields in product(("chat", "generate"), DIRECTIVES, REQUESTS):
            with self.subTest(route, directive=directive, fields=fields):
                meter, fold = Meter(0), Fold(1_000_000)
                fold.add(meter.feed(asked(route, directive, fields, stream=True)))
                if meter.final is None:
                    self.fail("there was no final frame")
                whole = NativeWriter().whole(fold.finish(meter.final), meter.usage())
                [expected] = asked(route, directive, fields, stream=False)
                self.assertEqual(whole, CONTEXT.sub(b"", expected))

    def test_every_kind_of_frame(self) -> None:
        """The twin has said everything that a frame can hold."""
        seen = set()
        for directive, fields in product(DIRECTIVES, REQUESTS):
            for line in asked("chat", directive, fields, stream=True):
                frame = orjson.loads(line)
                seen |= {*frame, *frame["message"]}
        self.assertLessEqual(
            {"thinking", "tool_calls", "logprobs", "content", "eval_count", "done_reason"}, seen
        )
