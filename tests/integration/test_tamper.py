"""What the database's owner does to the record behind the gateway's back, and how it is called."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg import sql
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.chain import link
from neuronetz_twisted.audit.dead_letters import DEAD_LETTERS, DeadLetters, Letter
from neuronetz_twisted.audit.record import Final, row_of
from neuronetz_twisted.audit.retention import Step
from neuronetz_twisted.stores import audit_rows
from tests.audit_trail import LONG_AGO, OTHER, WRITER, Trail, record_bytes
from tests.tenants import KEY, TENANT

MINE = f"writer = '{WRITER}'"


class TamperCase(SynchronousTestCase):
    """Forty records of a writer, of which ten are old and five not signed; five of a closed one."""

    def setUp(self) -> None:
        """Write them."""
        self.trail = Trail(self)
        self.trail.write(self.trail.finals(10, ago=LONG_AGO))
        self.trail.write(self.trail.finals(15))
        self.trail.write(self.trail.finals(10))
        self.trail.write(self.trail.finals(5), None)
        self.trail.write(self.trail.finals(5, OTHER), "closed")

    def alter(self, statement: str) -> None:
        """As the owner, who can do everything."""
        self.trail.owner.execute(statement)


class LawfulTests(TamperCase):
    def test_untouched(self) -> None:
        """All is well, and what was read is told."""
        told = self.trail.json("verify")
        self.assertEqual(
            told,
            {
                "ok": True,
                "checkpoints": 4,
                "records": 45,
                "writers": 2,
                "unsigned": 5,
                "foreign": 0,
                "dead_letters": 0,
                "findings": [],
            },
        )
        result = self.trail.audit("verify")
        self.assertEqual(result.exit_code, 0)
        self.assertEqual(result.stdout, "all well: 45 records of 2 writers, 4 checkpoints\n")
        self.assertEqual(result.stderr, "note: 5 records are newer than the last checkpoint\n")

    def test_retention(self) -> None:
        """A month that was dropped when it was old is no finding."""
        step = self.trail.retain()
        self.assertEqual([(each.kind, each.seq) for each in step.signed], [("trim", 10)])
        self.assertIsNone(self.trail.retain().dropped)
        count = self.trail.owner.execute("SELECT count(*) FROM gateway.audit_log").fetchone()
        self.assertEqual(count, (35,))
        self.assertEqual(self.trail.found(), [])

    def test_death_between_commit_and_file(self) -> None:
        """A statement that only the database has is no finding."""
        file = self.trail.state_dir / "audit-checkpoints.jsonl"
        *kept, _, _ = file.read_bytes().split(b"\n")
        file.write_bytes(b"\n".join([*kept, b""]))
        self.assertEqual(self.trail.found(), [])

    def test_dead_letter(self) -> None:
        """A dead letter is told, and is no finding, before and after it was put back."""
        finals = self.trail.finals(1)
        letters = DeadLetters(self.trail.state_dir / DEAD_LETTERS)
        letters.keep([Letter(final=finals[0], reason="DataError")])
        self.trail.transact(lambda connection: audit_rows.write_tombstones(connection, finals))
        self.assertEqual(self.trail.json("verify")["dead_letters"], 1)
        self.assertIn("1 records are dead letters", self.trail.audit("verify").stderr)
        self.trail.transact(lambda connection: audit_rows.replace_tombstone(connection, finals[0]))
        self.assertEqual(self.trail.json("verify")["dead_letters"], 0)

    def test_ledger(self) -> None:
        """What records cost is what the ledger has, also when old months are gone."""
        for ago in (timedelta(), timedelta(days=1), LONG_AGO):
            self.trail.write(self.trail.finals(3, ago=ago, tenant=TENANT, key=KEY))
        self.assertEqual(self.trail.found(), [])
        while self.trail.retain().dropped:
            pass
        self.assertEqual(self.trail.found(), [])


class TamperTests(TamperCase):
    def test_young_row_with_an_old_date(self) -> None:
        """Retention signs nothing away for its date, drops nothing, and it is found."""
        self.alter(
            f"UPDATE gateway.audit_log SET started_at = '2020-01-01Z' WHERE {MINE} AND seq = 20"
        )
        count = self.count()
        step = self.trail.retain()
        self.assertEqual([each.seq for each in step.signed], [10])
        (kept,) = step.kept
        self.assertIn("audit_log_2020_01 stays: record 20 of writer", kept)
        self.assertEqual(self.count(), count - 10)
        self.assertEqual(self.trail.found(), [("changed", 20)])

    def test_old_placeholders_for_young_rows(self) -> None:
        """Old records under the numbers and links of young ones are not signed away."""
        self.alter(f"DELETE FROM gateway.audit_log WHERE {MINE} AND seq IN (20, 24, 25)")
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        for seq in (20, 24, 25):
            data = record_bytes(UUID(int=seq), long_ago)
            self._insert(row_of(Final(WRITER, seq, self.hash_of(seq), data)))
        for _ in range(2):
            step = self.trail.retain()
            (kept,) = step.kept
            self.assertRegex(kept, "audit_log_2020_01 stays: record 2[05] of .* does not follow")
        self.assertEqual({seq for _, seq in self.trail.found()}, {20, 24, 25})

    def test_records_to_come(self) -> None:
        """Nothing is signed away behind what was signed, so no record to come can be erased."""
        data = record_bytes(UUID(int=41), datetime(2020, 1, 1, tzinfo=UTC))
        self._insert(row_of(Final(WRITER, 41, link(self.hash_of(40), data), data)))
        signed = [(each.seq, step.dropped) for step in self.steps() for each in step.signed]
        self.assertEqual([seq for seq, _ in signed], [10])
        self.trail.write(self.trail.finals(5))
        self.alter(f"DELETE FROM gateway.audit_log WHERE {MINE} AND seq > 40")
        self.assertEqual(self.trail.found(), [("removed", 41)])

    def test_emptied_row(self) -> None:
        """A row that somebody made a tombstone, though nothing refused its record, is named."""
        fields = (
            *("client_id", "key_prefix", "dialect", "model", "backend", "address", "status"),
            *("first_byte_ms", "duration_ms", "user_agent"),
        )
        emptied = ", ".join(f"{name} = NULL" for name in fields)
        self.alter(
            f"UPDATE gateway.audit_log SET {emptied}, route = '', outcome = 'dead_letter'"
            f" WHERE {MINE} AND seq = 20"
        )
        self.assertEqual(self.trail.found(), [("changed", 20)])

    def test_ledger(self) -> None:
        """A line of the ledger that was changed, added or taken away is named."""
        self.trail.write(self.trail.finals(3, tenant=TENANT, key=KEY))
        for change, count in (
            ("UPDATE gateway.budget_usage SET tokens = 1 WHERE period = 'day'", 2),
            ("UPDATE gateway.budget_usage SET tokens = 1 WHERE period = 'total'", 2),
            ("DELETE FROM gateway.budget_usage WHERE scope_kind = 'key'", 3),
            (f"INSERT INTO gateway.budget_usage VALUES ('key', '{KEY}', 'day', '2020-1-1', 5)", 1),
        ):
            with self.subTest(change=change):
                self.alter("CREATE TEMP TABLE ledger AS SELECT * FROM gateway.budget_usage")
                self.alter(change)
                self.assertEqual(self.trail.found(), [("changed", None)] * count)
                self.alter(
                    "DELETE FROM gateway.budget_usage;"
                    "INSERT INTO gateway.budget_usage SELECT * FROM ledger; DROP TABLE ledger"
                )
        self.assertEqual(self.trail.found(), [])

    def test_ledger_all_wrong(self) -> None:
        """Of a ledger that is all wrong the first lines are told, and how many more there are."""
        self.alter(
            "INSERT INTO gateway.budget_usage SELECT 'key', gen_random_uuid(), 'total',"
            " '1970-01-01', 5 FROM generate_series(1, 30)"
        )
        result = self.trail.audit("verify")
        self.assertIn("the ledger has 10 such lines more", result.stdout)
        self.assertRegex(result.stdout, "has 5 tokens of key .* in all, and its records 0")

    def test_every_column(self) -> None:
        """A change of any column of a row is named at that row."""
        texts = ("client_id", "key_prefix", "route", "dialect", "model", "backend", "address")
        numbers = ("prompt_tokens", "completion_tokens", "bytes_sent", "charged", "count")
        changes = {
            **dict.fromkeys((*texts, "outcome", "user_agent"), "'other'"),
            **dict.fromkeys(numbers, "4711"),
            **dict.fromkeys(("status", "first_byte_ms", "duration_ms"), "NULL"),
            **dict.fromkeys(("id", "tenant_id", "key_id"), "gen_random_uuid()"),
            "started_at": "started_at + interval '1 us'",
            "estimated": "true",
            "record": r"'\x00'",
            "chain_hash": r"'\x00'",
        }
        self.assertEqual({*changes, "writer", "seq"}, set(row_of(self.trail.chains[WRITER][0])))
        for column, value in changes.items():
            with self.subTest(column=column):
                self.alter("BEGIN")
                self.alter("CREATE TEMP TABLE kept AS SELECT * FROM gateway.audit_log")
                self.alter("COMMIT")
                self.alter(
                    f"UPDATE gateway.audit_log SET {column} = {value} WHERE {MINE} AND seq = 20"
                )
                self.assertEqual(self.trail.found(), [("changed", 20)])
                self.alter(
                    "DELETE FROM gateway.audit_log; "
                    "INSERT INTO gateway.audit_log SELECT * FROM kept; DROP TABLE kept"
                )
        self.assertEqual(self.trail.found(), [])

    def test_record_with_all_hashes_made_anew(self) -> None:
        """Who can compute hashes cannot sign them."""
        chain = self.trail.chains[WRITER]
        previous = chain[18].chain_hash
        for each in chain[19:]:
            data = each.record.replace(b'"charged":30', b'"charged":0')
            previous = link(previous, data)
            self.trail.owner.execute(
                "UPDATE gateway.audit_log SET record = %s, chain_hash = %s, charged = 0"
                f" WHERE {MINE} AND seq = %s",
                (data, previous, each.seq),
            )
        self.assertEqual(self.trail.found(), [("changed", 11)])

    def test_delete(self) -> None:
        """Rows that are missing in the middle and at the tail are named."""
        self.alter(f"DELETE FROM gateway.audit_log WHERE {MINE} AND (seq = 20 OR seq > 33)")
        self.assertEqual(self.trail.found(), [("removed", 20), ("removed", 34)])

    def test_insert(self) -> None:
        """A forged row of a writer there is, under his last number or another one, is named."""
        chain = self.trail.chains[OTHER]
        forged = Final(
            OTHER, 6, link(chain[-1].chain_hash, b"{}"), chain[-1].record.replace(b"ok", b"no")
        )
        self._insert(row_of(forged) | {"id": WRITER})
        self.assertEqual(self.trail.found(), [("inserted", 6), ("changed", 6)])

    def test_insert_with_a_taken_number(self) -> None:
        """A second row of a number is named."""
        row = row_of(self.trail.chains[OTHER][2])
        self._insert(row | {"id": WRITER, "charged": 0})
        self.assertEqual(self.trail.found(), [("inserted", 3)])

    def test_insert_with_a_new_writer(self) -> None:
        """A chain of its own, with all its hashes, was signed by nobody."""
        for each in self.trail.finals(3, UUID(int=5)):
            self._insert(row_of(each))
        result = self.trail.audit("verify")
        self.assertEqual(result.exit_code, 1)
        self.assertRegex(
            result.stdout, r"^inserted: record 1 of writer [-0-9a-f]{36} \(id .*\): .* 3 here\n$"
        )

    def test_reorder(self) -> None:
        """Rows that have changed places are named from the first on."""
        self.alter(f"UPDATE gateway.audit_log SET seq = 51 - seq WHERE {MINE} AND seq IN (24, 27)")
        self.assertEqual(self.trail.found(), [("reordered", 24)])

    def test_truncate(self) -> None:
        """Of an emptied table every chain is named."""
        self.alter("TRUNCATE gateway.audit_log")
        self.assertEqual(self.trail.found(), [("removed", 1), ("removed", 1)])

    def test_drop_of_a_month(self) -> None:
        """A month that nobody has signed away is missing."""
        names = self.trail.owner.execute(
            "SELECT gateway.ensure_audit_partitions(0);"
            "SELECT DISTINCT tableoid::regclass::text FROM gateway.audit_log WHERE seq = 1"
            f" AND {MINE}"
        )
        names.nextset()
        (name,) = names.fetchone() or ("",)
        self.trail.owner.execute(sql.SQL("DROP TABLE {}").format(sql.SQL(name)))
        self.assertEqual(self.trail.found(), [("removed", 1)])

    def test_checkpoints_removed(self) -> None:
        """What the file has and the table does not was taken away, and still counts."""
        self.alter(f"DELETE FROM gateway.audit_checkpoints WHERE {MINE} AND seq > 25")
        self.alter(f"DELETE FROM gateway.audit_log WHERE {MINE} AND seq > 25")
        self.assertEqual(self.trail.found(), [("checkpoint", 35), ("removed", 26)])

    def test_checkpoint_forged(self) -> None:
        """A statement of which a byte was changed counts no more."""
        self.alter(f"UPDATE gateway.audit_checkpoints SET seq = 36 WHERE {MINE} AND seq = 35")
        self.assertEqual([what for what, _ in self.trail.found()], ["checkpoint", "checkpoint"])

    def test_trim_removed(self) -> None:
        """Who takes the word of retention away makes it look like a deletion."""
        self.trail.retain()
        self.alter("DELETE FROM gateway.audit_checkpoints WHERE kind = 'trim'")
        self.assertEqual(self.trail.found(), [("checkpoint", 10)])
        (self.trail.state_dir / "audit-checkpoints.jsonl").unlink()
        self.assertEqual(self.trail.found(), [("checkpoint", None), ("removed", 1)])

    def count(self) -> int:
        """How many rows there are."""
        row = self.trail.owner.execute("SELECT count(*) FROM gateway.audit_log").fetchone()
        return 0 if row is None else int(row[0])

    def hash_of(self, seq: int) -> bytes:
        """The link of one of the first writer's records."""
        return self.trail.chains[WRITER][seq - 1].chain_hash

    def steps(self) -> Iterator[Step]:
        """Retention, until nothing is left to drop."""
        while (step := self.trail.retain()).dropped:
            yield step

    def _insert(self, row: dict[str, object]) -> None:
        statement = sql.SQL("INSERT INTO gateway.audit_log ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )
        self.trail.owner.execute(statement, list(row.values()))
