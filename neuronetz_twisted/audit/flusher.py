"""Brings what is in the spools into PostgreSQL, at once and for as long as it takes.

One loop for the process's own spool and for those it has adopted, each in its turn and one
transaction at a time (`batches`). A spool that cannot be read or written is left alone for a
while, and the others go on; a database that is away makes all of them wait. The loop looks for
records four times a second, so a request costs it nothing.
"""

import random
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, Protocol, TypeVar

from attrs import frozen
from sqlalchemy import Connection
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.audit.batches import Backlog, Batch, BatchWriter, Order
from neuronetz_twisted.audit.commit import InThread
from neuronetz_twisted.audit.lanes import Lane
from neuronetz_twisted.audit.publishing import Publisher
from neuronetz_twisted.back_off import BackOff
from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.ledger import FlushListener

T = TypeVar("T")

GATHER_S = 0.25
"""How long records are gathered for a transaction, unless they are a whole batch."""
STOP_S = 10.0


class Database(Protocol):
    """What is used of `DatabaseThreads`."""

    def run(self, fn: Callable[[Connection], T]) -> Deferred[T]:
        """Call `fn` in a transaction, in a thread; may fail with `DatabaseUnavailable`."""
        ...


@frozen(kw_only=True)
class Lag:
    """What is not in PostgreSQL yet: how many records, and for how long the oldest at most."""

    waiting: int
    oldest_s: float


class OwnSpool(Backlog, Protocol):
    """The spool to which this process writes."""

    @property
    def has_ended(self) -> bool:
        """Whether a sealed spool has the end of every call in its files."""
        ...

    def leave_failed(self) -> None:
        """Write no more to a file that could not be synced for reading."""
        ...

    async def seal(self) -> None:
        """End the writing."""
        ...


