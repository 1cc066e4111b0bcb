"""What each script of admission is asked: its keys and its arguments. Pure (SPEC 7).

All keys of a tenant carry its id as hash tag, so that they live together wherever Redis spreads
them, and each script is told all that it touches.
"""

from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Protocol

from attrs import define, frozen

from neuronetz_twisted.ledger import Flushed, LedgerLine
from neuronetz_twisted.seams import RedisArgument

Asked = tuple[Sequence[str], Sequence[RedisArgument]]
"""Keys and arguments."""

LISTS = 10
"""So many times its requests per minute are the lists and pages that a caller may have."""

_LEVEL = 6
_BUDGETS = slice(3, 6)


class LevelLimits(Hashable, Protocol):
    """What is set at one level, tenant or key; None is "not set"."""

    @property
    def rpm(self) -> int | None:
        """Requests per minute."""
        ...

    @property
    def tpm(self) -> int | None:
        """Tokens per minute."""
        ...

    @property
    def concurrent(self) -> int | None:
        """Requests at once."""
        ...

    @property
    def budget_day(self) -> int | None:
        """Tokens of a UTC day."""
        ...

    @property
    def budget_month(self) -> int | None:
        """Tokens of a UTC month."""
        ...

    @property
    def budget_total(self) -> int | None:
        """Tokens in all."""
        ...


@frozen(kw_only=True)
class Caller:
    """Whose counters are meant, and what is allowed at both levels, as of the tenant's `epoch`.

    `tenant` and `key` are the ids as text.
    """

    tenant: str
    key: str
    epoch: int
    tenant_limits: LevelLimits
    key_limits: LevelLimits


@frozen(kw_only=True)
class Demand:
    """What one call asks for: `prompt` tokens for its estimate, `lease` for the output's begin."""

    id: str
    caller: Caller
    prompt: int
    lease: int


@define(eq=False)
class HeldCall:
    """One admitted call: the UTC day that it counts for, and what is pending for it, in tokens."""

    demand: Demand
    day: str
    tokens: int
    is_settled: bool = False


@frozen
class _Keys:
    """The names of all keys that a caller's calls touch."""

    admit: tuple[str, ...]
    extend: tuple[str, ...]
    count: tuple[str, ...]
    look: tuple[str, ...]


@lru_cache(maxsize=4096)
def _keys(tenant: str, key: str) -> _Keys:
    base = f"nz:{{{tenant}}}:"
    bud, pend = tenant_keys(tenant)
    win = (f"{base}win:t", f"{base}win:k:{key}")
    lists = (f"{base}list:t", f"{base}list:k:{key}")
    slots = (f"{base}slots:t", slots_key(tenant, key))
    return _Keys(
        admit=(bud, pend, *win, *slots),
        extend=(bud, pend, *win),
        count=(bud, *lists, *win),
        look=(bud, *win, *slots),
    )


@lru_cache(maxsize=4096)
def _numbers(tenant: LevelLimits, key: LevelLimits, times: int) -> tuple[int, ...]:
    """All limits as the scripts take them: -1 is "not set", `times` is for requests per minute."""
    numbers: list[int] = []
    for level in (tenant, key):
        rpm = None if level.rpm is None else times * level.rpm
        values = (rpm, level.tpm, level.concurrent)
        budgets = (level.budget_day, level.budget_month, level.budget_total)
        numbers += (-1 if value is None else value for value in (*values, *budgets))
    return tuple(numbers)


def _limits(caller: Caller, times: int = 1) -> tuple[int, ...]:
    return _numbers(caller.tenant_limits, caller.key_limits, times)


def tenant_keys(tenant: str) -> tuple[str, str]:
    """Where the budget of a tenant is, and the order of its pendings."""
    return f"nz:{{{tenant}}}:bud", f"nz:{{{tenant}}}:pend"


def _window_and_slots(tenant: str, scope: str) -> tuple[str, str]:
    return f"nz:{{{tenant}}}:win:{scope}", f"nz:{{{tenant}}}:slots:{scope}"


def slots_key(tenant: str, key: str) -> str:
    """Where the slots of a key are."""
    return f"nz:{{{tenant}}}:slots:k:{key}"


def admit(demand: Demand, gen: str) -> Asked:
    """All that an admission takes, at both levels."""
    caller = demand.caller
    what = (demand.id, gen, caller.epoch, demand.prompt, demand.lease)
    return _keys(caller.tenant, caller.key).admit, (*what, *_limits(caller))


def extend(demand: Demand, gen: str, total: int) -> Asked:
    """A further lease, so that the call has `total` tokens in all, its prompt's among them."""
    caller = demand.caller
    limits = _limits(caller)
    budgets = (*limits[_BUDGETS], *limits[_LEVEL:][_BUDGETS])
    return _keys(caller.tenant, caller.key).extend, (demand.id, gen, total, *budgets)


def settle(tenant: str, gen: str, calls: Iterable[HeldCall]) -> Asked:
    """What calls of a tenant really cost."""
    places: dict[str, int] = {}
    args: list[RedisArgument] = [gen]
    for call in calls:
        place = places.setdefault(call.demand.caller.key, len(places) + 1)
        args += (call.demand.id, place, call.tokens)
    keys = [*tenant_keys(tenant), *_window_and_slots(tenant, "t")]
    for key in places:
        keys += _window_and_slots(tenant, f"k:{key}")
    return keys, args


def release(demand: Demand) -> Asked:
    """The call does not take place."""
    return _keys(demand.caller.tenant, demand.caller.key).admit, (demand.id,)


def count(caller: Caller, gen: str) -> Asked:
    """One list or page."""
    return _keys(caller.tenant, caller.key).count, (gen, caller.epoch, *_limits(caller, LISTS))


def look(caller: Caller, gen: str) -> Asked:
    """What the caller has left; nothing is taken."""
    return _keys(caller.tenant, caller.key).look, (gen, *_limits(caller))


def heartbeat(tenant: str, gen: str, calls: Iterable[HeldCall]) -> Asked:
    """The calls of a tenant that this process speaks for."""
    places: dict[str, int] = {}
    args: list[RedisArgument] = [gen]
    for call in calls:
        place = places.setdefault(call.demand.caller.key, len(places) + 1)
        runs = 0 if call.is_settled else 1
        args += (call.demand.id, place, call.tokens, call.day, runs)
    slots = (f"nz:{{{tenant}}}:slots:t", *(slots_key(tenant, key) for key in places))
    return (*tenant_keys(tenant), *slots), args


def flushed(flush: Flushed, gen: str) -> Asked:
    """What the ledger has now, these calls among it."""
    return tenant_keys(flush.tenant), (gen, len(flush.ids), *flush.ids, *_columns(flush.lines))


def rebuild(tenant: str, gen: str, lines: Iterable[LedgerLine]) -> Asked:
    """What the ledger has, for a tenant that Redis does not know."""
    return tenant_keys(tenant), (gen, *_columns(lines))


def raise_epoch(tenant: str, epoch: int) -> Asked:
    """A tenant has changed."""
    return tenant_keys(tenant)[:1], (epoch,)


def _columns(lines: Iterable[LedgerLine]) -> list[RedisArgument]:
    columns: list[RedisArgument] = []
    for line in lines:
        columns += (line.scope, line.period, line.date, line.tokens)
    return columns
