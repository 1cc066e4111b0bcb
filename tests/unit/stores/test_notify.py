"""The listener on a clock, with a database that answers when the test says so."""

import socket
from collections.abc import Callable
from math import inf
from typing import Any, cast
from uuid import UUID

import psycopg
from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.notify import RevocationListener

ACME = UUID("11111111-1111-1111-1111-111111111111")
OTHER = UUID("22222222-2222-2222-2222-222222222222")


class ReaderClock(Clock):
    """A clock with eyes that the test opens."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[IReadDescriptor] = []

    def addReader(self, reader: IReadDescriptor, /) -> None:
        """Watch."""
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor, /) -> None:
        """Look away; once more does no harm, as on the real reactor."""
        if reader in self.readers:
            self.readers.remove(reader)

    def readable(self) -> None:
        """There is something to read; what `doRead` says is done as the reactor does it."""
        (reader,) = self.readers
        why = reader.doRead()
        if why is not None:
            self.removeReader(reader)
            reader.connectionLost(Failure(cast("BaseException", why)))


@define
class Notification:
    """As libpq gives it."""

    relname: bytes
    extra: bytes


@define(eq=False)
class Session:
    """What is used of a psycopg connection, and of its `pgconn`."""

    socket: socket.socket
    arrived: list[Notification] = field(factory=list)
    broken: bool = False
    closed: bool = False

    @property
    def pgconn(self) -> "Session":
        """The same, as libpq knows it."""
        return self

    def fileno(self) -> int:
        """The descriptor of the session."""
        return self.socket.fileno()

    def consume_input(self) -> None:
        """Read, or find that it is over."""
        if self.broken:
            raise psycopg.OperationalError("server closed the connection\n\tmore words")

    def notifies(self) -> Notification | None:
        """The next notification."""
        return self.arrived.pop(0) if self.arrived else None

    def close(self) -> None:
        """End it."""
        self.closed = True


class SlowDatabase:
    """Keeps what was asked until the test answers."""

    def __init__(self) -> None:
        self.readings: list[tuple[float | None, Deferred[Any]]] = []
        self.connecting: list[Deferred[Any]] = []

    def run(self, fn: Callable[[Connection], Any]) -> Deferred[Any]:
        """Note the window that is asked for."""
        asked: Deferred[Any] = Deferred()
        self.readings.append((cast("Any", fn).keywords["since_seconds"], asked))
        return asked

    def dedicated(self, prepare: Callable[[psycopg.Connection], object]) -> Deferred[Any]:
        """Note that a connection is asked for."""
        del prepare
        asked: Deferred[Any] = Deferred()
        self.connecting.append(asked)
        return asked


class Listening(SynchronousTestCase):
    """One listener."""

    def setUp(self) -> None:
        """A listener that has just been started."""
        self.clock = ReaderClock()
        self.database = SlowDatabase()
        self.heard: list[tuple[UUID, int]] = []
        self.listener = RevocationListener(
            self.clock, self.database, lambda tenant, epoch: self.heard.append((tenant, epoch))
        )
        self.listener.startService()

    def tearDown(self) -> None:
        """Stopping leaves no timer and no reader, whatever state it finds."""
        self.listener.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.clock.readers, [])

    def window(self) -> float | None:
        """The window of the reading in progress."""
        (reading,) = self.database.readings
        return reading[0]

    def answer(self, *changed: tuple[UUID, int]) -> None:
        """Answer the reading in progress."""
        _, asked = self.database.readings.pop()
        asked.callback(list(changed))

    def fail_reading(self, error: Exception) -> None:
        """Let the reading in progress fail."""
        _, asked = self.database.readings.pop()
        asked.errback(error)

    def connect(self) -> Session:
        """Let the connection in progress succeed."""
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        session = Session(pair[0])
        self.database.connecting.pop().callback(session)
        return session

    def settle(self) -> Session:
        """Connected, and both readings that follow a start done."""
        self.answer()
        session = self.connect()
        self.answer()
        return session

    def test_first_reading_is_of_all(self) -> None:
        """At the start everything is read and told."""
        self.assertIsNone(self.window())
        self.answer((ACME, 4), (OTHER, 1))
        self.assertEqual(self.heard, [(ACME, 4), (OTHER, 1)])

    def test_then_twice_a_second(self) -> None:
        """Half a second after each reading the last minute is read, changed or not."""
        self.answer((ACME, 4))
        for _ in range(3):
            self.clock.advance(0.49)
            self.assertEqual(self.database.readings, [])
            self.clock.advance(0.01)
            self.assertEqual(self.window(), 60.0)
            self.answer((ACME, 4))
        self.assertEqual(self.heard, [(ACME, 4)] * 4)

    def test_one_reading_at_a_time(self) -> None:
        """A slow reading is not overtaken by the next."""
        self.clock.advance(10)
        self.assertEqual(len(self.database.readings), 1)

    def test_failed_reading_is_made_up_for(self) -> None:
        """After a failure the next reading is of all, for nobody knows how long it took."""
        self.answer()
        self.clock.advance(0.5)
        self.fail_reading(DatabaseUnavailable("away"))
        self.clock.advance(0.5)
        self.assertIsNone(self.window())
        self.answer()
        self.clock.advance(0.5)
        self.assertEqual(self.window(), 60.0)

    def test_process_that_slept(self) -> None:
        """After a pause that comes near the window, everything is read."""
        self.answer()
        self.clock.advance(0.5)
        self.clock.advance(31)
        self.answer()
        self.clock.advance(0.5)
        self.assertIsNone(self.window())

    def test_fault_is_logged_once(self) -> None:
        """A fault of ours does not end the reading, and is logged once until it is over."""
        for _ in range(3):
            self.fail_reading(KeyError("no such column"))
            self.clock.advance(0.5)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.answer((ACME, 4))
        self.assertEqual(self.heard, [(ACME, 4)])

    def test_long_list_leaves_room(self) -> None:
        """A long list is told in slices, with turns of the reactor between."""
        self.answer(*[(ACME, epoch) for epoch in range(450)])
        self.assertEqual(len(self.heard), 200)
        self.clock.advance(0)
        self.assertEqual(len(self.heard), 450)

    def test_connection_is_followed_by_a_reading_of_all(self) -> None:
        """What was sent before the connection listened is read at once."""
        self.answer()
        self.connect()
        self.assertIsNone(self.window())

    def test_connection_during_a_reading(self) -> None:
        """The reading in progress may be too old: another follows at once."""
        self.connect()
        self.answer()
        self.assertIsNone(self.window())

    def test_notification(self) -> None:
        """Each change that has arrived is told at once."""
        session = self.settle()
        session.arrived += [
            Notification(b"tenant_changed", f"{ACME} 7".encode()),
            Notification(b"tenant_changed", f"{OTHER} 9".encode()),
        ]
        self.clock.readable()
        self.assertEqual(self.heard, [(ACME, 7), (OTHER, 9)])
        self.assertEqual(self.database.readings, [])

    def test_notification_without_a_tenant(self) -> None:
        """What names no tenant makes the tables be read at once."""
        session = self.settle()
        for relname, extra in (
            (b"key_revoked", b"nz_aaaaaaaaa"),
            (b"tenant_changed", b"nonsense"),
            (b"tenant_changed", f"{ACME}".encode()),
            (b"tenant_changed", f"{ACME} \xff".encode("latin-1")),
        ):
            with self.subTest(extra=extra):
                session.arrived.append(Notification(relname, extra))
                self.clock.readable()
                self.assertEqual(self.window(), 60.0)
                self.answer()
        self.assertEqual(self.heard, [])

    def test_lost_connection(self) -> None:
        """A broken session is closed and soon replaced; its descriptor is no longer watched."""
        session = self.settle()
        session.broken = True
        self.clock.readable()
        self.assertTrue(session.closed)
        self.assertEqual(self.clock.readers, [])
        self.assertEqual(self.database.connecting, [])
        self.clock.advance(0.1)
        self.connect()
        self.assertEqual(len(self.clock.readers), 1)

    def test_attempts_become_rarer(self) -> None:
        """While no connection is to be had, attempts are ever further apart, to five seconds."""
        waits = []
        for _ in range(9):
            self.database.connecting.pop().errback(DatabaseUnavailable("away"))
            began = self.clock.seconds()
            while not self.database.connecting:
                self.clock.advance(0.05)
            waits.append(round(self.clock.seconds() - began, 1))
        self.assertEqual(waits, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])
        self.connect().broken = True
        self.clock.readable()
        self.clock.advance(0.1)
        self.assertEqual(len(self.database.connecting), 1)

    def test_stop_closes(self) -> None:
        """Stopping closes the session at once."""
        session = self.settle()
        self.listener.stopService()
        self.assertTrue(session.closed)

    def test_silence(self) -> None:
        """The silence is endless at first, and then counts from the last successful reading."""
        self.assertEqual(self.listener.silence_s, inf)
        self.answer()
        self.clock.advance(0.5)
        self.fail_reading(DatabaseUnavailable("away"))
        self.clock.advance(2)
        self.assertEqual(self.listener.silence_s, 2.5)
