import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.lifeline import Lifeline


class Cutting(SynchronousTestCase):
    """One side of a socket pair is the driver's connection, the other the server's."""

    def setUp(self) -> None:
        """A connection and its lifeline."""
        self.ours, self.servers = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.servers.close)
        for end in (self.ours, self.servers):
            end.settimeout(5)
        self.lifeline = Lifeline()
        self.addCleanup(self.lifeline.release)

    def is_cut(self) -> bool:
        """Whether a read that would have waited ends at once."""
        self.ours.settimeout(0)
        try:
            return self.ours.recv(1) == b""
        except BlockingIOError:
            return False

    def test_cut_wakes_the_reader(self) -> None:
        """A held connection ends when it is cut, on both sides."""
        self.lifeline.hold(self.ours.fileno())
        self.assertFalse(self.is_cut())
        self.lifeline.cut()
        self.assertTrue(self.is_cut())
        self.assertEqual(self.servers.recv(1), b"")

    def test_cut_before_hold(self) -> None:
        """A connection that is held after the cut ends at once."""
        self.lifeline.cut()
        self.lifeline.hold(self.ours.fileno())
        self.assertTrue(self.is_cut())

    def test_released_is_not_cut(self) -> None:
        """After the release the connection is somebody else's."""
        self.lifeline.hold(self.ours.fileno())
        self.lifeline.release()
        self.lifeline.cut()
        self.assertFalse(self.is_cut())

    def test_only_the_last_is_held(self) -> None:
        """A call that was given another connection lets go of the first."""
        other, others_server = socket.socketpair()
        self.addCleanup(other.close)
        self.addCleanup(others_server.close)
        self.lifeline.hold(self.ours.fileno())
        self.lifeline.hold(other.fileno())
        self.lifeline.cut()
        self.assertFalse(self.is_cut())
        self.assertEqual(other.recv(1), b"")

    def test_driver_closed_first(self) -> None:
        """A number that the driver gave back, and that is in other hands, is left alone."""
        self.lifeline.hold(self.ours.fileno())
        number = self.ours.detach()
        stranger, strangers_peer = socket.socketpair()
        self.addCleanup(strangers_peer.close)
        os.dup2(stranger.fileno(), number)
        stranger.close()
        self.ours = socket.socket(fileno=number)
        self.addCleanup(self.ours.close)
        self.lifeline.cut()
        self.assertFalse(self.is_cut())

    def test_server_closed_first(self) -> None:
        """Cutting what is already gone is no error, and may be repeated."""
        self.lifeline.hold(self.ours.fileno())
        self.servers.close()
        self.lifeline.cut()
        self.lifeline.cut()
        self.assertTrue(self.lifeline.was_cut)

    def test_leaves_no_descriptor(self) -> None:
        """Holding, cutting and releasing gives back every descriptor that it made."""
        before = os.dup(self.ours.fileno())
        os.close(before)
        for _ in range(3):
            self.lifeline.hold(self.ours.fileno())
        self.lifeline.cut()
        self.lifeline.release()
        after = os.dup(self.ours.fileno())
        os.close(after)
        self.assertEqual(after, before)
