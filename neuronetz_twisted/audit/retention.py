"""Makes the months of the record before they begin, and drops them when they are old enough.

Several gateways do this at once: each step is one transaction that begins with a lock which they
share (`migrations/versions/0005_partitions.py`). What is dropped is signed first, in the same
transaction, so that the verification can tell retention from a deletion (SPEC 9).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from attrs import frozen
from sqlalchemy import Connection
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.audit.commit import InThread
from neuronetz_twisted.audit.flusher import Database
from neuronetz_twisted.audit.signing import Kind, Signed
from neuronetz_twisted.errors import DatabaseUnavailable

PERIOD_S = 3600.0
AGAIN_S = 60.0
"""How soon it is tried again where the database was away, or somebody held a lock for too long."""
TRANSACTION_S = 1800.0
"""How long a transaction may take that reads and drops a month: the deadline of its database."""


class MonthsInUse(Exception):  # noqa: N818 - it is no error: somebody reads, or is faster
    """A lock on the months was not to be had in time; the transaction cannot go on."""


class Months(Protocol):
    """What is done with partitions (`stores/partitions.py`), in the caller's transaction.

    All but `expired` and `spans` may raise `MonthsInUse`.
    """

    def ensure(self, connection: Connection) -> list[str]:
        """Make what is missing, for nobody else until the transaction ends."""
        ...

    def expired(self, connection: Connection, keep_days: int) -> Sequence[Any]:
        """The months that are old by their dates, the oldest first."""
        ...

    def hold(self, connection: Connection, partition: Any, keep_days: int) -> bool:
        """Keep others from a month; False where its records came later than they say."""
        ...

    def spans(self, connection: Connection, partition: Any) -> Sequence[Any]:
        """What a month holds: writer, first and last number, hash of the last."""
        ...

    def drop(self, connection: Connection, partition: Any, keep_days: int) -> None:
        """Drop a month."""
        ...


class Signing(Protocol):
    """Who signs (`audit/checkpoints.py`)."""

    def sign(self, *, kind: Kind, writer: UUID, seq: int, chain_hash: bytes, first: int) -> Signed:
        """A signed statement."""
        ...

    def publish(self, signed: Signed) -> None:
        """Keep a statement in the file. Raises `OSError`."""
        ...


@frozen(kw_only=True)
class Step:
    """What one transaction did; `dropped` is None where there is nothing left to drop."""

    made: Sequence[str]
    dropped: str | None
    signed: Sequence[Signed]


@frozen(kw_only=True)
class Trimmer:
    """One step of retention, called with a connection in a transaction of its own."""

    months: Months
    signer: Signing
    write_checkpoint: Callable[[Connection, Signed], None]
    keep_days: int

    def step(self, connection: Connection) -> Step:
        """Make months, then drop the oldest one that may go."""
        made = self.months.ensure(connection)
        for month in self.months.expired(connection, self.keep_days):
            # Held before it is read: nothing may come in between, and a reader that keeps us from
            # dropping it is noticed before the work is done.
            if self.months.hold(connection, month, self.keep_days):
                signed = self._sign(connection, month)
                self.months.drop(connection, month, self.keep_days)
                return Step(made=made, dropped=month.name, signed=signed)
        return Step(made=made, dropped=None, signed=())

    def _sign(self, connection: Connection, month: Any) -> list[Signed]:
        signed = [
            self.signer.sign(
                kind="trim",
                writer=span.writer,
                seq=span.last,
                chain_hash=span.last_hash,
                first=span.first,
            )
            for span in self.months.spans(connection, month)
        ]
        for each in signed:
            self.write_checkpoint(connection, each)
        return signed


class Retention(Service):
    """Looks once an hour, and at the start. `in_thread` makes a call that may block."""

    name = "audit retention"
    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        database: Database,
        trimmer: Trimmer,
        *,
        in_thread: InThread,
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._trimmer = trimmer
        self._in_thread = in_thread
        self._unpublished: list[Signed] = []
        self._has_waited = False
        self._flow: Deferred[None] | None = None

    def startService(self) -> None:
        """Look for the first time."""
        super().startService()
        self._flow = Deferred.fromCoroutine(self._keep())

    def stopService(self) -> Deferred[None]:
        """Stop; a transaction under way is given up by who runs it."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.cancel()
            await flow

    async def _keep(self) -> None:
        try:
            while True:
                await self._pause(await self._look())
        except CancelledError:
            return

    async def _look(self) -> float:
        """Do all that is due; gives the seconds until the next time."""
        try:
            await self._publish()
            while await self._step():
                pass
        except CancelledError:
            raise
        except DatabaseUnavailable:
            # The database says so itself, once for all who use it.
            return AGAIN_S
        except MonthsInUse:
            if not self._has_waited:
                self._has_waited = True
                self._log.info("months of the record are in use: they are seen to later")
            return AGAIN_S
        except Exception:  # noqa: BLE001 - the outermost wall: it must be tried again in an hour
            self._log.failure("retention failed")
        return PERIOD_S

    async def _step(self) -> bool:
        """One transaction; whether there may be more to drop."""
        step = await self._database.run(self._trimmer.step)
        self._has_waited = False
        if step.made:
            self._log.info("made {months} of the record", months=", ".join(step.made))
        if step.dropped is not None:
            self._log.info("dropped {month} of the record", month=step.dropped)
        self._unpublished += step.signed
        await self._publish()
        return step.dropped is not None

    async def _publish(self) -> None:
        """Append committed statements to their file; what cannot be goes with the next."""
        while self._unpublished:
            signed = self._unpublished[0]
            try:
                await self._in_thread(partial(self._trimmer.signer.publish, signed))
            except OSError:
                self._log.failure("a trim could not be appended to the checkpoint file")
                return
            del self._unpublished[0]

    async def _pause(self, seconds: float) -> None:
        nap: Deferred[None] = Deferred()
        timer: IDelayedCall = self._reactor.callLater(seconds, nap.callback, None)
        try:
            await nap
        finally:
            if timer.active():
                timer.cancel()
