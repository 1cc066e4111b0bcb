"""Takes over the spools of processes that ended without flushing them (SPEC 9).

At the start and every 30 s each directory of `spool/` is tried; a lock that can be had means that
its writer is gone. A call that it had begun and not completed is recorded as `unknown`, charged
with the last reservation that was written, in that writer's own chain; then the spool is the
flusher's, which removes it when it is empty.

It may die at any moment and be done again, by this process or another: what was recorded stays
recorded, and what is recorded anew is the same to the byte, since nothing of the moment is in it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import UUID

import orjson
from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.audit.batches import Backlog
from neuronetz_twisted.audit.commit import InThread
from neuronetz_twisted.vocabulary import End

INTERVAL_S = 30.0
LONGEST_REST_S = 3600.0
"""A directory that cannot be read is read again less and less often: it may be large."""


class OpenIntent(Protocol):
    """A call that was begun and has no completion."""

    @property
    def intent(self) -> bytes:
        """The event as it was written at its admission."""
        ...

    @property
    def reservation(self) -> int:
        """The tokens that were reserved last."""
        ...

    def complete(self, record: bytes) -> None:
        """Append the final record."""
        ...


class Orphan(Backlog, Protocol):
    """A spool whose writer is gone and whose lock is ours."""

    def open_intents(self) -> Sequence[OpenIntent]:
        """The calls without completion, in the order in which they stand in the files."""
        ...


class Flushing(Protocol):
    """What is used of the flusher."""

    def adopt(self, backlog: Backlog) -> None:
        """Flush this spool from now on, and close it at its end."""
        ...


AdoptSpool = Callable[[Path], Orphan | None]
"""Take the lock of a directory; None where a living process has it. Blocks."""


@frozen(kw_only=True)
class Rest:
    """How long a faulty directory is left alone, in seconds, and until when."""

    seconds: float
    until: float


@frozen(kw_only=True)
class Adopted:
    """A spool that is ready to be flushed, and how many of its calls had no end."""

    orphan: Orphan
    unknown: int


class Adoption(Service):
    """Looks after the spools in `root` while it runs. `faults` counts what should not happen."""

    name = "audit adoption"
    _log = Logger()

    def __init__(  # noqa: PLR0913 - its parts, given once
        self,
        clock: IReactorTime,
        *,
        root: Path,
        adopt: AdoptSpool,
        flusher: Flushing,
        in_thread: InThread,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._clock = clock
        self._root = root
        self._adopt = adopt
        self._flusher = flusher
        self._in_thread = in_thread
        self._interval_s = interval_s
        self.faults = 0
        self._faulty: dict[Path, Rest] = {}
        self._is_lost = False
        self._over = False
        self._nap: Deferred[None] | None = None
        self._flow: Deferred[None] | None = None

    def startService(self) -> None:
        """Look at once, and then at intervals."""
        super().startService()
        self._over = False
        self._flow = Deferred.fromCoroutine(self._keep_adopting())

    def stopService(self) -> Deferred[None] | None:
        """Look no more; fires when what is being adopted is the flusher's."""
        super().stopService()
        self._over = True
        if self._nap is not None:
            self._nap.callback(None)
        flow, self._flow = self._flow, None
        return flow

    async def _keep_adopting(self) -> None:
        while not self._over:
            try:
                await self._look()
                self._is_lost = False
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 - the outermost wall: the next round may do
                if not self._is_lost:
                    self._fault("spools in {directory} cannot be looked after", self._root)
                self._is_lost = True
            await self._pause()

    async def _look(self) -> None:
        directories = await self._in_thread(partial(spool_directories, self._root))
        self._faulty = {path: self._faulty[path] for path in directories if path in self._faulty}
        for directory in directories:
            if self._over:
                return
            rest = self._faulty.get(directory)
            if rest is not None and self._clock.seconds() < rest.until:
                continue
            if await self._take(directory):
                self._faulty.pop(directory, None)
            else:
                self._faulty[directory] = self._rest_after(rest)

    def _rest_after(self, last: Rest | None) -> Rest:
        doubled = self._interval_s if last is None else 2 * last.seconds
        seconds = min(doubled, LONGEST_REST_S)
        return Rest(seconds=seconds, until=self._clock.seconds() + seconds)

    async def _take(self, directory: Path) -> bool:
        """Adopt a directory if it is free; False where it cannot be read."""
        try:
            adopted = await self._in_thread(partial(recover, self._adopt, directory))
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - of this directory alone: the others must be had
            if directory not in self._faulty:
                self._fault("the spool {directory} cannot be adopted", directory)
            return False
        if adopted is not None:
            self._log.info(
                "adopted the records of {writer}; {count} calls had no end",
                writer=str(adopted.orphan.writer),
                count=adopted.unknown,
            )
            self._flusher.adopt(adopted.orphan)
        return True

    async def _pause(self) -> None:
        if self._over:
            return
        nap = self._nap = Deferred()
        timer = self._clock.callLater(self._interval_s, nap.callback, None)
        try:
            await nap
        finally:
            self._nap = None
            if timer.active():
                timer.cancel()

    def _fault(self, text: str, directory: Path) -> None:
        self.faults += 1
        self._log.failure(text, directory=str(directory))


def spool_directories(root: Path) -> list[Path]:
    """The directories of writers, oldest name first; what has another name is not ours."""
    return sorted(path for path in root.iterdir() if _is_writer(path.name) and path.is_dir())


def recover(adopt: AdoptSpool, directory: Path) -> Adopted | None:
    """Take a free directory and give an end to every call in it. Blocks.

    None where a living process has it. Whatever is raised, the lock is released.
    """
    orphan = adopt(directory)
    if orphan is None:
        return None
    try:
        left_open = orphan.open_intents()
        for call in left_open:
            call.complete(unknown_record(call.intent, call.reservation))
    except BaseException:
        orphan.close()
        raise
    return Adopted(orphan=orphan, unknown=len(left_open))


def unknown_record(intent: bytes, reservation: int) -> bytes:
    """The final record of a call of which nobody knows how it ended.

    It depends on nothing else, so that it is the same whoever makes it, and however often. Raises
    `ValueError` where the bytes are no intent.
    """
    event = orjson.loads(intent)
    event.pop("reservation", None)
    return orjson.dumps(
        event
        | {
            "backend": None,
            "status": None,
            "outcome": End.FAILED.value,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "estimated": True,
            "charged": reservation,
            "count": 1,
            "bytes_sent": 0,
            "first_byte_ms": None,
            "duration_ms": None,
        }
    )


def _is_writer(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
