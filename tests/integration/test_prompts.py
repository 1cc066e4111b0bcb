"""The prompt log on a real PostgreSQL: sealed, opened by its key alone, erased for good."""

import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import orjson
import psycopg
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.prompt_texts import PromptText
from neuronetz_twisted.audit.sealing import MasterKey, master_keys_in
from neuronetz_twisted.stores import prompt_queries
from neuronetz_twisted.stores.engine import service_engine
from tests.command_line import CHEAP_ARGON2, command, json_of
from tests.gateway import marker, own_stack
from tests.http_client import Caller, ask, chat, request_bytes
from tests.integration.test_secrets import places, read
from tests.processes import eventually
from tests.servers import DatabaseUrls, admin_connection, new_database

if TYPE_CHECKING:
    from sqlalchemy import Engine

NOW = datetime.now(UTC).replace(microsecond=0)
CANARY = "canary-in-the-coal-mine"

LATER = timedelta(minutes=1)
"""Longer than PostgreSQL takes to say its time: what is said within that time behind an erasure
counts as said before it, so that a wrong clock never keeps what was to go."""

TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relkind = 'r'"
)


def new_master() -> str:
    """A master key as an operator makes it."""
    return secrets.token_hex(32)


def dumped(admin: psycopg.Connection) -> bytes:
    """Every table of ours, as a dump has it, with what is binary also as it is."""
    pieces: list[bytes] = []
    for (table,) in admin.execute(TABLES).fetchall():
        for form in ("text", "binary"):
            statement = f"COPY gateway.{table} TO STDOUT (FORMAT {form})"
            with admin.cursor().copy(statement) as copy:
                pieces.extend(map(bytes, copy))
    return b"".join(pieces)


