"""Readiness, and the lines that it logs."""

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from neuronetz_twisted.operations.health import Readiness


class ReadinessTests(SynchronousTestCase):
    def test_all_must_be_good(self) -> None:
        """One bad check is enough; a change is one line, that names what is missing."""
        lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event["log_namespace"].endswith("operations.health"):
                lines.append(event.get("reason", "ready"))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        good = {"redis": True, "models": True}
        ready = Readiness({name: lambda name=name: good[name] for name in good})  # type: ignore[misc]
        self.assertTrue(ready())
        good["models"] = False
        self.assertFalse(ready())
        self.assertFalse(ready())
        good["redis"] = False
        self.assertFalse(ready())
        good.update(redis=True, models=True)
        self.assertTrue(ready())
        self.assertEqual(lines, ["ready", "models", "redis, models", "ready"])
