"""The record as lines of the log."""

import io
import json
from typing import Any

from attrs import evolve
from twisted.logger import Logger, capturedLogs, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.event import Event, arrival_event
from neuronetz_twisted.audit.log import NAMESPACE, AuditLog
from neuronetz_twisted.operations.logs import log_observer
from tests.unit.settlement.test_settle import ARRIVAL


class AuditLogTests(SynchronousTestCase):
    def written(self, event: Event, level: str) -> dict[str, Any]:
        """Record an event; gives the one line of a log of this level."""
        stream = io.StringIO()
        observer = log_observer(stream, "json", level)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        AuditLog().record(event)
        (line,) = stream.getvalue().splitlines()
        return dict(json.loads(line))

    def test_one_line(self) -> None:
        """One event is one line, with all its fields."""
        event = arrival_event(ARRIVAL, 403, "refused:not_allowed/path", 0.0)
        written = self.written(event, "INFO")
        self.assertEqual(written["audit"], event)
        self.assertEqual(written["namespace"], "neuronetz.audit")
        self.assertEqual(written["message"], "GET /api/tags 403 refused:not_allowed/path")

    def test_any_level(self) -> None:
        """The record is written whatever else an operator wants to read."""
        event = arrival_event(ARRIVAL, 200, "ok", 0.0)
        for level in ("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"):
            with self.subTest(level=level):
                self.assertEqual(self.written(event, level)["level"], "info")

    def test_what_any_observer_gets(self) -> None:
        """An event has what a logger of Twisted's would have made of it."""
        names = ("log_level", "log_namespace", "log_source", "log_format", "text", "audit")
        event = arrival_event(ARRIVAL, 200, "ok", 0.0)
        with capturedLogs() as events:
            Logger(namespace=NAMESPACE).info("{text}", text="GET /api/tags 200 ok", audit=event)
            AuditLog().record(event)
        expected, recorded = ([each[name] for name in names] for each in events)
        self.assertEqual(recorded, expected)
        self.assertLess(abs(events[1]["log_time"] - events[0]["log_time"]), 60)

    def test_a_clients_words_are_no_format(self) -> None:
        """What a client calls its method is written as it is."""
        event = arrival_event(evolve(ARRIVAL, route="{audit[key]} -"), 405, "x", 0.0)
        with capturedLogs() as events:
            AuditLog().record(event)
        self.assertEqual([formatEvent(each) for each in events], ["{audit[key]} - 405 x"])
