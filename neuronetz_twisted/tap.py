"""`twistd neuronetz`: the only module that touches the global reactor.

Faults of the configuration are printed, all at once, and end the process with status 2 before
anything starts; a failure to start ends it with status 1 (SPEC 10, 14).
"""

import atexit
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from twisted.application.service import IService, IServiceCollection
from twisted.internet import reactor
from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from twisted.python.usage import Options as UsageOptions

from neuronetz_twisted import PROGRAM
from neuronetz_twisted.config import ConfigError, load
from neuronetz_twisted.lifecycle import Gateway
from neuronetz_twisted.operations.descriptors import raise_limit
from neuronetz_twisted.operations.logs import LineStream, log_observer
from neuronetz_twisted.operations.memory import settle
from neuronetz_twisted.operations.signals import stop_on_signals
from neuronetz_twisted.recording import prepare
from neuronetz_twisted.service import wire

_STDOUT = "-"

_log = Logger()


class Options(UsageOptions):
    """The command line of `twistd neuronetz`; everything else is in the environment."""

    optFlags: ClassVar = [["migrate", None, "Bring the database's schema up to date first."]]


class LoggingGateway(Gateway):
    """A gateway that brings its own log, if it has one, to the application that it joins."""

    log_stream: LineStream | None = None

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Join an application, and be its log."""
        if self.log_stream is not None and isinstance(parent, Componentized):
            settings = self.settings
            observer = log_observer(self.log_stream, settings.log_format, settings.log_level)
            parent.setComponent(ILogObserver, observer)
        super().setServiceParent(parent)


def makeService(options: Options) -> IService:
    """The service tree, from the environment. Exits with status 2 where that is not usable."""
    try:
        loaded = load(os.environ, Path())
    except ConfigError as error:
        _refuse(*error.faults)
    raise_limit()
    log_stream = _log_stream(options.parent or {})
    # The wall clock may be stepped; a timer must neither fire nor freeze for it.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    # At once, for the port may be open before the reactor runs, and again behind its own handlers.
    stop_on_signals(reactor)
    reactor.callWhenRunning(stop_on_signals, reactor)
    gateway = LoggingGateway(
        loaded.settings,
        reactor,
        prepare=prepare,
        wire=wire,
        environ=os.environ,
        migrate=bool(options["migrate"]),
        fail=_fail,
    )
    gateway.log_stream = log_stream
    settle()
    return gateway


def _log_stream(twistd: Mapping[str, Any]) -> LineStream | None:
    """Where our lines go; None where the options of twistd ask for a log of its own."""
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    path = twistd.get("logfile") or _STDOUT
    if path != _STDOUT:
        try:
            file: LineStream = LogFile.fromFullPath(path)
        except OSError as error:
            _refuse(f"--logfile: cannot be written: {type(error).__name__}")
        return file
    if not twistd.get("nodaemon", True):
        _refuse(
            "run it in the foreground: twistd -n neuronetz; "
            "a service supervisor keeps it in the background"
        )
    return sys.stdout


def _refuse(*faults: str) -> NoReturn:
    """End the process with status 2 and a line for each fault."""
    for fault in faults:
        _say(fault)
    raise SystemExit(2)


def _fail(reason: str) -> None:
    """End the process with status 1 and a line, which a log in a file has too."""
    _log.critical("{line}", line=reason)
    _say(reason)
    # Twistd has no word for a status, and removes its pid file only behind the reactor's end.
    atexit.register(os._exit, 1)
    reactor.callWhenRunning(_stop)


def _stop() -> None:
    """Stop the reactor, unless a signal was faster."""
    with suppress(ReactorNotRunning):
        reactor.stop()


def _say(line: str) -> None:
    # Twistd puts its log in the place of sys.stderr.
    (sys.__stderr__ or sys.stderr).write(f"{PROGRAM}: {line}\n")
