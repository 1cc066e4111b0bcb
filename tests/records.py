"""What the record must say after a gateway was killed or lost its stores, held against the mock.

    house = recording_house(self)           a gateway whose PostgreSQL and Valkey outlive it
    with house.load(callers=8):             calls go on while the block runs
        house.stack.gateway.kill()
    house.settle(self)                      every call that the mock saw has exactly one row, ...

Each call carries a word of its own, in its prompt for the mock, and as its `X-Request-ID` for the
record. The servers are not the gateway's children, so that it can be killed alone.
"""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import orjson
from attrs import define, field, frozen
from sqlalchemy.exc import OperationalError
from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import Stack, _mock, marker
from tests.http_client import ask, chat
from tests.processes import eventually
from tests.servers import PrivateServers, private_servers

FLUSHED_S = 20.0
PROMPT = "hi [[n=4 delay=2ms]]"

_BREATH_S = 0.01
_ROWS = """
    SELECT client_id, outcome, status, prompt_tokens, completion_tokens, charged, count
    FROM gateway.audit_log
"""


@frozen
class Row:
    """One row of the record, as far as a caller can know better."""

    client_id: str | None
    outcome: str
    status: int | None
    prompt_tokens: int
    completion_tokens: int
    charged: int
    count: int


@define(eq=False)
class House:
    """A gateway, the mock, and the servers; further gateways may share its state directory."""

    stack: Stack
    servers: PrivateServers
    key: str = ""
    statuses: Counter[int] = field(factory=Counter)
    seen: dict[str, dict[str, Any]] = field(factory=dict)
    _lock: Lock = field(factory=Lock)
    _others: list[Stack] = field(factory=list)

    @property
    def spool(self) -> Path:
        """Where the spools of all writers are."""
        return self.stack.state_dir / "spool"

    def writers(self) -> set[str]:
        """The directories of writers that are there."""
        return {path.name for path in self.spool.iterdir() if path.is_dir()}

    def another(self) -> Stack:
        """A second gateway on the same state directory, started."""
        home = Path(tempfile.mkdtemp(prefix="nz", dir=self.stack.home))
        settings = {**self.stack.settings, "GATEWAY_STATE_DIR": str(self.stack.state_dir)}
        stack = Stack(home, self.stack.mock, settings)
        self._others.append(stack)
        stack.start()
        return stack

    def call(self, stack: Stack, prompt: str = PROMPT) -> tuple[str, int]:
        """One call; gives its word and status, which is 0 where no whole answer came."""
        word = marker()
        headers = {"X-Request-ID": word}
        body = chat(f"{word} {prompt}")
        try:
            status = ask(
                stack.port, "POST", "/api/chat", body, key=self.key, headers=headers
            ).status
        except (OSError, HTTPException):
            status = 0
        with self._lock:
            self.statuses[status] += 1
        return word, status

    @contextmanager
    def load(
        self, *stacks: Stack, callers: int = 8, prompt: str = PROMPT, pause_s: float = 0.0
    ) -> Iterator[None]:
        """Have so many callers call again and again while the block runs, each one gateway.

        Between two calls each waits for `pause_s` seconds.
        """
        over = Event()
        targets = stacks or (self.stack,)

        def go_on(stack: Stack) -> None:
            while not over.is_set():
                _, status = self.call(stack, prompt)
                # Whoever was not answered need not press.
                over.wait(pause_s if status == 200 else max(pause_s, _BREATH_S))

        threads = [
            Thread(target=go_on, args=(targets[number % len(targets)],))
            for number in range(callers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """End PostgreSQL as a crash does; it is there again behind the block."""
        self.servers.kill("postgres")
        eventually(lambda: self.servers.has_ended("postgres"))
        try:
            yield
        finally:
            self.servers.restart("postgres")
            eventually(self._database_answers, FLUSHED_S)

    def _database_answers(self) -> bool:
        try:
            return bool(self.stack.administer("SELECT 1"))
        except OperationalError:
            return False

    def look_at_mock(self) -> None:
        """Take down what the mock has seen so far, and let it forget."""
        for entry in self.stack.mock.seen():
            if entry["path"] == "/api/chat":
                word = entry["body"]["messages"][0]["content"].split()[0]
                self.seen[word] = entry
        ask(self.stack.mock.port, "POST", "/mock/reset")

    def rows(self) -> list[Row]:
        """The whole record."""
        return [Row(*row) for row in self.stack.administer(_ROWS)]

    def settle(self, case: SynchronousTestCase, within_s: float = FLUSHED_S) -> list[Row]:
        """Hold the record against the mock, once all is flushed; no call may be under way.

        Each call that reached the mock has one row. The ledger is the sum of the rows, and the
        tokens of answers that were whole are those that the mock counted.
        """
        self.look_at_mock()
        eventually(lambda: not set(self.seen) - self._recorded(), within_s)
        eventually(lambda: self.backlog() == 0, within_s)
        rows = self.rows()
        words = Counter(row.client_id for row in rows if row.client_id is not None)
        case.assertEqual([word for word, count in words.items() if count > 1], [])
        case.assertEqual(set(self.seen) - set(words), set())
        for row in rows:
            entry = self.seen.get(row.client_id or "")
            if row.outcome == "ok" and entry is not None and entry["state"] == "complete":
                tokens = entry["tokens"]
                counted = (tokens["prompt"], tokens["completion"])
                case.assertEqual((row.prompt_tokens, row.completion_tokens), counted)
        self.hold_ledger(case, sum(row.charged for row in rows))
        return rows

    def hold_ledger(self, case: SynchronousTestCase, charged: int) -> None:
        """The ledger has what the rows have, by tenant, by key and by day."""
        sums = "SELECT coalesce(sum(tokens), 0)::bigint FROM gateway.budget_usage"
        for kind in ("tenant", "key"):
            for period in ("day", "month", "total"):
                where = f"{sums} WHERE scope_kind = %s AND period = %s"
                ((found,),) = self.stack.administer(where, kind, period)
                case.assertEqual(found, charged, f"{kind} {period}")
        days = "SELECT coalesce(sum(charged), 0)::bigint FROM gateway.usage_by_day"
        case.assertEqual(self.stack.administer(days), [(charged,)])

    def backlog(self) -> int:
        """How many writers have left a spool that nobody has taken to the database yet."""
        running = sum(stack.gateway.runs() for stack in (self.stack, *self._others))
        return max(0, len(self.writers()) - running)

    def _recorded(self) -> set[str]:
        return {
            word for (word,) in self.stack.administer("SELECT client_id FROM gateway.audit_log")
        }

    def verify(self) -> dict[str, Any]:
        """What `audit verify` says; fails where it finds anything."""
        found: dict[str, Any] = orjson.loads(self.stack.command("audit", "verify", "--json"))
        return found

    def end(self) -> None:
        """End everything but the servers."""
        for stack in self._others:
            if stack.gateway.runs():
                stack.gateway.end()
        if hasattr(self.stack, "gateway") and self.stack.gateway.runs():
            self.stack.gateway.end()
        self.stack.mock.program.end()


def recording_house(case: SynchronousTestCase, **settings: str) -> House:
    """A house of this test's own with these variables, started; ended with the test."""
    home = Path(tempfile.mkdtemp(prefix="nz"))
    case.addCleanup(shutil.rmtree, home, ignore_errors=True)
    state_dir = home / "state"
    state_dir.mkdir(mode=0o700)
    servers = private_servers(case, state_dir)
    urls = servers.urls
    own = {
        "DATABASE_URL": str(urls.database_url),
        "DATABASE_ADMIN_URL": str(urls.database_admin_url),
        "REDIS_URL": str(urls.redis_url),
    }
    house = House(Stack(home, _mock(home), own | settings), servers)
    case.addCleanup(house.end)
    house.stack.start()
    house.key = house.stack.new_key()
    return house


def restarted(house: House) -> float:
    """Start the gateway that was killed; gives the seconds until it was ready."""
    began = time.monotonic()
    house.stack.start()
    return time.monotonic() - began
