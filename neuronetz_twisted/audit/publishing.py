"""Appends committed checkpoints to their file, beside the flushing.

The processes of a state directory share the file, and one that hangs may have its lock: records go
on into the database all the same (SPEC 9).
"""

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from neuronetz_twisted.audit.commit import InThread
from neuronetz_twisted.audit.signing import Signed


class Publisher:
    """Makes one call of `publish` at a time, each in a thread, in the order of the statements.

    `fault` is called while an exception is handled, with a text for the log. What could not be
    appended goes with the next one.
    """

    def __init__(
        self,
        publish: Callable[[Signed], None],
        *,
        in_thread: InThread,
        fault: Callable[[str], None],
    ) -> None:
        self._publish = publish
        self._in_thread = in_thread
        self._fault = fault
        self._waiting: list[Signed] = []
        self._flow: Deferred[None] | None = None

    def add(self, signed: Signed) -> None:
        """Append this one as soon as it can be, and do not wait for that."""
        self._waiting.append(signed)
        if self._flow is None or self._flow.called:
            self._flow = Deferred.fromCoroutine(self._keep_publishing())
            self._flow.addErrback(_cancelled)

    async def finish(self) -> None:
        """Wait for what is under way."""
        if self._flow is not None:
            await self._flow

    def give_up(self) -> None:
        """Let nobody wait any longer; a thread that hangs is left to itself."""
        if self._flow is not None:
            self._flow.cancel()

    async def _keep_publishing(self) -> None:
        while self._waiting:
            try:
                await self._in_thread(partial(self._publish, self._waiting[0]))
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 - the outermost wall: the database has them as well
                self._fault("a checkpoint could not be appended to its file")
                return
            del self._waiting[0]


def _cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)
