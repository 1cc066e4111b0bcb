"""The listener on a clock, with a database that answers when the test says so."""

import errno
import os
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
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.notify import LEAST_PAUSE_S, POLL_S, RevocationListener

ACME = UUID("11111111-1111-1111-1111-111111111111")
OTHER = UUID("22222222-2222-2222-2222-222222222222")


class ReaderClock(Clock):
    """A clock with eyes that the test opens."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[IReadDescriptor] = []
        self.blind = False

    def addReader(self, reader: IReadDescriptor, /) -> None:
        """Watch, unless the system has no room for one more."""
        if self.blind:
            raise OSError(errno.ENOSPC, "no more watches")
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


@define(eq=False)
class Session:
    """What is used of a psycopg connection, and of its `pgconn`."""

    socket: socket.socket
    arrived: list[object] = field(factory=list)
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

    def notifies(self) -> object | None:
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

    def wait(self, seconds: float = POLL_S) -> None:
        """Let time pass in small steps, as a reactor does, and a moment more."""
        self.clock.pump([0.01] * (round(seconds / 0.01) + 1))

    def settle(self) -> Session:
        """Connected, and both readings that follow a start done."""
        self.answer()
        session = self.connect()
        self.wait(LEAST_PAUSE_S)
        self.answer()
        self.wait(LEAST_PAUSE_S)
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
            self.wait(0.47)
            self.assertEqual(self.database.readings, [])
            self.wait(0.03)
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
        self.wait()
        self.fail_reading(DatabaseUnavailable("away"))
        self.wait()
        self.assertIsNone(self.window())
        self.answer()
        self.wait()
        self.assertEqual(self.window(), 60.0)

    def test_process_that_slept(self) -> None:
        """After a pause that comes near the window, everything is read."""
        self.answer()
        self.wait()
        self.clock.advance(31)
        self.answer()
        self.wait()
        self.assertIsNone(self.window())

    def test_fault_is_logged_once(self) -> None:
        """A fault of ours does not end the reading, and is logged once until it is over."""
        for _ in range(3):
            self.fail_reading(KeyError("no such column"))
            self.wait()
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
        self.wait(LEAST_PAUSE_S)
        self.assertIsNone(self.window())

    def test_connection_during_a_reading(self) -> None:
        """The reading in progress may be too old: another follows at once."""
        self.connect()
        self.answer()
        self.wait(LEAST_PAUSE_S)
        self.assertIsNone(self.window())

    def test_notification(self) -> None:
        """However many have arrived and whatever they say, the tables are read once, at once."""
        session = self.settle()
        session.arrived += ["one", "two"]
        self.clock.readable()
        self.assertEqual(session.arrived, [])
        self.assertEqual(self.window(), 60.0)
        self.answer((ACME, 7))
        self.assertEqual(self.heard, [(ACME, 7)])
        self.wait(LEAST_PAUSE_S)
        self.assertEqual(self.database.readings, [])

    def test_flood_of_notifications(self) -> None:
        """Between two readings there is a pause, also while notifications never cease."""
        session = self.settle()
        readings = 0
        for _ in range(100):
            session.arrived.append("again")
            self.clock.readable()
            if self.database.readings:
                self.answer()
                readings += 1
            self.clock.advance(LEAST_PAUSE_S / 10)
        self.assertTrue(5 < readings < 15, readings)

    def test_nothing_arrived(self) -> None:
        """A session that can be read and brings no notification wakes nobody."""
        self.settle()
        self.clock.readable()
        self.assertEqual(self.database.readings, [])

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

    def test_connection_that_cannot_be_watched(self) -> None:
        """Out of descriptors, or of watches: it is closed, logged once, and tried again later."""

        def no_more(descriptor: int) -> int:
            del descriptor
            raise OSError(errno.EMFILE, "too many open files")

        self.answer()
        dup = os.dup
        for attempt in range(4):
            self.clock.blind = attempt >= 2
            self.patch(os, "dup", dup if self.clock.blind else no_more)
            session = self.connect()
            self.assertTrue(session.closed)
            self.assertEqual(self.clock.readers, [])
            self.wait(0.05 * 2**attempt)
            self.assertEqual(self.database.connecting, [], "no back-off")
            self.wait(0.05 * 2**attempt)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.clock.blind = False
        self.assertFalse(self.connect().closed)
        self.assertEqual(len(self.clock.readers), 1)

    def test_flow_that_ends(self) -> None:
        """What nobody foresaw is in the log; the end that a stop brings is not."""
        self.patch(self.clock, "callLater", None)
        self.answer()
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_outage_is_no_warning(self) -> None:
        """That the database is away is said by `DatabaseThreads`, and not by each of its users."""
        with capturedLogs() as events:
            for _ in range(3):
                self.fail_reading(DatabaseUnavailable("away"))
                self.wait()
            self.database.connecting.pop().errback(DatabaseUnavailable("away"))
        levels = {event["log_level"] for event in events}
        self.assertEqual(levels, {LogLevel.debug})

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
        began = self.clock.seconds()
        self.wait()
        self.fail_reading(DatabaseUnavailable("away"))
        self.clock.advance(2)
        self.assertEqual(self.listener.silence_s, self.clock.seconds() - began)
