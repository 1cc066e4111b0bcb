"""`twistd neuronetz`: the only module that touches the global reactor.

Faults of the configuration are printed, all at once, and end the process with status 2 before
anything starts; a failure to start ends it with status 1 (SPEC 10, 14).
"""

import os
import sys
import time
from pathlib import Path
from typing import ClassVar

from twisted.application.service import IService, IServiceCollection
from twisted.internet import reactor
from twisted.logger import ILogObserver
from twisted.python.components import Componentized
from twisted.python.usage import Options as UsageOptions

from neuronetz_twisted.config import ConfigError, load
from neuronetz_twisted.lifecycle import Gateway
from neuronetz_twisted.operations.logs import log_observer
from neuronetz_twisted.service import wire


class Options(UsageOptions):
    """The command line of `twistd neuronetz`; everything else is in the environment."""

    optFlags: ClassVar = [["migrate", None, "Bring the database's schema up to date first."]]


class LoggingGateway(Gateway):
    """A gateway that brings its own log format to the application that it becomes part of."""

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Join an application; `twistd --logger` still wins."""
        if isinstance(parent, Componentized):
            settings = self.settings
            observer = log_observer(sys.stdout, settings.log_format, settings.log_level)
            parent.setComponent(ILogObserver, observer)
        super().setServiceParent(parent)


def makeService(options: Options) -> IService:
    """The service tree, from the environment. Exits with status 2 where that is not usable."""
    try:
        loaded = load(os.environ, Path.cwd())
    except ConfigError as error:
        for fault in error.faults:
            sys.stderr.write(f"{fault}\n")
        raise SystemExit(2) from None
    # The wall clock may be stepped; a timer must neither fire nor freeze for it.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    return LoggingGateway(
        loaded.settings,
        reactor,
        wire=wire,
        environ=os.environ,
        migrate=bool(options["migrate"]),
        fail=_fail,
    )


def _fail(reason: str) -> None:
    """End the process with status 1 and a word."""
    sys.stderr.write(f"{reason}\n")
    reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
    reactor.callWhenRunning(reactor.stop)
