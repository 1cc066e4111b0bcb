"""The commands of an operator on a database of a test's own."""

from typing import Any

from click.testing import Result
from sqlalchemy import create_engine
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.queries import find_key_record
from neuronetz_twisted.vocabulary import KeyRecord
from tests.command_line import CHEAP_ARGON2, command, json_of
from tests.servers import new_database


class CommandCase(SynchronousTestCase):
    """A migrated database of this test's own, and the commands of an operator on it."""

    def setUp(self) -> None:
        """Make the database."""
        self.urls = new_database(self)
        self.environ = {**CHEAP_ARGON2, "DATABASE_URL": self.urls.url}

    def do(self, *arguments: str) -> Result:
        """What a command did."""
        return command(*arguments, **self.environ)

    def json(self, *arguments: str) -> Any:
        """What a command that succeeded printed."""
        return json_of(self.do(*arguments, "--json"))

    def fault(self, *arguments: str) -> str:
        """The one line of a command that could not do it."""
        result = self.do(*arguments)
        self.assertEqual((result.exit_code, result.stdout), (1, ""), result.output)
        self.assertEqual(result.stderr.count("\n"), 1)
        return result.stderr

    def key(self, *arguments: str) -> Any:
        """A new key of tenant `acme`, by default named `ci`."""
        return self.json("create-key", "--tenant", "acme", *(arguments or ("--name", "ci")))

    def stored(self, prefix: str) -> KeyRecord:
        """What the service reads of a key."""
        engine = create_engine(self.urls.url)
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            record = find_key_record(connection, prefix)
        if record is None:
            self.fail("there is no such key")
        return record
