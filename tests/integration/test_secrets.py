"""No key, password or prompt in any log, error, table, file or command line (SPEC 2, R6).

Requests of every kind carry words that occur nowhere else; afterwards all that the gateway has
written is searched for them.
"""

import contextlib
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

import psutil
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.redis_target import parse_redis_url
from tests.flood import forged
from tests.gateway import Stack, marker, own_stack, shared_stack
from tests.http_client import Caller, ask, chat, request_bytes

FAULTS = ("reset@3", "nofinal", "error@3", "garbage@3", "garbage@0", "reset@0", "status:500")
PATHS = ("/api/chat", "/api/generate", "/v1/chat/completions")
PASSWORD_FILES = {
    "gateway_admin.password",
    "gateway_app.password",
    "valkey.password",
    "valkey.conf",
}


class PasswordTests(SynchronousTestCase):
    def test_files(self) -> None:
        """The embedded servers' passwords are in files for their owner only."""
        for name in PASSWORD_FILES:
            mode = (shared_stack().layout.home / name).stat().st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600)


class CanaryTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A gateway of this test's own, a key, and words to look for."""
        self.stack = own_stack(self)
        self.key = self.stack.new_key()
        self.prompt = marker()
        self.forged = forged(self.key[:12])
        self.junk = marker()
        self.answers: list[bytes] = []

    def test_nothing_is_written(self) -> None:
        """After traffic of every kind, searched are files, tables, dumps and command lines."""
        self.converse()
        self.misuse()
        self.suffer()
        lines = command_lines(self.stack)
        dump = self.dump_valkey()
        table = str(self.stack.administer("SELECT c::text FROM gateway.api_key_credentials c"))
        passwords = self.passwords()
        self.stack.gateway.terminate()

        secrets = {
            "key": self.key[12:],
            "wrong key": self.forged[12:],
            "prompt": self.prompt,
            "junk": self.junk,
        }
        kept = {str(path.relative_to(self.stack.home)): read(path) for path in self.files()}
        self.assertTrue(any(name.startswith("gateway-") for name in kept))
        self.assertIn(self.key[:12].encode(), self.stack.gateway.output.encode())
        kept |= {"command lines": lines, "valkey": dump, "credentials": table.encode()}
        kept |= {f"answer {number}": body for number, body in enumerate(self.answers)}
        self.assertEqual(list(places(kept, {**secrets, **passwords})), [])

    def converse(self) -> None:
        """Ask for answers, in which the mock repeats the prompt."""
        for path in PATHS:
            for stream in (True, False):
                answer = ask(self.stack.port, "POST", path, self.body(stream=stream), key=self.key)
                self.assertEqual(answer.status, 200)
                self.assertIn(self.prompt.encode(), answer.body)
        self.send("GET", "/api/tags")
        self.send("POST", "/api/show", {"model": "llama3.2", "system": self.prompt})
        request = request_bytes("POST", PATHS[0], self.body(" [[n=99 delay=20ms]]"), key=self.key)
        with Caller(self.stack.port, request) as caller:
            caller.read_until(b"said:")

    def misuse(self) -> None:
        """Put keys and junk where they do not belong, and use what is not allowed."""
        junk = {
            "Cookie": f"session={self.junk}",
            "X-Forwarded-For": f"{self.junk}, 192.0.2.1",
            "X-Custom": self.junk,
            "Referer": f"http://127.0.0.1/{self.junk}",
        }
        credentials = (
            {"Authorization": f"Bearer {self.junk}"},
            {"Authorization": f"Basic {self.junk}"},
            {"Authorization": f"Bearer {self.forged}"},
            {"Authorization": f"{self.key}"},
            {"x-api-key": self.junk},
            {"x-api-key": self.forged},
            {"Authorization": f"Bearer {self.key}", "x-api-key": self.junk},
        )
        for credential in credentials:
            for path in ("/api/tags", f"/api/tags?key={self.key}", f"/{self.junk}"):
                self.send("GET", path, key=None, headers={**junk, **credential}, refused=True)
        self.send("GET", f"/api/tags?prompt={self.prompt}&key={self.key}", headers=junk)
        self.send("GET", f"/v1/models/{self.key}", refused=True)
        self.send("GET", f"/v1/models/{self.junk}", refused=True)
        self.send("POST", f"/{self.junk}", {}, refused=True)
        for model in (self.junk, self.key):
            self.send("POST", "/api/chat", chat(self.prompt, model=model), refused=True)
            self.send("POST", "/api/show", {"model": model}, refused=True)

    def suffer(self) -> None:
        """Send what cannot be read, and let the model host and the stores fail."""
        broken = (
            {"model": "llama3.2", "messages": self.prompt},
            {"model": "llama3.2", "messages": [{"role": self.prompt, "content": 1}]},
            {"model": {self.prompt: 1}, "messages": []},
            {**self.body(), "options": {"temperature": self.prompt}},
            {**self.body(), "options": {"stop": [{self.prompt: 1}]}},
            {**self.body(), "template": self.prompt},
            {**self.body(), "stream": self.prompt},
            [self.prompt],
            self.prompt,
        )
        for path in PATHS:
            for body in broken:
                self.send("POST", path, body)
            for fault in FAULTS:
                for stream in (True, False):
                    body = self.body(f" [[n=9 fault={fault}]]", stream=stream)
                    self.broken_off(request_bytes("POST", path, body, key=self.key))
        self.broken_off(b"GET /%s HTTP/9.9\r\n%s\r\n\r\n" % ((self.junk.encode(),) * 2))
        head = request_bytes("POST", "/api/chat", key=self.key, headers={"Content-Length": "99"})
        with Caller(self.stack.port, head + f'{{"x":"{self.prompt}'.encode()) as caller:
            caller.hang_up()
        cold = self.stack.new_key()
        with self.stack.frozen("valkey"):
            self.send("POST", "/api/chat", self.body(), refused=True)
        with self.stack.frozen("postgres"):
            self.send("POST", "/api/chat", self.body(), key=cold)

    def body(self, directive: str = "", *, stream: bool = True) -> dict[str, object]:
        """A request that is fit for each of the paths."""
        text = f"{self.prompt}{directive}"
        return {"prompt": text, **chat(text, stream=stream)}

    def send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = "",
        headers: dict[str, str] | None = None,
        refused: bool = False,
    ) -> None:
        """Send a request with the key, unless it has another or none; keep what refused it."""
        key = self.key if key == "" else key
        answer = ask(self.stack.port, method, path, body, key=key, headers=headers)
        if refused:
            self.assertTrue(answer.status >= 400, f"{method} {answer.status}")
            self.answers.append(answer.body)

    def broken_off(self, request: bytes) -> None:
        """Send bytes and read whatever comes until the connection ends."""
        with Caller(self.stack.port, request) as caller, contextlib.suppress(ConnectionError):
            caller.read_to_end()

    def passwords(self) -> dict[str, str]:
        """The passwords of the embedded servers, by the names of their files."""
        home = self.stack.layout.home
        return {path.name: path.read_text("ascii") for path in home.glob("*.password")}

    def files(self) -> list[Path]:
        """All that was written, but for the mock's output and the passwords' own files."""
        apart = {*PASSWORD_FILES, "mock.log"}
        everything = self.stack.home.rglob("*")
        return [path for path in everything if path.is_file() and path.name not in apart]

    def dump_valkey(self) -> bytes:
        """All keys and values of the embedded Valkey, as it would write them to a disk."""
        target = parse_redis_url(str(self.stack.urls.redis_url))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(target.path))
            connection.sendall(f"AUTH {target.password}\r\nKEYS *\r\n".encode())
            names = [
                line for line in _lines(connection) if line.startswith(b"nz:") and b" " not in line
            ]
        self.assertTrue(names)
        dumped = [self.dump_one(str(target.path), str(target.password), name) for name in names]
        return b"\n".join([*names, *dumped])

    def dump_one(self, path: str, password: str, name: bytes) -> bytes:
        """One value, whatever its type."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(path)
            connection.sendall(
                b"AUTH %s\r\nGET %s\r\nHGETALL %s\r\n" % (password.encode(), name, name)
            )
            return b"\n".join(_lines(connection))


def _lines(connection: socket.socket) -> list[bytes]:
    """What a server says until it has nothing more to say."""
    connection.sendall(b"ECHO enough\r\n")
    received = b""
    while not received.endswith(b"$6\r\nenough\r\n"):
        received += connection.recv(65536)
    return received.split(b"\r\n")


def command_lines(stack: Stack) -> bytes:
    """How the gateway and everything below it were called."""
    gateway = stack.process()
    processes: list[psutil.Process] = [gateway, *gateway.children(recursive=True)]
    words: list[str] = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # a database session that has just ended
            words += process.cmdline()
    return "\n".join(words).encode()


def read(path: Path) -> bytes:
    """A file's bytes; nothing where it is gone or no plain file."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def places(kept: dict[str, bytes], secrets: dict[str, str]) -> Iterable[str]:
    """Where a secret stands, in words that do not repeat it."""
    for place, content in kept.items():
        for name, secret in secrets.items():
            at = content.find(secret.encode())
            if at >= 0:
                yield f"{name} in {place} after {content[max(0, at - 60) : at]!r}"
