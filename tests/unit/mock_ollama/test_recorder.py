"""The record of what was seen."""

from twisted.trial.unittest import SynchronousTestCase

from mock_ollama import recorder
from mock_ollama.recorder import Entry, Recorder, State


def opened(record: Recorder, size: int = 0) -> Entry:
    """Record a request with a body of some size."""
    return record.open(method="GET", path="/", headers={}, body=None, body_size=size, now=1000.0)


class RecorderTests(SynchronousTestCase):
    def test_first_ending_stands(self) -> None:
        """A fault is not overwritten by the close that it causes."""
        entry = opened(Recorder())
        entry.close(State.FAULT, 1001.0)
        entry.close(State.PEER_CLOSED, 1002.0)
        self.assertEqual((entry.state, entry.closed_at), (State.FAULT, 1001.0))

    def test_bounded_in_number(self) -> None:
        """Only the last requests are kept."""
        self.patch(recorder, "MAX_ENTRIES", 3)
        record = Recorder()
        for _ in range(5):
            opened(record)
        self.assertEqual([entry.id for entry in record.entries], [3, 4, 5])

    def test_bounded_in_bytes(self) -> None:
        """Old requests make room for the bodies of new ones."""
        self.patch(recorder, "MAX_BODY_BYTES_KEPT", 100)
        record = Recorder()
        for size in (60, 30, 50):
            opened(record, size)
        self.assertEqual([entry.id for entry in record.entries], [2, 3])

    def test_clear_keeps_counting(self) -> None:
        """After a reset the list is empty and ids go on."""
        record = Recorder()
        opened(record)
        record.clear()
        self.assertEqual(record.as_json(), {"requests": []})
        self.assertEqual(opened(record).id, 2)
