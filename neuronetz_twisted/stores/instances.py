"""Which gateways live: each has a row in PostgreSQL, and renews it every 5 s (SPEC 7, 12).

Whoever finds Redis' counters lost has to wait for the others to put back what they hold, but not
where there are none. A living gateway that is taken for a dead one means calls beyond a limit, so
one counts wherever that is in doubt:

- All times are PostgreSQL's. While it was away nobody could renew a row, so those that were fresh
  at our third last heartbeat count too: by our last one, all who live have had their turn again.
- A row is known to be of a dead process only where its host is ours and its pid is no process, or
  is ours. The name of a host is made so that equal ones share their pids: of host name, boot and
  pid namespace. Where the system does not tell these it is random, and no row is known to be dead.
"""

import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from attrs import field, frozen
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.tables import instances

BEAT_S = 5.0
SEEN = timedelta(seconds=30)
"""A gateway whose row was renewed within this time lives."""
KEPT = timedelta(hours=1)
"""How long the row of one that was killed stays."""

_BEATS = 3
_NAMESPACE = Path("/proc/self/ns/pid")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@frozen(kw_only=True)
class Process:
    """One gateway process, as its row names it: `host` is where `pid` means something."""

    id: UUID = field(factory=uuid4)
    host: str
    pid: int


def this_process() -> Process:
    """The process that calls."""
    return Process(host=_host(_NAMESPACE, _BOOT), pid=os.getpid())


def is_alive(pid: int) -> bool:
    """Whether there is a process with this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        # One of another user, or no number that we can ask for.
        return True
    return True


class Instances(Service):
    """Keeps the row of one process, which is this one, and knows whether there are others."""

    name = "instances"
    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        database: DatabaseThreads,
        own: Process | None = None,
        *,
        is_alive: Callable[[int], bool] = is_alive,
    ) -> None:
        self._database = database
        self._own = own or this_process()
        self._is_alive = is_alive
        self._beats: deque[datetime] = deque(maxlen=_BEATS)
        self._loop = LoopingCall(self._beat)
        self._loop.clock = clock
        self._ended: Deferred[Any] = succeed(None)

    def startService(self) -> None:
        """Write the row, and renew it from now on."""
        super().startService()
        self._beats.clear()
        self._ended = self._loop.start(BEAT_S)

    def stopService(self) -> Deferred[object]:
        """Take the row away, as far as the database does so within its deadline."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        # A heartbeat under way would write the row again.
        self._ended.addCallback(lambda _: self._database.run(partial(leave, own=self._own)))
        return self._ended.addErrback(self._not_done)

    def others(self) -> Deferred[bool]:
        """Whether another gateway may live. May fail with `DatabaseUnavailable`."""
        asked = self._database.run(partial(others, own=self._own, since=self._since))
        return asked.addCallback(lambda found: any(map(self._may_live, found)))

    @property
    def _since(self) -> datetime | None:
        return self._beats[0] if self._beats else None

    def _may_live(self, other: Process) -> bool:
        if other.host != self._own.host:
            return True
        return other.pid != self._own.pid and self._is_alive(other.pid)

    def _beat(self) -> Deferred[None]:
        beat = self._database.run(partial(renew, own=self._own, since=self._since))
        return beat.addCallback(self._beats.append).addErrback(self._not_done)

    def _not_done(self, failure: Failure) -> None:
        """Pass over a database that is away, which says so itself."""
        if failure.check(DatabaseUnavailable) is None:
            self._log.failure("the row of this gateway could not be written", failure)


def renew(connection: Connection, own: Process, since: datetime | None) -> datetime:
    """Write a process' row, and remove what is long over; gives PostgreSQL's clock."""
    row = {"id": own.id, "host": own.host, "pid": own.pid}
    statement = upsert(instances).values(row)
    statement = statement.on_conflict_do_update(
        index_elements=[instances.c.id], set_={"heartbeat_at": func.now()}
    )
    at: datetime = connection.execute(statement.returning(instances.c.heartbeat_at)).scalar_one()
    old = instances.c.heartbeat_at < func.least(func.now(), since) - KEPT
    connection.execute(delete(instances).where(old))
    return at


def leave(connection: Connection, own: Process) -> None:
    """Remove a process' row."""
    connection.execute(delete(instances).where(instances.c.id == own.id))


def others(connection: Connection, own: Process, since: datetime | None) -> Sequence[Process]:
    """The other rows that were renewed lately, or lately at the time `since`."""
    # NULL is no time: `least` passes over it.
    bound = func.least(func.now(), since + timedelta(seconds=_BEATS * BEAT_S) if since else None)
    statement = select(instances.c.id, instances.c.host, instances.c.pid).where(
        instances.c.id != own.id, instances.c.heartbeat_at > bound - SEEN
    )
    return [Process(**row) for row in connection.execute(statement).mappings()]


def _host(namespace: Path, boot: Path) -> str:
    try:
        place = f"{boot.read_text(encoding='ascii').strip()} {namespace.readlink()}"
    except (OSError, ValueError):
        place = str(uuid4())
    return f"{socket.gethostname()} {place}"
