"""The gateway as a process: killed, started twice, misconfigured, ended (SPEC 10, 13, 14)."""

import psutil
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded.layout import Layout
from tests.gateway import Stack, own_stack, shared_stack
from tests.http_client import Caller, ask, chat, request_bytes
from tests.processes import eventually


def greet(stack: Stack, key: str) -> int:
    """The status of one request that reaches the model host."""
    body = chat("hi", stream=False)
    return ask(stack.port, "POST", "/api/chat", body, key=key).status


class ProcessTests(SynchronousTestCase):
    def test_life(self) -> None:
        """A crash leaves nothing behind but the data, and a second gateway is turned away."""
        stack = own_stack(self)
        key = stack.new_key()
        self.assertEqual(greet(stack, key), 200)

        second = stack.launch()
        self.assertEqual(second.wait(), 1)
        self.assertIn(
            f"another gateway owns {stack.state_dir} (pid {stack.gateway.pid})", second.output
        )
        self.assertNotIn("Traceback", second.output)
        self.assertEqual(greet(stack, key), 200)

        servers = stack.server_processes("postgres") + stack.server_processes("valkey")
        stack.gateway.kill()
        eventually(lambda: not any(_lives(server) for server in servers))

        stack.start()
        self.assertEqual(greet(stack, key), 200)

        servers = stack.server_processes("postgres") + stack.server_processes("valkey")
        request = request_bytes("POST", "/api/chat", chat("hi [[n=999 delay=20ms]]"), key=key)
        with Caller(stack.port, request) as caller:
            caller.read_until(b"said:")
            self.assertEqual(stack.gateway.terminate(), 0)
            received = bytes(caller.read_to_end())
        self.assertIn(b'"code":"draining"', received.rpartition(b'"done":false')[2])
        self.assertFalse(received.endswith(b"0\r\n\r\n"), "dressed up as complete")
        self.assertFalse(any(_lives(server) for server in servers))
        for line in stack.gateway.output.splitlines():
            self.assertNotIn('"failure"', line)
            self.assertNotIn("Traceback", line)

    def test_faults_of_the_configuration(self) -> None:
        """All are listed at once, and no value of a secret is."""
        gateway = shared_stack().launch(
            DATABASE_URL="mysql://admin:hunter2@db/x",
            REDIS_URL="memcached://:swordfish@cache",
            GATEWAY_BIND_PORT="99999",
            OLLAMA_BASE_URL="ollama:11434",
            ARGON2_TIME_COST="cheap",
        )
        self.assertEqual(gateway.wait(), 2)
        lines = [line.split(": ") for line in gateway.output.splitlines()]
        names = sorted(name for _, name, *_ in lines)
        self.assertEqual(
            names,
            [
                "ARGON2_TIME_COST",
                "DATABASE_URL",
                "GATEWAY_BIND_PORT",
                "OLLAMA_BASE_URL",
                "REDIS_URL",
            ],
        )
        self.assertNotIn("hunter2", gateway.output)
        self.assertNotIn("swordfish", gateway.output)

    def test_a_port_that_is_taken(self) -> None:
        """It is one plain line and exit status 1, and its servers are gone."""
        stack = shared_stack()
        other = stack.home / "other"
        gateway = stack.launch(GATEWAY_BIND_PORT=str(stack.port), GATEWAY_STATE_DIR=str(other))
        self.assertEqual(gateway.wait(), 1)
        self.assertIn(f"127.0.0.1:{stack.port}", gateway.output)
        self.assertNotIn("Traceback", gateway.output)
        self.assertFalse(Layout.of(other).pid_file("postgres").exists())


def _lives(process: psutil.Process) -> bool:
    """Whether a process still runs; one that nobody has reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
