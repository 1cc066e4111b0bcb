"""The recording client objects to what the protocol forbids."""

from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import UpstreamFailed
from neuronetz_twisted.testing.calls import RecordingClient

if TYPE_CHECKING:
    from collections.abc import Callable


def begun() -> RecordingClient:
    """A client whose answer has begun."""
    client = RecordingClient()
    client.begin(b"text/plain")
    return client


def ended() -> RecordingClient:
    """A client whose answer is over."""
    client = begun()
    client.complete(b"")
    return client


class RecordingClientTests(SynchronousTestCase):
    def test_forbidden(self) -> None:
        """Orders that would corrupt an answer fail the test that makes them."""
        cases: tuple[
            tuple[Callable[[], RecordingClient], Callable[[RecordingClient], None]], ...
        ] = (
            (RecordingClient, lambda client: client.write(b"x")),
            (begun, lambda client: client.begin(b"x")),
            (begun, lambda client: client.refuse(UpstreamFailed())),
            (begun, lambda client: client.answer(b"x", b"x")),
            (ended, lambda client: client.complete(b"")),
            (ended, lambda client: client.break_off()),
            (ended, lambda client: client.write(b"x")),
        )
        for number, (make, break_rule) in enumerate(cases):
            with self.subTest(number=number), self.assertRaises(AssertionError):
                break_rule(make())

    def test_kept(self) -> None:
        """What is allowed is kept."""
        client = begun()
        client.write(b"a")
        client.write(b"b")
        client.complete(b"")
        self.assertEqual((client.sent, client.ends), (b"ab", ["complete"]))
