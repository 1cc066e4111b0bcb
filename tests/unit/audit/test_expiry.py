"""Which records may be signed away: those that were written, and are old."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.expiry import NotAsWritten, Period, Span, proof_of, spans_of
from neuronetz_twisted.audit.tombstones import tombstone_of
from tests.unit.audit.chains import (
    AT,
    COLUMNS,
    KEY,
    STRANGER,
    WRITER,
    Row,
    chain_of,
    final_of,
    record,
    row,
    rows,
    signed,
)

BEGUN = datetime.fromtimestamp(AT / 1_000_000, UTC)
PERIOD = Period(BEGUN, BEGUN + timedelta(hours=1))
OTHER = UUID(int=2)


def spans(kept: Sequence[Row], period: Period = PERIOD) -> list[Span]:
    """What these rows hold."""
    return spans_of(kept, COLUMNS, period)


class SpanTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Seven records of a writer, three of another one."""
        self.mine, self.other = chain_of(7), chain_of(3, OTHER)

    def assert_refused(self, kept: Sequence[Row], seq: int, why: str) -> None:
        """Nothing is made of these rows, for that one."""
        with self.assertRaisesRegex(NotAsWritten, rf"record {seq} of .* {why}"):
            spans(kept)

    def test_runs(self) -> None:
        """Each run of numbers of a writer, with the link of its last record."""
        kept = rows([*self.mine[:3], *self.mine[5:], *self.other])
        self.assertEqual(
            [(each.writer, each.first, each.last, each.last_hash) for each in spans(kept)],
            [
                (WRITER, 1, 3, self.mine[2].chain_hash),
                (WRITER, 6, 7, self.mine[6].chain_hash),
                (OTHER, 1, 3, self.other[2].chain_hash),
            ],
        )
        self.assertEqual(spans([]), [])

    def test_tombstone(self) -> None:
        """A dead letter goes as what it stands for."""
        kept = rows(self.mine)
        kept[3] = row(self.mine[3], **tombstone_of(self.mine[3]))
        self.assertEqual([each.last for each in spans(kept)], [7])

    def test_another_date(self) -> None:
        """A row that says another time than its record is none that was written."""
        kept = rows(self.mine)
        kept[3] = row(self.mine[3], started_at=BEGUN)
        self.assert_refused(kept, 4, "says something else than its started_at")

    def test_another_month(self) -> None:
        """A record that began before its month, or too late in it, is not signed away."""
        kept = rows(self.mine)
        moment = BEGUN + timedelta(microseconds=1000 + WRITER.int + 3)
        for period in (Period(moment, PERIOD.ends), Period(PERIOD.starts, moment)):
            with self.assertRaisesRegex(NotAsWritten, "too young, or of another month"):
                spans(kept, period)

    def test_placeholder(self) -> None:
        """An old record under the number and link of another one does not follow."""
        for place in (1, 6):
            kept = rows(self.mine)
            kept[place] = row(self.mine[place]._replace(record=record(77)))
            self.assert_refused(kept, place + 1, "does not follow")

    def test_twice(self) -> None:
        """Two rows of a number are no record."""
        self.assert_refused(rows([*self.mine[:3], *self.mine[2:]]), 3, "is there twice")


class TrimTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A run of the records 3 to 5."""
        self.chain = chain_of(7)
        (self.span,) = spans(rows(self.chain[2:5]))

    def test_proved(self) -> None:
        """All of it is signed away where a statement goes up to there, or further."""
        for proof in (signed(self.chain[4]), signed(self.chain[6])):
            trim = self.span.trim(proof, self.chain[1].chain_hash)
            self.assertEqual((trim.writer, trim.first, trim.last), (WRITER, 3, 5))
            self.assertEqual(trim.last_hash, self.chain[4].chain_hash)

    def test_the_one_before_is_missing(self) -> None:
        """What was removed before it keeps nothing from going: that is found all the same."""
        self.assertEqual(self.span.trim(signed(self.chain[4]), None).first, 3)

    def test_not_what_was_signed(self) -> None:
        """Another end than the signed one, or a statement on a part, is refused."""
        for strange in (self.chain[4]._replace(chain_hash=b"x" * 32), self.chain[3]):
            with self.assertRaisesRegex(NotAsWritten, "not the one that was signed"):
                self.span.trim(signed(strange), None)

    def test_first_of_a_run(self) -> None:
        """A placeholder at the start of a run does not follow what is known to be before it."""
        kept = rows([self.chain[2]._replace(record=record(77))])
        (span,) = spans(kept)
        for before in (self.chain[1].chain_hash, b"x"):
            with self.assertRaisesRegex(NotAsWritten, "does not follow"):
                span.trim(signed(self.chain[4]), before)

    def test_no_hash_takes_a_part_of_the_record(self) -> None:
        """What is before it is a hash, and not one with the beginning of what was hashed."""
        data = b'{"x":' + record(3) + b"}"
        whole = final_of(self.chain[1].chain_hash, 3, data)
        (span,) = spans(rows(self.chain[2:3]))
        span.record, span.chain_hash = data[5:], whole.chain_hash
        with self.assertRaises(NotAsWritten):
            span.trim(signed(self.chain[4]), self.chain[1].chain_hash + data[:5])

    def test_first_of_a_chain(self) -> None:
        """The first record follows from the writer, whatever else is said to be before it."""
        (span,) = spans(rows(self.chain[:2]))
        self.assertEqual(span.trim(signed(self.chain[1]), b"x" * 32).first, 1)
        (forged,) = spans(rows([final_of(b"x" * 32, 1, record(1))]))
        with self.assertRaises(NotAsWritten):
            forged.trim(signed(self.chain[1]), b"x" * 32)

    def test_part(self) -> None:
        """Rows of the run up to a number, and no others."""
        kept = rows([*self.chain, *chain_of(5, OTHER)])
        self.assertEqual([each[1] for each in self.span.part(kept, 4)], [3, 4])


class ProofTests(SynchronousTestCase):
    def test_whose_word_counts(self) -> None:
        """The first statement that a known key has made of this writer, and that is no trim."""
        final, *_, last = chain_of(3)
        proof = signed(last)
        not_signed = evolve(signed(final), signature=b"x" * 64)
        damaged = evolve(signed(final), statement=b"{}")
        statements = [
            signed(final, key=STRANGER),
            not_signed,
            damaged,
            signed(final, "trim", first=1),
            signed(chain_of(1, OTHER)[0]),
            proof,
        ]
        self.assertIs(proof_of(WRITER, statements, {KEY.public}), proof)
        self.assertIsNone(proof_of(WRITER, statements[:-1], {KEY.public}))
