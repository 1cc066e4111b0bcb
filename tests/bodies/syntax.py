"""What is JSON and what is not (RFC 8259), in front of a decoder that takes more (Go's)."""

from tests.bodies.entry import (
    CHAT,
    EMBED,
    GENERATE,
    HELLO,
    TALKER,
    Entry,
    chat,
    embed,
    generate,
    said,
    whole,
)

_BODY = f'{{"model":"{TALKER}","messages":[{HELLO}],"stream":false}}'
_RAW = _BODY.encode()
_LIMIT = 262_144
_DEEP = 10_000


def _bad(name: str, raw: str | bytes, status: int = 400) -> Entry:
    return whole(CHAT, name, raw, status)


def _content(name: str, inside: bytes, status: int = 400) -> Entry:
    return whole(CHAT, name, _RAW.replace(b"hello", inside), status)


def _key(name: str, inside: bytes, status: int = 400) -> Entry:
    return whole(CHAT, f"a key of {name}", _RAW[:-1] + b',"' + inside + b'":1}', status)


def _nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + ("" if opening == "[" else "1") + closing * depth


def _deep(name: str, value: str, status: int) -> Entry:
    return chat(f'"x":{value}', status, name=name)


_EMPTY = (
    _bad("no body", b""),
    _bad("blanks", b" \r\n\t "),
    _bad("an empty object", "{}"),
    *(_bad(f"only {raw}", raw) for raw in ("null", "[]", '"x"', "1", "true", "[{}]", "nul")),
    whole(GENERATE, "no body", b"", 400),
    whole(GENERATE, "an empty object", "{}", 400),
    whole(EMBED, "no body", b"", 400),
    whole(EMBED, "a list", f"[{_BODY}]", 400),
)

