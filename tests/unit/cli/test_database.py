from twisted.trial.unittest import SynchronousTestCase

from tests.command_line import command


class MigrateUsageTests(SynchronousTestCase):
    def test_an_unknown_revision(self) -> None:
        """The line says which there are, before any connection."""
        result = command("migrate", "--to", "9999")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("'9999'; there are: base, 0001", result.stderr)

    def test_only_the_admin_url_is_embedded(self) -> None:
        """Two databases cannot be meant."""
        result = command(
            "migrate", DATABASE_URL="postgresql://127.0.0.1/x", DATABASE_ADMIN_URL="embedded:"
        )
        self.assertEqual(result.exit_code, 1)
        self.assertIn("DATABASE_ADMIN_URL", result.stderr)
