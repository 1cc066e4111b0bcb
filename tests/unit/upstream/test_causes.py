"""What the log says of a connection that failed."""

from OpenSSL.SSL import Error as TLSError
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

from neuronetz_twisted.upstream.causes import cause_of


class CauseTests(SynchronousTestCase):
    def test_innermost(self) -> None:
        """Reasons are unwrapped, however deep."""
        reason = ConnectionLost("canary")
        lost = Failure(reason)
        for error in (
            reason,
            ResponseNeverReceived([lost]),
            RequestTransmissionFailed([lost, Failure(KeyError())]),
            ResponseFailed([Failure(ResponseFailed([lost]))]),
        ):
            self.assertEqual(cause_of(error), "ConnectionLost")

    def test_no_reason(self) -> None:
        """What has no reason stands for itself."""
        self.assertEqual(cause_of(ResponseFailed([])), "ResponseFailed")

    def test_tls(self) -> None:
        """OpenSSL's own words are told."""
        for error, cause in (
            (
                TLSError([("SSL routines", "", "certificate verify failed")]),
                "TLSError: certificate verify failed",
            ),
            (TLSError([]), "TLSError"),
            (TLSError(), "TLSError"),
            (TLSError(-1, "Unexpected EOF"), "TLSError"),
        ):
            self.assertEqual(cause_of(ResponseNeverReceived([Failure(error)])), cause)
