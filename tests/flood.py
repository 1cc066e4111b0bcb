"""Hundreds of wrong keys at once, beside callers whose keys are right (SPEC 5)."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event, Thread

from attrs import frozen

from neuronetz_twisted.admission.credentials import _checksum, new_key, parse_key
from tests.gateway import Stack
from tests.http_client import Answer, ask, burst, request_bytes
from tests.processes import eventually

COUNT = 500
MOST_GROWTH = 200_000_000
"""What such a flood may add to the gateway's memory at any time, in bytes."""

REFUSALS = {401, 429, 503}

_LET_IN_S = 60.0
_BREATH_S = 0.01


def forged(prefix: str) -> str:
    """A wrong key with the prefix of a real one and a CRC that fits."""
    made_up = prefix + new_key(secrets.randbelow)[len(prefix) : -6]
    key = made_up + _checksum(made_up)
    if parse_key(key) is None:
        raise AssertionError("not well-formed")
    return key


def wrong_keys(*prefixes: str) -> list[str]:
    """As many of them, every other one with an existing prefix."""
    return [
        forged(prefixes[number % len(prefixes)]) if number % 4 < 2 else new_key(secrets.randbelow)
        for number in range(COUNT)
    ]


@frozen
class Flood:
    """What came of it.

    `growth` is the most that was seen, in bytes of resident memory; `let_in_after` how long, in
    seconds, valid cold keys had to ask beside it, from an address of the flood and from another.
    """

    answers: list[Answer]
    warm: list[Answer]
    growth: int
    let_in_after: list[float]


def flood(stack: Stack, argon2: dict[str, int], *, addresses: int) -> Flood:
    """Send all keys at once, from so many addresses, beside a warm key and two valid cold ones."""
    warm_key, cold_key, other_key = (stack.new_key(argon2=argon2) for _ in range(3))
    if ask(stack.port, "GET", "/api/tags", key=warm_key).status != 200:
        raise AssertionError("the key is not warm")
    requests = [
        request_bytes("GET", "/api/tags", key=key, headers=_from(number % addresses))
        for number, key in enumerate(wrong_keys(warm_key[:12], cold_key[:12]))
    ]
    warm: list[Answer] = []
    sizes = [stack.process().memory_info().rss]
    let_in: list[float] = []
    with ExitStack() as beside:
        beside.enter_context(
            _repeatedly(lambda: warm.append(ask(stack.port, "GET", "/api/tags", key=warm_key)))
        )
        beside.enter_context(_repeatedly(lambda: sizes.append(stack.process().memory_info().rss)))
        for key, address in ((cold_key, 0), (other_key, COUNT)):
            beside.enter_context(_beside(partial(_note_entry, let_in, stack, key, address)))
        answers = burst(stack.port, requests)
    return Flood(answers, warm, max(sizes) - sizes[0], let_in)


def _note_entry(let_in: list[float], stack: Stack, key: str, address: int) -> None:
    """Ask with a cold valid key, again and again, until it is let in."""
    began = time.monotonic()

    def is_let_in() -> bool:
        answer = ask(stack.port, "GET", "/api/tags", key=key, headers=_from(address))
        return answer.status == 200

    eventually(is_let_in, _LET_IN_S)
    let_in.append(time.monotonic() - began)


def _from(address: int) -> dict[str, str]:
    return {"X-Forwarded-For": f"198.51.{address // 256}.{address % 256}"}


@contextmanager
def _beside(do: Callable[[], object]) -> Iterator[None]:
    """Do something once in a thread, of which the block's end is the latest end."""
    thread = Thread(target=do)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextmanager
def _repeatedly(do: Callable[[], object]) -> Iterator[None]:
    """Do something again and again in a thread while the block runs."""
    over = Event()

    def go_on() -> None:
        while not over.wait(_BREATH_S):
            do()

    with _beside(go_on):
        try:
            yield
        finally:
            over.set()
