"""Texts are written in batches, dropped where they do not fit, and never in anybody's way."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.prompt_texts import PromptText, text_of_call
from neuronetz_twisted.audit.prompts import DROPPED, KEPT, OVERHEAD_BYTES, PromptLimits, PromptLog
from neuronetz_twisted.audit.sealing import MasterKey
from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.testing.calls import (
    TENANT,
    made_arrival,
    made_principal,
    made_request,
    made_ticket,
)
from neuronetz_twisted.testing.identity import Gate
from neuronetz_twisted.vocabulary import End, Outcome, Ticket

MASTER = MasterKey(b"m" * 32)
OTHER_TENANT = UUID(int=7)
ENDED = Outcome(end=End.COMPLETE, word="ok", status=200, answer=b'{"content":"Hello"}')
NOON = 1_700_000_000.0
TODAY = datetime(2023, 11, 14, tzinfo=UTC)


@define
class FakePromptStore:
    """A `PromptStore` in memory; `trouble` is what each call fails with."""

    gate: Gate = field(factory=Gate)
    trouble: Exception | None = None
    sweep_trouble: Exception | None = None
    not_kept: int = 0
    expired: int = 0
    usage: dict[UUID, tuple[int, int]] = field(factory=dict)
    batches: list[list[PromptText]] = field(factory=list, init=False)
    asked: list[object] = field(factory=list, init=False)

    def write(self, texts: Sequence[PromptText], sealer: MasterKey) -> Deferred[int]:
        """Keep texts."""
        assert sealer is MASTER
        if self.trouble is not None:
            return fail(self.trouble)
        self.batches.append(list(texts))
        return self.gate.answer(lambda: self.not_kept)

    def delete_expired(self, limit: int) -> Deferred[int]:
        """Delete."""
        if self.sweep_trouble is not None:
            return fail(self.sweep_trouble)
        count = min(limit, self.expired)
        self.expired -= count
        self.asked.append(count)
        return succeed(count)

    def usage_since(
        self, started: datetime, expiring: datetime
    ) -> Deferred[dict[UUID, tuple[int, int]]]:
        """Tell."""
        self.asked.append((started, expiring))
        return succeed(self.usage)


def ticket(number: int = 0, tenant_id: UUID = TENANT, prompt: Any = "Hi") -> Ticket:
    """A call of its own."""
    return made_ticket(
        arrival=made_arrival(id=str(UUID(int=number))),
        principal=made_principal(tenant_id=tenant_id, prompt_logging=True),
        request=made_request(body={"prompt": prompt}),
    )


TEXT_BYTES = len(text_of_call(ticket(), ENDED, timedelta()).text)


class PromptLogCase(SynchronousTestCase):
    limits = PromptLimits()
    master: MasterKey | None = MASTER

    def setUp(self) -> None:
        """A log that has swept once."""
        self.clock = Clock()
        self.store = FakePromptStore()
        self.log = PromptLog(
            clock=self.clock,
            store=self.store,
            master=self.master,
            retention_days=30,
            now=lambda: NOON + self.clock.seconds(),
            limits=self.limits,
        )
        self.log.startService()
        self.clock.advance(0)
        self.store.asked.clear()

    def tearDown(self) -> None:
        """Whatever happened, nothing is left in the reactor."""
        if self.log.running:
            self.store.trouble = None
            self.store.gate.release_all()
            self.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def stop(self) -> None:
        """Stop, at once."""
        self.successResultOf(self.log.stopService())

    def keep(self, number: int = 0, **changes: Any) -> str:
        """Take a text."""
        return self.log.keep(ticket(number, **changes), ENDED)

    def written(self) -> list[list[int]]:
        """The numbers of the calls in each batch."""
        return [[text.id.int for text in batch] for batch in self.store.batches]


class WritingTests(PromptLogCase):
    def test_written_soon(self) -> None:
        """A text is written a moment after it was taken, with those that came meanwhile."""
        self.assertEqual(self.keep(1), KEPT)
        self.clock.advance(0.1)
        self.assertEqual(self.keep(2), KEPT)
        self.assertEqual(self.store.batches, [])
        self.clock.advance(0.1)
        self.assertEqual(self.written(), [[1, 2]])
        (text, _) = self.store.batches[0]
        self.assertIn(b'"content":"Hello"', text.text)
        self.assertEqual(text.expires_at - text.started_at, timedelta(days=30))
        self.clock.advance(30)
        self.assertEqual(self.written(), [[1, 2]])

    def test_just_before_a_sweep(self) -> None:
        """A text that comes when work is planned already is written then."""
        self.clock.advance(59.9)
        self.keep(1)
        self.clock.advance(0.11)
        self.assertEqual(self.written(), [[1]])

    def test_one_tenant_at_a_time(self) -> None:
        """A batch is of one tenant, who then waits for the others."""
        for number in (1, 2):
            self.keep(number)
            self.keep(10 + number, tenant_id=OTHER_TENANT)
        self.clock.advance(0.2)
        self.assertEqual(self.written(), [[1, 2], [11, 12]])

    def test_taken_while_writing(self) -> None:
        """What comes while a batch is under way is written behind it."""
        self.store.gate.held = True
        self.keep(1)
        self.clock.advance(0.2)
        self.keep(2)
        self.clock.advance(60)
        self.assertEqual(self.written(), [[1]])
        self.store.gate.release_all()
        self.assertEqual(self.written(), [[1], [2]])

    def test_database_away(self) -> None:
        """Texts wait for the database, asked at growing intervals, and none is written twice."""
        self.store.trouble = DatabaseUnavailable("away")
        self.keep(1)
        self.clock.advance(0.2)
        self.keep(2)
        self.clock.advance(1)
        self.store.trouble = None
        self.clock.advance(1.9)
        self.assertEqual(self.written(), [])
        self.clock.advance(0.2)
        self.assertEqual(self.written(), [[1, 2]])
        self.keep(3)
        self.clock.advance(0.2)
        self.assertEqual(self.written(), [[1, 2], [3]])

    def test_refused_by_the_database(self) -> None:
        """Texts that fail otherwise are given up, so that they hold up no other tenant's."""
        self.store.trouble = ZeroDivisionError("no")
        self.keep(1)
        self.clock.advance(0.2)
        self.store.trouble = None
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.keep(2, tenant_id=OTHER_TENANT)
        self.clock.advance(0.2)
        self.assertEqual(self.written(), [[2]])
        self.assertEqual(self.log._dropped, {"not kept by PostgreSQL": 1})

    def test_not_kept(self) -> None:
        """What the store leaves out is counted."""
        self.store.not_kept = 1
        self.keep(1)
        self.keep(2)
        self.clock.advance(0.2)
        self.assertEqual(self.log._dropped, {"not kept by PostgreSQL": 1})
        self.assertEqual(self.log._waiting_bytes, 0)


