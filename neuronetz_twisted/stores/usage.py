"""The caller's own use, from the ledger in PostgreSQL.

A page costs four sums over a month, in the connections that look up keys. So whoever asks for it
cannot take these from others: one question of a tenant is under way at a time and two of all, and
an answer is kept for a moment.
"""

from collections.abc import Callable, Mapping
from copy import copy
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.usage_queries import own_usage
from neuronetz_twisted.vocabulary import Principal

KEPT_S = 2.0
"""How long an answer is given again."""

MOST_QUESTIONS = 2
"""How many questions are under way at once."""

Page = Mapping[str, Any]


@define
class _Question:
    """One question under way, of one key, and who waits for its answer."""

    tenant_id: UUID
    waiting: list[Deferred[Page]] = field(factory=list)

    def wait(self) -> Deferred[Page]:
        """One more who waits; cancelling it leaves the others."""
        waiter: Deferred[Page] = Deferred()
        self.waiting.append(waiter)
        return waiter


@define
class PostgresUsage:
    """The `UsageStore` of seams.py. `now` gives seconds since 1970."""

    _database: DatabaseThreads
    _now: Callable[[], float]
    _questions: dict[UUID, _Question] = field(factory=dict, init=False)
    _kept: dict[UUID, tuple[float, Page]] = field(factory=dict, init=False)

    def own(self, principal: Principal) -> Deferred[Page]:
        """Fails with `DatabaseUnavailable`, also where too many ask."""
        self._forget_old()
        key_id = principal.key_id
        if key_id in self._kept:
            return succeed(self._kept[key_id][1])
        if key_id in self._questions:
            return self._questions[key_id].wait()
        tenants = [question.tenant_id for question in self._questions.values()]
        if len(tenants) >= MOST_QUESTIONS or principal.tenant_id in tenants:
            return fail(DatabaseUnavailable("too many ask for their use"))
        question = self._questions[key_id] = _Question(principal.tenant_id)
        waiter = question.wait()
        self._ask(principal).addCallbacks(
            self._answered, self._failed, callbackArgs=(key_id,), errbackArgs=(key_id,)
        )
        return waiter

    def _ask(self, principal: Principal) -> Deferred[Page]:
        today = datetime.fromtimestamp(self._now(), UTC).date()
        return self._database.run(
            partial(own_usage, tenant_id=principal.tenant_id, key_id=principal.key_id, today=today)
        )

    def _answered(self, page: Page, key_id: UUID) -> None:
        self._kept[key_id] = (self._now(), page)
        for waiter in self._questions.pop(key_id).waiting:
            waiter.callback(page)

    def _failed(self, failure: Failure, key_id: UUID) -> None:
        for waiter in self._questions.pop(key_id).waiting:
            # One for each: an exception that is raised keeps the frames it went through.
            waiter.errback(copy(failure.value))

    def _forget_old(self) -> None:
        now = self._now()
        for key_id, (since, _) in list(self._kept.items()):
            # The wall clock may have been set back.
            if not since <= now < since + KEPT_S:
                del self._kept[key_id]
