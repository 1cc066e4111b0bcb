"""What the model host understands is what the gateway has checked, whatever a client sends.

Each body of the corpus (tests/bodies), and bodies made out of them by chance, go through a running
gateway; the twin decodes what arrives by Go's rules and records what it understood (SPEC 4).
"""

import http.client
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from attrs import define, evolve, field, frozen
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.vocabulary import Scope
from tests.bodies import THEMES, entries
from tests.bodies.entry import OPEN, Entry
from tests.bodies.judging import GENERATIONS, faults, missing
from tests.bodies.mutations import (
    KEYS,
    KINDS,
    SPELLINGS,
    VALUES,
    Change,
    changed,
    read_members,
    written,
)
from tests.gateway import Stack, shared_stack
from tests.http_client import HOST, TIMEOUT_S

FEWEST = 300
EXAMPLES = 400
LONGEST = 2000
REFUSALS = frozenset({400, 403, 413, 415})


@frozen
class Met:
    """What came of a body: the answer, and the requests that reached the model host."""

    status: int
    ignored: frozenset[str]
    answer: bytes
    asked: Sequence[dict[str, Any]]


@define(eq=False)
class Sender:
    """Sends bodies with one key, one at a time, and asks the twin after each what it saw."""

    stack: Stack
    key: str
    reloads: int = 0
    _gateway: http.client.HTTPConnection = field(init=False)
    _twin: http.client.HTTPConnection = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._gateway = http.client.HTTPConnection(HOST, self.stack.port, timeout=TIMEOUT_S)
        self._twin = http.client.HTTPConnection(HOST, self.stack.mock.port, timeout=TIMEOUT_S)
        self._seen()

    def close(self) -> None:
        """Close both connections."""
        self._gateway.close()
        self._twin.close()

    def send(self, entry: Entry) -> Met:
        """Send one body."""
        headers = {"Authorization": f"Bearer {self.key}"}
        if entry.content_type is not None:
            headers["Content-Type"] = entry.content_type
        self._gateway.request("POST", entry.path, entry.raw, headers)
        response = self._gateway.getresponse()
        answer = response.read()
        ignored = response.getheader("X-Gateway-Ignored", "")
        return Met(response.status, frozenset(ignored.split(", ")), answer, self._seen())

    def _seen(self) -> list[dict[str, Any]]:
        """What the twin saw since the last time, but for what discovery asks."""
        seen = self._ask("GET", "/mock/seen")
        self.reloads += seen["reloads"]
        asked = [one for one in seen["requests"] if one["path"] in GENERATIONS]
        if asked:
            self._ask("POST", "/mock/reset")
        return asked

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        self._twin.request(method, path)
        answer: dict[str, Any] = json.loads(self._twin.getresponse().read())
        return answer


def judged(entry: Entry, met: Met) -> list[str]:
    """What is wrong with what came of an entry, in words."""
    wrong = [fault for asked in met.asked for fault in faults(asked)]
    if entry.status == OPEN:
        if met.status not in REFUSALS | {200}:
            wrong.append(f"status {met.status}")
    elif met.status != entry.status:
        wrong.append(f"status {met.status}, not {entry.status}: {met.answer[:200]!r}")
    if entry.is_asked is not None and len(met.asked) != entry.is_asked:
        wrong.append(f"asked {len(met.asked)} times")
    if met.status == 200:
        wrong += [fault for asked in met.asked for fault in missing(entry, asked["body"])]
        unnamed = [name for name in entry.ignored if name not in met.ignored]
        wrong += [f"{name} is not named as ignored" for name in unnamed]
    return wrong


class CorpusTests(SynchronousTestCase):
    def test_size_and_names(self) -> None:
        """There are as many bodies as were asked for, each of another name, on every route."""
        names = Counter(entry.name for entry in entries())
        self.assertGreaterEqual(len(names), FEWEST)
        self.assertEqual([name for name, count in names.items() if count > 1], [])
        self.assertEqual(len({entry.path for entry in entries()}), 10)


class BodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A key that may do all but raw."""
        stack = shared_stack()
        key = stack.new_key(scopes=(Scope.CHAT, Scope.EMBEDDINGS))
        self.sender = Sender(stack, key)
        self.addCleanup(self.sender.close)

    def check(self, theme: str) -> None:
        """Send all bodies of a theme; every one that is wrong is named."""
        wrong = []
        for entry in THEMES[theme]:
            met = self.sender.send(entry)
            wrong += [f"{entry.name}: {fault}" for fault in judged(entry, met)]
        self.assertEqual(wrong, [], "\n".join(wrong))
        self.assertEqual(self.sender.reloads, 0)

    def test_chat_fields(self) -> None:
        """The fields of chats and messages."""
        self.check("chat fields")

    def test_forms(self) -> None:
        """Media types."""
        self.check("forms")

    def test_generate_fields(self) -> None:
        """The fields of completions."""
        self.check("generate fields")

    def test_later_dialects(self) -> None:
        """Anthropic's messages and OpenAI's responses."""
        self.check("later dialects")

    def test_lifetimes(self) -> None:
        """What would keep, unload or reload a model."""
        self.check("lifetimes")

    def test_models(self) -> None:
        """Names of models."""
        self.check("models")

    def test_names_of_fields(self) -> None:
        """Repeated keys, and keys that are ours only to Go."""
        self.check("names of fields")

    def test_numbers(self) -> None:
        """Numbers of every size."""
        self.check("numbers")

    def test_openai_fields(self) -> None:
        """The fields of OpenAI's chats and completions."""
        self.check("openai fields")

    def test_options(self) -> None:
        """Every option."""
        self.check("options")

    def test_syntax(self) -> None:
        """What is JSON and what is not."""
        self.check("syntax")

    def test_tools(self) -> None:
        """Tools, calls and schemas."""
        self.check("tools")

    def test_vectors(self) -> None:
        """The fields of embeddings."""
        self.check("vectors")

    def test_every_theme(self) -> None:
        """No theme is without its test."""
        for theme in THEMES:
            self.assertTrue(hasattr(self, f"test_{theme.replace(' ', '_')}"), theme)


BASES = tuple(
    entry for entry in entries() if len(entry.raw) < LONGEST and read_members(entry) is not None
)
CHANGES = st.builds(
    Change,
    kind=st.sampled_from(KINDS),
    place=st.integers(0, 99),
    key=st.sampled_from(KEYS),
    spelling=st.sampled_from(sorted(SPELLINGS)),
    value=st.sampled_from(VALUES),
)


class MutationTests(SynchronousTestCase):
    def test_mutations(self) -> None:
        """Bodies of the corpus changed by chance: what holds for all still does."""
        stack = shared_stack()
        sender = Sender(stack, stack.new_key(scopes=(Scope.CHAT, Scope.EMBEDDINGS)))
        self.addCleanup(sender.close)

        @seed(6)
        @settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(st.sampled_from(BASES), st.lists(CHANGES, min_size=1, max_size=4))
        def check(base: Entry, changes: list[Change]) -> None:
            body = read_members(base)
            if body is None:
                raise AssertionError(base.name)
            for change in changes:
                changed(body, change)
            raw = written(body).encode("utf-8", "surrogatepass")
            met = sender.send(evolve(base, raw=raw))
            self.assertIn(met.status, REFUSALS | {200}, raw)
            wrong = [fault for asked in met.asked for fault in faults(asked)]
            self.assertEqual(wrong, [], raw)

        check()
        self.assertEqual(sender.reloads, 0)
