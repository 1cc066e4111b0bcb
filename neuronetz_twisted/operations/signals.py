"""Which signals end a gateway, and what the log says of them (SPEC 14).

Twisted's own handlers log a critical failure for the second signal, let the process die of the
first one instead of ending with status 0, and leave SIGHUP to the system, which kills.
"""

import signal
from types import FrameType
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = Logger()


def stop_on_signals(reactor: Any) -> None:
    """Stop a running `reactor` at the first signal of `STOPPING`, in the place of its handlers.

    A signal that is ignored stays so: nohup asks for it.
    """

    def heard(number: int, _frame: FrameType | None) -> None:
        # A handler may interrupt anything; what it has to say must wait for its turn.
        reactor.callFromThread(_stop, reactor, signal.Signals(number).name)

    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, heard)


def _stop(reactor: Any, name: str) -> None:
    try:
        reactor.stop()
    except ReactorNotRunning:
        _log.info("{signal}: already stopping", signal=name)
    else:
        _log.info("{signal}: stopping", signal=name)