class BatchTests(PromptLogCase):
    limits = PromptLimits(batch_bytes=2 * TEXT_BYTES)

    def test_batches(self) -> None:
        """A transaction has so many bytes; a text that is larger has one of its own."""
        for number in range(1, 4):
            self.keep(number)
        self.keep(4, prompt="x" * 1000)
        self.keep(11, tenant_id=OTHER_TENANT)
        self.clock.advance(0.2)
        self.assertEqual(self.written(), [[1, 2], [11], [3], [4]])


class DroppingTests(PromptLogCase):
    limits = PromptLimits(waiting_bytes=2 * (TEXT_BYTES + OVERHEAD_BYTES), day_texts=3)

    def test_too_many_wait(self) -> None:
        """A full memory drops what comes, and takes again once it is written."""
        self.assertEqual([self.keep(number) for number in range(3)], [KEPT, KEPT, DROPPED])
        self.clock.advance(0.2)
        self.assertEqual(self.keep(4), KEPT)
        self.assertEqual(self.log._dropped, {"too many wait": 1})

    def test_quota(self) -> None:
        """A tenant's quota drops what is beyond it, until the next day."""
        for number in range(3):
            self.assertEqual(self.keep(number), KEPT)
            self.clock.advance(0.2)
        self.assertEqual(self.keep(4), DROPPED)
        self.assertEqual(self.keep(5, tenant_id=OTHER_TENANT), KEPT)
        self.clock.advance(0.2)
        self.clock.pump([3600] * 24)
        self.assertEqual(self.keep(6), KEPT)

    def test_quota_of_all_gateways(self) -> None:
        """What others have kept counts from the next sweep on."""
        self.store.usage = {TENANT: (3, 100)}
        self.assertEqual(self.keep(1), KEPT)
        self.clock.advance(60)
        self.assertEqual(self.store.asked[-1], (TODAY, TODAY + timedelta(days=30)))
        self.assertEqual(self.keep(2), DROPPED)

    def test_told(self) -> None:
        """The operator reads once a minute how many are missing, and why."""
        for number in range(5):
            self.keep(number)
        with capturedLogs() as events:
            self.clock.advance(60)
            self.clock.advance(60)
        lines = [formatEvent(event) for event in events]
        self.assertEqual(lines, ["3 texts of calls were dropped: too many wait"])

    def test_a_fault_of_ours(self) -> None:
        """Whatever goes wrong here, the call is settled, and the text is dropped."""
        self.assertEqual(self.keep(1, prompt=object()), DROPPED)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class ShareTests(PromptLogCase):
    limits = PromptLimits(tenant_bytes=2 * (TEXT_BYTES + OVERHEAD_BYTES), batch_bytes=1)

    def test_a_share(self) -> None:
        """A tenant who fills its share drops its own texts and nobody else's."""
        self.store.trouble = DatabaseUnavailable("away")
        self.assertEqual([self.keep(number) for number in range(3)], [KEPT, KEPT, DROPPED])
        self.assertEqual(self.keep(11, tenant_id=OTHER_TENANT), KEPT)
        self.assertEqual(self.log._dropped, {"too many of one tenant wait": 1})

    def test_room_again(self) -> None:
        """Each text that is written leaves its room to the next one."""
        self.store.gate.held = True
        self.keep(1)
        self.keep(2)
        self.clock.advance(0.2)
        self.store.gate.release()
        self.assertEqual([self.keep(3), self.keep(4)], [KEPT, DROPPED])
        self.store.gate.release_all()
        self.assertEqual([self.keep(5), self.keep(6)], [KEPT, KEPT])

    def test_a_quarter(self) -> None:
        """As it is shipped, three tenants leave room to a fourth."""
        limits = PromptLimits()
        self.assertEqual(4 * limits.tenant_bytes, limits.waiting_bytes)


