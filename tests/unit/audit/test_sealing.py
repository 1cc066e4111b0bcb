"""Texts open under their own key, for their own tenant and request, and in no other way."""

from collections.abc import Callable
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.sealing import CannotOpen, MasterKey, key_version, master_keys_in

MASTER = MasterKey(b"m" * 32)
OTHER_MASTER = MasterKey(b"o" * 32)
TENANT, OTHER_TENANT = UUID(int=1), UUID(int=2)
REQUEST, OTHER_REQUEST = UUID(int=3), UUID(int=4)
TEXT = b"a secret of the tenant"


def sealed(wrapped: bytes, text: bytes = TEXT, version: int = 1) -> bytes:
    """A text of the tenant's request."""
    return MASTER.seal(text, wrapped, tenant_id=TENANT, request_id=REQUEST, version=version)


class SealingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A data key of the tenant, and a text under it."""
        self.wrapped = MASTER.new_data_key(TENANT, 1)
        self.sealed = sealed(self.wrapped)

    def opened(
        self,
        master: MasterKey = MASTER,
        sealed: bytes | None = None,
        wrapped: bytes | None = None,
        tenant_id: UUID = TENANT,
        request_id: UUID = REQUEST,
    ) -> bytes:
        """Open the text, or what else is given."""
        return master.open(
            self.sealed if sealed is None else sealed,
            self.wrapped if wrapped is None else wrapped,
            tenant_id=tenant_id,
            request_id=request_id,
        )

    def closed(self, attempt: Callable[[], object], because: str = "does not open") -> None:
        """The attempt is refused with these words."""
        with self.assertRaises(CannotOpen) as caught:
            attempt()
        self.assertIn(because, str(caught.exception))

    @given(st.binary(max_size=300))
    def test_round_trip(self, text: bytes) -> None:
        """What was sealed opens again, whatever it is."""
        wrapped = MASTER.new_data_key(TENANT, 7)
        once, twice = sealed(wrapped, text, 7), sealed(wrapped, text, 7)
        self.assertEqual(self.opened(sealed=once, wrapped=wrapped), text)
        self.assertNotEqual(once, twice)
        self.assertEqual(key_version(once), 7)

    def test_nothing_in_clear(self) -> None:
        """Neither the text nor the data key can be seen."""
        self.assertNotIn(TEXT, self.sealed)
        self.assertNotIn(b"m" * 32, self.wrapped)
        self.assertNotEqual(MASTER.new_data_key(TENANT, 1), self.wrapped)
        self.assertNotIn("mmm", repr(MASTER))

    def test_moved_to_another_tenant(self) -> None:
        """Neither with that tenant's key nor with the old one's does it open there."""
        theirs = MASTER.new_data_key(OTHER_TENANT, 1)
        self.closed(lambda: self.opened(tenant_id=OTHER_TENANT))
        self.closed(lambda: self.opened(tenant_id=OTHER_TENANT, wrapped=theirs))

    def test_moved_to_another_request(self) -> None:
        """It does not open as the text of another call."""
        self.closed(lambda: self.opened(request_id=OTHER_REQUEST), "the text does not open")

    def test_moved_to_another_version(self) -> None:
        """Neither a text nor a wrapped key passes for one of another version."""
        renumbered = self.sealed[:4] + b"\2" + self.sealed[5:]
        self.assertEqual(key_version(renumbered), 2)
        self.closed(lambda: self.opened(sealed=renumbered), "the data key does not open")
        self.closed(
            lambda: self.opened(sealed=renumbered, wrapped=MASTER.new_data_key(TENANT, 2)),
            "the text does not open",
        )

    def test_a_data_key_that_was_made_anew(self) -> None:
        """Once the data key is destroyed, another of the same version opens nothing."""
        self.closed(lambda: self.opened(wrapped=MASTER.new_data_key(TENANT, 1)), "the text")

    def test_another_master_key(self) -> None:
        """It opens nothing and wraps nothing of what this one has."""
        self.closed(lambda: self.opened(master=OTHER_MASTER), "the data key")
        self.closed(lambda: MASTER.rewrap(self.wrapped, OTHER_MASTER, TENANT, 1))

    def test_any_flipped_bit(self) -> None:
        """No byte of text or key can be changed."""
        for place in range(len(self.sealed)):
            changed = bytearray(self.sealed)
            changed[place] ^= 1
            with self.assertRaises(CannotOpen):
                self.opened(sealed=bytes(changed))
        for place in range(len(self.wrapped)):
            changed = bytearray(self.wrapped)
            changed[place] ^= 1
            with self.assertRaises(CannotOpen):
                self.opened(wrapped=bytes(changed))

    def test_too_short(self) -> None:
        """What is cut off is refused as such."""
        self.closed(lambda: self.opened(sealed=b""), "the sealed text is too short")
        self.closed(lambda: self.opened(sealed=self.sealed[:20]), "the text is too short")
        self.closed(lambda: self.opened(wrapped=b""), "the data key is too short")

    def test_another_form(self) -> None:
        """A form of a later version is named."""
        self.closed(lambda: self.opened(sealed=b"\2" + self.sealed[1:]), "of form 2")

    def test_rewrapped(self) -> None:
        """A data key under a new master key opens the old texts; the old wrapping stays valid."""
        renewed = OTHER_MASTER.rewrap(self.wrapped, MASTER, TENANT, 1)
        self.assertEqual(self.opened(master=OTHER_MASTER, wrapped=renewed), TEXT)
        self.closed(lambda: self.opened(wrapped=renewed))


class MasterKeyTests(SynchronousTestCase):
    def test_ids(self) -> None:
        """Each master key has a name of its own, which is always the same."""
        self.assertEqual(MASTER.id, MasterKey(b"m" * 32).id)
        self.assertNotEqual(MASTER.id, OTHER_MASTER.id)
        self.assertRegex(MASTER.id, "^[0-9a-f]{16}$")

    def test_of_a_setting(self) -> None:
        """The keys of a setting come in its order."""
        keys = master_keys_in(f"{'6d' * 32},{'6f' * 32}")
        self.assertEqual(keys, (MASTER, OTHER_MASTER))
