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

from neuronetz_twisted import PROGRAM
from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.config import ConfigError, Loaded, Settings, load
from neuronetz_twisted.stores import migrate
from neuronetz_twisted.stores.embedded import EmbeddedError, EmbeddedUrls, attached_or_started
from neuronetz_twisted.stores.engine import service_engine
from neuronetz_twisted.stores.faults import DatabaseFault, NotMigrated, plain_faults
from neuronetz_twisted.stores.records import RecordError
from neuronetz_twisted.variables import EMBEDDED

T = TypeVar("T")


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


def loaded() -> Loaded:
    """The settings of the current environment and directory. Raises `WrongConfiguration`."""
    try:
        return load(os.environ, Path())
    except ConfigError as error:
        raise WrongConfiguration(error) from None


@frozen
class OperatorDatabase:
    """Runs transactions of `operator_queries`; `admin_url` is set where we may migrate unasked."""

    engine: Engine
    admin_url: str | None = field(repr=False)

    def run(self, fn: Callable[[Connection], T]) -> T:
        """Call `fn` with a connection in a transaction of its own. Raises `Fault`."""
        with database_faults():
            try:
                return self._transact(fn)
            except NotMigrated:
                if self.admin_url is None:
                    raise
            migrate.upgrade(self.admin_url)
            return self._transact(fn)

    def _transact(self, fn: Callable[[Connection], T]) -> T:
        with plain_faults(), self.engine.begin() as connection:
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
    """Tell what the database or the operator's queries refuse in the block. Raises `Fault`."""
    try:
        yield
    except (DatabaseFault, RecordError) as error:
        raise Fault(str(error)) from None


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = service_engine(url, application_name=f"{PROGRAM} cli")
    try:
        yield engine
    finally:
        engine.dispose()
