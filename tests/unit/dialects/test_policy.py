"""The documents' table of fields is made of the checks."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects import fields
from neuronetz_twisted.dialects.fields import NEUTRAL_TEXT, FieldTable
from neuronetz_twisted.dialects.policy import BEGIN, END, TABLES, main, policy, rewritten

INNER = FieldTable(taken={"b": fields.whole_in(0, 2)})
OUTER = FieldTable(
    taken={
        "z": fields.objects_of(INNER),
        "a": fields.Check(fields.text.read, "string", "taken where there is no `z`"),
        "m": fields.mapping_of(FieldTable(taken={})),
    },
    refused={"template": NEUTRAL_TEXT, "file": (), "raw": ("", False)},
    dropped=frozenset({"keep_alive", "c"}),
)
TITLED = (("`POST /x`", OUTER), ("The inside", INNER))
EXPECTED = """\
`null` is absent everywhere. A field that is not in its table is dropped and named in
`X-Gateway-Ignored`; one that is there in another case is refused.

### `POST /x`

| field | type and bounds | what happens |
|---|---|---|
| `a` | string | taken where there is no `z` |
| `m` | object | passed on |
| `z` | list of objects: [The inside](#the-inside) | passed on |
| `file` | absent | refused |
| `raw` | absent, or `""` or `false` | refused |
| `template` | absent, or `""` | refused |
| `c` | anything | dropped and named |
| `keep_alive` | anything | dropped and named |

### The inside

| field | type and bounds | what happens |
|---|---|---|
| `b` | whole number from 0 to 2 | passed on |"""


class PolicyTests(SynchronousTestCase):
    def test_golden(self) -> None:
        """Each field with what it takes and what becomes of it; inner tables are linked."""
        self.assertEqual(policy(TITLED), EXPECTED)

    def test_every_route(self) -> None:
        """The routes of each dialect are there, all under titles of their own."""
        titles = [title for title, _ in TABLES]
        self.assertEqual(len(titles), len(set(titles)))
        for path in ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"):
            self.assertIn(f"`POST {path}`", policy())

    def test_every_inner_table_is_shown(self) -> None:
        """What a field holds inside is among the tables, so that its link leads somewhere."""
        shown = [id(table) for _, table in TABLES]
        for title, table in TABLES:
            for name, check in table.taken.items():
                if check.inner is not None:
                    with self.subTest(title, field=name):
                        self.assertIn(id(check.inner), shown)

    def test_translated(self) -> None:
        """Of what is translated only names, ids and roles are said to be passed on."""
        for path in ("/v1/messages", "/v1/responses"):
            passed = {
                name
                for title, table in TABLES
                if title.startswith(f"`POST {path}`")
                for name, check in table.taken.items()
                if check.then == "passed on"
            }
            self.assertLessEqual(passed, {"description", "id", "name", "role"})

    def test_cells(self) -> None:
        """Nothing in a cell ends it."""
        for line in policy().splitlines():
            if line.startswith("|"):
                self.assertEqual(line.count("|"), 4, line)


class RewrittenTests(SynchronousTestCase):
    def test_between_the_marks(self) -> None:
        """What was between the marks goes, what is around them stays."""
        document = f"before\n{BEGIN}\nold\n{END}\nafter {END}\n"
        self.assertEqual(
            rewritten(document, TITLED), f"before\n{BEGIN}\n\n{EXPECTED}\n\n{END}\nafter {END}\n"
        )

    def test_again(self) -> None:
        """Writing it once more changes nothing."""
        once = rewritten(f"{BEGIN}{END}")
        self.assertEqual(rewritten(once), once)

    def test_without_marks(self) -> None:
        """A document without the marks, in this order, is left alone."""
        for document in ("", BEGIN, END, f"{END}{BEGIN}"):
            with self.subTest(document=document):
                self.assertRaises(ValueError, rewritten, document)

    def test_command(self) -> None:
        """The command rewrites the document that it is given."""
        path = Path(self.mktemp())
        path.write_text(f"é {BEGIN}{END}", "utf-8")
        main([str(path)])
        self.assertEqual(path.read_text("utf-8"), f"é {BEGIN}\n\n{policy()}\n\n{END}")
