"""Starts and ends the demo's processes: the gateway, and a mock where there is no real Ollama.

Whatever a failed start began is ended again; what ran before is left alone.
"""

import errno
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click
from attrs import field, frozen

from neuronetz_twisted.cli.address import base_url
from neuronetz_twisted.cli.background import BackgroundProcess
from neuronetz_twisted.cli.demo_home import (
    DemoHome,
    DemoState,
    gateway_variables,
    is_set,
    with_remembered,
)
from neuronetz_twisted.cli.exchange import NoAnswer, exchange
from neuronetz_twisted.cli.output import Fault, note
from neuronetz_twisted.cli.serve import twistd_command
from neuronetz_twisted.cli.session import WrongConfiguration
from neuronetz_twisted.config import ConfigError, Settings, load
from neuronetz_twisted.stores.embedded import EmbeddedError
from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.embedded.ownership import Ownership
from neuronetz_twisted.variables import EMBEDDED

_READY_S = 60.0
_MOCK_READY_S = 20.0
_GATEWAY_PATIENCE_S = 15.0
_MOCK_PATIENCE_S = 5.0
_SERVERS_GONE_S = 10.0
_POLL_S = 0.05
_OK = 200
_DEFAULT_PORT = "8080"


@frozen
class DemoServers:
    """The processes of one demo directory, running or not."""

    home: DemoHome
    mock: BackgroundProcess = field()
    gateway: BackgroundProcess = field()

    @mock.default
    def _mock(self) -> BackgroundProcess:
        return BackgroundProcess("mock", self.home.path)

    @gateway.default
    def _gateway(self) -> BackgroundProcess:
        return BackgroundProcess("gateway", self.home.path)

    def up(self, caller: Mapping[str, str]) -> tuple[DemoState, Settings]:
        """Have both run and answer; returns what is remembered, and the gateway's settings.

        `caller` is the environment of who asks. Raises `Fault`.
        """
        self.home.create()
        remembered = self.home.load()
        with ExitStack() as undo:
            if remembered is not None and self.gateway.running():
                note("the demo is running already")
                state = remembered
                if state.mock_url is not None:
                    self._have_mock(undo, caller, urlsplit(state.mock_url).port or 0)
            else:
                state = self._start(undo, caller, None if remembered is None else remembered.key)
            settings = settings_of(state.environment)
            self._wait_until_ready(base_url(settings))
            undo.pop_all()
        return state, settings

    def down(self) -> None:
        """End all processes and see that none is left. Raises `Fault`."""
        self.gateway.stop(_GATEWAY_PATIENCE_S)
        self.mock.stop(_MOCK_PATIENCE_S)
        layout = Layout.of(self.home.state_dir)
        if layout.home.exists():
            _see_servers_gone(layout)
            if not layout.run_dir().is_relative_to(self.home.path):
                shutil.rmtree(layout.run_dir())

    def _start(self, undo: ExitStack, caller: Mapping[str, str], key: str | None) -> DemoState:
        self.gateway.stop(_GATEWAY_PATIENCE_S)
        mock_url = None
        if is_set(caller, "OLLAMA_BASE_URL"):
            self.mock.stop(_MOCK_PATIENCE_S)
        else:
            mock_url = self._have_mock(undo, caller, 0)
        environment = demo_environment(caller, self.home, mock_url)
        settings = settings_of(environment)
        port = _free_port(settings)
        if port != settings.bind_port:
            environment["GATEWAY_BIND_PORT"] = str(port)
        state = DemoState(environment=environment, mock_url=mock_url, key=key)
        self.home.save(state)
        note("starting the gateway; the first time it makes a database")
        self.gateway.start(twistd_command(migrate=True), with_remembered(caller, state))
        undo.callback(self.gateway.stop, _GATEWAY_PATIENCE_S)
        return state

    def _have_mock(self, undo: ExitStack, caller: Mapping[str, str], port: int) -> str:
        """The URL of a running mock, started if there is none; port 0 takes a free one."""
        port_file = self.home.path / "mock.port"
        if not self.mock.running():
            port_file.unlink(missing_ok=True)
            arguments = ["--port", str(port), "--port-file", str(port_file)]
            self.mock.start([sys.executable, "-P", "-m", "mock_ollama", *arguments], caller)
            undo.callback(self.mock.stop, _MOCK_PATIENCE_S)
        self._wait(self.mock, port_file.exists, _MOCK_READY_S, "the mock model host")
        return f"http://127.0.0.1:{int(port_file.read_text(encoding='ascii'))}"

    def _wait_until_ready(self, url: str) -> None:
        for path in ("/healthz", "/readyz"):
            self._wait(self.gateway, partial(_is_ok, f"{url}{path}"), _READY_S, "the gateway")

    def _wait(
        self, process: BackgroundProcess, ready: Callable[[], bool], within_s: float, noun: str
    ) -> None:
        give_up = time.monotonic() + within_s
        while not ready():
            ended = not process.running()
            if ended or time.monotonic() > give_up:
                click.echo(process.tail(), err=True)
                how = "has ended" if ended else f"does not answer within {within_s:g} s"
                raise Fault(f"{noun} {how}; the last lines of {process.log} are above")
            time.sleep(_POLL_S)


def demo_environment(
    caller: Mapping[str, str], home: DemoHome, mock_url: str | None
) -> dict[str, str]:
    """The gateway's variables: the caller's, and the demo's where the caller set none."""
    environment = gateway_variables(caller)
    own = {
        "GATEWAY_STATE_DIR": str(home.state_dir),
        "GATEWAY_BIND_HOST": "127.0.0.1",
        "GATEWAY_BIND_PORT": caller.get("DEMO_PORT", "").strip() or _DEFAULT_PORT,
        "DATABASE_URL": EMBEDDED,
        "REDIS_URL": EMBEDDED,
        **({"OLLAMA_BASE_URL": mock_url} if mock_url is not None else {}),
    }
    for name, value in own.items():
        if not is_set(environment, name):
            environment[name] = value
    return environment


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings of a gateway with these variables. Raises `Fault`."""
    try:
        settings = load(environment, Path()).settings
    except ConfigError as error:
        raise WrongConfiguration(error) from None
    if settings.endpoint is not None:
        raise Fault(
            "the demo listens at GATEWAY_BIND_HOST and GATEWAY_BIND_PORT: unset GATEWAY_ENDPOINT"
        )
    return settings


def _free_port(settings: Settings) -> int:
    """The port to listen on, a free one for 0. Raises `Fault` if it is in use."""
    host, port = settings.bind_host, settings.bind_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as server:
            return int(server.getsockname()[1])
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"fails: {error.strerror}"
        raise Fault(
            f"port {port} of {host} {reason}; choose another with DEMO_PORT=… (0 takes a free one)"
        ) from None


def _is_ok(url: str) -> bool:
    try:
        return exchange("GET", url, headers={}, timeout_s=2).status == _OK
    except NoAnswer:
        return False


def _see_servers_gone(layout: Layout) -> None:
    """Return when no embedded server is left; those that stay are killed. Raises `Fault`."""
    try:
        ownership = Ownership.take(layout)
    except EmbeddedError as error:
        raise Fault(str(error)) from None
    give_up = time.monotonic() + _SERVERS_GONE_S
    try:
        while not ownership.others_gone():
            if time.monotonic() > give_up:
                raise Fault(f"embedded servers in {layout.home} cannot be ended")
            time.sleep(_POLL_S)
    finally:
        ownership.release()
