"""How a finding is told."""

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.findings import MOST_FINDINGS, Finding, counted, first_of_each


class FirstTests(SynchronousTestCase):
    def test_of_each(self) -> None:
        """Of each writer the first ones are told, and how many more there are, of what kind."""
        few = [Finding(what="removed", text="", writer=UUID(int=2), seq=1)] * MOST_FINDINGS
        many = [
            Finding(what="checkpoint", text="", writer=UUID(int=1), seq=seq) for seq in range(50)
        ]
        told = list(first_of_each([*many, *few]))
        self.assertEqual(told[:-1], [*many[:MOST_FINDINGS], *few])
        self.assertEqual(
            told[-1].line,
            f"checkpoint: writer {UUID(int=1)} has {50 - MOST_FINDINGS} findings more",
        )


class FindingTests(SynchronousTestCase):
    def test_with_a_place(self) -> None:
        """A finding names the record, its writer and the row."""
        finding = Finding(
            what="changed", text="so it is", writer=UUID(int=1), seq=5, row_id=UUID(int=2)
        )
        self.assertEqual(
            finding.line,
            f"changed: record 5 of writer {UUID(int=1)} (id {UUID(int=2)}): so it is",
        )
        self.assertEqual(
            finding.as_json(),
            {
                "what": "changed",
                "writer": str(UUID(int=1)),
                "record": 5,
                "id": str(UUID(int=2)),
                "text": "so it is",
            },
        )

    def test_without_a_place(self) -> None:
        """What concerns no record names none."""
        finding = Finding(what="checkpoint", text="so it is")
        self.assertEqual(finding.line, "checkpoint: so it is")
        self.assertEqual((finding.as_json()["writer"], finding.as_json()["id"]), (None, None))

    def test_counted(self) -> None:
        """One record is no range."""
        self.assertEqual((counted(3, 3), counted(3, 4)), ("record 3", "records 3 to 4"))
