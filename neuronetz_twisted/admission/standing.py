"""Keeps a process's generation: reads the marker in Redis, claims a new one after a loss.

`generation.py` decides; here is what is asked of Redis and of the database, and when. The gate
says which server it has connected to before it lets a call through, so that no call reaches a
server whose counters were not looked at.
"""

import random
from collections.abc import Callable
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from neuronetz_twisted.admission.flights import SingleFlight
from neuronetz_twisted.admission.generation import Generation, Reading
from neuronetz_twisted.back_off import BackOff
from neuronetz_twisted.errors import LimitsUnavailable, RedisUnavailable, Unavailable
from neuronetz_twisted.seams import RedisArgument, RedisReply

MARKER = "nz:gen"
MOST_CLAIMS = 3
"""A marker that is still another after so many claims is looked at again after a pause."""


class Commands(Protocol):
    """Who sends plain commands to Redis. May fail with `RedisUnavailable`."""

    def call(self, command: bytes, *args: RedisArgument) -> Deferred[RedisReply]:
        """Send one command."""
        ...


class Standing(Service):
    """Whether calls may be admitted, and under which generation.

    `others` says whether another process was seen within `generation.SEEN_S`; it may fail with
    `DatabaseUnavailable`. `nonce` gives a few random letters and digits, `chance` a number from 0
    up to 1. `put_back`, which the limiter sets, tells Redis all that this process holds.
    """

    name = "generation"
    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        redis: Commands,
        *,
        others: Callable[[], Deferred[bool]],
        nonce: Callable[[], str],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._redis = redis
        self._others = others
        self._nonce = nonce
        self.put_back: Callable[[str], Deferred[None]] = lambda _: succeed(None)
        self._generation = Generation()
        self._looks: SingleFlight[str, None] = SingleFlight()
        self._back_off = BackOff(chance)
        self._timer: IDelayedCall | None = None

    @property
    def gen(self) -> str | None:
        """The generation under which what is held is told; None while it is doubtful."""
        return self._generation.name

    @property
    def is_open(self) -> bool:
        """Whether calls may be admitted now."""
        return self._generation.admits(self._clock.seconds()) is not None

    def admitting(self) -> str:
        """The generation under which calls are admitted. Raises `LimitsUnavailable`."""
        now = self._clock.seconds()
        gen = self._generation.admits(now)
        if gen is None:
            wait = int(self._generation.opens_in(now)) + 1
            raise LimitsUnavailable(why="generation", retry_after=wait)
        return gen

    def connected(self, run_id: str) -> None:
        """The gate has a connection to this server; called before any call goes over it."""
        if self._generation.connected(run_id):
            self._log.info("limits are closed until the counters of Redis are known to be whole")
            self._look_in(0.0)

    def look(self) -> Deferred[None]:
        """Read the marker now, or with whoever reads it.

        It does not fail: `gen` and `is_open` tell what has come of it.
        """
        return self._looks.join(MARKER, self._look)

    def stopService(self) -> Deferred[None] | None:
        """Look no more."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return None

    async def _look(self) -> None:
        try:
            await self._read()
            gen = self._generation.name
            if gen is not None and self._generation.needs_restoring:
                await self.put_back(gen)
                self._generation.restored(gen)
                self._log.info("what this process holds is in Redis again")
        except (Unavailable, LimitsUnavailable):
            # Redis and the database say so themselves; nothing is admitted meanwhile.
            self._look_in(self._back_off.next())
            return
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the outermost wall: without a look limits stay closed
            self._log.failure("the generation could not be looked at")
            self._look_in(self._back_off.next())
            return
        if self._generation.name is None or self._generation.needs_restoring:
            self._look_in(self._back_off.next())
        else:
            self._back_off.reset()

    async def _read(self) -> None:
        for _ in range(MOST_CLAIMS):
            reading = await self._reading()
            if self._generation.read(reading, self._clock.seconds()):
                return
            claim = self._generation.claim(
                reading, others=await self._others(), nonce=self._nonce()
            )
            options = (b"NX",) if claim.if_absent else ()
            await self._redis.call(b"SET", MARKER, claim.value, *options)
            self._log.warn("the counters of Redis are lost or new and are built again")

    async def _reading(self) -> Reading:
        run_id = self._generation.run_id
        if run_id is None:
            raise RedisUnavailable("no connection was made yet")
        marker = await self._redis.call(b"GET", MARKER)
        match await self._redis.call(b"TIME"):
            case [bytes(seconds), bytes(micros)] if marker is None or isinstance(marker, bytes):
                now_ms = int(seconds) * 1000 + int(micros) // 1000
                return Reading(run_id, marker, now_ms)
            case _:
                raise RedisUnavailable("Redis did not answer as GET and TIME do")

    def _look_in(self, seconds: float) -> None:
        """Look then, unless a look is due sooner."""
        if not self.running:
            return
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._look_again)
        elif self._timer.getTime() > self._clock.seconds() + seconds:
            self._timer.reset(seconds)

    def _look_again(self) -> None:
        self._timer = None
        self.look().addErrback(lambda failure: failure.trap(CancelledError))
