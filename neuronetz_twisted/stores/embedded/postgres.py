"""An embedded PostgreSQL: how it is made, started, asked whether it answers, and provisioned."""

import signal
from pathlib import Path
from typing import ClassVar

import psycopg
from attrs import frozen
from psycopg import sql

from neuronetz_twisted.stores.embedded.errors import EmbeddedError
from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.stub import Plan

ADMIN = "gateway_admin"
SERVICE = "gateway_app"
DATABASE = "gateway"

_CONNECT_TIMEOUT_S = 2  # the least that libpq takes
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    # Nothing replicates from here; the least WAL keeps the directory small.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Above ERROR: a failed statement and its values belong in no log (SPEC 2, R6).
    "log_min_messages": "log",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def url(layout: Layout, role: str) -> str:
    """The SQLAlchemy URL of the gateway's database for a role, with its password."""
    host = str(layout.run_dir()).replace("/", "%2F")
    return f"postgresql+psycopg://{role}:{layout.password(role)}@/{DATABASE}?host={host}"


@frozen
class Postgres:
    """One cluster below the state directory, reached over its Unix socket only."""

    layout: Layout
    bin_dir: Path

    name: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    # Fast shutdown: sessions are ended, a checkpoint is written.
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    # Immediate shutdown when the gateway has died: sessions end and shared memory is given back,
    # without a checkpoint for which the next gateway would have to wait.
    death_signal: ClassVar[signal.Signals] = signal.SIGQUIT

    def plan(self, parent: int) -> Plan:
        """What the stub is told. Raises EmbeddedError where a cluster has lost its password."""
        home, data, new = self.layout.home, self.layout.home / "pg", self.layout.home / "pg.new"
        if data.exists() and not self.layout.has_password(ADMIN):
            raise EmbeddedError(f"{data} exists, but its password is gone from {home}")
        settings = [word for item in _SETTINGS.items() for word in ("-c", "=".join(item))]
        run_dir = str(self.layout.run_dir())
        return Plan(
            parent=parent,
            death_signal=self.death_signal,
            home=str(home),
            owned=[str(home), run_dir],
            refuses_root=True,
            prepare={
                "argv": [
                    str(self.bin_dir / "initdb"),
                    *("-D", str(new), "-U", ADMIN, "-E", "UTF8", "--locale=C"),
                    *("-A", "scram-sha-256", "--no-instructions"),
                    f"--pwfile={self.layout.password_file(ADMIN)}",
                ],
                "made": str(new),
                "becomes": str(data),
            },
            argv=[str(self.bin_dir / "postgres"), "-D", str(data), "-k", run_dir, *settings],
        )

    def ask(self) -> None:
        """Connect and see that role and database are there; blocks for seconds at most.

        Raises psycopg.Error while the server does not answer.
        """
        with psycopg.connect(
            host=str(self.layout.run_dir()),
            user=ADMIN,
            password=self.layout.password(ADMIN),
            dbname="postgres",
            connect_timeout=_CONNECT_TIMEOUT_S,
            autocommit=True,
        ) as connection:
            self._provision(connection)

    def _provision(self, connection: psycopg.Connection) -> None:
        """Make what is missing; the role's password always becomes the one in its file."""
        verifier = connection.pgconn.encrypt_password(
            self.layout.password(SERVICE).encode(), SERVICE.encode(), b"scram-sha-256"
        )
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [SERVICE])
        verb = sql.SQL("CREATE" if known.fetchone() is None else "ALTER")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                verb, sql.Identifier(SERVICE), sql.Literal(verifier.decode("ascii"))
            )
        )
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if known.fetchone() is None:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(ADMIN)
                )
            )
