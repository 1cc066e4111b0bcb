"""What a model says: its tokens, its thoughts, its calls of tools, and how probable they were."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain, count, cycle, islice
from typing import Any

from attrs import frozen

from mock_ollama.directives import Directive, without_directives
from mock_ollama.gojson import go_json
from mock_ollama.refused import Refused
from mock_ollama.schema import instance

_BYTES_PER_TOKEN = 4
_ECHOED_WORDS = 8
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_THOUGHTS = ("Let", " me", " think", " about", " this", " once", " more", ".")


def count_tokens(text: str) -> int:
    """Give the number of tokens that the twin counts for a text: one for four bytes begun."""
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


def answer_tokens(prompts: Iterable[str], directive: Directive) -> Iterator[str]:
    """Give the text of each token the model would say, before any limit of the request."""
    if directive.size is not None:
        size = directive.size
        sized = (f"{index} ".ljust(size, "x")[:size] for index in count())
        return islice(sized, 40 if directive.tokens is None else directive.tokens)
    last = next((text for text in reversed(tuple(prompts)) if text), "")
    echo = " ".join(without_directives(last)[:400].split()[:_ECHOED_WORDS]) or "nothing at all"
    words = re.findall(
        r"\s*\S+",
        f"You said: {echo}. That is a fine thing to say on a day like this. I am only a mock, so "
        "my answer is always the same, but it arrives one word at a time.",
    )
    if directive.tokens is None:
        return iter(words)
    return islice(chain(words, cycle([f" {words[0]}", *words[1:]])), directive.tokens)


def thought_tokens(number: int) -> Iterator[str]:
    """Give the text of each token of thinking."""
    return islice(chain(_THOUGHTS, cycle([f" {_THOUGHTS[0]}", *_THOUGHTS[1:]])), number)


def shaped_tokens(form: Any) -> Iterator[str]:
    """Give the tokens of an answer in a wanted format: "json", or a schema.

    Raises Refused (500) for a format that Ollama does not know.
    """
    if not isinstance(form, Mapping) and form != "json":
        raise Refused(
            500,
            f'invalid format: {go_json(go_json(form).decode()).decode()}; expected "json" '
            "or a valid JSON Schema object",
        )
    value = instance(form) if isinstance(form, Mapping) else {"answer": "always the same"}
    text = go_json(value).decode()
    return (text[at : at + _BYTES_PER_TOKEN] for at in range(0, len(text), _BYTES_PER_TOKEN))


def until_stop(tokens: Iterable[str], stops: tuple[str, ...]) -> Iterator[str]:
    """Pass tokens on until a stop text appears, holding back what may be the beginning of one."""
    held = ""
    for token in tokens:
        held += token
        found = [at for at in map(held.find, stops) if at >= 0]
        if found:
            held = held[: min(found)]
            break
        if not any(_may_begin(held, stop) for stop in stops):
            yield held
            held = ""
    if held:
        yield held


def _may_begin(text: str, stop: str) -> bool:
    return any(text.endswith(stop[:length]) for length in range(1, len(stop)))


def tool_calls(
    tools: Sequence[Mapping[str, Any]], directive: Directive, prompts: Iterable[str]
) -> list[dict[str, Any]]:
    """Give the calls that a directive asks for, as far as the request has tools at all.

    The arguments satisfy the tool's parameters; ids are the same for the same request.
    """
    if not tools:
        return []
    functions = [tool.get("function", {}) for tool in tools]
    by_name = {function.get("name", ""): function for function in functions}
    names = [*directive.tools, *islice(cycle(by_name), directive.calls)]
    seed = sha256("\0".join((*prompts, *names)).encode()).digest()
    return [
        {
            "id": f"call_{_id(seed, index)}",
            "function": {
                "index": index,
                "name": name,
                "arguments": _arguments(by_name.get(name, {})),
            },
        }
        for index, name in enumerate(names)
    ]


def _arguments(function: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = instance({**function.get("parameters", {}), "type": "object"})
    return made


def _id(seed: bytes, index: int) -> str:
    digest = sha256(seed + index.to_bytes(4, "big")).digest()
    return "".join(_ID_LETTERS[byte % len(_ID_LETTERS)] for byte in digest[:8])


@frozen
class Part:
    """What one frame of an answer says."""

    content: str = ""
    thinking: str = ""
    calls: Sequence[Mapping[str, Any]] = ()


def logprobs(part: Part, top: int) -> list[dict[str, Any]]:
    """Give the probabilities of a frame's text: a part is one token; `top` alternatives of it."""
    token = part.thinking or part.content
    if not token:
        return []
    entry = _probability(token, 0)
    if top:
        entry["top_logprobs"] = [_probability(token + "?" * rank, rank) for rank in range(top)]
    return [entry]


def _probability(token: str, rank: int) -> dict[str, Any]:
    return {"token": token, "logprob": -0.125 - rank, "bytes": list(token.encode())}