_AROUND = (
    whole(CHAT, "blanks around", f" \r\n\t{_BODY}\n\n"),
    whole(CHAT, "blanks inside", _BODY.replace(":", " :\n").replace(",", "\t,\r\n")),
    _bad("a byte order mark", b"\xef\xbb\xbf" + _RAW),
    _bad("a form feed before", "\f" + _BODY),
    _bad("a no-break space before", "\u00a0" + _BODY),
    _bad("NUL behind", _RAW + b"\0"),
    _bad("UTF-16", _BODY.encode("utf-16")),
    _bad("UTF-16 without a mark", _BODY.encode("utf-16-le")),
    _bad("UTF-32", _BODY.encode("utf-32-be")),
    _bad("text behind", _BODY + " x"),
    _bad("a brace behind", _BODY + "}"),
    _bad("another body behind", f'{_BODY}{{"model":"other"}}'),
    _bad("another body on the next line", f"{_BODY}\n{_BODY}"),
    _bad("a comma behind", _BODY + ","),
    _bad("a guard before", ")]}'\n" + _BODY),
    _bad("half of it", _BODY[: len(_BODY) // 2]),
    _bad("all but the last brace", _BODY[:-1]),
    _bad("a comma before the end", _BODY[:-1] + ",}"),
    _bad("two commas", _BODY.replace(",", ",,", 1)),
    _bad("a comment", "/* x */" + _BODY),
    _bad("a line comment", _BODY[:-1] + "// x\n}"),
    _bad("single quotes", _BODY.replace('"', "'")),
    _bad("bare keys", _BODY.replace('"model"', "model")),
    _bad("a number as a key", _BODY.replace('"stream"', "1")),
    _bad("no colon", _BODY.replace(":", " ", 1)),
    _bad("True", _BODY.replace("false", "False")),
    _bad("undefined", _BODY.replace("false", "undefined")),
    _bad("a form", "model=llama3.2&prompt=hello&stream=false"),
    _bad("a form with a body in it", "body=" + _BODY),
    _bad("XML", "<model>llama3.2</model>"),
    whole(CHAT, "as long as may be", _BODY[:-1].ljust(_LIMIT - 1) + "}"),
    _bad("a byte too long", _BODY[:-1].ljust(_LIMIT) + "}", 413),
)

_STRINGS = (
    _content("a line feed in a string", b"a\nb"),
    _content("NUL in a string", b"a\0b"),
    _content("a tab in a string", b"a\tb"),
    _content("delete in a string", b"a\x7fb", 200),
    _content("an escaped NUL", rb"a\u0000b", 200),
    _content("an escaped line feed", rb"a\nb", 200),
    _content("an escaped slash", rb"a\/b", 200),
    _content("signs that Go escapes", "<a> & b \u2028 \u2029".encode(), 200),
    _content("a byte that is no UTF-8", b"a\xffb"),
    _content("an overlong slash", b"\xc0\xaf"),
    _content("an overlong NUL", b"\xc0\x80"),
    _content("half a character", b"\xe2\x82"),
    _content("a surrogate in UTF-8", b"\xed\xa0\x80"),
    _content("beyond Unicode", b"\xf4\x90\x80\x80"),
    _content("Latin-1", "käse".encode("latin-1")),
    _content("the last character", "\U0010ffff".encode(), 200),
    _content("a character outside the plane", "😀".encode(), 200),
    _content("a pair of surrogates", rb"\ud83d\ude00", 200),
    _content("a lone high surrogate", rb"\ud83d"),
    _content("a lone low surrogate", rb"\ude00"),
    _content("surrogates in reverse", rb"\ude00\ud83d"),
    _content("two high surrogates", rb"\ud83d\ud83d"),
    _content("an escape of hex", rb"\x41"),
    _content("an escape of no letter", rb"\a"),
    _content("an escape of no hex", rb"\u00g0"),
    _content("a short escape", rb"\u00"),
    _content("an escaped quote", rb"say \"hi\"", 200),
    _content("an open string", b'a"'),
    _content("brackets in a string", b"[{" * 99, 200),
    _content("a backslash at the end", rb"a\\", 200),
    _key("no UTF-8", b"\xff"),
    _key("a lone surrogate", rb"\ud800"),
    _key("NUL", rb"\u0000", 200),
    _key("nothing", b"", 200),
    _key("a line feed", b"a\nb"),
    _key("ten thousand letters", b"k" * _DEEP, 200),
    _key("a newline that would split a header", rb"a\r\nX-Other: 1", 200),
    _key("a comma", b"a, b", 200),
    _key("a prototype", b"__proto__", 200),
)

_DEPTHS = (
    _deep("31 deep", _nested(30), 200),
    _deep("32 deep", _nested(31), 200),
    _deep("33 deep", _nested(32), 400),
    _deep("32 deep in objects", _nested(31, '{"a":', "}"), 200),
    _deep("33 deep in objects", _nested(32, '{"a":', "}"), 400),
    _deep("wide, not deep", f"[{','.join(['[]'] * 500)}]", 200),
    _deep("1025 deep", _nested(1024), 400),
    _deep("10000 deep", _nested(_DEEP), 400),
    _deep("10000 deep in objects", _nested(_DEEP, '{"a":', "}"), 400),
    _deep("deep and open", "[" * _DEEP, 400),
    _bad("nothing but brackets", "[" * _DEEP),
    generate(f'"x":{_nested(31)}', name="32 deep"),
    generate(f'"x":{_nested(32)}', 400, name="33 deep"),
    embed(f'"input":"a","x":{_nested(32)}', 400, name="33 deep"),
    said(f'{{"role":"user","content":{_nested(9)}}}', 400, name="content of lists"),
)

_WORDS = tuple(
    chat(f'"options":{{"temperature":{word}}}', 400)
    for word in ("NaN", "Infinity", "-Infinity", "nan", "+1", ".5", "1.", "01", "0x1", "1_0", "--1")
)

ENTRIES = (*_EMPTY, *_AROUND, *_STRINGS, *_DEPTHS, *_WORDS)
