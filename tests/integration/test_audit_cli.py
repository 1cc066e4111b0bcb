"""The commands of group `audit` on a real PostgreSQL."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.dead_letters import DEAD_LETTERS, DeadLetters, Letter
from neuronetz_twisted.audit.signers import open_signer
from neuronetz_twisted.stores import audit_rows
from tests.audit_trail import LONG_AGO, OTHER, WRITER, Trail
from tests.tenants import KEY, ROWS, TENANT


class AuditCase(SynchronousTestCase):
    def setUp(self) -> None:
        """Three records of a tenant's, old and new, and one of nobody's."""
        self.trail = Trail(self)
        self.trail.owner.execute(ROWS)
        owner: dict[str, Any] = {"tenant": TENANT, "key": KEY, "prefix": "nz_aaaaaaaaa"}
        self.trail.write(self.trail.finals(1, ago=LONG_AGO, **owner))
        self.trail.write(
            self.trail.finals(2, **owner, ago=timedelta(hours=2), user_agent="=cmd|' /C calc'!A0")
        )
        self.trail.write(self.trail.finals(1, OTHER, outcome="refused:invalid_api_key", charged=0))

    def fault(self, *arguments: str, **environ: str) -> str:
        """The one line of a command that could not do it."""
        result = self.trail.audit(*arguments, **environ)
        self.assertEqual((result.exit_code, result.stdout), (1, ""), result.output)
        self.assertEqual(result.stderr.count("\n"), 1)
        return result.stderr

    def id_of(self, seq: int, writer: UUID = WRITER) -> str:
        """The id of a record."""
        return str(UUID(int=writer.int << 32 | seq))


class ReadingTests(AuditCase):
    def test_tail(self) -> None:
        """The last records, the newest one last, with names for people."""
        told = self.trail.json("tail", "-n", "3")
        self.assertEqual(
            [each["id"] for each in told], [self.id_of(2), self.id_of(3), self.id_of(1, OTHER)]
        )
        self.assertEqual([each["tenant"] for each in told], ["acme", "acme", None])
        self.assertEqual(len(self.trail.json("tail")), 4)
        result = self.trail.audit("tail")
        self.assertRegex(
            result.stdout, rf"{self.id_of(1, OTHER)} .* refused:invalid_api_key +0 +10"
        )

    def test_show(self) -> None:
        """One record with all that is known of it, whatever its id tells."""
        told = self.trail.json("show", self.id_of(2))
        self.assertEqual((told["tenant"], told["tenant_id"], told["charged"]), ("acme", TENANT, 30))
        self.assertEqual(told["chain_hash"], self.trail.chains[WRITER][1].chain_hash.hex())
        self.assertNotIn("record", told)
        self.assertIn("user agent", self.trail.audit("show", self.id_of(2)).stdout)

    def test_show_by_an_id_with_a_time(self) -> None:
        """An id of ours is found by its time, and also where that misleads."""
        now = datetime.now(UTC)
        for ago in (timedelta(), timedelta(days=40)):
            with self.subTest(ago=ago):
                milliseconds = int((now - ago).timestamp() * 1000)
                request_id = str(UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | 5))
                self.trail.write(self.trail.finals(1, id=request_id))
                self.assertEqual(self.trail.json("show", request_id)["id"], request_id)

    def test_show_nothing(self) -> None:
        """An id without a record is told, and one that is none is a usage error."""
        self.assertIn("no record of a request", self.fault("show", str(UUID(int=9))))
        self.assertEqual(self.trail.audit("show", "x").exit_code, 2)


class ExportTests(AuditCase):
    def exported(self, *arguments: str) -> list[dict[str, str]]:
        """The rows of a CSV export."""
        result = self.trail.audit("export", "--format", "csv", *arguments)
        self.assertEqual(result.exit_code, 0, result.output)
        return list(csv.DictReader(io.StringIO(result.stdout)))

    def test_csv(self) -> None:
        """All columns, and no cell that a spreadsheet would compute."""
        rows = self.exported()
        self.assertEqual(rows[0]["id"], self.id_of(1))
        self.assertEqual([row["charged"] for row in rows], ["30", "30", "30", "0"])
        self.assertEqual(rows[1]["user_agent"], "'=cmd|' /C calc'!A0")
        self.assertEqual((rows[3]["tenant"], rows[3]["estimated"]), ("", "False"))
        self.assertRegex(rows[0]["started_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_jsonl(self) -> None:
        """The same as a line of JSON for each record."""
        result = self.trail.audit("export", "--format", "jsonl")
        records = [orjson.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual([each["charged"] for each in records], [30, 30, 30, 0])
        self.assertEqual(list(records[0]), list(self.exported()[0]))

    def test_part(self) -> None:
        """Only what arrived within the bounds, or for one tenant."""
        day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
        self.assertEqual(len(self.exported("--since", day)), 3)
        self.assertEqual(len(self.exported("--since", "1d")), 3)
        self.assertEqual(len(self.exported("--since", "1d", "--until", "1h")), 2)
        self.assertEqual(len(self.exported("--until", "10d")), 1)
        self.assertEqual(len(self.exported("--tenant", "acme")), 3)

    def test_wrong_bounds(self) -> None:
        """A bound that is no time is a usage error, a tenant that is not there a fault."""
        for text in ("yesterday", " ", "0001-01-01T00:00:00+14:00"):
            result = self.trail.audit("export", "--format", "csv", "--since", text)
            self.assertEqual(result.exit_code, 2, text)
        self.assertIn("no tenant 'x'", self.fault("export", "--format", "csv", "--tenant", "x"))


class VerifyTests(AuditCase):
    def test_named_signer(self) -> None:
        """Away from the gateway a signer is named, by its public key or by the secret one."""
        home = {"GATEWAY_STATE_DIR": str(self.trail.state_dir / "none")}
        self.assertIn("nothing can be verified", self.fault("verify", **home))
        made = self.trail.signer.sign(kind="closed", writer=WRITER, seq=1, chain_hash=b"")
        result = self.trail.audit("verify", "--signer", made.signer.hex(), **home)
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("a tail cut with its checkpoints is not seen", result.stderr)
        key = (self.trail.state_dir / "audit-signing.key").read_text()
        result = self.trail.audit("verify", **home, AUDIT_SIGNING_KEY=key)
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertNotIn(key.strip(), result.output)

    def test_wrong_signer(self) -> None:
        """What is no public key is a usage error."""
        for text in ("x", "00"):
            self.assertEqual(self.trail.audit("verify", "--signer", text).exit_code, 2)

    def test_damaged_signers(self) -> None:
        """A damaged file of signers is a fault, and not taken for an empty one."""
        (self.trail.state_dir / "audit-signers.jsonl").write_text("x\n")
        self.assertIn("is damaged", self.fault("verify"))

    def test_replica_with_a_key_of_its_own(self) -> None:
        """Its statements are one finding, with the key to name, and its records none."""
        self.trail.write(self.trail.finals(2), "checkpoint")
        home = self.trail.state_dir / "other"
        home.mkdir()
        signer = open_signer(None, state_dir=home, checkpoints=None, now=lambda: 1.0)
        for path in ("audit-signers.jsonl", "audit-checkpoints.jsonl"):
            (self.trail.state_dir / path).write_bytes((home / path).read_bytes())
        result = self.trail.audit("verify")
        self.assertEqual(result.exit_code, 1, result.output)
        self.assertEqual(result.stdout.count("\n"), 1, result.stdout)
        key = self.trail.signer.sign(kind="closed", writer=WRITER, seq=1, chain_hash=b"").signer
        self.assertIn(f"signed by {key.hex()}", result.stdout)
        self.assertIn("records were not compared", result.stderr)
        result = self.trail.audit("verify", "--signer", key.hex())
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertNotEqual(
            signer.sign(kind="closed", writer=WRITER, seq=1, chain_hash=b"").signer, key
        )

    def test_file_of_somebody_else(self) -> None:
        """A checkpoint file that cannot be read is a fault, and not taken for a missing one."""
        path = self.trail.state_dir / "audit-checkpoints.jsonl"
        path.unlink()
        path.mkdir()
        self.assertIn(f"cannot read {path}", self.fault("verify"))
        loop = self.trail.state_dir / "loop"
        loop.symlink_to(loop)
        environ = {"AUDIT_CHECKPOINT_FILE": str(loop)}
        self.assertIn(f"cannot read {loop}", self.fault("verify", **environ))


class ReplayTests(AuditCase):
    def setUp(self) -> None:
        """Three letters: one that can be put back, one that cannot, one without a tombstone."""
        super().setUp()
        self.finals = [
            *self.trail.finals(1, WRITER),
            *self.trail.finals(1, WRITER, status=1 << 40),
        ]
        self.trail.transact(lambda connection: audit_rows.write_tombstones(connection, self.finals))
        gone = self.trail.finals(1, OTHER)
        letters = DeadLetters(self.trail.state_dir / DEAD_LETTERS)
        letters.keep([Letter(final=each, reason="DataError") for each in self.finals])
        letters.keep([Letter(final=each, reason="DataError") for each in gone])

    def test_replay(self) -> None:
        """Each letter is tried, and what still cannot be is told by the exit status."""
        result = self.trail.audit("replay", "--json")
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(
            orjson.loads(result.stdout), {"replaced": 1, "refused": 1, "not_waiting": 1}
        )
        self.assertEqual(self.trail.json("show", self.id_of(4))["outcome"], "ok")
        self.assertEqual(self.trail.json("show", self.id_of(5))["outcome"], "dead_letter")
        self.assertEqual(self.trail.found(), [])

    def test_nothing_to_do(self) -> None:
        """Without letters there is nothing to do."""
        for path in (self.trail.state_dir / DEAD_LETTERS).iterdir():
            path.unlink()
        self.assertEqual(self.trail.json("replay"), {"replaced": 0, "refused": 0, "not_waiting": 0})

    def test_no_record_at_all(self) -> None:
        """Bytes that are no record are refused."""
        final = self.finals[0].__class__(WRITER, 99, b"", b"[]")
        DeadLetters(self.trail.state_dir / DEAD_LETTERS).keep([Letter(final=final, reason="x")])
        result = self.trail.audit("replay", "--json")
        self.assertEqual(orjson.loads(result.stdout)["refused"], 2)

    def test_letters_of_somebody_else(self) -> None:
        """Letters that cannot be read are a fault, and not taken for none."""
        directory = self.trail.state_dir / DEAD_LETTERS
        directory.rename(directory.with_name("kept"))
        directory.touch()
        self.assertIn(f"cannot read {directory}", self.fault("replay"))

    def test_refused_as_the_flusher_is(self) -> None:
        """What the flusher takes for a refusal of the record's values, replay does too."""
        self.trail.owner.execute(
            "CREATE OR REPLACE FUNCTION gateway.replace_tombstone("
            "at timestamptz, row_id uuid, fields jsonb) RETURNS boolean LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'too large'; END $$"
        )
        result = self.trail.audit("replay", "--json")
        self.assertEqual(orjson.loads(result.stdout)["refused"], 3, result.output)

    def test_database_away(self) -> None:
        """What is no refusal of a value is a fault."""
        self.trail.owner.execute(
            "DROP FUNCTION gateway.replace_tombstone(timestamptz, uuid, jsonb)"
        )
        self.assertIn("refuses", self.fault("replay"))
