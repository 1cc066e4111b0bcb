"""The prompt log: what was said in the calls of those keys that ask for it, sealed (SPEC 9).

Texts wait in memory, up to so many bytes of each tenant and of all, and go to PostgreSQL in
batches; they never touch the spool. Each tenant has a quota of its own per day. Whatever does not
fit is dropped, and the call's record says so: no call waits for its text or is refused because of
it. A text that waits while the process is killed, or longer than its end can wait for PostgreSQL,
is lost although its record says that it was kept; the record itself never is.

Texts whose time is over are deleted here too, also where no new ones are taken.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol
from uuid import UUID

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.audit.prompt_texts import DailyQuota, PromptText, day_at, text_of_call
from neuronetz_twisted.audit.sealing import MasterKey
from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.vocabulary import Outcome, Ticket

KEPT: Final = "kept"
DROPPED: Final = "dropped"

OVERHEAD_BYTES = 1024
"""What a text that waits takes beside its own bytes."""


class PromptStore(Protocol):
    """Sealed texts in PostgreSQL. Every method may fail with `DatabaseUnavailable`."""

    def write(self, texts: Sequence[PromptText], sealer: MasterKey) -> Deferred[int]:
        """Seal texts of one tenant and keep them; how many were not kept.

        To repeat it, after a failure, keeps none of them twice.
        """
        ...

    def delete_expired(self, limit: int) -> Deferred[int]:
        """Delete at most `limit` texts whose time is over; how many they were."""
        ...

    def usage_since(
        self, started: datetime, expiring: datetime
    ) -> Deferred[dict[UUID, tuple[int, int]]]:
        """How many texts and bytes each tenant has kept since `started`.

        Only those count that last beyond `expiring`.
        """
        ...


@frozen(kw_only=True)
class PromptLimits:
    """Sizes in bytes, times in seconds.

    `waiting_bytes` may wait in memory, `tenant_bytes` of them of one tenant, who so leaves room to
    the others. A tenant keeps `day_texts` and `day_bytes` per day (UTC).
    `batch_bytes` go into one transaction, `gather_s` after the first of them came. Every `sweep_s`
    expired texts are deleted, `sweep_texts` per transaction and `sweep_batches` transactions.
    """

    waiting_bytes: int = 16 * 1024 * 1024
    tenant_bytes: int = 4 * 1024 * 1024
    day_texts: int = 50_000
    day_bytes: int = 256 * 1024 * 1024
    batch_bytes: int = 1024 * 1024
    gather_s: float = 0.2
    first_retry_s: float = 1.0
    last_retry_s: float = 30.0
    sweep_s: float = 60.0
    sweep_texts: int = 200
    sweep_batches: int = 50


@define
class _Queue:
    """The texts of one tenant that wait, and the memory they take, in bytes."""

    texts: deque[PromptText] = field(factory=deque)
    size: int = 0


class PromptLog(Service):
    """Takes texts while it runs; without a `master` key it drops them all.

    `now` gives seconds since 1970.
    """

    name = "prompts"
    _log = Logger()

    def __init__(  # noqa: PLR0913 - its parts, wired once
        self,
        *,
        clock: IReactorTime,
        store: PromptStore,
        master: MasterKey | None,
        retention_days: int,
        now: Callable[[], float] = time.time,
        limits: PromptLimits | None = None,
    ) -> None:
        self._clock = clock
        self._store = store
        self._master = master
        self._retention = timedelta(days=retention_days)
        self._now = now
        self._limits = limits or PromptLimits()
        self._quota = DailyQuota(self._limits.day_texts, self._limits.day_bytes)
        self._waiting: dict[UUID, _Queue] = {}
        self._waiting_bytes = 0
        self._dropped: Counter[str] = Counter()
        self._retry_s = self._limits.first_retry_s
        self._sweep_at = 0.0
        self._timer: IDelayedCall | None = None
        self._working: Deferred[None] | None = None

    def startService(self) -> None:
        """Take texts, and delete those whose time is over now and at every interval."""
        super().startService()
        self._sweep_at = self._clock.seconds()
        self._again(0.0)

    def stopService(self) -> Deferred[None]:
        """Take no more; write what waits, unless PostgreSQL is away."""
        super().stopService()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        return Deferred.fromCoroutine(self._drain())

    def keep(self, ticket: Ticket, outcome: Outcome) -> Literal["kept", "dropped"]:
        """Take what was said in a call; the word is for its record. Never fails, never waits."""
        try:
            reason = self._take(ticket, outcome)
        except Exception:  # noqa: BLE001 - whatever is wrong here, the call must be settled
            self._log.failure("the text of a call could not be taken")
            reason = "a fault"
        if reason is None:
            return KEPT
        self._dropped[reason] += 1
        return DROPPED

    def _take(self, ticket: Ticket, outcome: Outcome) -> str | None:
        """Queue a text; else why not, for the log."""
        if self._master is None:
            return "PROMPT_LOG_MASTER_KEY is unset"
        if not self.running:
            return "the gateway stops"
        text = text_of_call(ticket, outcome, self._retention)
        size = _size(text)
        queue = self._waiting.get(text.tenant_id, _Queue())
        if queue.size + size > self._limits.tenant_bytes:
            return "too many of one tenant wait"
        if self._waiting_bytes + size > self._limits.waiting_bytes:
            return "too many wait"
        if not self._quota.take(text.tenant_id, len(text.text), day_at(self._now())):
            return "the day's quota"
        if not self._waiting:
            self._again(self._limits.gather_s)
        queue.texts.append(text)
        queue.size += size
        self._waiting[text.tenant_id] = queue
        self._waiting_bytes += size
        return None

    def _again(self, pause_s: float) -> None:
        """Work in so many seconds, unless that is planned for earlier or under way."""
        if not self.running or self._working is not None:
            return
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self._clock.seconds() + pause_s:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(pause_s, self._begin)

    def _begin(self) -> None:
        working = Deferred.fromCoroutine(self._work())
        if not working.called:
            self._working = working

    async def _work(self) -> None:
        """Write what waits and sweep when that is due, then plan the next time."""
        pause_s = self._limits.last_retry_s
        try:
            await self._write_waiting()
            await self._sweep_if_due()
        except DatabaseUnavailable:
            pause_s = self._retry_s
            self._retry_s = min(2 * pause_s, self._limits.last_retry_s)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the loop's outermost wall: the next time must come
            self._log.failure("the prompt log failed")
        else:
            self._retry_s = self._limits.first_retry_s
            pause_s = max(0.0, self._sweep_at - self._clock.seconds())
            if self._waiting:
                pause_s = self._limits.gather_s
        finally:
            self._working = None
        self._again(pause_s)

    async def _write_waiting(self) -> None:
        """Write all, one tenant after the other. Raises `DatabaseUnavailable`."""
        while self._waiting and self._master is not None:
            tenant_id = next(iter(self._waiting))
            batch = self._batch(self._waiting[tenant_id].texts)
            try:
                not_kept = await self._store.write(batch, self._master)
            except (DatabaseUnavailable, CancelledError):
                raise
            except Exception:  # noqa: BLE001 - it would fail again, and hold up all the others
                self._log.failure("texts of calls could not be kept")
                not_kept = len(batch)
            if not_kept:
                self._dropped["not kept by PostgreSQL"] += not_kept
            self._forget(tenant_id, len(batch))

    def _batch(self, texts: Sequence[PromptText]) -> list[PromptText]:
        """The first of a tenant's texts, as many as fit into one transaction; one at least."""
        batch: list[PromptText] = []
        size = 0
        for text in texts:
            size += len(text.text)
            if batch and size > self._limits.batch_bytes:
                break
            batch.append(text)
        return batch

    def _forget(self, tenant_id: UUID, count: int) -> None:
        """Take a tenant's first texts off; with those that are left it is the others' turn."""
        queue = self._waiting.pop(tenant_id)
        size = sum(_size(queue.texts.popleft()) for _ in range(count))
        queue.size -= size
        self._waiting_bytes -= size
        if queue.texts:
            self._waiting[tenant_id] = queue

    async def _sweep_if_due(self) -> None:
        """Delete what has expired, and learn what others have kept. Raises `DatabaseUnavailable`.

        What is too much for one sweep is left to the next: those who write do not wait for it.
        """
        if self._clock.seconds() < self._sweep_at:
            return
        self._tell_dropped()
        limit = self._limits.sweep_texts
        for _ in range(self._limits.sweep_batches):
            if await self._store.delete_expired(limit) < limit:
                break
        if self._master is not None:
            today = day_at(self._now())
            self._quota.seen(await self._store.usage_since(today, today + self._retention), today)
        self._sweep_at = self._clock.seconds() + self._limits.sweep_s

    async def _drain(self) -> None:
        if self._working is not None:
            await self._working
        try:
            await self._write_waiting()
        except DatabaseUnavailable:
            self._dropped["PostgreSQL is away"] += sum(
                len(queue.texts) for queue in self._waiting.values()
            )
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        """Tell the operator, at most once per sweep, how much is missing in the prompt log."""
        for reason, count in self._dropped.items():
            self._log.warn(
                "{count} texts of calls were dropped: {reason}", count=count, reason=reason
            )
        self._dropped.clear()


def _size(text: PromptText) -> int:
    return len(text.text) + OVERHEAD_BYTES