class PromptCase(SynchronousTestCase):
    """A database with two tenants, and the commands of an operator with a master key."""

    ahead = timedelta()

    def setUp(self) -> None:
        """Make the tenants."""
        self.urls: DatabaseUrls = new_database(self)
        self.admin = admin_connection(self, self.urls.admin_url)
        self.engine: Engine = service_engine(self.urls.url, application_name="test", pool_size=8)
        self.addCleanup(self.engine.dispose)
        self.master = new_master()
        self.tenants = {name: self.new_tenant(name) for name in ("acme", "other")}

    def new_tenant(self, name: str) -> UUID:
        """A tenant without a key."""
        statement = "INSERT INTO gateway.tenants (name) VALUES (%s) RETURNING id"
        row = self.admin.execute(statement, [name]).fetchone()
        assert row is not None
        return UUID(str(row[0]))

    def text(self, tenant: str = "acme", said: str = CANARY, **changes: Any) -> PromptText:
        """What was said in a call that has just begun."""
        began = changes.pop("started_at", self.now())
        known = {
            "id": uuid4(),
            "tenant_id": self.tenants[tenant],
            "key_id": uuid4(),
            "started_at": began,
            "expires_at": began + timedelta(days=30),
            "text": orjson.dumps(
                {
                    "request": f'{{"prompt":"{said}"}}',
                    "request_cut": False,
                    "answer": {"content": f"You said:\n{said}", "thinking": "", "cut": False},
                }
            ),
        }
        return PromptText(**{**known, **changes})

    def now(self) -> datetime:
        """What the gateway's clock shows, which may differ from the database's."""
        return datetime.now(UTC) + self.ahead

    def write(self, *texts: PromptText, master: str = "") -> int:
        """Write as the service does; how many were not kept."""
        sealer = MasterKey(bytes.fromhex(master or self.master))
        with self.engine.begin() as connection:
            return prompt_queries.write_texts(connection, texts, sealer, self.now)

    def do(self, *words: str, master: str | None = None) -> Any:
        """What a command of the group did."""
        chosen = self.master if master is None else master
        return command("prompts", *words, DATABASE_URL=self.urls.url, PROMPT_LOG_MASTER_KEY=chosen)

    def shown(self, text: PromptText, master: str | None = None) -> Any:
        """What `show` makes of a text, in JSON."""
        return json_of(self.do("show", str(text.id), "--json", master=master))

    def not_shown(self, text: PromptText, because: str, master: str | None = None) -> None:
        """`show` refuses with one line."""
        result = self.do("show", str(text.id), master=master)
        self.assertEqual((result.exit_code, result.stdout), (1, ""), result.output)
        self.assertEqual(result.stderr.count("\n"), 1)
        self.assertIn(because, result.stderr)

    def rows(self, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """Rows as the database's owner sees them."""
        return self.admin.execute(statement, values).fetchall()


class ShowTests(PromptCase):
    def test_shown(self) -> None:
        """A text that was written is shown, to a person and to a program."""
        text = self.text()
        self.assertEqual(self.write(text), 0)
        record = self.shown(text)
        self.assertEqual((record["id"], record["tenant"]), (str(text.id), "acme"))
        self.assertEqual(record["text"], orjson.loads(text.text))
        lines = self.do("show", str(text.id)).stdout.splitlines()
        self.assertIn("  You said:", lines)
        self.assertIn(f"  {CANARY}", lines)

    def test_everything_that_can_be_said(self) -> None:
        """Thinking and cuts are told, an answer that never came too, and no terminal obeys."""
        thought = {"content": "a\x1b[2Jb", "thinking": "hm", "tool_calls": "{w}\n", "cut": True}
        said = {"request": "{}", "request_cut": True, "answer": thought}
        text, silent = (
            self.text(text=orjson.dumps(said)),
            self.text(text=orjson.dumps({**said, "request_cut": False, "answer": None})),
        )
        self.write(text, silent)
        out = self.do("show", str(text.id)).stdout
        for expected in (
            "request, the first 64 KiB",
            "thinking:\n  hm",
            "answer, the first 64 KiB",
            "tool calls, the first 64 KiB of it:\n  {w}",
        ):
            self.assertIn(expected, out)
        self.assertIn("a?[2Jb", out)
        self.assertIn("no answer was begun", self.do("show", str(silent.id)).stdout)

    def test_unknown(self) -> None:
        """A call of which nothing is kept, and what is no id."""
        self.not_shown(self.text(), "nothing is kept of a call")
        self.assertEqual(self.do("show", "nonsense").exit_code, 2)

    def test_without_the_master_key(self) -> None:
        """Without it nothing is read, and with another one neither."""
        text = self.text()
        self.write(text)
        self.not_shown(text, "PROMPT_LOG_MASTER_KEY is not set", master="")
        self.not_shown(text, "wrapped by another master key", master=new_master())

    def test_nothing_in_clear(self) -> None:
        """A dump of all tables holds neither a text nor a key."""
        self.write(self.text())
        self.write(self.text("other"))
        dump = dumped(self.admin)
        secret = bytes.fromhex(self.master)
        self.assertIn(b"acme", dump)
        for word in (CANARY.encode(), b"You said", secret):
            self.assertNotIn(word, dump)
            self.assertNotIn(word.hex().encode(), dump)

    def test_moved(self) -> None:
        """A row does not open as another tenant's or another call's."""
        text, theirs = self.text(), self.text("other")
        self.write(text)
        self.write(theirs)
        self.rows(
            "UPDATE gateway.prompt_log SET tenant_id = %s WHERE id = %s RETURNING id",
            self.tenants["other"],
            text.id,
        )
        self.not_shown(text, "does not open")
        self.rows("DELETE FROM gateway.prompt_log WHERE id = %s RETURNING id", text.id)
        self.rows(
            "UPDATE gateway.prompt_log SET id = %s WHERE id = %s RETURNING id", text.id, theirs.id
        )
        self.not_shown(text, "does not open")
        self.rows("UPDATE gateway.prompt_log SET sealed = '' WHERE id = %s RETURNING id", text.id)
        self.not_shown(text, "too short")


class WriteTests(PromptCase):
    def versions(self) -> Sequence[tuple[Any, ...]]:
        """The tenants' data keys."""
        return self.rows("SELECT tenant_id, version FROM gateway.prompt_keys ORDER BY 1, 2")

    def test_twice(self) -> None:
        """A batch whose end was not heard of is written again, and kept once."""
        text = self.text()
        self.assertEqual((self.write(text), self.write(text)), (0, 0))
        self.assertEqual(len(self.rows("SELECT FROM gateway.prompt_log")), 1)
        self.assertEqual(len(self.versions()), 1)

    def test_a_tenant_who_is_gone(self) -> None:
        """What was said by a tenant without a row is not kept."""
        self.assertEqual(self.write(self.text(tenant_id=uuid4())), 1)
        self.assertEqual(self.versions(), [])

    def test_first_key_by_many_at_once(self) -> None:
        """Gateways that make a tenant's first data key at one moment agree on one."""
        texts = [self.text() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            self.assertEqual(list(pool.map(self.write, texts)), [0] * 8)
        self.assertEqual(self.versions(), [(self.tenants["acme"], 1)])
        for text in texts:
            self.shown(text)

    def test_expired(self) -> None:
        """Texts whose time is over are deleted, the oldest first; the others stay."""
        old = NOW - timedelta(days=31)
        texts = [self.text(started_at=old + timedelta(hours=hour)) for hour in range(3)]
        fresh = self.text()
        self.write(*texts, fresh)
        with self.engine.begin() as connection:
            self.assertEqual(prompt_queries.delete_expired(connection, 2), 2)
        left = {row[0] for row in self.rows("SELECT id FROM gateway.prompt_log")}
        self.assertEqual(left, {texts[2].id, fresh.id})
        with self.engine.begin() as connection:
            self.assertEqual(prompt_queries.delete_expired(connection, 2), 1)
            self.assertEqual(prompt_queries.delete_expired(connection, 2), 0)

    def test_usage(self) -> None:
        """Texts and bytes of each tenant since a moment."""
        before, after = NOW - timedelta(hours=1), NOW - timedelta(hours=3)
        self.write(self.text(), self.text(), self.text(started_at=after))
        self.write(self.text("other"))
        sizes = self.rows("SELECT octet_length(sealed) FROM gateway.prompt_log")
        with self.engine.begin() as connection:
            usage = prompt_queries.usage_since(connection, before, before + timedelta(days=30))
        self.assertEqual(usage[self.tenants["acme"]], (2, 2 * sizes[0][0]))
        self.assertEqual(usage[self.tenants["other"]][0], 1)


class EraseTests(PromptCase):
    def said_later(self) -> PromptText:
        """What was said so long behind an erasure that it is certainly kept."""
        return self.text(started_at=self.now() + LATER)

    def erase(self, tenant: str = "acme") -> Any:
        """Erase, as a program does."""
        return json_of(self.do("erase", "--tenant", tenant, "--yes", "--json"))

    def test_erased(self) -> None:
        """Nothing of the tenant opens any more, not even from a copy; others are untouched."""
        text, theirs = self.text(), self.text("other")
        self.write(text)
        self.write(theirs)
        self.admin.execute("CREATE TABLE copied AS SELECT * FROM gateway.prompt_log")
        self.assertEqual(self.erase(), {"tenant": "acme", "data_keys": 1, "texts": 1})
        self.not_shown(text, "nothing is kept")
        self.rows(
            "INSERT INTO gateway.prompt_log SELECT * FROM copied WHERE id = %s RETURNING 1", text.id
        )
        self.not_shown(text, "its data key was destroyed")
        self.shown(theirs)
        again = self.said_later()
        self.assertEqual(self.write(again), 0)
        self.shown(again)
        self.not_shown(text, "its data key was destroyed")

    def test_what_was_said_before(self) -> None:
        """A text that waited in a gateway meanwhile is not kept behind the erasure."""
        before = self.text()
        self.assertEqual(self.erase()["data_keys"], 0)
        after = self.said_later()
        self.assertEqual(self.write(before, after), 1)
        self.shown(after)
        self.not_shown(before, "nothing is kept")
        self.assertEqual(self.write(before), 1)

    def test_another_clock(self) -> None:
        """However wrong a gateway's clock is, what was said before is not kept, and goes."""
        for ahead in (timedelta(hours=1), timedelta(hours=-1)):
            self.ahead = ahead
            written, waiting = self.said_later(), self.text()
            self.write(written)
            self.assertEqual(self.destroy(), 1)
            after = self.said_later()
            self.assertEqual(self.write(waiting, after), 1)
            self.assertEqual(self.delete(), 1)
            self.not_shown(waiting, "nothing is kept")
            self.not_shown(written, "nothing is kept")
            self.shown(after)
            self.assertEqual(self.erase(), {"tenant": "acme", "data_keys": 1, "texts": 1})

    def test_a_slow_way_to_the_database(self) -> None:
        """The longer the question for its clock takes, the older texts are taken for."""
        self.destroy()
        at_once, later = self.text(), self.said_later()
        self.ahead = LATER / 2
        self.assertEqual(self.write(at_once, later), 1)
        self.not_shown(at_once, "nothing is kept")
        self.shown(later)

    def test_said_while_the_erasure_waits(self) -> None:
        """What is said while an erasure waits for those who write is said before it."""
        waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        sealer = MasterKey(bytes.fromhex(self.master))
        with ThreadPoolExecutor(1) as pool:
            with self.engine.begin() as connection:
                prompt_queries.write_texts(connection, [self.text()], sealer, self.now)
                destroyed = pool.submit(self.destroy)
                eventually(lambda: self.rows(waits))
                meanwhile = self.text()
            destroyed.result()
        self.assertEqual(self.write(meanwhile), 1)

    def test_twice(self) -> None:
        """To erase again erases what came since."""
        self.erase()
        self.write(self.said_later(), self.said_later())
        self.assertEqual(self.erase(), {"tenant": "acme", "data_keys": 1, "texts": 2})
        self.assertEqual(self.erase(), {"tenant": "acme", "data_keys": 0, "texts": 0})

    def test_in_the_middle_of_a_batch(self) -> None:
        """An erasure waits for those who write, and what they wrote is erased."""
        sealer = MasterKey(bytes.fromhex(self.master))
        waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        with ThreadPoolExecutor(1) as pool:
            with self.engine.begin() as connection:
                prompt_queries.write_texts(connection, [self.text()], sealer, self.now)
                destroyed = pool.submit(self.destroy)
                eventually(lambda: self.rows(waiting))
            self.assertEqual(destroyed.result(), 1)
        self.assertEqual(self.erase()["texts"], 1)

    def destroy(self) -> int:
        """Destroy the tenant's data keys; how many they were."""
        with self.engine.begin() as connection:
            return prompt_queries.destroy_data_keys(connection, self.tenants["acme"])

    def delete(self) -> int:
        """Delete the texts whose keys were destroyed; how many they were."""
        with self.engine.begin() as connection:
            return prompt_queries.delete_texts(connection, self.tenants["acme"], 10)

    def test_asks(self) -> None:
        """Nothing is erased unless it is confirmed; a tenant that is none is named."""
        text = self.text()
        self.write(text)
        result = self.do("erase", "--tenant", "acme")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("--yes", result.stderr)
        self.shown(text)
        self.assertIn("'nobody'", self.do("erase", "--tenant", "nobody", "--yes").stderr)

    def test_without_the_master_key(self) -> None:
        """Who has lost the master key can still erase."""
        self.write(self.text())
        result = self.do("erase", "--tenant", "acme", "--yes", "--json", master="")
        self.assertEqual(json_of(result)["texts"], 1)


class RotationTests(PromptCase):
    def setUp(self) -> None:
        """A text under the old master key, and a new one."""
        super().setUp()
        self.old, self.new = self.master, new_master()
        self.before = self.text()
        self.write(self.before)

    def rotate(self, masters: str) -> Any:
        """Wrap anew; the first of `masters` is the new one."""
        return self.do("rotate-master", "--json", master=masters)

    def test_rotated(self) -> None:
        """With both keys everything opens; behind the rotation the new one alone does."""
        both = f"{self.new},{self.old}"
        self.shown(self.before, master=both)
        self.not_shown(self.before, "another master key", master=self.new)
        expected = {"rewrapped": 1, "wrapped_already": 0, "of_other_keys": 0}
        self.assertEqual(json_of(self.rotate(both)), expected)
        self.shown(self.before, master=self.new)
        self.not_shown(self.before, "another master key", master=self.old)
        expected = {"rewrapped": 0, "wrapped_already": 1, "of_other_keys": 0}
        self.assertEqual(json_of(self.rotate(both)), expected)

    def test_gateways_in_between(self) -> None:
        """Gateways with either key write on, before and behind the rotation."""
        both = f"{self.new},{self.old}"
        early = self.text()
        self.write(early, master=self.new)
        self.assertEqual(json_of(self.rotate(both))["rewrapped"], 1)
        late = self.text()
        self.write(late, master=self.old)
        for text in (self.before, early, late):
            self.shown(text, master=both)
        self.assertEqual(json_of(self.rotate(both))["rewrapped"], 1)
        for text in (self.before, early, late):
            self.shown(text, master=self.new)

    def test_a_key_of_neither(self) -> None:
        """Data keys of a master key that is not given are counted, left alone and told of."""
        result = self.rotate(f"{self.new},{new_master()}")
        self.assertEqual(json_of(result)["of_other_keys"], 1)
        self.assertIn("warning", result.stderr)
        self.shown(self.before, master=self.old)

    def test_a_broken_key(self) -> None:
        """Where one does not open, none is changed."""
        other = self.text("other")
        self.write(other, master=self.old)
        self.rows(
            "UPDATE gateway.prompt_keys SET wrapped = 'x' WHERE tenant_id = %s RETURNING 1",
            self.tenants["other"],
        )
        result = self.rotate(f"{self.new},{self.old}")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("nothing was changed", result.stderr)
        self.shown(self.before, master=self.old)

    def test_keys_of_a_setting(self) -> None:
        """What the commands and the service read of the variable is the same."""
        first, second = master_keys_in(f"{self.new} {self.old}")
        self.assertEqual(first, MasterKey(bytes.fromhex(self.new)))
        self.assertEqual(second, MasterKey(bytes.fromhex(self.old)))


class OptionTests(PromptCase):
    def key(self, *words: str, **environ: str) -> Any:
        """What `create-key` or `set-key` did."""
        return command(*words, DATABASE_URL=self.urls.url, **CHEAP_ARGON2, **environ)

    def logged(self) -> dict[str, bool]:
        """Which keys have a prompt log."""
        statement = "SELECT name, prompt_logging FROM gateway.api_keys"
        return {str(name): bool(logged) for name, logged in self.rows(statement)}

    def test_refused_without_the_master_key(self) -> None:
        """One plain line, and no key is made or changed."""
        make = ("create-key", "--tenant", "acme", "--name", "ci")
        refused = self.key(*make, "--log-prompts")
        self.assertEqual((refused.exit_code, refused.stdout), (1, ""))
        self.assertIn("PROMPT_LOG_MASTER_KEY is not set", refused.stderr)
        self.assertEqual(self.logged(), {})
        self.assertFalse(json_of(self.key(*make, "--json"))["log_prompts"])
        refused = self.key("set-key", "--prefix", "acme/ci", "--log-prompts")
        self.assertIn("PROMPT_LOG_MASTER_KEY is not set", refused.stderr)
        self.assertEqual(self.logged(), {"ci": False})

    def test_turned_on_and_off(self) -> None:
        """A key is made with a prompt log, loses it and gets it back."""
        master = {"PROMPT_LOG_MASTER_KEY": self.master}
        make = ("create-key", "--tenant", "acme", "--name", "ci", "--log-prompts", "--json")
        self.assertTrue(json_of(self.key(*make, **master))["log_prompts"])
        self.assertEqual(self.logged(), {"ci": True})
        off = self.key("set-key", "--prefix", "acme/ci", "--no-log-prompts", "--json")
        self.assertFalse(json_of(off)["log_prompts"])
        self.assertEqual(self.logged(), {"ci": False})
        self.key("set-key", "--prefix", "acme/ci", "--log-prompts", **master)
        self.assertEqual(self.logged(), {"ci": True})

    def test_nothing_to_set(self) -> None:
        """`set-key` says what it can set."""
        result = self.key("set-key", "--prefix", "acme/ci")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("--log-prompts", result.stderr)


class GatewayTests(SynchronousTestCase):
    """The whole gateway: what goes through it, and what is left of that anywhere."""

    def setUp(self) -> None:
        """A gateway with a master key, and a key with a prompt log."""
        self.master = new_master()
        self.stack = own_stack(self, PROMPT_LOG_MASTER_KEY=self.master)
        self.key = self.stack.new_key()
        self.stack.command("set-key", "--prefix", self.key[:12], "--log-prompts", "--json")

    def said(self, request_id: str) -> Any:
        """What is kept of a call."""
        return orjson.loads(self.stack.command("prompts", "show", request_id, "--json"))["text"]

    def kept(self, count: int) -> None:
        """Wait until so many texts are kept."""
        statement = "SELECT FROM gateway.prompt_log"
        eventually(lambda: len(self.stack.administer(statement)) == count)

    def test_canary(self) -> None:
        """Prompt and answer are kept for this key alone, and stand nowhere in clear."""
        word, foreign = marker(), marker()
        bodies = {
            "/api/chat": chat(word),
            "/api/generate": {"model": "llama3.2", "prompt": word, "stream": False},
            "/v1/chat/completions": {**chat(word), "stream": True},
        }
        ids = []
        for path, body in bodies.items():
            answer = ask(self.stack.port, "POST", path, body, key=self.key)
            self.assertEqual(answer.status, 200)
            ids.append(answer.headers["x-request-id"])
        other = self.stack.new_key()
        self.assertEqual(
            ask(self.stack.port, "POST", "/api/chat", chat(foreign), key=other).status, 200
        )
        self.kept(3)
        for request_id in ids:
            said = self.said(request_id)
            self.assertIn(word, said["request"])
            self.assertIn(word, said["answer"]["content"])
        running = self.files()
        self.assertTrue(any(b"NZSPOOL" in content for content in running.values()))
        tables = {"tables": str(self.tables()).encode()}
        self.stack.gateway.terminate()
        secrets = {"prompt": word, "foreign": foreign, "master": self.master, "key": self.key[12:]}
        for kept in (running, tables, self.files()):
            self.assertEqual(list(places(kept, secrets)), [])

    def files(self) -> dict[str, bytes]:
        """All that gateway and stores have written so far, the database's own files included."""
        every = [path for path in self.stack.home.rglob("*") if path.name != "mock.log"]
        return {str(path.relative_to(self.stack.home)): read(path) for path in every}

    def tables(self) -> list[object]:
        """Every row of ours, with what is binary as hex and as it is."""
        rows: list[object] = []
        for (table,) in self.stack.administer(TABLES):
            rows += self.stack.administer(f"SELECT t.*, t::text FROM gateway.{table} t")
        return rows

    def test_a_client_that_goes(self) -> None:
        """What it had been told until then is kept, and the record says that it was."""
        body = chat(f"{marker()} [[n=99 delay=20ms]]")
        with Caller(
            self.stack.port, request_bytes("POST", "/api/chat", body, key=self.key)
        ) as caller:
            caller.read_until(b"said:")
        self.kept(1)
        ((request_id, record),) = self.recorded()
        self.assertTrue(self.said(str(request_id))["answer"]["content"])
        self.assertEqual(orjson.loads(bytes(record))["prompt_log"], "kept")

    def recorded(self) -> list[tuple[Any, ...]]:
        """The records of calls, once there is one."""
        statement = "SELECT id, record FROM gateway.audit_log WHERE outcome = 'client_abort'"
        eventually(lambda: self.stack.administer(statement))
        return self.stack.administer(statement)
