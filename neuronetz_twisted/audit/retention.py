"""Makes the months of the record before they begin, and drops them when they are old enough.

Several gateways do this at once: each step is one transaction that begins with a lock which they
share (`migrations/versions/0005_partitions.py`). What is dropped is read and signed first, in the
same transaction, so that the verification can tell retention from a deletion (SPEC 9).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
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
from neuronetz_twisted.audit.expiry import NotAsWritten, Period, Trim, proof_of, spans_of
from neuronetz_twisted.audit.flusher import Database
from neuronetz_twisted.audit.signing import Kind, Signed
from neuronetz_twisted.audit.verify import Row
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

    `ensure`, `hold` and `drop` may raise `MonthsInUse`.
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

    def columns(self) -> Sequence[str]:
        """The names of what `rows` gives."""
        ...

    def rows(self, connection: Connection, partition: Any) -> Iterable[Row]:
        """What a month holds, by writer and number."""
        ...

    def hash_before(self, connection: Connection, writer: UUID, seq: int) -> bytes | None:
        """The hash of the record before that one, if it is there or was signed away."""
        ...

    def statements(
        self, connection: Connection, writer: UUID, *, first: int, last: int
    ) -> Iterable[Signed]:
        """What was signed of a chain: from `last` on, then down from there to `first`."""
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
    """What one transaction did; `dropped` is None where there is nothing left to drop.

    `kept` says of each old month that is not as it was written why it stays.
    """

    made: Sequence[str]
    dropped: str | None
    signed: Sequence[Signed]
    kept: Sequence[str]


@frozen(kw_only=True)
class Trimmer:
    """One step of retention, called with a connection in a transaction of its own.

    `trusted` gives the public keys whose statements count, and `now` the seconds since 1970: what
    is old is not for the database to say.
    """

    months: Months
    signer: Signing
    write_checkpoint: Callable[[Connection, Signed], None]
    trusted: Callable[[], Collection[bytes]]
    now: Callable[[], float]
    keep_days: int

    def step(self, connection: Connection) -> Step:
        """Make months, then drop the oldest one that may go."""
        made = self.months.ensure(connection)
        kept: list[str] = []
        for month in self.months.expired(connection, self.keep_days):
            # Held before it is read: nothing may come in between, and a reader that keeps us from
            # dropping it is noticed before the work is done.
            if not self.months.hold(connection, month, self.keep_days):
                continue
            try:
                proved = self._proved(connection, month)
            except NotAsWritten as found:
                kept.append(f"{month.name} stays: {found}")
                continue
            signed = [self._sign(connection, each) for each in proved]
            self.months.drop(connection, month, self.keep_days)
            return Step(made=made, dropped=month.name, signed=signed, kept=kept)
        return Step(made=made, dropped=None, signed=(), kept=kept)

    def _proved(self, connection: Connection, month: Any) -> list[Trim]:
        """What is to be signed of a month. Raises `NotAsWritten`.

        Behind the last statement nothing is signed: nobody could tell that it was ever written.
        """
        oldest = datetime.fromtimestamp(self.now(), UTC) - timedelta(days=self.keep_days)
        period = Period(month.starts, min(month.ends, oldest))
        columns = self.months.columns()
        trusted = self.trusted()
        proved = []
        for span in spans_of(self.months.rows(connection, month), columns, period):
            statements = self.months.statements(
                connection, span.writer, first=span.first, last=span.last
            )
            proof = proof_of(span.writer, statements, trusted)
            if proof is None:
                continue
            signed = span
            if proof.seq < span.last:
                # Rarely: what lies behind is of a writer who died with his state directory.
                part = span.part(self.months.rows(connection, month), proof.seq)
                signed = (spans_of(part, columns, period) or [span])[0]
            before = self.months.hash_before(connection, span.writer, span.first)
            proved.append(signed.trim(proof, before))
        return proved

    def _sign(self, connection: Connection, trim: Trim) -> Signed:
        signed = self.signer.sign(
            kind="trim",
            writer=trim.writer,
            seq=trim.last,
            chain_hash=trim.last_hash,
            first=trim.first,
        )
        self.write_checkpoint(connection, signed)
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
        self._told: Sequence[str] = ()
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
        else:
            self._tell(step.kept)
        self._unpublished += step.signed
        await self._publish()
        return step.dropped is not None

    def _tell(self, kept: Sequence[str]) -> None:
        """Say which months cannot go, when that is new."""
        for reason in kept:
            if reason not in self._told:
                self._log.critical("the record is not as it was written: {reason}", reason=reason)
        self._told = kept

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
