import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded.attach import attach
from neuronetz_twisted.stores.embedded.errors import EmbeddedError
from neuronetz_twisted.stores.embedded.servers import EmbeddedServers


class FailingStartTests(SynchronousTestCase):
    """Starts that fail, with shell scripts as servers; real ones are in the integration tests."""

    def setUp(self) -> None:
        """A state directory whose path is short enough for sockets."""
        self.root = Path(tempfile.mkdtemp(prefix="nz-test-"))
        self.addCleanup(shutil.rmtree, self.root)

    def servers(self, script: str) -> EmbeddedServers:
        """A Valkey that is this script."""
        program = self.root / "server"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return EmbeddedServers(
            state_dir=self.root / "state",
            postgres=False,
            redis=True,
            environ={"GATEWAY_REDIS_SERVER": str(program), "PATH": os.environ["PATH"]},
        )

    def assert_nothing_runs(self) -> None:
        """The directory has no owner and no server has kept its lock."""
        self.assertIsNone(attach(self.root / "state"))
        self.assertEqual(list((self.root / "state/embedded").glob("*.pid")), [])

    def fails(self, start: Callable[[], object]) -> str:
        """The one line that a failing start gives."""
        text = str(self.assertRaises(EmbeddedError, start))
        self.assertNotIn("\n", text)
        return text

    def test_no_programs(self) -> None:
        """Where no program can be run the directory is not even made."""
        servers = EmbeddedServers(
            state_dir=self.root / "state",
            postgres=True,
            redis=True,
            environ={"GATEWAY_PG_BIN": "/nowhere"},
        )
        self.assertIn("GATEWAY_PG_BIN=/nowhere holds no", self.fails(servers.start_blocking))
        self.assertFalse((self.root / "state").exists())

    def test_server_that_ends(self) -> None:
        """A server that ends at once is told with its own last words."""
        servers = self.servers("echo out of luck >&2; exit 7")
        text = self.fails(servers.start_blocking)
        self.assertEqual(text, "embedded Valkey ended with status 7: out of luck")
        self.assert_nothing_runs()

    def test_silent_server(self) -> None:
        """A server that never answers is given up at the deadline, and ended."""
        servers = self.servers("echo $$ > pid; exec sleep 60")
        text = self.fails(lambda: servers.start_blocking(deadline_s=0.5))
        self.assertRegex(text, r"not ready after 0.5 s \(Valkey: .*No such file")
        pid = int((self.root / "state/embedded/pid").read_text())
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        self.assert_nothing_runs()

    def test_system_refuses(self) -> None:
        """What the system refuses while the directory is taken is one line too."""
        (self.root / "state/embedded/lock").mkdir(parents=True)
        servers = self.servers("exec sleep 60")
        self.assertIn("cannot start the embedded servers: ", self.fails(servers.start_blocking))

    def test_only_from_the_main_thread(self) -> None:
        """A start from another thread is refused and leaves nothing behind."""
        servers = self.servers("exec sleep 60")
        caught: list[BaseException] = []

        def start() -> None:
            try:
                servers.start_blocking()
            except RuntimeError as error:
                caught.append(error)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join(10)
        self.assertEqual(len(caught), 1)
        self.assert_nothing_runs()

    def test_before_and_after(self) -> None:
        """Servers that were never started, or were stopped, are not ready and can be stopped."""
        servers = self.servers("exec sleep 60")
        self.assertFalse(servers.ready())
        servers.stop_blocking()
        servers.spawn()
        self.assertTrue(servers.running())
        servers.stop_blocking()
        self.assertFalse(servers.running())
        self.assertFalse(servers.ready())
        self.assert_nothing_runs()
