"""What the scripts of admission answer: integers on the wire, values here. Pure (SPEC 7).

Whatever is not as a script answers is no pass: it is taken as if Redis had not answered at all.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from attrs import frozen

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import RedisReply


class Code(IntEnum):
    """The first integer of every answer, as in `scripts/parts/clock.lua`."""

    OK = 1
    STALE = 2
    UNKNOWN = 3
    REFUSED = 4
    RPM = 10
    TPM = 11
    SLOTS = 12
    DAY = 20
    MONTH = 21
    TOTAL = 22
    GONE = 30


LIMITS = {
    Code.RPM: "requests",
    Code.TPM: "tokens",
    Code.SLOTS: "concurrency",
    Code.DAY: "day",
    Code.MONTH: "month",
    Code.TOTAL: "total",
}
"""What was reached, as clients read it (SPEC 8)."""

_LEVELS = ("tenant", "key")
_PERIODS = (None, "day", "month", "total")
_FIGURES = 7
_SETTLED = (Code.OK, Code.GONE)
_USED = 6


class Figures(NamedTuple):
    """What a caller has left, of the level that has least; a limit of -1 is none.

    `period` is that of the budget with least left, None without a budget. `now_s` is Redis' clock,
    in seconds since 1970.
    """

    limit_requests: int
    remaining_requests: int
    limit_tokens: int
    remaining_tokens: int
    period: str | None
    remaining_budget: int
    now_s: int


class Granted(NamedTuple):
    """The call may run, with `lease` output tokens at first.

    `day` is the UTC day whose budgets it is charged to, as `2026-11-23`: Redis' clock says which.
    """

    lease: int
    day: str
    figures: Figures


@frozen
class Refused:
    """A limit is reached: which, at which level, and after how many seconds to ask again."""

    code: Code
    level: str
    retry_after_s: int
    figures: Figures


@frozen
class Stale:
    """The tenant has changed since the caller's principal was read; `epoch` is its newest."""

    epoch: int


@frozen
class Unknown:
    """Redis knows nothing of the tenant in this generation: it has to be rebuilt first."""


@frozen
class Released:
    """The id was given up, or has ended, before this admission arrived."""


@frozen
class Used:
    """What counts at one level: in the window, now, and in the three periods of budgets."""

    requests: int
    tokens: int
    running: int
    day: int
    month: int
    total: int


@frozen
class Looked:
    """What a caller has left, and what counts at both levels."""

    figures: Figures
    tenant: Used
    key: Used


@frozen
class Extended:
    """The call has `total` tokens now; no more than it had means that the budget has none left."""

    total: int


@frozen
class Gone:
    """Redis has no such call (yet, after a loss)."""


@frozen
class Done:
    """The script did what it was asked."""


Admitted = Granted | Refused | Stale | Unknown | Released


def admitted(reply: RedisReply) -> Admitted:
    """What `admit` answered. Raises `RedisUnavailable` for anything else."""
    match _integers(reply):
        case [Code.OK, lease, day, *figures]:
            return Granted(lease, _day(day), _figures(figures))
        case [Code.REFUSED]:
            return Released()
        case numbers:
            return _not_granted(numbers)


def counted(reply: RedisReply) -> Figures | Refused | Stale | Unknown:
    """What `count` answered: figures where the list may be read.

    Raises `RedisUnavailable` for anything else.
    """
    match _integers(reply):
        case [Code.OK, *figures]:
            return _figures(figures)
        case numbers:
            return _not_granted(numbers)


def looked(reply: RedisReply) -> Looked | Unknown:
    """What `look` answered. Raises `RedisUnavailable` for anything else."""
    match _integers(reply):
        case [Code.OK, *numbers] if len(numbers) == _FIGURES + 2 * _USED:
            figures, used = numbers[:_FIGURES], numbers[_FIGURES:]
            return Looked(_figures(figures), Used(*used[:_USED]), Used(*used[_USED:]))
        case [Code.UNKNOWN]:
            return Unknown()
        case _:
            raise _strange()


def extended(reply: RedisReply) -> Extended | Gone | Unknown:
    """What `extend` answered. Raises `RedisUnavailable` for anything else."""
    match _integers(reply):
        case [Code.OK, total]:
            return Extended(total)
        case numbers:
            return _not_extended(numbers)


def settled(reply: RedisReply, count: int) -> Sequence[bool] | Unknown:
    """What `settle` answered: of each of `count` calls whether Redis has it.

    Raises `RedisUnavailable` for anything else.
    """
    match _integers(reply):
        case [Code.UNKNOWN]:
            return Unknown()
        case codes if len(codes) == count and all(code in _SETTLED for code in codes):
            return [code == Code.OK for code in codes]
        case _:
            raise _strange()


def done(reply: RedisReply) -> Done | Gone | Unknown:
    """What release, heartbeat, flushed and rebuild answered.

    Only the first is ever `Gone`. Raises `RedisUnavailable` for anything else.
    """
    match _integers(reply):
        case [Code.OK]:
            return Done()
        case numbers:
            return _not_extended(numbers)


def _not_granted(numbers: Sequence[int]) -> Refused | Stale | Unknown:
    match numbers:
        case [Code.STALE, epoch]:
            return Stale(epoch)
        case [Code.UNKNOWN]:
            return Unknown()
        case [code, (0 | 1) as level, retry_after_s, *figures] if code in LIMITS:
            return Refused(Code(code), _LEVELS[level], retry_after_s, _figures(figures))
        case _:
            raise _strange()


def _not_extended(numbers: Sequence[int]) -> Gone | Unknown:
    match numbers:
        case [Code.GONE]:
            return Gone()
        case [Code.UNKNOWN]:
            return Unknown()
        case _:
            raise _strange()


def _figures(numbers: Sequence[int]) -> Figures:
    if len(numbers) != _FIGURES or not 0 <= numbers[4] < len(_PERIODS):
        raise _strange()
    requests, left_requests, tokens, left_tokens, period, left_budget, now_s = numbers
    return Figures(
        requests, left_requests, tokens, left_tokens, _PERIODS[period], left_budget, now_s
    )


def _day(number: int) -> str:
    text = f"{number:08}"
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def _integers(reply: RedisReply) -> list[int]:
    if isinstance(reply, list) and all(type(number) is int for number in reply):
        return reply
    raise _strange()


def _strange() -> RedisUnavailable:
    return RedisUnavailable("Redis did not answer as the script does")