class Flusher(Service):
    """Flushes this process's spool and those that it adopts, and closes them at their end.

    `told` hears of the admitted calls in each batch once it is committed. `chance` gives a number
    from 0 up to 1. At its stop it goes on for `stop_s` seconds at most; what is left then is
    adopted by the next process. `faults` counts what should not happen, `dead` the records that
    were refused.
    """

    name = "audit flusher"
    _log = Logger()

    def __init__(  # noqa: PLR0913 - its parts, given once
        self,
        reactor: IReactorTime,
        database: Database,
        batches: BatchWriter,
        own: OwnSpool,
        *,
        in_thread: InThread,
        told: FlushListener,
        chance: Callable[[], float] = random.random,
        stop_s: float = STOP_S,
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._batches = batches
        self._own = own
        self._in_thread = in_thread
        self._told = told
        self._chance = chance
        self._stop_s = stop_s
        self.faults = 0
        self.dead = 0
        self._lanes = [Lane(own, BackOff(chance))]
        self._away = BackOff(chance)
        self._publisher = Publisher(batches.signer.publish, in_thread=in_thread, fault=self._fault)
        self._nap: Deferred[None] | None = None
        self._give_up_at = inf
        self._ending = False
        self._flow: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin to flush."""
        super().startService()
        self._flow = Deferred.fromCoroutine(self._keep_flushing())
        self._flow.addErrback(_cancelled)

    def stopService(self) -> Deferred[None]:
        """Seal our own spool, flush what can be flushed in time, then close every spool."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def adopt(self, backlog: Backlog) -> None:
        """Flush this spool too, to which nobody writes any more, and close it."""
        self._lanes.append(Lane(backlog, BackOff(self._chance), closing=True))

    def lag(self) -> Lag:
        """How far PostgreSQL is behind."""
        now = self._reactor.seconds()
        return Lag(
            waiting=sum(lane.waiting for lane in self._lanes),
            oldest_s=max((lane.oldest_s(now) for lane in self._lanes), default=0.0),
        )

    async def _keep_flushing(self) -> None:
        while not self._is_over():
            try:
                pause = 0.0 if await self._round() else GATHER_S
            except CancelledError:
                raise
            except DatabaseUnavailable:
                # The database says so itself, once for all who use it.
                pause = self._away.next()
            except Exception:  # noqa: BLE001 - the outermost wall: records wait behind this loop
                self._fault("flushing failed")
                pause = self._away.next()
            if pause and not self._is_over():
                await self._pause(pause)

    async def _round(self) -> bool:
        """One transaction for each spool that has something; True where one has more."""
        more = False
        for lane in self._lanes:
            lane.look(self._reactor.seconds())
        for lane in list(self._lanes):
            if lane.is_due(self._reactor.seconds()):
                more = await self._flush(lane) or more
        return more

    async def _flush(self, lane: Lane) -> bool:
        try:
            batch = await self._write(lane.backlog, lane.order(self._reactor.seconds()))
        except CancelledError:
            raise
        except DatabaseUnavailable:
            lane.smaller()
            raise
        except Exception:  # noqa: BLE001 - of this spool alone: the others must go on
            if not lane.faulty:
                lane.faulty = True
                self._fault(
                    "the spool of {writer} cannot be flushed", writer=str(lane.backlog.writer)
                )
            lane.hold_off(self._reactor.seconds())
            return False
        more = lane.done(batch, self._reactor.seconds())
        await self._flushed(lane, batch)
        return more

    async def _write(self, backlog: Backlog, order: Order) -> Batch:
        # Not in a thread of the database's: a slow disk must not look like a slow database.
        try:
            finals = await self._in_thread(partial(backlog.finals, order.after, order.limit))
        except OSError:
            self._own.leave_failed()
            raise
        if not order.needs_transaction(finals):
            return order.done(finals)
        write = partial(self._batches.write, backlog.writer, order, finals)
        batch = await self._database.run(write)
        self._away.reset()
        return batch

    async def _flushed(self, lane: Lane, batch: Batch) -> None:
        for damage in lane.new_damage():
            self.faults += 1
            self._log.critical(
                "records are damaged: bytes {start} to {end} of {path} are passed over",
                path=str(damage.path),
                start=damage.span.start,
                end=damage.span.end,
            )
        if batch.dead:
            self.dead += batch.dead
            self._log.error(
                "{count} records of {writer} were refused by the database and are dead letters now",
                count=batch.dead,
                writer=str(lane.backlog.writer),
            )
        self._tell(batch)
        if batch.records or batch.closed:
            lane.backlog.flushed(batch.seq)
        if batch.signed is not None:
            self._publisher.add(batch.signed)
        if batch.closed:
            await self._close(lane)

    def _tell(self, batch: Batch) -> None:
        for flushed in batch.flushed:
            try:
                self._told(flushed)
            except Exception:  # noqa: BLE001 - whatever it is, it must not hold up the records
                self._fault("of calls that are on the ledger nobody could be told")

    async def _close(self, lane: Lane) -> None:
        self._lanes.remove(lane)
        try:
            await self._in_thread(lane.backlog.close)
        except OSError:
            self._fault(
                "the spool of {writer} could not be closed", writer=str(lane.backlog.writer)
            )

    async def _stop(self) -> None:
        flow, self._flow = self._flow, None
        if flow is None:
            return
        self._give_up_at = self._reactor.seconds() + self._stop_s
        deadline = self._reactor.callLater(self._stop_s, self._give_up)
        try:
            await self._own.seal()
            self._end()
            await flow
            if not deadline.active():
                self._give_up()
            await self._publisher.finish()
        finally:
            flow.cancel()
            if deadline.active():
                deadline.cancel()
        left = self.lag().waiting
        if left:
            self._log.warn("{count} records are left to the next process", count=left)
        for lane in list(self._lanes):
            await self._close(lane)

    def _end(self) -> None:
        """Let the loop end when everything is flushed; it looks at once, whatever it waits for."""
        self._ending = True
        for lane in self._lanes:
            lane.ending = True
            lane.closing = lane.closing or self._own.has_ended
        self._wake()

    def _give_up(self) -> None:
        """Wait no longer for what can be waited for without an end."""
        self._wake()
        self._publisher.give_up()

    def _is_over(self) -> bool:
        if not self._ending:
            return False
        return self._reactor.seconds() >= self._give_up_at or all(
            lane.is_done for lane in self._lanes
        )

    async def _pause(self, seconds: float) -> None:
        nap = self._nap = Deferred()
        timer = self._reactor.callLater(seconds, nap.callback, None)
        try:
            await nap
        finally:
            self._nap = None
            if timer.active():
                timer.cancel()

    def _wake(self) -> None:
        if self._nap is not None and not self._nap.called:
            self._nap.callback(None)

    def _fault(self, text: str, **fields: Any) -> None:
        self.faults += 1
        self._log.failure(text, **fields)


def _cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)
