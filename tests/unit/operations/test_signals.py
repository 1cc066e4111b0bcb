"""Signals end the gateway once, and are never a failure."""

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.operations.signals import STOPPING, stop_on_signals


class Reactor:
    """As much of a reactor as is stopped by signals."""

    def __init__(self) -> None:
        """It runs, and nothing waits to be called."""
        self.running = True
        self.waiting: list[Callable[[], object]] = []

    def callFromThread(self, call: Callable[..., object], *arguments: Any) -> None:
        """Keep a call for `turn`."""
        self.waiting.append(lambda: call(*arguments))

    def stop(self) -> None:
        """Stop, once."""
        if not self.running:
            raise ReactorNotRunning
        self.running = False

    def turn(self) -> None:
        """Make the calls that wait."""
        while self.waiting:
            self.waiting.pop(0)()


class SignalTests(SynchronousTestCase):
    def setUp(self) -> None:
        """No signal has a handler; those of the test's process come back after it."""
        self.reactor = Reactor()
        for number in STOPPING:
            self.addCleanup(signal.signal, number, signal.signal(number, signal.SIG_DFL))

    def test_each(self) -> None:
        """Each of the three stops the reactor, from its own loop."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number=number):
                self.reactor = Reactor()
                stop_on_signals(self.reactor)
                signal.raise_signal(number)
                self.assertTrue(self.reactor.running)
                self.reactor.turn()
                self.assertFalse(self.reactor.running)

    def test_again(self) -> None:
        """A further signal is one line of information."""
        stop_on_signals(self.reactor)
        with capturedLogs() as events:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
                signal.raise_signal(number)
            self.reactor.turn()
        said = [event["log_format"].format(**event) for event in events]
        again = ["SIGTERM: already stopping", "SIGINT: already stopping"]
        self.assertEqual(said, ["SIGTERM: stopping", *again])
        self.assertEqual({event["log_level"].name for event in events}, {"info"})

    def test_ignored(self) -> None:
        """What nohup has the process ignore stays ignored."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stop_on_signals(self.reactor)
        self.assertIs(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)
