"""`DatabaseThreads` as integration tests use it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, text
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.operator_queries import create_tenant
from neuronetz_twisted.stores.postgres import DatabaseThreads
from tests.waiting import reactor


def one(connection: Connection) -> int:
    """The least that a transaction can ask."""
    return int(connection.execute(text("SELECT 1")).scalar_one())


def sleep(seconds: float) -> Callable[[Connection], object]:
    """A transaction that takes so long on the server."""

    def query(connection: Connection) -> object:
        return connection.execute(select(func.pg_sleep(seconds))).scalar_one()

    return query


def add_tenant(connection: Connection) -> UUID:
    """A transaction that leaves a row."""
    return create_tenant(connection, "acme")


def started(case: TestCase, url: str, **options: Any) -> DatabaseThreads:
    """The service, stopped at the test's end."""
    database = DatabaseThreads(reactor, url, **({"pool_size": 3, "overflow": 3} | options))
    database.startService()
    case.addCleanup(database.stopService)
    return database


async def recover(database: DatabaseThreads, within_s: float = 10.0) -> None:
    """Ask until there is an answer."""
    give_up = reactor.seconds() + within_s
    while True:
        try:
            await database.run(one)
        except DatabaseUnavailable:
            if reactor.seconds() > give_up:
                raise
            await deferLater(reactor, 0.02)
        else:
            return
