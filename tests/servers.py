"""Real PostgreSQL and Valkey for integration tests.

    urls = new_database(self)        a migrated database of this test's own, dropped at its end
    url = redis_url(self)            a Valkey emptied for this test, no other test of the process
    servers = private_servers(self)  a pair of this test's own, to be frozen and killed

The shared pair starts at the first use in a process, in a directory of its own, and ends with the
process; `-j2` gives each worker its own. All calls block for milliseconds, the first for a second,
and come from the main thread, where trial runs tests. Where the programs are not to be had, tests
are skipped.
"""

import atexit
import contextlib
import itertools
import os
import shutil
import signal
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

import psutil
import psycopg
from attrs import field, frozen
from psycopg import sql
from sqlalchemy import make_url
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from neuronetz_twisted.redis_target import parse_redis_url
from neuronetz_twisted.stores import migrate
from neuronetz_twisted.stores.embedded import EmbeddedError, EmbeddedServers, EmbeddedUrls
from neuronetz_twisted.stores.engine import connection_arguments, database_url

Which = Literal["postgres", "valkey"]

_TEMPLATE = "template_gateway"
_numbers = itertools.count(1)


@frozen
class DatabaseUrls:
    """One database: `url` for the service (role gateway_app), `admin_url` for migrations."""

    url: str = field(repr=False)
    admin_url: str = field(repr=False)


def new_database(case: SynchronousTestCase, *, migrated: bool = True) -> DatabaseUrls:
    """A database of this test's own, at the newest revision or empty; dropped at its end."""
    urls = _shared()
    name = f"test_{next(_numbers)}"
    source = _TEMPLATE if migrated else "template1"
    _administer(
        urls,
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(source)
        ),
    )
    case.addCleanup(
        _administer, urls, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    )
    return DatabaseUrls(
        url=_with_database(_present(urls.database_url), name),
        admin_url=_with_database(_present(urls.database_admin_url), name),
    )


def redis_url(case: SynchronousTestCase) -> str:
    """An empty Valkey, emptied again at the test's end."""
    url = _present(_shared().redis_url)
    _flush(url)
    case.addCleanup(_flush, url)
    return url


def admin_connection(case: SynchronousTestCase, admin_url: str) -> psycopg.Connection:
    """A plain autocommit session as the superuser, closed at the test's end."""
    connection = _connect(admin_url)
    case.addCleanup(connection.close)
    return connection


def service_connection(case: SynchronousTestCase, url: str) -> psycopg.Connection:
    """A plain autocommit session as the service opens them, closed at the test's end."""
    connection = psycopg.connect(**connection_arguments(url, "test"), autocommit=True)
    case.addCleanup(connection.close)
    return connection


def private_servers(case: SynchronousTestCase, state_dir: Path | None = None) -> "PrivateServers":
    """A pair of this test's own with a migrated database, ended at its end.

    They live in a directory of their own, or in one that the test has made and removes.
    """
    if state_dir is None:
        state_dir = Path(tempfile.mkdtemp(prefix="nz"))
        case.addCleanup(shutil.rmtree, state_dir)
    servers = PrivateServers(state_dir, _embedded(state_dir))
    case.addCleanup(servers.end)
    servers.start()
    migrate.upgrade(_present(servers.urls.database_admin_url))
    return servers


class PrivateServers:
    """A pair of servers that a test may treat badly."""

    def __init__(self, state_dir: Path, servers: EmbeddedServers) -> None:
        self._state_dir = state_dir
        self._servers = servers
        self._frozen: list[psutil.Process] = []

    @property
    def urls(self) -> EmbeddedUrls:
        """Where both are reached, before and after a restart."""
        return self._servers.urls()

    def start(self) -> None:
        """Start both; returns once they answer."""
        _start(self._servers)

    def freeze(self, which: Which) -> None:
        """Stop the server with all its sessions (SIGSTOP): sockets stay open, nobody answers."""
        for process in self._processes(which):
            process.suspend()
            self._frozen.append(process)

    def thaw(self) -> None:
        """Let everything that was frozen run on."""
        frozen_ones, self._frozen = self._frozen, []
        for process in frozen_ones:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def kill(self, which: Which) -> None:
        """End the server with all its sessions at once (SIGKILL)."""
        for process in self._processes(which):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)

    def has_ended(self, which: Which) -> bool:
        """Whether a killed server is gone, so that it can be restarted."""
        return which in self._servers.exited()

    def restart(self, which: Which) -> None:
        """Start a server that has ended; it answers a little later, at the same URL."""
        self._servers.restart(which)

    def end(self) -> None:
        """End both."""
        self.thaw()
        self._servers.stop_blocking()

    def _processes(self, which: Which) -> list[psutil.Process]:
        """The server and its children; the parent first, so that it makes no more."""
        pid = int((self._state_dir / "embedded" / f"{which}.pid").read_text(encoding="ascii"))
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]


@cache
def _shared() -> EmbeddedUrls:
    """The pair of this process, with a migrated template to copy databases from."""
    state_dir = Path(tempfile.mkdtemp(prefix="nz"))
    atexit.register(shutil.rmtree, state_dir, ignore_errors=True)
    servers = _embedded(state_dir)
    _start(servers)
    atexit.register(servers.stop_blocking)
    urls = servers.urls()
    _administer(urls, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    migrate.upgrade(_with_database(_present(urls.database_admin_url), _TEMPLATE))
    return urls


def _embedded(state_dir: Path) -> EmbeddedServers:
    return EmbeddedServers(state_dir=state_dir, postgres=True, redis=True, environ=os.environ)


def _start(servers: EmbeddedServers) -> None:
    try:
        servers.start_blocking()
    except EmbeddedError as error:
        raise SkipTest(str(error)) from error


def _administer(urls: EmbeddedUrls, statement: sql.Composed) -> None:
    with _connect(_present(urls.database_admin_url)) as connection:
        connection.execute(statement)


def _connect(url: str) -> psycopg.Connection:
    address = database_url(url)
    _, arguments = address.get_dialect()().create_connect_args(address)
    return psycopg.connect(**arguments, autocommit=True)


def _flush(url: str) -> None:
    target = parse_redis_url(url)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(_present(target.path))
        connection.sendall(f"AUTH {target.password}\r\nFLUSHALL\r\n".encode())
        with connection.makefile("rb") as answers:
            replies = [answers.readline() for _ in range(2)]
    if replies != [b"+OK\r\n"] * 2:
        raise AssertionError(replies)


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _present(value: str | None) -> str:
    if value is None:
        raise AssertionError("both servers were asked for")
    return value
