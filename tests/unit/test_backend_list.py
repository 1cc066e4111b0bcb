"""OLLAMA_BACKENDS: what is taken, what is told of the rest, and what is written back."""

import json
from io import StringIO
from typing import Any

from dotenv.parser import parse_stream
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.backend_list import (
    MOST_SLOTS,
    BackendEntry,
    backend_name,
    parse_backends,
    render_backends,
)

CANARY = "canary-token"
A: dict[str, Any] = {"name": "gpu-a", "url": "http://10.0.0.1:11434"}
B: dict[str, Any] = {"name": "gpu-b", "url": "https://gpu-b.example"}

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


class ParseTests(SynchronousTestCase):
    def faults(self, *entries: object) -> list[str]:
        """What is wrong with entries."""
        error = self.assertRaises(ValueError, parse_backends, json.dumps(entries))
        self.assertNotIn(CANARY, str(error))
        return str(error).split("; ")

    def test_order_and_defaults(self) -> None:
        """Entries in their order; what is not said has its default."""
        first, second = parse_backends(json.dumps([{**A, "slots": 4, "token": CANARY}, B]))
        self.assertEqual((first.name, first.slots, first.token), ("gpu-a", 4, CANARY))
        self.assertEqual((first.header, first.scheme), ("Authorization", "Bearer"))
        self.assertEqual(second, BackendEntry(name="gpu-b", url="https://gpu-b.example"))
        self.assertNotIn(CANARY, repr(first))

    def test_no_list(self) -> None:
        """Anything but a list of at least one object is a fault."""
        for text in ("", "{", "{}", "[]", "7"):
            with self.subTest(text=text):
                self.assertRaises(ValueError, parse_backends, text)
        self.assertEqual(self.faults(7), ["backend 1: must be an object"])

    def test_every_fault(self) -> None:
        """Each has its words, with the number of the entry, and its name where that is good."""
        faults = self.faults(
            {"name": "Bad Name", "url": f"ftp://{CANARY}", "token": f"{CANARY}\n", "slots": 0},
            {"name": "b", "url": 7, "header": "a b", "scheme": "ä", "slots": MOST_SLOTS + 1},
            {"key": CANARY},
        )
        self.assertEqual(len(faults), 11)
        for words in (
            "backend 1: name must be 1 to 64 of a-z",
            "backend 1: url must be an http:// or https:// URL",
            "backend 1: token must be printable ASCII",
            "backend 1: slots must be a whole number from 1 to 100000",
            "backend 2 b: url must be a text",
            "backend 2 b: header must be a header name",
            "backend 2 b: scheme must be printable ASCII",
            "backend 3: only name, url, token, header, scheme, slots are known",
            "backend 3: name is missing",
            "backend 3: url is missing",
        ):
            self.assertTrue(any(words in fault for fault in faults), (words, faults))

    def test_twins(self) -> None:
        """Two of one name, or at one place, are one too many."""
        faults = self.faults(A, {**B, "name": "gpu-a"}, {**A, "name": "c"})
        expected = ["gpu-a: another one has the same name", "c: another one has the same url"]
        self.assertEqual(faults, [f"backend {words}" for words in expected])

    def test_slots_are_numbers(self) -> None:
        """No text, no fraction, no flag."""
        for slots in ("4", 4.5, True, None):
            with self.subTest(slots=slots):
                self.assertEqual(len(self.faults({**A, "slots": slots})), 1)

    def test_names(self) -> None:
        """A name is short, and safe in logs, records and headers."""
        for name in ("", "A", "a b", "a/b", "a\n", "x" * 65):
            with self.subTest(name=name):
                self.assertRaises(ValueError, backend_name, name)
        self.assertEqual(backend_name("gpu_1.rack-2"), "gpu_1.rack-2")


class RenderTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(WORDS, WORDS, st.none() | st.integers(1, MOST_SLOTS))
    def test_round_trip(self, token: str, scheme: str, slots: int | None) -> None:
        """What is written is read back, also from between the quotes of a .env."""
        entries = (
            BackendEntry(name="a", url="http://a", token=token, scheme=scheme, slots=slots),
            BackendEntry(name="b", url="http://b"),
        )
        text = render_backends(entries)
        self.assertEqual(parse_backends(text), entries)
        (binding,) = parse_stream(StringIO(f"X='{text}'\n"))
        self.assertEqual(binding.value, text)
        self.assertNotIn("'", text)

    def test_without_defaults(self) -> None:
        """Only what was said is written."""
        self.assertEqual(json.loads(render_backends([BackendEntry(**A)])), [A])
