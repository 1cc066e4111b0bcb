"""Admitted calls, and the cut of those whose key is gone."""

from uuid import UUID

from attrs import evolve
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import (
    AnswersTooLarge,
    AnswerTooLarge,
    Draining,
    InvalidApiKey,
    InvalidRequest,
    NotAllowed,
    Refusal,
    UpstreamBusy,
)
from neuronetz_twisted.limits import Limits
from neuronetz_twisted.relay.live import LiveCall, LiveCalls
from neuronetz_twisted.testing.calls import made_arrival, made_principal, made_ticket
from neuronetz_twisted.testing.identity import FakeKeyStore, made_key
from neuronetz_twisted.vocabulary import Principal, Status, Usage

KEY = made_key(1)


class LiveCallsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """One call of a good key is running."""
        self.keys = FakeKeyStore()
        self.row = self.keys.add(KEY)
        self.changed: list[tuple[str, Principal]] = []
        self.live = LiveCalls(self.keys, lambda *change: self.changed.append(change))
        self.cuts: list[Refusal] = []
        self.one = self.list_one("one")

    def list_one(self, call_id: str, tenant_id: UUID | None = None) -> LiveCall:
        """Put a call of the key on the list."""
        tenant_id = tenant_id or self.row.tenant_id
        principal = made_principal(tenant_id=tenant_id, key_id=self.row.key_id)
        live = self.live.enter(made_ticket(arrival=made_arrival(id=call_id), principal=principal))
        live.on_cut(self.cuts.append)
        return live

    def change(self, epoch: int) -> None:
        """Tell of the tenant's epoch."""
        self.successResultOf(self.live.epoch_changed(self.row.tenant_id, epoch))

    def test_listed_until_it_leaves(self) -> None:
        """Only calls on the list are cut."""
        two = self.list_one("two")
        self.assertEqual(len(self.live), 2)
        self.live.leave(self.one)
        self.live.leave(two)
        self.assertEqual(len(self.live), 0)
        self.live.cut_all()
        self.assertEqual(self.cuts, [])

    def test_one_that_comes_behind_the_end(self) -> None:
        """It is cut at once, and whoever begins something for it is told so."""
        self.live.cut_all()
        late = self.live.enter(made_ticket(arrival=made_arrival(id="late")))
        with self.assertRaises(Draining):
            late.on_cut(self.cuts.append)
        self.assertEqual([type(cut) for cut in self.cuts], [Draining])
        self.assertEqual(late.ended_by(Draining()).usage, Usage())

    def test_unusable_keys_are_cut(self) -> None:
        """A call whose key is revoked, or whose tenant is disabled, is cut."""
        for name, status in (
            ("key_status", Status.REVOKED),
            ("key_status", Status.DISABLED),
            ("tenant_status", Status.DISABLED),
        ):
            with self.subTest(name=name, status=status):
                self.setUp()
                row = self.keys.change(KEY[:12], **{name: status})
                self.change(row.epoch)
                self.assertEqual([type(cut) for cut in self.cuts], [InvalidApiKey])

    def test_good_keys_go_on_and_are_asked_once_per_epoch(self) -> None:
        """A confirmed call is not looked up again for the same epoch or an older one."""
        self.keys.change(KEY[:12])
        self.keys.change(KEY[:12])
        self.change(epoch=3)
        self.keys.rows.clear()
        self.change(epoch=3)
        self.change(epoch=2)
        self.assertEqual(self.cuts, [])
        self.change(epoch=4)
        self.assertEqual(len(self.cuts), 1)

    def test_limits_as_they_are_now(self) -> None:
        """Of a call that goes on it is told once what is set for its tenant and its key."""
        tenant, key = Limits(budget_day=5), Limits(budget_total=6)
        self.keys.change(KEY[:12], tenant_limits=tenant, key_limits=key)
        self.change(epoch=2)
        self.change(epoch=2)
        principal = evolve(self.one.ticket.principal, epoch=2, tenant_limits=tenant, key_limits=key)
        self.assertEqual(self.changed, [("one", principal)])

    def test_limits_that_were_overtaken(self) -> None:
        """An answer of an older epoch that comes last changes nothing."""
        self.keys.gate.held = True
        for budget in (5, 6):
            row = self.keys.change(KEY[:12], key_limits=Limits(budget_day=budget))
            asked = self.live.epoch_changed(self.row.tenant_id, row.epoch)
        self.keys.gate._waiting.reverse()
        self.keys.gate.release_all()
        self.successResultOf(asked)
        self.assertEqual([who.key_limits.budget_day for _, who in self.changed], [6])
        self.assertEqual(self.one.confirmed_epoch, 3)

    def test_limits_of_a_call_that_is_cut(self) -> None:
        """They interest nobody."""
        self.change(self.keys.change(KEY[:12], key_status=Status.REVOKED).epoch)
        self.assertEqual(self.changed, [])

    def test_other_tenants_are_left_alone(self) -> None:
        """Only calls of the tenant that changed are looked at."""
        self.keys.rows.clear()
        self.successResultOf(self.live.epoch_changed(UUID(int=99), 5))
        self.assertEqual(self.cuts, [])

    def test_database_away(self) -> None:
        """Nothing is cut while nobody can say; the next call tries again."""
        self.keys.away = True
        self.keys.rows.clear()
        self.change(epoch=2)
        self.assertEqual(self.cuts, [])
        self.keys.away = False
        self.change(epoch=2)
        self.assertEqual(len(self.cuts), 1)

    def test_cut_all(self) -> None:
        """At the gateway's end every call is told so."""
        self.list_one("two", UUID(int=5))
        self.live.cut_all()
        self.assertEqual([type(cut) for cut in self.cuts], [Draining, Draining])


class LiveCallTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A call that can be cut."""
        self.call = LiveCall(made_ticket(), confirmed_epoch=1)
        self.cuts: list[Refusal] = []
        self.call.on_cut(self.cuts.append)

    def test_cut(self) -> None:
        """It is cut once, with the first refusal."""
        self.call.cut(InvalidApiKey(why="revoked"))
        self.call.cut(Draining())
        self.assertEqual([type(cut) for cut in self.cuts], [InvalidApiKey])

    def test_newest_way(self) -> None:
        """Who has it in hand last is told of the cut, and nobody else."""
        newest: list[Refusal] = []
        self.call.on_cut(newest.append)
        self.call.cut(Draining())
        self.assertEqual([type(cut) for cut in newest], [Draining])
        self.assertEqual(self.cuts, [])

    def test_cut_before(self) -> None:
        """Whoever takes it in hand behind a cut is told why by an exception."""
        self.call.cut(Draining())
        with self.assertRaises(Draining):
            self.call.on_cut(self.cuts.append)

    def test_cost(self) -> None:
        """A prompt that no backend was sent costs nothing, one that was sent its estimate."""
        refused = self.call.ended_by(Draining())
        self.assertEqual((refused.usage, refused.backend, refused.status), (Usage(), None, 503))
        self.call.sent("a")
        self.call.sent("b")
        for refusal in (InvalidRequest(), NotAllowed(), UpstreamBusy()):
            self.assertEqual(self.call.ended_by(refusal).usage, Usage())
        for worked_for in (AnswerTooLarge(), AnswersTooLarge(), CancelledError()):
            self.assertEqual(self.call.ended_by(worked_for).usage.prompt_tokens, 3)
        left = self.call.ended_by(CancelledError())
        self.assertEqual(left.usage, Usage(prompt_tokens=3, estimated=True))
        self.assertEqual((left.backend, left.status), ("b", 499))
