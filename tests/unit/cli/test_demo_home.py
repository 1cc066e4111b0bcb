from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.demo_home import (
    DemoHome,
    DemoState,
    gateway_variables,
    is_set,
    with_remembered,
)
from neuronetz_twisted.cli.output import Fault

STATE = DemoState(environment={"REDIS_URL": "embedded:"}, mock_url=None, key="nz_key")


class DemoHomeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A demo in a directory of its own."""
        parent = Path(self.mktemp()).absolute()
        parent.mkdir()
        self.home = DemoHome(parent / ".demo")

    def test_what_is_saved_is_loaded(self) -> None:
        """One command remembers for the next, in a file for its owner only."""
        self.home.create()
        self.assertIsNone(self.home.load())
        self.home.save(STATE)
        self.home.save(STATE.with_key("nz_other"))
        self.assertEqual(self.home.load(), STATE.with_key("nz_other"))
        self.assertEqual(self.home.path.stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.home.path / "demo.json").stat().st_mode & 0o777, 0o600)

    def test_secrets_are_not_in_its_repr(self) -> None:
        """Neither key nor variables show in a message."""
        self.assertNotIn("nz_key", repr(STATE))
        self.assertNotIn("embedded", repr(STATE))

    def test_one_command_at_a_time(self) -> None:
        """A second command in the same directory is told so, and works after the first."""
        with self.home.locked():
            second = self.home.locked()
            self.assertRaises(Fault, second.__enter__)
        with self.home.locked():
            self.home.create()
            self.home.remove()


class EnvironmentTests(SynchronousTestCase):
    def test_only_the_gateways_variables_are_kept(self) -> None:
        """Those of SPEC 10 and those that name programs; nothing else of a caller's."""
        environ = {"PATH": "/bin", "DATABASE_URL_FILE": "f", "GATEWAY_PG_BIN": "p", "HOME": "/"}
        self.assertEqual(
            gateway_variables(environ), {"DATABASE_URL_FILE": "f", "GATEWAY_PG_BIN": "p"}
        )

    def test_is_set(self) -> None:
        """A variable is set by a value or by a file, not by blanks."""
        self.assertTrue(is_set({"A": "x"}, "A"))
        self.assertTrue(is_set({"A_FILE": "x"}, "A"))
        self.assertFalse(is_set({"A": " "}, "A"))
        self.assertFalse(is_set({}, "A"))

    def test_the_remembered_variables_win_whole(self) -> None:
        """A variable of today's caller does not leak into the demo of yesterday."""
        environ = {"PATH": "/bin", "REDIS_URL": "redis://x", "MAX_NUM_PREDICT": "1"}
        self.assertEqual(
            with_remembered(environ, STATE), {"PATH": "/bin", "REDIS_URL": "embedded:"}
        )
