from sqlalchemy.exc import ArgumentError
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.engine import connection_arguments, database_url


class Arguments(SynchronousTestCase):
    """What libpq is told."""

    def test_limits_and_role(self) -> None:
        """Every session has its role, its limits of time and its name."""
        arguments = connection_arguments("postgresql://u:p%40w@db.example:6432/gw", "test")
        self.assertEqual(
            {name: arguments[name] for name in ("host", "port", "user", "password", "dbname")},
            {"host": "db.example", "port": 6432, "user": "u", "password": "p@w", "dbname": "gw"},
        )
        self.assertEqual(arguments["application_name"], "test")
        self.assertEqual(arguments["connect_timeout"], 2)
        self.assertEqual(arguments["tcp_user_timeout"], 3000)
        for option in (
            "role=gateway_app",
            "search_path=gateway",
            "statement_timeout=3000",
            "lock_timeout=1000",
            "idle_in_transaction_session_timeout=5000",
        ):
            with self.subTest(option=option):
                self.assertIn(f"-c {option}", arguments["options"])

    def test_socket_directory(self) -> None:
        """A Unix socket's directory is the host, unquoted."""
        arguments = connection_arguments("postgresql+psycopg://u@/gw?host=%2Frun%2Fpg", "test")
        self.assertEqual(arguments["host"], "/run/pg")

    def test_no_url(self) -> None:
        """What is no URL is refused."""
        with self.assertRaises(ArgumentError):
            database_url("not a url")
