"""What a command works with: the settings of this environment, and the database they name.

With `embedded:` it uses the servers of the running gateway, or runs them for its own duration, and
a schema that lacks something is migrated on the way: nobody else is there to do it (SPEC 11, 13).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import click
from attrs import field, frozen
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import ArgumentError, DBAPIError

from neuronetz_twisted.cli.output import PROGRAM, Fault
from neuronetz_twisted.config import ConfigError, Loaded, Settings, load
from neuronetz_twisted.stores import migrate
from neuronetz_twisted.stores.embedded import EmbeddedError, EmbeddedUrls, attached_or_started
from neuronetz_twisted.stores.engine import database_url, first_line, service_engine
from neuronetz_twisted.stores.records import RecordError
from neuronetz_twisted.variables import EMBEDDED

T = TypeVar("T")

# Tables, columns, types or the schema itself are not there.
_MISSING = {"42P01", "42703", "42704", "3F000"}


class WrongConfiguration(Fault):
    """The environment is not usable: every fault, a line each (SPEC 10)."""

    exit_code = 2

    def __init__(self, error: ConfigError) -> None:
        super().__init__(str(error))
        self._faults = error.faults

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the lines to `file`, by default the standard error."""
        for fault in self._faults:
            click.echo(f"{PROGRAM}: {fault}", file=file, err=file is None)


class NotMigrated(Fault):
    """The database lacks what this version needs."""

    def __init__(self) -> None:
        super().__init__(f"the database is not migrated: run {PROGRAM} migrate")


def loaded() -> Loaded:
    """The settings of the current environment and directory. Raises `WrongConfiguration`."""
    try:
        return load(os.environ, Path.cwd())
    except ConfigError as error:
        raise WrongConfiguration(error) from None


@frozen
class OperatorDatabase:
    """Runs transactions of `operator_queries`; `admin_url` is set where we may migrate unasked."""

    engine: Engine
    admin_url: str | None = field(repr=False)

    def run(self, fn: Callable[[Connection], T]) -> T:
        """Call `fn` with a connection in a transaction of its own. Raises `Fault`."""
        try:
            return self._transact(fn)
        except NotMigrated:
            if self.admin_url is None:
                raise
        with database_faults():
            migrate.upgrade(self.admin_url)
        return self._transact(fn)

    def _transact(self, fn: Callable[[Connection], T]) -> T:
        with database_faults(), self.engine.begin() as connection:
            return fn(connection)


@contextmanager
def database(settings: Settings) -> Iterator[OperatorDatabase]:
    """The database that the settings name, as role gateway_app. Raises `Fault`."""
    if settings.database_url != EMBEDDED:
        with _engine(settings.database_url) as engine:
            yield OperatorDatabase(engine, None)
        return
    with embedded_postgres(settings) as urls, _engine(str(urls.database_url)) as engine:
        yield OperatorDatabase(engine, urls.database_admin_url)


@contextmanager
def embedded_postgres(settings: Settings) -> Iterator[EmbeddedUrls]:
    """The embedded PostgreSQL of the state directory, for the block's duration. Raises `Fault`."""
    try:
        with attached_or_started(
            state_dir=settings.state_dir, postgres=True, redis=False, environ=os.environ
        ) as urls:
            yield urls
    except EmbeddedError as error:
        raise Fault(str(error)) from None


@contextmanager
def database_faults() -> Iterator[None]:
    """Turn what a database or its driver raises into one plain line, without any parameter."""
    try:
        yield
    except RecordError as error:
        raise Fault(str(error)) from None
    except DBAPIError as error:
        raise _fault_of(error) from None


def checked(url: str) -> str:
    """A database's URL that can be read. Raises `Fault`, which repeats no part of the URL."""
    try:
        database_url(url)
    except (ArgumentError, ValueError):
        raise Fault("the database's URL cannot be read: is its password percent-encoded?") from None
    return url


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = service_engine(checked(url), application_name=f"{PROGRAM} cli")
    try:
        yield engine
    finally:
        engine.dispose()


def _fault_of(error: DBAPIError) -> Fault:
    words = first_line(error.orig)
    state = getattr(error.orig, "sqlstate", None)
    # The driver gives no state for a session that could not begin. Its role comes with the schema.
    if state in _MISSING or words.endswith('role "gateway_app" does not exist'):
        return NotMigrated()
    if state is None:
        return Fault(f"the database cannot be reached: {words}")
    return Fault(f"the database refuses: {words}")
