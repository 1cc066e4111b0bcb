"""The record as lines of the log."""

import io
import json

from attrs import evolve
from twisted.logger import capturedLogs, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.event import arrival_event
from neuronetz_twisted.audit.log import AuditLog
from neuronetz_twisted.operations.logs import log_observer
from tests.unit.settlement.test_settle import ARRIVAL


class AuditLogTests(SynchronousTestCase):
    def test_one_line(self) -> None:
        """One event is one line, with all its fields."""
        stream = io.StringIO()
        observer = log_observer(stream, "json", "INFO")
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        event = arrival_event(ARRIVAL, 403, "refused:not_allowed/path", 0.0)
        AuditLog().record(event)
        (line,) = stream.getvalue().splitlines()
        written = json.loads(line)
        self.assertEqual(written["audit"], event)
        self.assertEqual(written["namespace"], "neuronetz.audit")
        self.assertEqual(written["message"], "GET /api/tags 403 refused:not_allowed/path")

    def test_a_clients_words_are_no_format(self) -> None:
        """What a client calls its method is written as it is."""
        event = arrival_event(evolve(ARRIVAL, route="{audit[key]} -"), 405, "x", 0.0)
        with capturedLogs() as events:
            AuditLog().record(event)
        self.assertEqual([formatEvent(each) for each in events], ["{audit[key]} - 405 x"])
