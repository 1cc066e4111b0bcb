"""Segments for the spool, made ready and removed in threads.

One is made at a time. Where the limit or the disk does not allow it, that is tried again every
second, and at once when a segment was removed.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from neuronetz_twisted.audit.commit import InThread
from neuronetz_twisted.audit.directory import Directory, Segment, SpoolFull, SpoolLimits
from neuronetz_twisted.errors import AuditUnavailable

RETRY_S = 1.0


class Supply:
    """Gives `ready` the segments that were asked for.

    `stuck` is why the last one could not be made, `full` or `io`; `leaving` are the segments that
    are still to be removed. What was in them is elsewhere on disk when `behind` has fired.
    """

    _log = Logger()

    def __init__(  # noqa: PLR0913 - its parts, given once
        self,
        clock: IReactorTime,
        directory: Directory,
        limits: SpoolLimits,
        *,
        in_thread: InThread,
        ready: Callable[[Segment], None],
        behind: Callable[[], Deferred[None] | None],
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._limits = limits
        self._in_thread = in_thread
        self._ready = ready
        self._behind = behind
        self.stuck: str | None = None
        self.leaving: list[Segment] = []
        self._numbers = count(1)
        self._making = False
        self._removing = False
        self._jobs: set[Deferred[None]] = set()
        self._retry: IDelayedCall | None = None
        self._stopped = False
        self._is_removal_broken = False

    def first(self, number: int) -> list[Segment]:
        """The first segments of a spool; fewer than asked for where there is no room. Blocks."""
        segments: list[Segment] = []
        try:
            while len(segments) < number:
                segments.append(self._make())
        except (SpoolFull, OSError) as error:
            self._not_made(error)
        return segments

    def ask(self) -> None:
        """Have one more segment made, unless that is under way or will be tried again soon."""
        if not self._making and self._retry is None and not self._stopped:
            self._making = True
            self._begin(self._make_one())

    def later(self) -> None:
        """Have one made in a second: what was made last could not be written."""
        self.stuck = "io"
        self._wait()

    def remove(self, segments: Sequence[Segment]) -> None:
        """Remove segments, and those that could not be removed before."""
        self.leaving += segments
        if self.leaving and not self._removing and not self._stopped:
            self._removing = True
            self._begin(self._remove())

    async def stop(self) -> None:
        """Make and remove nothing more; returns when no thread is at work."""
        self._stopped = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for job in tuple(self._jobs):
            await job

    def _begin(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        job = Deferred.fromCoroutine(work)
        self._jobs.add(job)
        job.addErrback(self._broke)
        job.addCallback(lambda _: self._jobs.discard(job))

    def _broke(self, failure: Failure) -> None:
        self._log.failure(
            "the audit spool {directory} cannot be looked after",
            failure=failure,
            directory=str(self._directory.path),
        )
        self.later()

    async def _make_one(self) -> None:
        try:
            segment = await self._in_thread(self._make)
        except (SpoolFull, OSError) as error:
            self._not_made(error)
            self._wait()
            return
        finally:
            # `ready` may ask for the next one.
            self._making = False
        self.stuck = None
        self._ready(segment)

    async def _remove(self) -> None:
        try:
            while self.leaving:
                segments = list(self.leaving)
                synced = self._behind()
                if synced is not None:
                    await synced
                await self._in_thread(partial(self._directory.remove, segments))
                del self.leaving[: len(segments)]
                self._is_removal_broken = False
        except (AuditUnavailable, OSError) as error:
            self._not_removed(error)
        finally:
            self._removing = False
        if self._retry is not None:
            self._retry.reset(0)

    def _make(self) -> Segment:
        return self._directory.allocate(
            next(self._numbers), self._limits.segment_bytes, self._limits.max_bytes
        )

    def _not_made(self, error: SpoolFull | OSError) -> None:
        stuck = "full" if isinstance(error, SpoolFull) else "io"
        if stuck != self.stuck:
            self._log.error(
                "no room can be made in the audit spool {directory}: {error}",
                directory=str(self._directory.path),
                error=error,
            )
        self.stuck = stuck

    def _not_removed(self, error: AuditUnavailable | OSError) -> None:
        if not self._is_removal_broken:
            self._log.error(
                "segments of the audit spool {directory} are not removed: {error}",
                directory=str(self._directory.path),
                error=error,
            )
        self._is_removal_broken = True

    def _wait(self) -> None:
        if self._retry is None and not self._stopped:
            self._retry = self._clock.callLater(RETRY_S, self._ask_again)

    def _ask_again(self) -> None:
        self._retry = None
        self.ask()
