"""What a gateway and a model host noted while entries were run, and whether that was right."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from tests.gateway import Stack
from tests.processes import eventually
from tests.wire.verdict import Seen, agreed

PATHS = {"/api/chat", "/api/generate"}
CALL_HEADERS = {"host", "content-type", "content-length", "accept", "connection"}
"""All that the model host is ever told beside the body."""

_BODY_FIELDS = {"model", "messages", "prompt", "options", "stream"}


@define
class Record:
    """The notes of both since this was made."""

    _stack: Stack
    _lines_before: int = field(init=False)
    _calls_before: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin behind what is there."""
        self._lines_before = len(self._events())
        self._calls_before = max((call["id"] for call in self._stack.mock.seen()), default=0)

    def events(self) -> list[dict[str, Any]]:
        """The lines of the gateway's record."""
        return self._events()[self._lines_before :]

    def calls(self) -> list[dict[str, Any]]:
        """What the model host saw, but for the gateway's own look at it."""
        calls = (call for call in self._stack.mock.seen() if call["id"] > self._calls_before)
        return [call for call in calls if call["method"] == "POST" and call["path"] != "/api/show"]

    def faults(self, seen: Sequence[Seen], prompts: Mapping[str, int]) -> list[str]:
        """Where the notes differ from the answers, and from the calls wanted of each prompt."""
        wanted = sum(one.route is not None for one in seen)
        eventually(lambda: len(self.events()) >= wanted)
        events = self.events()
        recorded = {event["id"]: (event["route"], event["status"]) for event in events}
        faults = [] if len(recorded) == len(events) else ["a request was recorded twice"]
        return [*faults, *agreed(seen, recorded), *_call_faults(self.calls(), prompts)]

    def _events(self) -> list[dict[str, Any]]:
        lines = (line for line in self._stack.gateway.output.splitlines() if '"audit":' in line)
        return [json.loads(line)["audit"] for line in lines]


def _call_faults(calls: Iterable[dict[str, Any]], prompts: Mapping[str, int]) -> list[str]:
    """Each call is ours from the first byte to the last, and there are as many as were wanted."""
    faults = []
    found: Counter[str] = Counter()
    for call in calls:
        body, headers = call["body"], {name.lower() for name in call["headers"]}
        if call["path"] not in PATHS or not headers <= CALL_HEADERS:
            faults.append(f"a call that is not ours: {call['path']} {sorted(headers)}")
        if not isinstance(body, dict) or not body.keys() <= _BODY_FIELDS or not body["stream"]:
            faults.append(f"a body that is not ours: {body}")
            continue
        text = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
        found[text.split()[0]] += 1
    wanted = {prompt: count for prompt, count in prompts.items() if count}
    if dict(found) != wanted:
        differing = {name: (found[name], wanted.get(name, 0)) for name in found | wanted.keys()}
        faults.append(
            f"calls by prompt: {[pair for pair in differing.values() if len(set(pair)) > 1]}"
        )
    return faults