class NoMasterTests(PromptLogCase):
    master = None

    def test_dropped(self) -> None:
        """Without a master key nothing is kept, and expired texts are deleted all the same."""
        self.assertEqual(self.keep(1), DROPPED)
        self.store.expired = 1
        self.clock.advance(60)
        self.assertEqual(self.store.asked, [1])
        self.assertEqual(self.store.batches, [])


class SweepTests(PromptLogCase):
    limits = PromptLimits(sweep_texts=2, sweep_batches=3)

    def test_expired(self) -> None:
        """Expired texts are deleted every minute, few at a time, until there are none."""
        self.store.expired = 3
        self.clock.advance(59)
        self.assertEqual(self.store.asked, [])
        self.clock.advance(1)
        self.assertEqual(self.store.asked[:-1], [2, 1])

    def test_too_many(self) -> None:
        """What is too much for one sweep is left to the next."""
        self.store.expired = 8
        self.clock.advance(60)
        self.assertEqual(self.store.asked[:-1], [2, 2, 2])
        self.store.asked.clear()
        self.clock.advance(60)
        self.assertEqual(self.store.asked[:-1], [2, 0])

    def test_database_away(self) -> None:
        """A sweep that fails is tried again at growing intervals, thirty seconds at most."""
        self.store.sweep_trouble = DatabaseUnavailable("away")
        self.clock.advance(60)
        times = []
        for _ in range(7):
            (call,) = self.clock.getDelayedCalls()
            times.append(call.getTime() - self.clock.seconds())
            self.clock.advance(times[-1])
        self.assertEqual(times, [1, 2, 4, 8, 16, 30, 30])

    def test_failure(self) -> None:
        """A sweep that fails otherwise is logged, and the next one comes."""
        self.store.sweep_trouble = ZeroDivisionError("no")
        self.clock.advance(60)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.store.sweep_trouble = None
        self.clock.advance(30)
        self.assertEqual(len(self.store.asked), 2)

    def test_taken_while_sweeping(self) -> None:
        """A text that comes during a sweep does not wait for the next one."""
        waiting: Deferred[int] = Deferred()
        self.patch(FakePromptStore, "delete_expired", lambda *_: waiting)
        self.clock.advance(60)
        self.assertEqual(self.keep(1), KEPT)
        waiting.callback(0)
        self.clock.advance(0.2)
        self.assertEqual(self.written(), [[1]])


class StopTests(PromptLogCase):
    def test_written_at_the_end(self) -> None:
        """What waits is written before the end; what comes behind it is dropped."""
        self.keep(1)
        self.stop()
        self.assertEqual(self.written(), [[1]])
        self.assertEqual(self.keep(2), DROPPED)

    def test_in_the_middle_of_a_batch(self) -> None:
        """A batch under way is waited for, and what came behind it is written too."""
        self.store.gate.held = True
        self.keep(1)
        self.clock.advance(0.2)
        self.keep(2)
        stopped = self.log.stopService()
        self.assertNoResult(stopped)
        self.store.gate.release_all()
        self.successResultOf(stopped)
        self.assertEqual(self.written(), [[1], [2]])

    def test_database_away(self) -> None:
        """Without a database the end does not wait."""
        self.store.trouble = DatabaseUnavailable("away")
        self.keep(1)
        self.stop()
        self.assertEqual(self.written(), [])

    def test_given_up(self) -> None:
        """Whoever stops may give up waiting."""
        self.store.gate.held = True
        self.keep(1)
        self.clock.advance(0.2)
        stopped = self.log.stopService()
        stopped.cancel()
        self.failureResultOf(stopped, CancelledError)

    def test_given_up_at_the_last_batch(self) -> None:
        """Also behind the last batch that was under way."""
        self.store.gate.held = True
        self.keep(1)
        stopped = self.log.stopService()
        stopped.cancel()
        self.failureResultOf(stopped, CancelledError)
