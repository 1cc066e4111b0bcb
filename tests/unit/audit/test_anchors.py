"""Which statements count, and what shows that one is missing."""

from uuid import UUID

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.anchors import Anchors, SignedChain
from neuronetz_twisted.audit.append_only import Damaged
from neuronetz_twisted.audit.findings import MOST_FINDINGS
from neuronetz_twisted.audit.signing import Signed, SigningKey, Statement
from tests.unit.audit.chains import KEY, STRANGER, WRITER, chain_of, signed


class GatherTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Three statements, each naming the one before."""
        finals = chain_of(9)
        self.first = signed(finals[2])
        self.second = signed(finals[5], previous=self.first.digest)
        self.third = signed(finals[8], "closed", previous=self.second.digest)
        self.all = [self.first, self.second, self.third]
        self.anchors = Anchors({KEY.public})

    def found(self, stored: list[Signed], published: list[Signed | Damaged]) -> list[str]:
        """What is found in the statements of the database and of the file."""
        return [finding.line for finding in self.anchors.gather(stored, published)]

    def test_both_places(self) -> None:
        """Statements that both have are well, and are counted once."""
        self.assertEqual(self.found(self.all, [*self.all]), [])
        self.assertEqual(self.anchors.statements, 3)
        chain = self.anchors.chains[WRITER]
        self.assertEqual((sorted(chain.points), chain.closed, chain.reached), ([3, 6, 9], 9, 9))

    def test_only_in_the_database(self) -> None:
        """The file may lack what the gateway had no time to append."""
        self.assertEqual(self.found(self.all, []), [])

    def test_only_in_the_file(self) -> None:
        """What was taken from the database is told, and counts."""
        (line,) = self.found(self.all[:2], [*self.all])
        self.assertRegex(line, "^checkpoint: record 9 of writer .*: .* removed from the database")
        self.assertEqual(self.anchors.chains[WRITER].reached, 9)

    def test_in_neither(self) -> None:
        """A statement that the next one names shows by being missing."""
        (line,) = self.found([self.first, self.third], [self.third])
        self.assertRegex(line, "record 9 of writer .*: a checkpoint .* before .* is missing")

    def test_chain_out_of_order(self) -> None:
        """A statement is not missing because it stands behind the one that names it."""
        self.assertEqual(self.found([self.third, self.second, self.first], []), [])

    def test_stranger(self) -> None:
        """All that an unknown key has signed is one finding, with the key, wherever it is."""
        strange = [signed(each, key=STRANGER) for each in chain_of(100, UUID(int=2))]
        (line,) = self.found([self.first, *strange[:60]], [self.first, *strange])
        self.assertRegex(
            line, f"^checkpoint: 100 checkpoints .* {STRANGER.public.hex()}.* --signer"
        )
        self.assertEqual(list(self.anchors.chains), [WRITER])
        self.assertEqual((self.anchors.foreign, self.anchors.statements), ({UUID(int=2)}, 1))

    def test_stranger_that_is_named(self) -> None:
        """With its key named it is as good as ours, and so are its writers."""
        self.anchors = Anchors({KEY.public, STRANGER.public})
        self.assertEqual(self.found([signed(chain_of(1)[0], key=STRANGER)], []), [])
        self.assertEqual((self.anchors.foreign, list(self.anchors.chains)), (set(), [WRITER]))

    def test_stranger_between_ours(self) -> None:
        """In a file that gateways share a statement may name one of an unknown key."""
        strange = signed(chain_of(1)[0], key=STRANGER)
        ours = signed(chain_of(1)[0], previous=strange.digest)
        self.assertEqual(len(self.found([strange, ours], [])), 1)

    def test_many_strangers(self) -> None:
        """Who makes up keys does not fill the screen."""
        keys = [SigningKey.of_seed(bytes([number]) * 32) for number in range(MOST_FINDINGS + 5)]
        lines = self.found([signed(chain_of(1)[0], key=key) for key in keys], [])
        self.assertEqual(len(lines), MOST_FINDINGS + 1)
        self.assertIn("5 more signers", lines[-1])

    def test_restored_backup(self) -> None:
        """A database that lacks much of what was signed has a bounded number of findings."""
        newer = [signed(each) for each in chain_of(500)]
        lines = self.found([], [*newer])
        self.assertEqual(len(lines), MOST_FINDINGS + 1)
        self.assertIn(f"{500 - MOST_FINDINGS} findings more", lines[-1])

    def test_file_of_another_kind(self) -> None:
        """The same where no line can be read."""
        lines = self.found([], [Damaged(line) for line in range(1, 101)])
        self.assertEqual(len(lines), MOST_FINDINGS + 1)
        self.assertIn("the checkpoint file has 80 findings more", lines[-1])

    def test_changed(self) -> None:
        """A row whose columns, statement or signature were changed does not count."""
        for other in (
            evolve(self.first, seq=4),
            evolve(self.first, statement=b"{}"),
            evolve(self.first, signature=b"x" * 64),
        ):
            (line,) = self.found([other], [])
            self.assertIn("database's checkpoint here has no signature that holds", line)
            (line,) = self.found([], [other])
            self.assertIn("line 1 of the checkpoint file has no signature that holds", line)
        self.assertEqual((self.anchors.chains, self.anchors.foreign), ({}, set()))

    def test_forged_for_a_stranger(self) -> None:
        """Who names a key without having it vouches for nothing, and is told by the record."""
        forged = evolve(self.first, signer=STRANGER.public)
        self.assertIn("record 3 of writer", self.found([forged], [])[0])
        self.assertEqual(self.anchors.foreign, set())

    def test_damaged_line(self) -> None:
        """A line of the file that cannot be read is told by its number."""
        self.assertEqual(
            self.found([], [Damaged(7)]),
            ["checkpoint: line 7 of the checkpoint file is damaged"],
        )


class SignedChainTests(SynchronousTestCase):
    def test_kept(self) -> None:
        """What retention has dropped is taken out of a range, whatever else it has dropped."""
        chain = SignedChain(trims={2: (1, b""), 5: (4, b""), 9: (8, b"")})
        self.assertEqual(list(chain.kept(1, 2)), [])
        self.assertEqual(list(chain.kept(1, 7)), [(3, 3), (6, 7)])
        self.assertEqual(list(chain.kept(3, 3)), [(3, 3)])
        self.assertEqual(list(chain.kept(5, 12)), [(6, 7), (10, 12)])

    def test_reached(self) -> None:
        """A chain has come as far as any statement says."""
        self.assertEqual(SignedChain().reached, 0)
        self.assertEqual(SignedChain(points={3: b""}, trims={5: (4, b"")}).reached, 5)

    def test_dropped(self) -> None:
        """Of what retention has dropped no point stays but its end, and none beside it goes."""
        chain, finals = SignedChain(), chain_of(9)
        for final in finals:
            chain.add(Statement.decoded(signed(final).statement))
        chain.add(Statement.decoded(signed(finals[6], "trim", first=3).statement))
        self.assertEqual(sorted(chain.points), [1, 2, 8, 9])
        self.assertEqual((chain.last_point, chain.reached), (9, 9))
        chain.add(Statement.decoded(signed(finals[8], "trim", first=8).statement))
        self.assertEqual((chain.last_point, chain.hash_at(9)), (9, finals[8].chain_hash))

    def test_hash(self) -> None:
        """The hash at a record is known from either kind of statement."""
        chain = SignedChain(points={3: b"p"}, trims={5: (4, b"t")})
        self.assertEqual([chain.hash_at(seq) for seq in (3, 4, 5)], [b"p", None, b"t"])
