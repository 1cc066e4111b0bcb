"""JSON read as Go's encoding/json scans it: what it accepts, and its words where it refuses.

A body is read by Python's own decoder; where that one refuses or Go's bounds may matter, a scan in
Go's order decides. Both give the same tree: `Members` for an object with every pair that was
sent, `Number` for the literal of a number, and str, bool, None and list for the rest.
"""

import codecs
import re
from json import JSONDecoder
from typing import Any, cast

MAX_DEPTH = 10_000

_REPLACEMENT = "\ufffd"
_GO_ERRORS = "mock_ollama.go"
_BLANK = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPES = {b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t"}
_ESCAPES |= {sign: sign.decode() for sign in (b"\\", b"/", b'"')}
_WORDS: dict[bytes, Any] = {b"true": True, b"false": False, b"null": None}


class GoRefused(Exception):  # noqa: N818 - an answer of the twin, not a failure in it
    """A body that Go's decoder refuses, in its words."""


class Members(list[tuple[str, Any]]):
    """The pairs of a JSON object in the order in which they were sent, repeated keys included."""


class Number(str):
    """The literal of a JSON number."""

    __slots__ = ()


def go_text(text: str) -> str:
    """Replace what escapes left without its half of a surrogate pair, as Go does."""
    return text if text.isascii() else _SURROGATE.sub(_REPLACEMENT, text)


def read_value(data: bytes) -> Any:
    """Give the tree of the first JSON value of a body; what follows it is ignored, as gin does.

    Raises GoRefused in Go's words.
    """
    start = _past_blanks(data, 0)
    if start == len(data):
        raise GoRefused("missing request body")
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        try:
            tree = _PYTHON.raw_decode(data[start:].decode("utf-8", _GO_ERRORS))[0]
        except (ValueError, RecursionError):
            # The scan below has Go's words for it, or finds that Go can do what Python cannot.
            pass
        else:
            # Python ends a bare number where it stops being one, and Go refuses that.
            if not isinstance(tree, Number):
                return tree
    return _Scan(data).value()


def _past_blanks(data: bytes, at: int) -> int:
    match = _BLANK.match(data, at)
    return at if match is None else match.end()


def _replace_one(error: UnicodeError) -> tuple[str, int]:
    """Replace one byte at a time: Python would replace the beginning of a character as one."""
    return _REPLACEMENT, cast("UnicodeDecodeError", error).start + 1


codecs.register_error(_GO_ERRORS, _replace_one)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


_PYTHON = JSONDecoder(
    object_pairs_hook=Members,
    parse_float=Number,
    parse_int=Number,
    parse_constant=_refuse_constant,
)


class _Scan:
    """One pass over a body, without recursion: Go nests deeper than Python's stack."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._open: list[list[Any]] = []
        self._keys: list[str] = []

    def value(self) -> Any:
        """Give the first value of the body."""
        while True:
            sign = self._next()
            if sign in b"{[":
                value, ended = self._begin(sign)
                if not ended:
                    continue
            else:
                value = self._literal(sign)
            while self._open:
                value, ended = self._put(value)
                if not ended:
                    break
            else:
                return value

    def _next(self) -> bytes:
        self._at = _past_blanks(self._data, self._at)
        return self._byte()

    def _byte(self) -> bytes:
        if self._at >= len(self._data):
            raise GoRefused("unexpected EOF")
        return self._data[self._at : self._at + 1]

    def _refused(self, where: str) -> GoRefused:
        sign = self._data[self._at : self._at + 1].decode("latin-1")
        shown = {"'": "\\'", '"': '"', "\\": "\\\\"}.get(sign) or _quoted(sign)
        return GoRefused(f"invalid character '{shown}' {where}")

    def _begin(self, sign: bytes) -> tuple[list[Any], bool]:
        """Open an object or array, and say whether it ends at once."""
        if len(self._open) == MAX_DEPTH:
            raise self._refused("exceeded max depth")
        self._at += 1
        holder: list[Any] = Members() if sign == b"{" else []
        if self._next() == _closing(holder):
            self._at += 1
            return holder, True
        self._open.append(holder)
        if isinstance(holder, Members):
            self._key()
        return holder, False

    def _put(self, value: Any) -> tuple[Any, bool]:
        """Put a value into the innermost open holder; give that one and whether it has ended."""
        holder = self._open[-1]
        is_object = isinstance(holder, Members)
        holder.append((self._keys.pop(), value) if is_object else value)
        sign = self._next()
        if sign == _closing(holder):
            self._at += 1
            return self._open.pop(), True
        if sign != b",":
            raise self._refused(
                "after object key:value pair" if is_object else "after array element"
            )
        self._at += 1
        if is_object:
            self._key()
        return None, False

    def _key(self) -> None:
        if self._next() != b'"':
            raise self._refused("looking for beginning of object key string")
        self._keys.append(self._string())
        if self._next() != b":":
            raise self._refused("after object key")
        self._at += 1

    def _literal(self, sign: bytes) -> Any:
        if sign == b'"':
            return self._string()
        if sign in b"-0123456789":
            return self._number()
        for word, value in _WORDS.items():
            if word.startswith(sign):
                self._word(word)
                return value
        raise self._refused("looking for beginning of value")

    def _word(self, word: bytes) -> None:
        for index in range(len(word)):
            wanted = word[index : index + 1]
            if self._byte() != wanted:
                literal, sign = word.decode(), wanted.decode()
                raise self._refused(f"in literal {literal} (expecting '{sign}')")
            self._at += 1

    def _number(self) -> Number:
        start = self._at
        if self._byte() == b"-":
            self._at += 1
        if self._byte() == b"0":
            self._at += 1
        else:
            self._digits("in numeric literal")
        if self._data[self._at : self._at + 1] == b".":
            self._at += 1
            self._digits("after decimal point in numeric literal")
        if self._data[self._at : self._at + 1] in {b"e", b"E"}:
            self._at += 1
            if self._byte() in b"+-":
                self._at += 1
            self._digits("in exponent of numeric literal")
        return Number(self._data[start : self._at].decode())

    def _digits(self, where: str) -> None:
        self._byte()
        match = _DIGITS.match(self._data, self._at)
        if match is None:
            raise self._refused(where)
        self._at = match.end()

    def _string(self) -> str:
        self._at += 1
        parts = []
        while True:
            match = _PLAIN.match(self._data, self._at)
            end = self._at if match is None else match.end()
            parts.append(self._data[self._at : end].decode("utf-8", _GO_ERRORS))
            self._at = end
            sign = self._byte()
            if sign == b'"':
                self._at += 1
                # Two escapes may be the two halves of one character.
                joined = "".join(parts).encode("utf-16", "surrogatepass")
                return joined.decode("utf-16", "surrogatepass")
            if sign != b"\\":
                raise self._refused("in string literal")
            self._at += 1
            parts.append(self._escape())

    def _escape(self) -> str:
        sign = self._byte()
        if sign in _ESCAPES:
            self._at += 1
            return _ESCAPES[sign]
        if sign != b"u":
            raise self._refused("in string escape code")
        self._at += 1
        start = self._at
        for _ in range(4):
            if self._byte() not in b"0123456789abcdefABCDEF":
                raise self._refused("in \\u hexadecimal character escape")
            self._at += 1
        return chr(int(self._data[start : self._at], 16))


def _closing(holder: list[Any]) -> bytes:
    return b"}" if isinstance(holder, Members) else b"]"


def _quoted(sign: str) -> str:
    """Write a character as Go's strconv.Quote does, for one that may not be printable."""
    named = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    named["\v"] = "\\v"
    if sign in named:
        return named[sign]
    if sign.isprintable() and sign != "\u00ad":
        return sign
    return f"\\x{ord(sign):02x}" if sign.isascii() else f"\\u{ord(sign):04x}"
