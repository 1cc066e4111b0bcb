"""Which regular expressions a model host can be given in a JSON schema. Pure.

llama.cpp turns `pattern` into a grammar (its `common/json-schema-to-grammar.cpp`). Of what it does
not know, some is an error there, some ends the process that all tenants share, or never ends:
`^+$` reads before a list, `^]$` goes round for ever, deep groups exhaust the stack
(ggml-org/llama.cpp 19008, 22606, 25308). So only what it is known to read is let through.
"""

import re

MAX_PATTERN = 256
"""Characters of one pattern."""

MAX_REPEATS = 2000
"""Of one thing in a grammar: llama.cpp's own `MAX_REPETITION_THRESHOLD`."""

_MAX_NESTING = 8

# An escaped character, or a class; both count as one letter from then on.
_SINGLE = re.compile(r"\\[^A-Za-z0-9]|\\[nrt]|\[(?:[^\]\\]|\\[^A-Za-z0-9]|\\[nrt])++\]")
_PART = r"[^|()\[\]{}*+?\\^$](?:[*+?]|\{[0-9]{1,4}+(?:,[0-9]{0,4}+)?\})?"
_CHOICE = rf"(?:{_PART})++(?:\|(?:{_PART})++)*+"
_WHOLE = re.compile(_CHOICE, re.DOTALL)
_GROUP = re.compile(rf"\((?:\?:)?{_CHOICE}\)", re.DOTALL)
_COUNT = re.compile(r"(?<=[{,])[0-9]{1,4}(?=[,}])")


def is_readable(pattern: str) -> bool:
    """Whether a pattern is anchored at both ends and made of what llama.cpp's grammars can say.

    That is: characters, escaped punctuation, `.`, classes, groups, choices, and counted or plain
    repetitions of one of them.
    """
    if len(pattern) > MAX_PATTERN or pattern[:1] != "^" or pattern[-1:] != "$":
        return False
    rest = _SINGLE.sub("a", pattern[1:-1])
    if any(int(count) > MAX_REPEATS for count in _COUNT.findall(rest)):
        return False
    for _ in range(_MAX_NESTING):
        rest = _GROUP.sub("a", rest)
    return _WHOLE.fullmatch(rest) is not None
