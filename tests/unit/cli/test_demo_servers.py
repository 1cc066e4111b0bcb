import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.demo_home import DemoHome
from neuronetz_twisted.cli.demo_servers import DemoServers, demo_environment, settings_of
from neuronetz_twisted.cli.output import Fault
from neuronetz_twisted.cli.session import WrongConfiguration

HOME = DemoHome(Path("/somewhere/.demo"))
MOCK = "http://127.0.0.1:9"


class DemoEnvironmentTests(SynchronousTestCase):
    def test_the_demos_own(self) -> None:
        """Without any variable the demo is embedded, on loopback, with the mock."""
        self.assertEqual(
            demo_environment({"PATH": "/bin"}, HOME, MOCK),
            {
                "GATEWAY_STATE_DIR": "/somewhere/.demo/state",
                "GATEWAY_BIND_HOST": "127.0.0.1",
                "GATEWAY_BIND_PORT": "8080",
                "DATABASE_URL": "embedded:",
                "REDIS_URL": "embedded:",
                "OLLAMA_BASE_URL": MOCK,
            },
        )

    def test_the_callers_win(self) -> None:
        """What the caller set reaches the gateway, also by file; blanks are not set."""
        caller = {
            "DEMO_PORT": "81",
            "OLLAMA_BASE_URL": "http://h:1",
            "DATABASE_URL_FILE": "f",
            "REDIS_URL": "",
            "MAX_NUM_PREDICT": "5",
        }
        environment = demo_environment(caller, HOME, None)
        self.assertEqual(environment["GATEWAY_BIND_PORT"], "81")
        self.assertEqual(environment["OLLAMA_BASE_URL"], "http://h:1")
        self.assertEqual(environment["REDIS_URL"], "embedded:")
        self.assertEqual(environment["MAX_NUM_PREDICT"], "5")
        self.assertNotIn("DATABASE_URL", environment)
        self.assertNotIn("DEMO_PORT", environment)

    def test_the_gateways_own_port_variable_wins(self) -> None:
        """GATEWAY_BIND_PORT is more to the point than DEMO_PORT."""
        caller = {"DEMO_PORT": "81", "GATEWAY_BIND_PORT": "82"}
        self.assertEqual(demo_environment(caller, HOME, MOCK)["GATEWAY_BIND_PORT"], "82")


class FaultTests(SynchronousTestCase):
    def test_wrong_variables(self) -> None:
        """The gateway's variables are checked before anything is started."""
        environment = demo_environment({"DEMO_PORT": "many"}, HOME, MOCK)
        self.assertRaises(WrongConfiguration, settings_of, environment)

    def test_an_endpoint(self) -> None:
        """With an endpoint string nobody could say where the demo is."""
        environment = demo_environment({"GATEWAY_ENDPOINT": "unix:/x"}, HOME, MOCK)
        error = self.assertRaises(Fault, settings_of, environment)
        self.assertIn("GATEWAY_ENDPOINT", error.message)

    def test_a_busy_port(self) -> None:
        """A port in use is told before anything is started, with the way out."""
        home = DemoHome(Path(self.mktemp()).absolute())
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
            caller = {"DEMO_PORT": port, "OLLAMA_BASE_URL": MOCK}
            error = self.assertRaises(Fault, DemoServers(home).up, caller)
        self.assertIn(f"port {port} of 127.0.0.1 is in use", error.message)
        self.assertIn("DEMO_PORT", error.message)
        self.assertFalse(DemoServers(home).gateway.running())
