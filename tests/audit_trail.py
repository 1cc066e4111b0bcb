"""A database with a record, and the state directory of the gateway that signed it, for tests."""

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar
from uuid import UUID

import orjson
from click.testing import Result
from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.chain import link, start
from neuronetz_twisted.audit.record import Final
from neuronetz_twisted.audit.retention import Step, Trimmer
from neuronetz_twisted.audit.signers import SIGNERS_FILE, SignerFile, open_signer
from neuronetz_twisted.audit.signing import Kind
from neuronetz_twisted.stores import audit_rows, partitions
from neuronetz_twisted.stores.engine import service_engine
from tests.command_line import command, json_of
from tests.servers import admin_connection, new_database

T = TypeVar("T")

WRITER = UUID(int=0xA1)
OTHER = UUID(int=0xB2)
KEEP_DAYS = 30
LONG_AGO = timedelta(days=75)


def record_bytes(request_id: UUID, at: datetime, /, **fields: Any) -> bytes:
    """The bytes of one record."""
    event = {
        "id": str(request_id),
        "at": round(at.timestamp() * 1_000_000),
        "day": at.date().isoformat(),
        "client_id": "mine",
        "route": "/api/chat",
        "address": "192.0.2.1",
        "user_agent": "curl",
        "tenant": None,
        "key": None,
        "prefix": None,
        "dialect": "native",
        "model": "m:1b",
        "backend": "default",
        "status": 200,
        "outcome": "ok",
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "estimated": False,
        "charged": 30,
        "count": 1,
        "bytes_sent": 100,
        "first_byte_ms": 1.5,
        "duration_ms": 9.5,
    }
    return orjson.dumps(event | fields)


class Trail:
    """Writes records as a gateway does, as role gateway_app."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.urls = new_database(case)
        self.owner = admin_connection(case, self.urls.admin_url)
        self.engine = service_engine(self.urls.url, application_name="test")
        case.addCleanup(self.engine.dispose)
        self.state_dir = Path(tempfile.mkdtemp())
        case.addCleanup(rmtree, self.state_dir)
        self.signer = open_signer(None, state_dir=self.state_dir, checkpoints=None, now=time.time)
        self.chains: dict[UUID, list[Final]] = {}

    def transact(self, fn: Callable[[Connection], T]) -> T:
        """Call `fn` in a transaction of the service's."""
        with self.engine.begin() as connection:
            return fn(connection)

    def finals(
        self, count: int, writer: UUID = WRITER, ago: timedelta = timedelta(), **fields: Any
    ) -> list[Final]:
        """The next records of a writer, begun so long ago."""
        chain = self.chains.setdefault(writer, [])
        at = datetime.now(UTC) - ago
        for seq in range(len(chain) + 1, len(chain) + count + 1):
            data = record_bytes(UUID(int=writer.int << 32 | seq), at, **fields)
            previous = chain[-1].chain_hash if chain else start(writer)
            chain.append(Final(writer, seq, link(previous, data), data))
        return chain[-count:]

    def write(self, finals: Sequence[Final], kind: Kind | None = "checkpoint") -> None:
        """One batch, with what is signed behind it."""
        last = finals[-1]
        signed = None
        if kind is not None:
            signed = self.signer.sign(
                kind=kind, writer=last.writer, seq=last.seq, chain_hash=last.chain_hash
            )

        def batch(connection: Connection) -> None:
            audit_rows.write(connection, finals)
            if signed is not None:
                audit_rows.write_checkpoint(connection, signed)

        self.transact(batch)
        if signed is not None:
            self.signer.publish(signed)

    def retain(self) -> Step:
        """One step of retention, long after all that was signed."""
        self.owner.execute(
            "UPDATE gateway.audit_checkpoints SET created_at = now() - make_interval(days => %s)",
            (KEEP_DAYS + 1,),
        )
        trimmer = Trimmer(
            months=partitions,
            signer=self.signer,
            write_checkpoint=audit_rows.write_checkpoint,
            trusted=SignerFile(self.state_dir / SIGNERS_FILE).trusted,
            now=time.time,
            keep_days=KEEP_DAYS,
        )
        step = self.transact(trimmer.step)
        for each in step.signed:
            self.signer.publish(each)
        return step

    def audit(self, *arguments: str, **environ: str) -> Result:
        """What a command of the group `audit` did."""
        variables = {"DATABASE_URL": self.urls.url, "GATEWAY_STATE_DIR": str(self.state_dir)}
        return command("audit", *arguments, **(variables | environ))

    def json(self, *arguments: str) -> Any:
        """The JSON that such a command printed, having succeeded."""
        return json_of(self.audit(*arguments, "--json"))

    def found(self) -> list[tuple[str, int | None]]:
        """What the verification finds, and at which records."""
        result = self.audit("verify", "--json")
        told = orjson.loads(result.stdout)
        if (result.exit_code, told["ok"]) != ((1, False) if told["findings"] else (0, True)):
            raise AssertionError(result.output)
        return [(each["what"], each["record"]) for each in told["findings"]]
