"""Running answers, and the cut of those whose key is gone."""

from contextlib import ExitStack
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import Draining, InvalidApiKey, Refusal
from neuronetz_twisted.relay.live import LiveAnswers
from neuronetz_twisted.testing.calls import made_principal, made_ticket
from neuronetz_twisted.testing.identity import FakeKeyStore, made_key
from neuronetz_twisted.vocabulary import Status

KEY = made_key(1)


class LiveAnswersTests(SynchronousTestCase):
    def setUp(self) -> None:
        """One answer of a good key is running."""
        self.keys = FakeKeyStore()
        self.row = self.keys.add(KEY)
        self.live = LiveAnswers(self.keys)
        self.cuts: list[Refusal] = []
        self.running = ExitStack()
        self.addCleanup(self.running.close)
        self.list_one("one")

    def list_one(self, call_id: str, tenant_id: UUID | None = None) -> None:
        """Put an answer of the key on the list."""
        tenant_id = tenant_id or self.row.tenant_id
        principal = made_principal(tenant_id=tenant_id, key_id=self.row.key_id)
        ticket = made_ticket(id=call_id, principal=principal)
        self.running.enter_context(self.live.listed(ticket, self.cuts.append))

    def change(self, epoch: int) -> None:
        """Tell of the tenant's epoch."""
        self.successResultOf(self.live.epoch_changed(self.row.tenant_id, epoch))

    def test_listed_while_it_runs(self) -> None:
        """An answer leaves the list with its end, also by an exception."""
        self.assertEqual(len(self.live), 1)
        with (
            self.assertRaises(ZeroDivisionError),
            self.live.listed(made_ticket(id="two"), self.cuts.append),
        ):
            self.assertEqual(len(self.live), 2)
            raise ZeroDivisionError
        self.assertEqual(len(self.live), 1)

    def test_unusable_keys_are_cut(self) -> None:
        """An answer whose key is revoked, or whose tenant is disabled, is cut."""
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
        """A confirmed answer is not looked up again for the same epoch or an older one."""
        self.change(epoch=3)
        self.keys.rows.clear()
        self.change(epoch=3)
        self.change(epoch=2)
        self.assertEqual(self.cuts, [])
        self.change(epoch=4)
        self.assertEqual(len(self.cuts), 1)

    def test_other_tenants_are_left_alone(self) -> None:
        """Only answers of the tenant that changed are looked at."""
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
        """At the gateway's end every answer is told so."""
        self.list_one("two", UUID(int=5))
        self.live.cut_all()
        self.assertEqual([type(cut) for cut in self.cuts], [Draining, Draining])
