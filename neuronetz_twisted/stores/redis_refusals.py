"""What Redis answers in place of serving, and whether that is over.

A connection may live while every call on it is refused: the server is out of memory, a replica, or
forbids what the gateway needs. Nobody sends calls to a gateway that is not ready, so that it asks
by itself, with a write of its own, until it is served again.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import ResponseError

from neuronetz_twisted.errors import RedisUnavailable
from neuronetz_twisted.seams import RedisReply, Script

PROBE_S = 2.0
"""How often a server that refuses is asked whether it still does."""

PROBE_KEY = "nz:probe"
PROBE = Script(
    "probe",
    b"redis.call('HSET', KEYS[1], 'f', 1) redis.call('PEXPIRE', KEYS[1], 1000) "
    b"return redis.call('DEL', KEYS[1])",
)
"""Writes as admission does. A script that only frees something is run by a full server, too."""

REPLICA = "READONLY"
_SERVER_STATES = frozenset(
    {"BUSY", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOREPLICAS", "OOM", REPLICA}
)
"""Codes of errors that say that Redis cannot serve now, not that the call was wrong."""

_FORBIDDEN = "NOPERM"
_FORBIDDEN_INSIDE = "ERR ACL failure in script"
"""How a script's error begins where the account may not do what is in it."""


def code_of(error: ResponseError) -> str:
    """The code that an error begins with; the rest may quote arguments, and with them secrets."""
    return str(error).partition(" ")[0]


class Refusals:
    """Which refusals stand, of the server at `where`; each is logged when it begins.

    `probe` runs `PROBE`. All refusals end when that is answered.
    """

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, where: str, probe: Callable[[], Deferred[RedisReply]]
    ) -> None:
        self._where = where
        self._probe = probe
        self._codes: set[str] = set()
        self._looks = LoopingCall(self._look)
        self._looks.clock = clock

    @property
    def stand(self) -> bool:
        """Whether calls are refused, as far as known."""
        return bool(self._codes)

    def heard(self, failure: Failure) -> Failure:
        """Note a call's failure; one that says "not now" becomes RedisUnavailable."""
        if failure.check(ResponseError) is None:
            return failure
        code = code_of(failure.value)
        if str(failure.value).startswith(_FORBIDDEN_INSIDE):
            self._note(_FORBIDDEN)
        elif code in _SERVER_STATES | {_FORBIDDEN}:
            self._note(code)
        if code in _SERVER_STATES:
            return Failure(RedisUnavailable(f"Redis cannot serve now: {code}"))
        return failure

    def forget(self) -> None:
        """Nothing is asked any more."""
        self._codes.clear()
        if self._looks.running:
            self._looks.stop()

    def _note(self, code: str) -> None:
        if code in self._codes:
            return
        self._codes.add(code)
        self._log.warn("Redis at {where} refuses calls: {code}", where=self._where, code=code)
        if not self._looks.running:
            # A look that fails does not leave the loop, so what this returns cannot fail.
            self._looks.start(PROBE_S, now=False)

    def _look(self) -> Deferred[None]:
        look = self._probe().addCallback(self._end)
        # Then they stand, and the next look comes.
        look.addErrback(lambda failure: failure.trap(RedisUnavailable, ResponseError))
        return look.addErrback(
            lambda failure: self._log.failure("whether Redis still refuses is not known", failure)
        )

    def _end(self, _: RedisReply) -> None:
        self.forget()
        self._log.info("Redis at {where} serves calls again", where=self._where)
