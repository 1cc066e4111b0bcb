"""The record's events as lines of the log."""

from twisted.logger import Logger

from neuronetz_twisted.audit.event import Event


class AuditLog:
    """An `AuditSink` that writes one line per event."""

    _log = Logger(namespace="neuronetz.audit")

    def record(self, event: Event) -> None:
        """Log one event."""
        self._log.info("{audit[route]} {audit[status]} {audit[outcome]}", audit=event)
