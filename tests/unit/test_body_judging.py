"""What judges the requests that reach the model host does object (tests/bodies)."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.bodies.entry import ABSENT, Entry
from tests.bodies.judging import faults, missing

CALL = {"function": {"name": "f", "arguments": {}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": ["a"]}}}
BODY: dict[str, Any] = {
    "model": "llama3.2:latest",
    "messages": [{"role": "assistant", "content": "hi", "tool_calls": [CALL]}],
    "tools": [TOOL],
    "options": {"num_predict": 5, "seed": 2**63 - 1},
    "stream": True,
}


def asked(body: object, decoded: object = None, **rest: object) -> dict[str, Any]:
    """A request as the twin records it; it understood what was sent, unless something else."""
    understood = body if decoded is None else decoded
    entry = {"path": "/api/chat", "headers": {"host": "x"}, "body": body, "decoded": understood}
    return {**entry, **rest}


class JudgingTests(SynchronousTestCase):
    def test_agreement(self) -> None:
        """A body of what may be sent, and what Go makes of it, is no fault."""
        self.assertEqual(faults(asked(BODY)), [])
        options = {"num_predict": 5.0, "seed": float(2**63)}
        looser = {"type": "function", "function": {"name": "f", "parameters": {"type": "a"}}}
        self.assertEqual(faults(asked(BODY, {**BODY, "options": options, "tools": [looser]})), [])

    def test_foreign_fields(self) -> None:
        """Whatever has power over others is one, wherever it is."""
        message = BODY["messages"][0]
        every: tuple[dict[str, Any], ...] = (
            {"keep_alive": 0},
            {"template": "x"},
            {"raw": True},
            {"context": [1]},
            {"_debug_render_only": True},
            {"shift": True},
            {"options": {"num_predict": 5, "num_ctx": 9}},
            {"options": {}},
            {"options": {"num_predict": -1}},
            {"options": {"num_predict": 4097}},
            {"stream": False},
            {"model": "x:cloud"},
            {"messages": [{**message, "name": "x"}]},
            {"messages": [{**message, "role": "nobody"}]},
            {"messages": [{**message, "tool_calls": [{**CALL, "type": "x"}]}]},
            {"tools": [{**TOOL, "type": "web_search"}]},
            {"tools": [{**TOOL, "items": {}}]},
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
        )
        for changes in every:
            self.assertEqual(len(faults(asked({**BODY, **changes}))), 1, changes)

    def test_misunderstandings(self) -> None:
        """So is all that the model host understood otherwise, and headers that are not ours."""
        for decoded in (
            {**BODY, "keep_alive": 0},
            {**BODY, "options": {"num_predict": 6, "seed": 2**63 - 1}},
            {**BODY, "tools": []},
            {name: value for name, value in BODY.items() if name != "messages"},
        ):
            self.assertEqual(len(faults(asked(BODY, decoded))), 1, decoded)
        refused = {name: value for name, value in BODY.items() if name != "tools"}
        self.assertEqual(len(faults({**asked(refused), "decoded": None})), 1)
        self.assertEqual(len(faults(asked(BODY, headers={"authorization": "x"}))), 1)
        self.assertEqual(len(faults(asked(BODY, cloud=True))), 1)
        self.assertEqual(len(faults(asked(None))), 1)

    def test_raw(self) -> None:
        """It passes where the key's scope is known to allow it."""
        body = {
            "model": "m",
            "prompt": "",
            "raw": True,
            "options": {"num_predict": 1},
            "stream": True,
        }
        found = asked(body, path="/api/generate")
        self.assertEqual(len(faults(found)), 1)
        self.assertEqual(faults(found, raw_allowed=True), [])

    def test_missing(self) -> None:
        """What an entry wants to be sent is looked for by its path."""
        sent = {"messages.0.role": "assistant", "options.seed": 2**63 - 1, "template": ABSENT}
        entry = Entry(name="x", path="/api/chat", raw=b"", sent=sent)
        self.assertEqual(missing(entry, BODY), [])
        self.assertEqual(len(missing(entry, {**BODY, "template": ""})), 1)
        self.assertEqual(len(missing(entry, {"messages": [], "options": {}})), 2)
