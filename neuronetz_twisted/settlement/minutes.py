"""The clock of what is counted by the minute."""

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from neuronetz_twisted.settlement.settle import Settlement

MINUTE_S = 60.0


class RefusalMinutes(Service):
    """Has the refusals that were only counted recorded, each minute and at the end (SPEC 9)."""

    name = "refusals"
    _log = Logger()

    def __init__(self, clock: Any, settlement: Settlement) -> None:
        self._settlement = settlement
        self._loop = LoopingCall(self._begin)
        self._loop.clock = clock

    def startService(self) -> None:
        """Begin the first minute."""
        super().startService()
        # What it returns cannot fail: a fault of one minute does not leave the loop.
        self._loop.start(MINUTE_S, now=False)

    def stopService(self) -> Deferred[None]:
        """Record what the last minute counted."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._begin()

    def _begin(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._minute_over())

    async def _minute_over(self) -> None:
        try:
            await self._settlement.minute_over()
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the outermost wall: the next minute must be recorded
            self._log.failure("counted refusals of a minute could not be recorded")
