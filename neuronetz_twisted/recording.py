"""The wiring of the record: spool, flusher, adoption, retention and prompt log (SPEC 9).

a call -> spool -> flusher -> PostgreSQL        what this process writes
a dead process' spool -> adoption -> flusher    what another one has left
"""

import errno
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import define, frozen
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, fail

from neuronetz_twisted.audit.adoption import Adoption
from neuronetz_twisted.audit.batches import BatchWriter
from neuronetz_twisted.audit.checkpoints import Signer
from neuronetz_twisted.audit.commit import InThread
from neuronetz_twisted.audit.dead_letters import DEAD_LETTERS, DeadLetters
from neuronetz_twisted.audit.directory import SpoolLimits
from neuronetz_twisted.audit.flusher import Flusher
from neuronetz_twisted.audit.orphan import adopt
from neuronetz_twisted.audit.prompts import PromptLog
from neuronetz_twisted.audit.retention import TRANSACTION_S, Retention, Trimmer
from neuronetz_twisted.audit.sealing import MasterKey
from neuronetz_twisted.audit.signers import SIGNERS_FILE, SignerFile, open_signer
from neuronetz_twisted.audit.signing import SigningFault
from neuronetz_twisted.audit.spool import Spool
from neuronetz_twisted.config import Settings
from neuronetz_twisted.errors import AuditUnavailable
from neuronetz_twisted.ledger import FlushListener
from neuronetz_twisted.lifecycle import CannotRecord, CannotWire
from neuronetz_twisted.seams import AuditTrail
from neuronetz_twisted.stores import audit_rows, partitions
from neuronetz_twisted.stores.ledger_lines import lines_of_charges
from neuronetz_twisted.stores.postgres import DatabaseThreads
from neuronetz_twisted.stores.prompts import PostgresPrompts
from neuronetz_twisted.stores.threads import OwnThread, in_own_thread
from neuronetz_twisted.variables import keys_of
from neuronetz_twisted.vocabulary import AuditSlot

T = TypeVar("T")

SPOOL = "spool"
"""The directory in the state directory that has one directory per writer."""

DATABASE_CONNECTIONS = 2
"""One of the flusher's and one of retention's, beside those of the settings."""

DESCRIPTORS_PER_CONNECTION = 2
"""The connection to the database, and the duplicate by which a call on it can be ended."""

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class SpoolService(Service):
    """Keeps room ready in the spool; the flusher, which empties it, also ends it."""

    name = "audit spool"

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def startService(self) -> None:
        """Make room from now on."""
        super().startService()
        self._spool.start()


@frozen(kw_only=True)
class Recording:
    """The parts that record; `services` in the order of their start."""

    trail: AuditTrail
    prompts: PromptLog
    services: Sequence[IService]


@frozen(kw_only=True)
class Files:
    """What has to be in place in the state directory before anything can be recorded."""

    spool: Spool
    signer: Signer


@define
class NoTrail:
    """The `AuditTrail` of a gateway that has no files yet: it denies everything."""

    denies: str | None = "io"

    def check(self) -> None:
        """Raise `AuditUnavailable`."""
        raise AuditUnavailable(why="io")

    def open(self, request_id: str, intent: bytes) -> AuditSlot:
        """Raise `AuditUnavailable`."""
        del request_id, intent
        raise AuditUnavailable(why="io")

    def committed(self) -> Deferred[None] | None:
        """Fail with `AuditUnavailable`."""
        return fail(AuditUnavailable(why="io"))

    def note(self, record: bytes) -> bool:
        """Keep nothing."""
        del record
        return False


def prepare(settings: Settings, reactor: Any) -> Files:
    """Make the files. Blocks, perhaps for long, so it is called in a thread.

    Raises `CannotWire` for what only the operator can mend, `CannotRecord` for a disk that is full
    or broken, which may be otherwise in a second.
    """
    try:
        return _files(settings, reactor)
    except OSError as error:
        text = f"{error.filename or settings.state_dir}: {error.strerror}"
        raise _fault_of(error, text) from None
    except SigningFault as error:
        raise _fault_of(error.__context__, str(error)) from None


def _fault_of(cause: BaseException | None, text: str) -> CannotWire | CannotRecord:
    is_disk = isinstance(cause, OSError) and cause.errno in _DISK
    return CannotRecord(text) if is_disk else CannotWire(text)


