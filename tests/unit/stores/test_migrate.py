from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.faults import DatabaseFault
from neuronetz_twisted.stores.migrate import known_revisions, owner_url
from tests.unit.settings import SETTINGS

URL = "postgresql://127.0.0.1/x"


class MigrateTests(SynchronousTestCase):
    def test_revisions_in_order(self) -> None:
        """The empty database comes first, then each revision once."""
        revisions = known_revisions()
        self.assertEqual(revisions[:2], ("base", "0001"))
        self.assertEqual(len(set(revisions)), len(revisions))

    def test_owner(self) -> None:
        """The schema's owner has a URL of its own, or is the one that the service uses."""
        settings = evolve(SETTINGS, database_url=URL)
        self.assertEqual(owner_url(settings), URL)
        self.assertEqual(owner_url(evolve(settings, database_admin_url="other")), "other")

    def test_only_the_owner_is_embedded(self) -> None:
        """Two databases cannot be meant."""
        settings = evolve(SETTINGS, database_url=URL, database_admin_url="embedded:")
        with self.assertRaisesRegex(DatabaseFault, "DATABASE_ADMIN_URL is embedded"):
            owner_url(settings)
