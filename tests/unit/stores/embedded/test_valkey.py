import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.valkey import Valkey, socket_path


class ValkeyTests(SynchronousTestCase):
    """The configuration, and the question to a scripted server."""

    def setUp(self) -> None:
        """A server description; nothing runs."""
        state_dir = Path(tempfile.mkdtemp(prefix="nz-test-"))  # short enough for sockets
        self.addCleanup(shutil.rmtree, state_dir)
        self.layout = Layout.of(state_dir)
        self.layout.create()
        self.valkey = Valkey(self.layout, Path("/bin/valkey-server"))

    def answer(self, *chunks: bytes) -> list[bytes]:
        """Serve one connection with these chunks; what was asked is noted."""
        asked: list[bytes] = []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(socket_path(self.layout)))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(1000))
                for chunk in chunks:
                    connection.sendall(chunk)

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(listener.close)
        return asked

    def test_password_only_in_the_file(self) -> None:
        """The plan, which anyone can read as a command line, has no secret; the file is private."""
        plan = self.valkey.plan(os.getpid())
        password = self.layout.password("valkey")
        config = self.layout.home / "valkey.conf"
        self.assertEqual(plan["argv"], ["/bin/valkey-server", str(config)])
        self.assertNotIn(password, str(plan))
        self.assertIn(f"requirepass {password}\n", config.read_text())
        self.assertEqual(config.stat().st_mode & 0o777, 0o600)

    def test_no_port_no_disk_no_eviction(self) -> None:
        """It listens on the socket alone, keeps nothing on disk, and forgets nothing by itself."""
        self.valkey.plan(os.getpid())
        lines = (self.layout.home / "valkey.conf").read_text().splitlines()
        for line in ("port 0", "unixsocketperm 700", 'save ""', "appendonly no"):
            self.assertIn(line, lines)
        self.assertIn("maxmemory-policy noeviction", lines)

    def test_answers(self) -> None:
        """The right password and a PONG, in whatever pieces, are an answer."""
        asked = self.answer(b"+O", b"K\r\n+PONG", b"\r\n")
        self.valkey.ask()
        self.assertEqual(asked, [f"AUTH {self.layout.password('valkey')}\r\nPING\r\n".encode()])

    def test_other_answers(self) -> None:
        """Anything else is none: still loading, another server, or the end."""
        self.assertRaises(OSError, self.valkey.ask)
        self.answer(b"+OK\r\n-LOADING Valkey is loading the dataset in memory\r\n")
        self.assertRaises(ConnectionError, self.valkey.ask)
        socket_path(self.layout).unlink()
        self.answer(b"+OK\r\n")
        self.assertRaises(ConnectionError, self.valkey.ask)
