"""What the verification names, and what it leaves in peace."""

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.anchors import Anchors
from neuronetz_twisted.audit.chain import start
from neuronetz_twisted.audit.findings import MOST_FINDINGS, Finding
from neuronetz_twisted.audit.tombstones import tombstone_of
from neuronetz_twisted.audit.verify import Tally, verify
from tests.unit.audit.chains import (
    COLUMNS,
    KEY,
    STRANGER,
    WRITER,
    Row,
    anchored,
    chain_of,
    final_of,
    record,
    renumbered,
    row,
    rows,
    signed,
    verified,
)

OTHER = UUID(int=2)


def places(findings: list[Finding]) -> list[tuple[str, int | None]]:
    """What was found, and at which record."""
    return [(finding.what, finding.seq) for finding in findings]


class LawfulTests(SynchronousTestCase):
    def test_untouched(self) -> None:
        """Whole chains of several writers are all well, and are counted."""
        mine, other = chain_of(5), chain_of(3, OTHER)
        tally = Tally()
        found = verified(
            rows(mine) + rows(other),
            signed(mine[1]),
            signed(mine[-1], "closed"),
            signed(other[2]),
            tally=tally,
        )
        self.assertEqual(found, [])
        self.assertEqual(tally, Tally(records=8, writers=2, unsigned=0, dead_letters=0))

    def test_records_behind_the_last_checkpoint(self) -> None:
        """Rows that are newer than what is signed are well, and told as such."""
        finals, tally = chain_of(5), Tally()
        self.assertEqual(verified(rows(finals), signed(finals[2]), tally=tally), [])
        self.assertEqual(tally.unsigned, 2)

    def test_not_flushed_yet(self) -> None:
        """What is still in the spool is not missing: nothing is signed of it."""
        finals = chain_of(5)
        self.assertEqual(verified(rows(finals[:3]), signed(finals[2])), [])

    def test_writer_without_rows(self) -> None:
        """A writer who has signed his empty chain has written nothing."""
        none = chain_of(1)[0]._replace(seq=0, chain_hash=start(WRITER))
        self.assertEqual(verified([], signed(none)), [])

    def test_nothing_at_all(self) -> None:
        """An empty table for which nothing was signed is well."""
        self.assertEqual(verified([]), [])

    def test_dropped_months(self) -> None:
        """What retention has signed away is not missing, at the start of a chain and inside."""
        finals = chain_of(9)
        trims = (
            signed(finals[2], "trim", first=1),
            signed(finals[5], "trim", first=5),
        )
        kept = rows([finals[3], *finals[6:]])
        self.assertEqual(verified(kept, *trims, signed(finals[-1])), [])

    def test_dropped_to_the_last(self) -> None:
        """Nothing is left of a chain that retention has dropped as a whole."""
        finals = chain_of(4)
        trim = signed(finals[3], "trim", first=1)
        self.assertEqual(verified([], trim, signed(finals[3], "closed")), [])

    def test_dead_letter(self) -> None:
        """A tombstone whose letter is kept is well, and counted."""
        finals, tally = chain_of(3), Tally()
        kept = rows(finals)
        kept[1] = row(finals[1], **tombstone_of(finals[1]))
        anchors = anchored(signed(finals[-1]))
        self.assertEqual(list(verify(kept, COLUMNS, anchors, tally, {finals[1]})), [])
        self.assertEqual(tally.dead_letters, 1)

    def test_dead_letter_of_another_gateway(self) -> None:
        """Without the letter a tombstone is well where PostgreSQL would refuse the record."""
        final = final_of(start(WRITER), 1, record(1, model="a\0b"))
        self.assertEqual(verified([row(final, **tombstone_of(final))], signed(final)), [])

    def test_tombstone_of_no_record(self) -> None:
        """Bytes that are no record have a tombstone too."""
        final = final_of(start(WRITER), 1, b"\x00")
        kept: list[Row] = [row(chain_of(1)[0], **tombstone_of(final))]
        self.assertEqual(verified(kept, signed(final)), [])


class ChangedTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Seven records, signed up to the last."""
        self.finals = chain_of(7)
        self.signed = (signed(self.finals[2]), signed(self.finals[6]))

    def found(self, kept: list[Row]) -> list[Finding]:
        """What is found in the rows."""
        return verified(kept, *self.signed)

    def test_columns(self) -> None:
        """A column that says something else than the record is named."""
        for column, value in {
            "tenant_id": UUID(int=9),
            "model": "other:1b",
            "outcome": "dead_letter",
            "charged": 0,
            "status": None,
            "id": UUID(int=99),
            "user_agent": "x",
            "estimated": True,
        }.items():
            with self.subTest(column=column):
                kept = rows(self.finals)
                kept[3] = row(self.finals[3], **{column: value})
                found = self.found(kept)
                self.assertEqual(places(found), [("changed", 4)])
                self.assertIn(column, found[0].text)

    def test_emptied(self) -> None:
        """A tombstone of a record that could be there, and was never refused, is named."""
        kept = rows(self.finals)
        kept[3] = row(self.finals[3], **tombstone_of(self.finals[3]))
        found = self.found(kept)
        self.assertEqual(places(found), [("changed", 4)])
        self.assertIn("outcome", found[0].text)

    def test_record(self) -> None:
        """Another record under the same hash is named."""
        kept = rows(self.finals)
        kept[3] = row(self.finals[3]._replace(record=record(4, charged=0)))
        self.assertEqual(places(self.found(kept)), [("changed", 4)])

    def test_hash(self) -> None:
        """Another hash of the same record is named, also where it was signed."""
        for place in (3, 2, 6):
            with self.subTest(place=place):
                kept = rows(self.finals)
                kept[place] = row(self.finals[place], chain_hash=b"x" * 32)
                self.assertEqual(places(self.found(kept)), [("changed", place + 1)])

    def test_no_record(self) -> None:
        """Bytes that are no record, with a hash that fits, are named with all columns."""
        forged = final_of(self.finals[6].chain_hash, 8, b"[]")
        kept = [*rows(self.finals), row(self.finals[6], **_link(forged))]
        found = self.found(kept)
        self.assertEqual(places(found), [("changed", 8)])
        self.assertIn("duration_ms", found[0].text)

    def test_made_anew(self) -> None:
        """Who computes all hashes again is found at what was signed, once."""
        forged = final_of(self.finals[3].chain_hash, 5, record(5, charged=0))
        chain = [*self.finals[:4], forged]
        for seq in (6, 7, 8, 9):
            chain.append(final_of(chain[-1].chain_hash, seq, record(seq)))
        statements = (*self.signed, signed(chain_of(9)[8]))
        found = verified(rows(chain), *statements)
        self.assertEqual(places(found), [("changed", 4)])
        self.assertIn("records 4 to 7 were made anew", found[0].text)

    def test_made_anew_for_a_while(self) -> None:
        """Behind a checkpoint that holds again, the next forgery is told again."""
        finals = chain_of(6)
        strange = finals[1]._replace(chain_hash=b"x" * 32)
        statements = (signed(strange), signed(finals[3]), signed(strange._replace(seq=5)))
        self.assertEqual(
            places(verified(rows(finals), *statements)), [("changed", 1), ("changed", 5)]
        )

    def test_many(self) -> None:
        """Of a chain that is all wrong the first findings are told, and how many more there are."""
        finals = chain_of(200)
        kept = [row(each._replace(record=record(each.seq, charged=0))) for each in finals]
        found = verified(kept, signed(finals[-1]))
        self.assertEqual(len(found), MOST_FINDINGS + 1)
        self.assertEqual(found[0].seq, 1)
        self.assertIn(f"{200 - MOST_FINDINGS} findings more", found[-1].text)


class RemovedTests(SynchronousTestCase):
    def test_in_the_middle(self) -> None:
        """A missing row is named by its number, several as a range."""
        finals = chain_of(7)
        kept = rows([finals[0], finals[2], finals[5], finals[6]])
        found = verified(kept, signed(finals[6]))
        self.assertEqual(places(found), [("removed", 2), ("removed", 4)])
        self.assertIn("records 4 to 5 are not here", found[1].line)

    def test_at_the_start(self) -> None:
        """The first row is missing as well as any other."""
        finals = chain_of(3)
        found = verified(rows(finals[1:]), signed(finals[2]))
        self.assertEqual(places(found), [("removed", 1)])

    def test_at_the_tail(self) -> None:
        """A tail that was cut shows back to the last checkpoint."""
        finals = chain_of(7)
        found = verified(rows(finals[:4]), signed(finals[5]))
        self.assertEqual(places(found), [("removed", 5)])
        self.assertIn("records 5 to 6 are not here", found[0].line)

    def test_all(self) -> None:
        """Of an emptied table every chain is named."""
        mine, other = chain_of(7), chain_of(2, OTHER)
        found = verified([], signed(other[1]), signed(mine[6]))
        self.assertEqual(
            [(each.writer, each.what, each.seq) for each in found],
            [(WRITER, "removed", 1), (OTHER, "removed", 1)],
        )

    def test_beside_what_was_dropped(self) -> None:
        """Retention covers no row more than it has signed away."""
        finals = chain_of(9)
        trim = signed(finals[4], "trim", first=3)
        found = verified(rows([finals[0], *finals[6:]]), trim, signed(finals[8]))
        self.assertEqual(places(found), [("removed", 2), ("removed", 6)])

    def test_what_follows_a_signed_gap(self) -> None:
        """Behind a gap that ends at a checkpoint the chain is known again."""
        finals = chain_of(5)
        kept = rows([finals[0], *finals[3:]])
        kept[1] = row(finals[3]._replace(record=record(9)))
        found = verified(kept, signed(finals[2]), signed(finals[4]))
        self.assertEqual(places(found), [("removed", 2), ("changed", 4)])

    def test_renumbered(self) -> None:
        """Who closes the gap by counting anew breaks the chain there, and the tail is short."""
        finals = chain_of(6)
        kept = rows([*finals[:2], *(renumbered(each, each.seq - 1) for each in finals[3:])])
        found = verified(kept, signed(finals[5]))
        self.assertEqual(places(found), [("changed", 3), ("removed", 6)])


class InsertedTests(SynchronousTestCase):
    def test_second_row_of_a_number(self) -> None:
        """A row whose number is taken is named, and not the right one."""
        finals = chain_of(4)
        forged = final_of(b"x" * 32, 2, record(77))
        for kept in ([row(forged), *rows(finals)], [*rows(finals), row(forged)]):
            found = verified(kept, signed(finals[3]))
            self.assertEqual(
                [(each.what, each.row_id) for each in found], [("inserted", UUID(int=77))]
            )

    def test_copy(self) -> None:
        """A copy of a row under another id says something else than its record."""
        finals = chain_of(3)
        kept = [row(finals[1], id=UUID(int=5)), *rows(finals)]
        found = verified(kept, signed(finals[2]))
        self.assertEqual([(each.what, each.row_id) for each in found], [("inserted", UUID(int=5))])

    def test_forged_with_a_right_hash(self) -> None:
        """Of two rows that both follow, one is told; the chain goes on from the right one."""
        finals = chain_of(4)
        forged = final_of(finals[0].chain_hash, 2, record(77))
        found = verified([row(forged), *rows(finals)], signed(finals[3]))
        self.assertEqual(places(found), [("inserted", 2)])

    def test_forged_where_it_was_signed(self) -> None:
        """Of two rows that both follow, the signed one is right."""
        finals = chain_of(4)
        forged = final_of(finals[0].chain_hash, 2, record(77))
        found = verified([row(forged), *rows(finals)], signed(finals[1]), signed(finals[3]))
        self.assertEqual([(each.what, each.row_id) for each in found], [("inserted", UUID(int=77))])

    def test_none_of_them_fits(self) -> None:
        """Where every row of a number is forged, one is inserted and the other one changed."""
        finals = chain_of(4)
        forged = [row(final_of(b"x" * 32, 2, record(number))) for number in (77, 78)]
        kept = [*forged, *rows([finals[0], *finals[2:]])]
        found = verified(kept, signed(finals[3]))
        self.assertEqual(sorted(each.what for each in found), ["changed", "changed", "inserted"])

    def test_counted_anew(self) -> None:
        """A row that was put between others, which were given new numbers, is named."""
        finals = chain_of(4)
        forged = final_of(finals[1].chain_hash, 3, record(77))
        kept = [*finals[:2], forged, *(renumbered(each, each.seq + 1) for each in finals[2:])]
        found = verified(rows(kept), signed(finals[3], "closed"))
        self.assertEqual(
            [(each.what, each.seq, each.row_id) for each in found],
            [("inserted", 3, UUID(int=77)), ("inserted", 5, UUID(int=1004))],
        )

    def test_new_writer(self) -> None:
        """Rows of a writer for whom nothing was signed are named together."""
        finals = chain_of(2)
        found = verified(rows(finals) + rows(chain_of(3, OTHER)), signed(finals[1]))
        self.assertEqual([(each.what, each.writer) for each in found], [("inserted", OTHER)])
        self.assertIn("3 here", found[0].text)

    def test_writer_of_a_strange_signer(self) -> None:
        """Rows that another gateway may have signed are counted, and not called inserted."""
        mine, foreign, forged = chain_of(2), chain_of(3, OTHER), chain_of(1, UUID(int=3))
        anchors, tally = Anchors({KEY.public}), Tally()
        told = list(anchors.gather([signed(mine[1]), signed(foreign[1], key=STRANGER)], ()))
        self.assertEqual(len(told), 1)
        kept = rows([*mine, *foreign, *forged])
        found = list(verify(kept, COLUMNS, anchors, tally))
        self.assertEqual([(each.what, each.writer) for each in found], [("inserted", UUID(int=3))])
        self.assertEqual(tally, Tally(records=6, writers=3, foreign=3))

    def test_writer_of_two_signers(self) -> None:
        """What a known key has signed is compared, whoever else has signed something."""
        finals = chain_of(3)
        anchors, tally = Anchors({KEY.public}), Tally()
        strange = signed(finals[2], key=STRANGER)
        self.assertEqual(len(list(anchors.gather([signed(finals[2]), strange], ()))), 1)
        found = list(verify(rows(finals[1:]), COLUMNS, anchors, tally))
        self.assertEqual(places(found), [("removed", 1)])
        self.assertEqual(tally.foreign, 0)

    def test_behind_the_end(self) -> None:
        """A row behind the end of a closed chain is named, though it follows."""
        finals = chain_of(3)
        found = verified(rows(finals), signed(finals[1], "closed"))
        self.assertEqual(places(found), [("inserted", 3)])

    def test_where_retention_dropped(self) -> None:
        """A row that retention has dropped does not come back."""
        finals = chain_of(5)
        trim = signed(finals[2], "trim", first=1)
        found = verified(rows(finals[1:]), trim, signed(finals[4]))
        self.assertEqual(places(found), [("inserted", 2), ("inserted", 3)])

    def test_impossible_number(self) -> None:
        """No record has a number below one."""
        finals = chain_of(2)
        kept = [row(renumbered(chain_of(1)[0], 0)), *rows(finals)]
        self.assertEqual(places(verified(kept, signed(finals[1]))), [("inserted", 0)])


class ReorderedTests(SynchronousTestCase):
    def test_neighbours(self) -> None:
        """Two rows that have changed places are named as such, from the first on."""
        finals = chain_of(6)
        kept = [*finals[:2], renumbered(finals[3], 3), renumbered(finals[2], 4), *finals[4:]]
        found = verified(rows(kept), signed(finals[5]))
        self.assertEqual(places(found), [("reordered", 3)])

    def test_far_apart(self) -> None:
        """The same for rows with others between them."""
        finals = chain_of(9)
        kept = [*finals]
        kept[1], kept[6] = renumbered(finals[6], 2), renumbered(finals[1], 7)
        found = verified(rows(kept), signed(finals[8]))
        self.assertEqual(places(found), [("reordered", 2)])
        self.assertIn("records 2 to 8", found[0].text)

    def test_beside_a_change(self) -> None:
        """A row that was changed is told apart from those that were moved."""
        finals = chain_of(9)
        kept = [*finals[:2], renumbered(finals[3], 3), renumbered(finals[2], 4), *finals[4:]]
        kept[7] = finals[7]._replace(record=record(8, charged=0))
        found = verified(rows(kept), signed(finals[8]))
        self.assertEqual(places(found), [("reordered", 3), ("changed", 8)])


def _link(final: object) -> dict[str, object]:
    return {name: getattr(final, name) for name in ("seq", "record", "chain_hash")}
