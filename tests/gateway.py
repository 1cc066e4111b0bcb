"""The gateway as operators run it, in front of the mock: processes of their own, for whole tests.

    stack = shared_stack()                 one gateway and one mock for many tests of this process
    stack = own_stack(self, NAME="1")      a pair of this test's own, to be killed or flooded
    key = stack.new_key()                  a key with a tenant of its own, as text
    entry = stack.mock.entry(word)         what the mock saw of the request that held the word

Everything blocks, so tests are `SynchronousTestCase`s that use it from the main thread. Directories
are temporary, ports are free ones, and each process dies with this one, however that ends.
"""

import atexit
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from attrs import define, field
from sqlalchemy import NullPool, create_engine
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from neuronetz_twisted.admission.credentials import new_key
from neuronetz_twisted.admission.verifier import hash_key
from neuronetz_twisted.limits import LARGEST_LIMIT, Limits
from neuronetz_twisted.stores import operator_queries
from neuronetz_twisted.stores.embedded import EmbeddedError, EmbeddedUrls
from neuronetz_twisted.stores.embedded.binaries import find_postgres, find_redis
from neuronetz_twisted.stores.embedded.layout import Layout
from neuronetz_twisted.stores.engine import database_url, service_engine
from neuronetz_twisted.vocabulary import Scope
from tests.http_client import ask
from tests.processes import Program, eventually

PROGRAMS = Path(sys.executable).parent

CHEAP_ARGON2 = {"time_cost": 1, "memory_cost_kib": 8, "parallelism": 1}
"""A hash in microseconds, for tests that are not about its cost."""

REAL_ARGON2 = {"time_cost": 3, "memory_cost_kib": 65536, "parallelism": 4}
"""The default costs (SPEC 10)."""

PLENTY = Limits(rpm=LARGEST_LIMIT, tpm=LARGEST_LIMIT, concurrent=LARGEST_LIMIT)
"""Limits that no test meets by chance."""

MODEL = "llama3.2"
START_S = 40.0

_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


def marker() -> str:
    """A word that no other request has in its prompt."""
    return f"marker{secrets.token_hex(8)}"


@define(eq=False)
class Mock:
    """The twin of Ollama as a process."""

    program: Program
    port: int

    def seen(self) -> list[dict[str, Any]]:
        """The requests it has seen."""
        requests: list[dict[str, Any]] = ask(self.port, "GET", "/mock/seen").json()["requests"]
        return requests

    def entry(self, word: str) -> dict[str, Any]:
        """The one request whose body holds a `marker`; waits until it has arrived."""
        found: list[dict[str, Any]] = []

        def arrived() -> bool:
            found[:] = [entry for entry in self.seen() if word in str(entry["body"])]
            return bool(found)

        eventually(arrived)
        if len(found) > 1:
            raise AssertionError(f"{len(found)} requests with {word}")
        return found[0]