def _files(settings: Settings, reactor: Any) -> Files:
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = open_signer(
        settings.audit_signing_key,
        state_dir=settings.state_dir,
        checkpoints=settings.audit_checkpoint_file,
        now=time.time,
    )
    return Files(spool=_spool(settings, reactor), signer=signer)


def recording(
    settings: Settings,
    reactor: Any,
    database: DatabaseThreads,
    files: Files | None,
    told: FlushListener,
) -> Recording:
    """All that records into these files; without them, a record that denies everything.

    `told` hears of each admitted call that the ledger has, also of those of other processes.
    """
    prompts = _prompts(settings, reactor, database)
    if files is None:
        return Recording(trail=NoTrail(), prompts=prompts, services=(prompts,))
    in_thread = _in_thread(reactor)
    spool, signer = files.spool, files.signer
    letters = DeadLetters(settings.state_dir / DEAD_LETTERS)
    batches = BatchWriter(rows=audit_rows, lines=lines_of_charges, signer=signer, letters=letters)
    records = _records(settings, reactor)
    flusher = Flusher(reactor, records, batches, spool, in_thread=in_thread, told=told)
    adoption = Adoption(
        reactor,
        root=settings.state_dir / SPOOL,
        adopt=adopt,
        flusher=flusher,
        in_thread=in_thread,
    )
    months = _months(settings, reactor)
    retention = _retention(settings, reactor, months, signer, in_thread)
    services = (SpoolService(spool), months, records, flusher, adoption, retention, prompts)
    return Recording(trail=spool, prompts=prompts, services=services)


def descriptors(settings: Settings) -> int:
    """How many descriptors the record may need: its connections, and the spools' files."""
    limits = _limits(settings)
    return DATABASE_CONNECTIONS * DESCRIPTORS_PER_CONNECTION + (
        limits.max_bytes // limits.segment_bytes
    )


def _in_thread(reactor: Any) -> InThread:
    def in_thread(work: Callable[[], T], /) -> Deferred[T]:
        return in_own_thread(reactor, work, "audit")

    return in_thread


def _limits(settings: Settings) -> SpoolLimits:
    return SpoolLimits(
        max_bytes=settings.audit_spool_max_bytes, buffer_records=settings.audit_buffer_size
    )


def _spool(settings: Settings, reactor: Any) -> Spool:
    return Spool.create(
        settings.state_dir / SPOOL,
        _limits(settings),
        clock=reactor,
        in_thread=_in_thread(reactor),
        sync_in=OwnThread(reactor, "audit sync") if settings.audit_durability == "disk" else None,
    )


def _records(settings: Settings, reactor: Any) -> DatabaseThreads:
    """A connection of its own for the flusher: nobody's questions can keep records waiting."""
    database = DatabaseThreads(reactor, settings.database_url, pool_size=1, overflow=1)
    database.name = "audit records"
    return database


def _months(settings: Settings, reactor: Any) -> DatabaseThreads:
    """A connection of its own for retention: its transactions may take minutes, and are rare."""
    database = DatabaseThreads(
        reactor,
        settings.database_url,
        pool_size=1,
        overflow=0,
        keep=False,
        deadline_s=TRANSACTION_S,
    )
    database.name = "audit months"
    return database


def _retention(
    settings: Settings,
    reactor: Any,
    months: DatabaseThreads,
    signer: Signer,
    in_thread: InThread,
) -> Retention:
    trimmer = Trimmer(
        months=partitions,
        signer=signer,
        write_checkpoint=audit_rows.write_checkpoint,
        trusted=SignerFile(settings.state_dir / SIGNERS_FILE).trusted,
        now=time.time,
        keep_days=settings.audit_retention_days,
    )
    return Retention(reactor, months, trimmer, in_thread=in_thread)


def _prompts(settings: Settings, reactor: Any, database: DatabaseThreads) -> PromptLog:
    secret = settings.prompt_log_master_key
    return PromptLog(
        clock=reactor,
        store=PostgresPrompts(database),
        master=None if secret is None else MasterKey(keys_of(secret)[0]),
        retention_days=settings.prompt_retention_days,
    )
