"""What a body may contain: the reading of JSON, single fields, and the rule of the tables."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.fields import (
    NEUTRAL_FLAG,
    NEUTRAL_LIST,
    NEUTRAL_TEXT,
    FieldTable,
    apply,
    ignored_header,
    read_object,
)
from neuronetz_twisted.errors import InvalidRequest

KELVIN = "\N{KELVIN SIGN}"
LONG_S = "\N{LATIN SMALL LETTER LONG S}"

TABLE = FieldTable(
    taken={"stream": fields.flag, "top_k": fields.whole},
    refused={"template": NEUTRAL_TEXT, "context": NEUTRAL_LIST, "raw": NEUTRAL_FLAG, "file": ()},
    dropped=frozenset({"keep_alive"}),
)


class ReadObjectTests(SynchronousTestCase):
    def test_object(self) -> None:
        """An object is read; of a name that comes twice the last value counts, as in Go."""
        self.assertEqual(read_object(b' {"a": 1, "a": [true]} '), {"a": [True]})

    def test_not_an_object(self) -> None:
        """Anything but a strict JSON object in UTF-8 is refused."""
        for raw in (
            b"",
            b"{",
            b"[]",
            b"1",
            b'"text"',
            b"null",
            b'{"a":NaN}',
            b'{"a":Infinity}',
            b'{"a":1e400}',
            b"{'a':1}",
            b'{"a":1,}',
            b'{"a":1}{}',
            b'{"a":"\xff"}',
            b'{"a":"\\ud800"}',
            b'\xef\xbb\xbf{"a":1}',
            b"/**/{}",
        ):
            with self.subTest(raw=raw), self.assertRaises(InvalidRequest):
                read_object(raw)

    def test_depth(self) -> None:
        """32 levels are read, in lists as in objects; the 33rd is refused."""
        for opening, closing in ((b'{"a":', b"}"), (b"[", b"]")):
            with self.subTest(opening=opening):
                deep = b'{"a":' + opening * 30 + b"[]" + closing * 30 + b"}"
                read_object(deep)
                with self.assertRaises(InvalidRequest):
                    read_object(b'{"a":' + opening * 31 + b"[]" + closing * 31 + b"}")

    def test_wide_is_not_deep(self) -> None:
        """Neither many members nor brackets in text are depth."""
        for raw in (b'{"a":[%b]}' % b",".join([b"{}"] * 100), b'{"a":"%b"}' % (b"[{" * 100)):
            self.assertEqual(len(read_object(raw)), 1)

    def test_far_too_deep(self) -> None:
        """No depth exhausts a stack."""
        with self.assertRaises(InvalidRequest):
            read_object(b'{"a":' * 100_000)


class CheckTests(SynchronousTestCase):
    def test_accepted(self) -> None:
        """Values that each check takes, as they go on."""
        for check, value, expected in (
            (fields.text, "", ""),
            (fields.flag, False, False),
            (fields.number, 1, 1),
            (fields.number, 0.5, 0.5),
            (fields.number, 1e6, 1e6),
            (fields.number, -1_000_000, -1_000_000),
            (fields.whole_in(-1, 3), -1, -1),
            (fields.whole_in(-1, 3), 3.0, 3),
            (fields.whole, 3.0, 3),
            (fields.whole, -(2**63), -(2**63)),
            (fields.whole, 2**63 - 1, 2**63 - 1),
            (fields.stops, "a", ["a"]),
            (fields.stops, ["a"] * 16, ["a"] * 16),
            (fields.stops, [], []),
            (fields.mapping, {"a": 1}, {"a": 1}),
            (fields.objects, [{}], [{}]),
            (fields.one_of("a", "b"), "b", "b"),
        ):
            with self.subTest(check=check, value=value):
                result = check(value, "name")
                self.assertEqual(result, expected)
                self.assertIs(type(result), type(expected))

    def test_refused(self) -> None:
        """Values that are not what they should be; the message and `param` name the field."""
        cases: tuple[tuple[fields.Check, Any], ...] = (
            (fields.text, 1),
            (fields.text, ["a"]),
            (fields.flag, 1),
            (fields.flag, "true"),
            (fields.number, True),
            (fields.number, "1"),
            (fields.number, 1e6 + 1),
            (fields.number, -(10**7)),
            (fields.number, 1e308),
            (fields.whole_in(-1, 3), -2),
            (fields.whole_in(-1, 3), 4),
            (fields.whole_in(-1, 3), 0.5),
            (fields.whole_in(-1, 3), True),
            (fields.whole, "1"),
            (fields.whole, 1.5),
            (fields.whole, 2**63),
            (fields.whole, 1.2345678901234568e29),
            (fields.whole, -(2.0**64)),
            (fields.whole, -(2.0**63)),
            (fields.whole, False),
            (fields.stops, 1),
            (fields.stops, ["a", 1]),
            (fields.stops, ["a"] * 17),
            (fields.mapping, []),
            (fields.objects, {}),
            (fields.objects, [{}, 1]),
            (fields.one_of("a"), "A"),
            (fields.one_of("a"), ["a"]),
            (fields.one_of("a"), {}),
        )
        for check, value in cases:
            with self.subTest(check=check, value=value):
                with self.assertRaises(InvalidRequest) as caught:
                    check(value, "top_k")
                self.assertIn("top_k", caught.exception.message)
                self.assertEqual(caught.exception.param, "top_k")

    @settings(deadline=None)
    @given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
    def test_whole_is_whole(self, value: float) -> None:
        """Whatever passes is an integer of 64 bits that equals what came."""
        try:
            result = fields.whole(value, "seed")
        except InvalidRequest:
            return
        self.assertIsInstance(result, int)
        self.assertEqual(result, value)
        self.assertLess(abs(result), 2**63 + 1)


class ApplyTests(SynchronousTestCase):
    def clean(self, data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """What is taken and what is ignored."""
        ignored: list[str] = []
        return apply(TABLE, data, ignored), ignored

    def test_taken(self) -> None:
        """Known fields are checked and kept."""
        self.assertEqual(
            self.clean({"stream": True, "top_k": 4.0}), ({"stream": True, "top_k": 4}, [])
        )

    def test_null_is_absent_everywhere(self) -> None:
        """A null is neither kept, nor refused, nor named."""
        for name in ("stream", "template", "keep_alive", "nobody_knows"):
            with self.subTest(name=name):
                self.assertEqual(self.clean({name: None}), ({}, []))

    def test_dropped_and_unknown_fields_are_named(self) -> None:
        """What is not carried is named in order."""
        data = {"keep_alive": 5, "nobody_knows": [], "stream": False}
        self.assertEqual(self.clean(data), ({"stream": False}, ["keep_alive", "nobody_knows"]))

    def test_neutral_values_count_as_absent(self) -> None:
        """A refused field may have the value that changes nothing."""
        neutral: tuple[dict[str, Any], ...] = ({"template": ""}, {"context": []}, {"raw": False})
        for data in neutral:
            with self.subTest(data=data):
                self.assertEqual(self.clean(data), ({}, []))

    def test_refused(self) -> None:
        """Any other value is an error, also one that Python takes for equal."""
        cases: tuple[dict[str, Any], ...] = (
            {"template": "x"},
            {"template": []},
            {"context": [1]},
            {"raw": True},
            {"raw": 0},
            {"raw": ""},
            {"file": ""},
        )
        for data in cases:
            with self.subTest(data=data):
                with self.assertRaises(InvalidRequest) as caught:
                    self.clean(data)
                self.assertEqual([caught.exception.param], list(data))

    def test_twins(self) -> None:
        """A key that Go would read as a known one is refused, whatever its value or kind."""
        for name in (
            "Stream",
            "STREAM",
            f"{LONG_S}tream",
            f"top_{KELVIN}",
            f"{KELVIN}eep_alive",
            "Template",
            "cont\N{LATIN CAPITAL LETTER E}xt",
        ):
            for value in (True, None):
                with self.subTest(name=name, value=value), self.assertRaises(InvalidRequest):
                    self.clean({name: value})


class IgnoredHeaderTests(SynchronousTestCase):
    def test_names(self) -> None:
        """Names come in order, each once."""
        self.assertEqual(ignored_header(["num_ctx", "a.b-C", "num_ctx"]), "num_ctx, a.b-C")

    def test_names_that_are_not_shown(self) -> None:
        """What is no plain name of at most 64 characters is only counted."""
        names = ["ok", "a b", "", "x" * 65, "x" * 64, "é", "a\r\nSet-Cookie: b", "a,b"]
        self.assertEqual(ignored_header(names), f"ok, {'x' * 64}, +6")

    def test_only_unshown_names(self) -> None:
        """The count stands alone where no name can be shown."""
        self.assertEqual(ignored_header(["a b"]), "+1")

    @settings(deadline=None)
    @given(st.lists(st.text(max_size=70) | st.from_regex(r"[a-z_]{1,64}", fullmatch=True)))
    def test_always_fit_for_a_header(self, names: list[str]) -> None:
        """Whatever a client sends, the value is printable ASCII of at most 1 KiB."""
        value = ignored_header(names)
        self.assertTrue(value.isascii() and (value.isprintable() or not value))
        self.assertLessEqual(len(value), 1024)

    def test_long_lists_are_cut(self) -> None:
        """At most 1 KiB, the rest as a count that is right."""
        value = ignored_header([f"field_{number:04}" for number in range(1000)])
        shown = value.split(", ")
        self.assertLessEqual(len(value), 1024)
        self.assertEqual(shown[-1], f"+{1000 - (len(shown) - 1)}")