@define(eq=False)
class Stack:
    """A mock and a gateway with embedded servers, in a directory of their own."""

    home: Path
    mock: Mock
    settings: dict[str, str]
    programs: Path = PROGRAMS
    gateway: Program = field(init=False)
    port: int = field(init=False, default=0)
    _starts: int = field(init=False, default=0)

    @property
    def state_dir(self) -> Path:
        """What the gateway knows as GATEWAY_STATE_DIR."""
        return self.home / "state"

    @property
    def url(self) -> str:
        """What a client gets as its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def layout(self) -> Layout:
        """Where the embedded servers keep their files."""
        return Layout.of(self.state_dir)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the gateway, and of a command line for it."""
        return {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": "embedded:",
            "REDIS_URL": "embedded:",
            "GATEWAY_STATE_DIR": str(self.state_dir),
            "GATEWAY_BIND_HOST": "127.0.0.1",
            "GATEWAY_BIND_PORT": "0",
            "GATEWAY_LOG_LEVEL": "DEBUG",
            "OLLAMA_BASE_URL": f"http://127.0.0.1:{self.mock.port}",
            **{f"ARGON2_{name.upper()}": str(cost) for name, cost in CHEAP_ARGON2.items()},
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            **self.settings,
        }

    def launch(self, **changes: str) -> Program:
        """Start a gateway process without waiting for it."""
        self._starts += 1
        arguments = [str(self.programs / "twistd"), "-n", "--pidfile=", "neuronetz", "--migrate"]
        output = self.home / f"gateway-{self._starts}.log"
        return Program(arguments, {**self.environ, **changes}, output)

    def start(self) -> None:
        """Start the gateway; returns once it is ready."""
        self.gateway = self.launch()
        eventually(self._listens, START_S)
        eventually(lambda: ask(self.port, "GET", "/readyz").status == 200, START_S)

    def _listens(self) -> bool:
        if not self.gateway.runs():
            raise AssertionError(f"the gateway ended:\n{self.gateway.output}")
        if found := _LISTENING.search(self.gateway.output):
            self.port = int(found[1])
        return found is not None

    def end(self) -> None:
        """End both processes and remove their directory."""
        if hasattr(self, "gateway") and self.gateway.runs():
            self.gateway.end()
        self.mock.program.end()
        shutil.rmtree(self.home, ignore_errors=True)

    def new_key(
        self,
        *,
        tenant: str = "",
        allow_all_models: bool = True,
        models: tuple[str, ...] = (),
        scopes: tuple[Scope, ...] = (Scope.CHAT,),
        argon2: dict[str, int] = CHEAP_ARGON2,
    ) -> str:
        """A working key, in a tenant of its own unless one is named."""
        key = new_key(secrets.randbelow)
        name = tenant or f"tenant-{key[:12]}"
        engine = service_engine(str(self.urls.database_url), application_name="test")
        with engine.begin() as connection:
            known = {known.name for known in operator_queries.list_tenants(connection)}
            if name not in known:
                operator_queries.create_tenant(
                    connection,
                    name,
                    allow_all_models=allow_all_models,
                    models=models,
                    limits=PLENTY,
                )
            operator_queries.create_key(
                connection,
                tenant=name,
                name=key[:12],
                scopes=scopes,
                prefix=key[:12],
                secret_hash=hash_key(key, **argon2),
            )
        engine.dispose()
        return key

    @property
    def urls(self) -> EmbeddedUrls:
        """Where the embedded servers are."""
        return EmbeddedUrls.of(self.layout, postgres=True, redis=True)

    def administer(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run SQL as the superuser, outside of any transaction; gives its rows, if any."""
        url = database_url(str(self.urls.database_admin_url))
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement, values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def command(self, *words: str) -> str:
        """Run `neuronetz-gateway`; gives its standard output."""
        done = subprocess.run(
            [str(self.programs / "neuronetz-gateway"), *words],
            env=self.environ,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{words}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def process(self) -> psutil.Process:
        """The gateway process."""
        return psutil.Process(self.gateway.pid)

    def server_pid(self, server: str) -> int:
        """The process id of an embedded server, also when it has just ended."""
        return int(self.layout.pid_file(server).read_text(encoding="ascii"))

    def server_processes(self, server: str) -> list[psutil.Process]:
        """An embedded server ("postgres" or "valkey") and its children; the parent first."""
        parent = psutil.Process(self.server_pid(server))
        return [parent, *parent.children(recursive=True)]

    @contextmanager
    def frozen(self, server: str) -> Iterator[None]:
        """Hold an embedded server (SIGSTOP) for the block's duration: sockets open, no answers."""
        processes = self.server_processes(server)
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def kill_server(self, server: str) -> None:
        """End an embedded server with all its sessions at once (SIGKILL)."""
        for process in self.server_processes(server):
            process.kill()


_PASSED_ON = (
    "GATEWAY_PG_BIN",
    "GATEWAY_REDIS_SERVER",
    "COVERAGE_PROCESS_START",
    "PYTHONPATH",
)


@cache
def shared_stack(**settings: str) -> Stack:
    """The stack of this process with these environment variables; ends with the process.

    For tests that leave it as it was, or as it heals by itself.
    """
    stack = _new_stack(settings)
    atexit.register(stack.end)
    stack.start()
    return stack


def own_stack(case: SynchronousTestCase, **settings: str) -> Stack:
    """A stack of this test's own with further environment variables, ended with the test."""
    stack = _new_stack(settings)
    case.addCleanup(stack.end)
    stack.start()
    return stack


def installed_stack(case: SynchronousTestCase, programs: Path) -> Stack:
    """A stack of this test's own whose gateway, not yet started, is one of another installation.

    `programs` is the directory with its `twistd` and `neuronetz-gateway`.
    """
    stack = _new_stack({}, programs)
    case.addCleanup(stack.end)
    return stack


def _new_stack(settings: dict[str, str], programs: Path = PROGRAMS) -> Stack:
    try:
        find_postgres(os.environ)
        find_redis(os.environ)
    except EmbeddedError as error:
        raise SkipTest(str(error)) from error
    home = Path(tempfile.mkdtemp(prefix="nz"))
    try:
        return Stack(home, _mock(home), settings, programs)
    except BaseException:
        shutil.rmtree(home)
        raise


def _mock(home: Path) -> Mock:
    port_file = home / "mock.port"
    arguments = ["-m", "mock_ollama", "--port", "0", "--port-file", str(port_file)]
    program = Program([sys.executable, *arguments], dict(os.environ), home / "mock.log")
    eventually(port_file.exists, START_S)
    return Mock(program, int(port_file.read_text(encoding="ascii")))
