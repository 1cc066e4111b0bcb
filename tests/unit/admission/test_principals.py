"""What a process remembers of keys, and for how long."""

from uuid import UUID

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.models import principal_of
from neuronetz_twisted.admission.principals import TenantEpochs, WarmKey, WarmKeys, WrongKeys
from neuronetz_twisted.testing.identity import made_key, record_of
from neuronetz_twisted.vocabulary import CachedPrincipal


def warm(prefix: str, *, until: float = 60, epoch: int = 1) -> WarmKey:
    """A proven key with this prefix."""
    row = evolve(record_of(made_key(1)), prefix=prefix, epoch=epoch)
    return WarmKey(CachedPrincipal(digest=b"d", principal=principal_of(row)), until)


class WarmKeysTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Room for two."""
        self.keys = WarmKeys(2)

    def test_a_key_lives_until_its_end(self) -> None:
        """No hit puts the end off."""
        key = warm("a")
        self.keys.put(key, 0)
        self.assertIs(self.keys.get("a", 59.9), key)
        self.assertIsNone(self.keys.get("a", 60))
        self.assertIsNone(self.keys.get("b", 0))

    def test_a_key_past_its_end_is_not_kept(self) -> None:
        """A put that comes late changes nothing."""
        self.keys.put(warm("a"), 60)
        self.assertIsNone(self.keys.get("a", 0))

    def test_the_least_recently_used_goes_first(self) -> None:
        """The capacity holds."""
        self.keys.put(warm("a"), 0)
        self.keys.put(warm("b"), 0)
        self.keys.get("a", 0)
        self.keys.put(warm("c"), 0)
        self.assertIsNone(self.keys.get("b", 0))
        self.assertIsNotNone(self.keys.get("a", 0))
        self.assertIsNotNone(self.keys.get("c", 0))

    def test_an_older_epoch_does_not_replace_a_newer(self) -> None:
        """A slow read comes home after a quick one."""
        newer = warm("a", epoch=2)
        self.keys.put(newer, 0)
        self.keys.put(warm("a", epoch=1), 0)
        self.assertIs(self.keys.get("a", 0), newer)
        newest = warm("a", epoch=3)
        self.keys.put(newest, 0)
        self.assertIs(self.keys.get("a", 0), newest)

    def test_a_dropped_key_is_gone(self) -> None:
        """Dropping one that is not there is no error."""
        self.keys.put(warm("a"), 0)
        self.keys.drop("a")
        self.keys.drop("a")
        self.assertIsNone(self.keys.get("a", 0))


class WrongKeysTests(SynchronousTestCase):
    def test_a_digest_is_kept_for_its_time(self) -> None:
        """And then asked for again."""
        wrong = WrongKeys(2, 30)
        wrong.add(b"a", 0)
        self.assertTrue(wrong.holds(b"a", 29.9))
        self.assertFalse(wrong.holds(b"a", 30))
        self.assertFalse(wrong.holds(b"b", 0))

    def test_the_oldest_gives_way(self) -> None:
        """The capacity holds."""
        wrong = WrongKeys(2, 30)
        for digest in (b"a", b"b", b"c"):
            wrong.add(digest, 0)
        self.assertEqual([wrong.holds(d, 1) for d in (b"a", b"b", b"c")], [False, True, True])


class TenantEpochsTests(SynchronousTestCase):
    def test_a_principal_is_outdated_by_a_larger_epoch_only(self) -> None:
        """An unknown tenant, the same epoch and a smaller one leave it good."""
        epochs = TenantEpochs(10)
        principal = warm("a", epoch=5).entry.principal
        self.assertFalse(epochs.outdated(principal))
        epochs.observe(principal.tenant_id, 5)
        self.assertFalse(epochs.outdated(principal))
        epochs.observe(principal.tenant_id, 6)
        epochs.observe(principal.tenant_id, 4)
        self.assertTrue(epochs.outdated(principal))

    def test_the_tenants_heard_of_last_are_kept(self) -> None:
        """The capacity holds, and hearing again of a tenant keeps it."""
        epochs = TenantEpochs(2)
        principal = warm("a", epoch=5).entry.principal
        epochs.observe(principal.tenant_id, 6)
        epochs.observe(UUID(int=1), 1)
        epochs.observe(principal.tenant_id, 6)
        epochs.observe(UUID(int=2), 1)
        self.assertTrue(epochs.outdated(principal))
        epochs.observe(UUID(int=3), 1)
        epochs.observe(UUID(int=4), 1)
        self.assertFalse(epochs.outdated(principal))
