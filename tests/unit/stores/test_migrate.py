import subprocess
import sys

from alembic.script import ScriptDirectory
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.faults import DatabaseFault
from neuronetz_twisted.stores.migrate import owner_url
from neuronetz_twisted.stores.revisions import BASE, known_revisions, scripts
from tests.unit.settings import SETTINGS

URL = "postgresql://127.0.0.1/x"


class MigrateTests(SynchronousTestCase):
    def test_revisions_in_order(self) -> None:
        """The empty database comes first, then each revision, as Alembic knows them."""
        newest_first = ScriptDirectory(str(scripts())).walk_revisions()
        expected = [script.revision for script in newest_first]
        self.assertEqual(known_revisions(), (BASE, *reversed(expected)))

    def test_alembic_is_not_loaded(self) -> None:
        """The service needs a tenth less memory for it."""
        program = "import sys, neuronetz_twisted.service; print('alembic' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout.strip(), "False")

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
