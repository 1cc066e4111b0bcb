"""The documents, held against the code that they speak of."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import errors
from neuronetz_twisted.cli import gateway
from neuronetz_twisted.config import load, variables
from neuronetz_twisted.dialects import faults
from neuronetz_twisted.dialects.policy import rewritten
from neuronetz_twisted.variables import EMBEDDED, Variable
from tests.openapi import known_paths

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "docs" / "SPEC.md"
API = ROOT / "docs" / "API.md"
ARCHITECTURE = ROOT / "docs" / "ARCHITECTURE.md"
ENV_EXAMPLE = ROOT / ".env.example"

STEPS = ["edge", "admission", "upstream", "relay", "settlement", "audit"]
SECTIONS = range(1, 17)
REQUIRED = "DATABASE_URL"


def read(path: Path) -> str:
    """A document's text."""
    return path.read_text(encoding="utf-8")


def part(text: str, heading: str) -> str:
    """What follows a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    _, found, rest = text.partition(f"\n{heading}\n")
    if not found:
        raise LookupError(heading)
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def section(number: int) -> str:
    """One numbered section of SPEC."""
    match = re.search(rf"^## {number}\. .+$", read(SPEC), flags=re.MULTILINE)
    if match is None:
        raise LookupError(number)
    return part(read(SPEC), match[0])


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without heads and rules."""
    found = []
    lines = text.split("\n")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        is_head = following.startswith("|--")
        if line.startswith("|") and not line.startswith("|--") and not is_head:
            found.append([cell.strip() for cell in line.strip("|").split(" |")])
    return found


def in_ticks(text: str) -> list[str]:
    """The words in a text that stand between back-ticks."""
    return re.findall(r"`([^`]+)`", text)


def documents() -> list[Path]:
    """All Markdown of the tree, and the example of an environment."""
    folders = ("docs", "changelog.d", "playground", "ops")
    below = [path for folder in folders for path in (ROOT / folder).rglob("*.md")]
    return [*ROOT.glob("*.md"), *below, ENV_EXAMPLE]


def sources() -> Iterator[str]:
    """The text of every source file that may cite SPEC."""
    for folder in ("neuronetz_twisted", "mock_ollama", "migrations", "tests", "twisted"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".lua"}:
                yield read(path)


class VariableTests(SynchronousTestCase):
    """Settings, SPEC 10 and `.env.example` name the same variables."""

    def test_example(self) -> None:
        """`.env.example` has each variable with its help and default, in order, and no other."""
        expected = [self._block(known) for _, known in variables()]
        _, *blocks = read(ENV_EXAMPLE).strip().split("\n\n")
        self.assertEqual(blocks, expected)

    def test_example_changes_nothing(self) -> None:
        """With every line of it taken in, `.env.example` gives the default settings."""
        environ = {REQUIRED: EMBEDDED}
        with tempfile.TemporaryDirectory() as folder:
            plain = load(environ, Path(folder))
            lines = re.findall(r"^#([A-Z0-9_]+=.*)$", read(ENV_EXAMPLE), flags=re.MULTILINE)
            (Path(folder) / ".env").write_text("\n".join(lines), encoding="utf-8")
            example = load(environ, Path(folder))
        self.assertEqual(len(lines), len(variables()))
        self.assertEqual(example.settings, plain.settings)

    def test_spec(self) -> None:
        """SPEC 10 has each variable with default and help, in order, and no other."""
        table = part(section(10), "### Variables of this version")
        expected = []
        for _, known in variables():
            default = "unset" if known.default is None else f"`{known.default}`"
            default = "required" if known.name == REQUIRED else default
            default = "empty" if known.default == "" else default
            secret = " (secret)" if known.secret else ""
            expected.append([f"`{known.name}`", default, f"{known.help}{secret}"])
        self.assertEqual(rows(table), expected)

    def test_later(self) -> None:
        """What SPEC 10 lists as joining later is not read yet."""
        table = part(section(10), "### Variables that join later")
        later = {name for row in rows(table) for name in in_ticks(row[0])}
        self.assertNotEqual(later, set())
        self.assertEqual(later & {known.name for _, known in variables()}, set())

    def _block(self, known: Variable) -> str:
        notes = " (secret)" if known.secret else ""
        notes += " (required)" if known.name == REQUIRED else ""
        return f"# {known.help}{notes}\n#{known.name}={known.default or ''}"


class SpecTests(SynchronousTestCase):
    """SPEC has what the code cites, and says of each section what this version does."""

    def test_sections(self) -> None:
        """Sections 1 to 16 are there, in order."""
        numbers = re.findall(r"^## (\d+)\. ", read(SPEC), flags=re.MULTILINE)
        self.assertEqual(numbers, [str(number) for number in SECTIONS])

    def test_in_this_version(self) -> None:
        """Each section tells what of it holds in this version."""
        silent = [number for number in SECTIONS if "**In this version**" not in section(number)]
        self.assertEqual(silent, [])

    def test_citations(self) -> None:
        """Each section and rule that the code cites is there."""
        cited: set[str] = set()
        for text in sources():
            for numbers in re.findall(r"\bSPEC (\d+(?:(?:, ?| ?- ?)\d+)*)", text):
                cited |= set(re.findall(r"\d+", numbers))
            cited |= set(re.findall(r"\bSPEC 2,? (R\d+)", text))
        rules = {row[0] for row in rows(section(2))}
        self.assertIn("R4", cited)
        self.assertEqual(cited - {str(number) for number in SECTIONS} - rules, set())

    def test_routes(self) -> None:
        """The routes that SPEC 3 says are there are those of the table in the code."""
        there = [row[0] for row in rows(section(3)) if row[3].startswith("yes")]
        self.assertEqual(_paths(there), known_paths())

    def test_commands(self) -> None:
        """The commands that SPEC 11 says are there are those of the command line."""
        _, _, now = section(11).partition("**In this version**:")
        listed, _, _ = now.partition("Also decided:")
        self.assertEqual(set(in_ticks(listed)), set(gateway.commands))

    def test_errors(self) -> None:
        """SPEC 8 and API have every refusal's code in a row with its status."""
        for table in (section(8), part(read(API), "## Errors")):
            listed = {
                (int(status), code)
                for row in rows(table)
                for status in re.findall(r"\d{3}", row[0])
                for code in in_ticks(row[1])
            }
            refusals = {(kind.status, kind.code) for kind in errors.Refusal.__subclasses__()}
            self.assertEqual(refusals - listed, set())


class OtherDocumentTests(SynchronousTestCase):
    """The other documents keep their promises."""

    def test_steps(self) -> None:
        """ARCHITECTURE begins with the six steps, under these words and in this order."""
        headings = re.findall(r"^## (.+)$", read(ARCHITECTURE), flags=re.MULTILINE)
        self.assertEqual(headings[: len(STEPS)], STEPS)

    def test_modules(self) -> None:
        """Each module that ARCHITECTURE names by its path is there."""
        package = ROOT / "neuronetz_twisted"
        names = re.findall(r"`((?:[a-z_]+/)+\w+\.(?:py|lua))`", read(ARCHITECTURE))
        self.assertIn("relay/relay.py", names)
        for name in names:
            places = (ROOT / name, package / name, package / "admission" / name)
            self.assertTrue(any(place.exists() for place in places), name)

    def test_field_policy(self) -> None:
        """API has the tables of what each field may hold as the checks themselves say it."""
        self.assertEqual(rewritten(read(API)), read(API), "python -m ….policy docs/API.md")

    def test_error_types(self) -> None:
        """API has beside each code the types that OpenAI's and Anthropic's clients get."""
        listed = {
            (code, *in_ticks(row[2]), *in_ticks(row[3]))
            for row in rows(part(read(API), "## Errors"))
            for code in in_ticks(row[1])
        }
        for kind in errors.Refusal.__subclasses__():
            openai = faults._openai_type(kind.__new__(kind))
            self.assertIn((kind.code, openai, faults._anthropic_type(kind.status)), listed)

    def test_api_routes(self) -> None:
        """API lists the routes of the table in the code."""
        table = rows(part(read(API), "## Routes"))
        self.assertEqual(_paths([row[0] for row in table]), known_paths())

    def test_links(self) -> None:
        """Each relative link leads to a file, and to a heading of it where it names one."""
        for document in documents():
            for target in re.findall(r"\]\(([^)\s]+)\)", read(document)):
                path, _, anchor = target.partition("#")
                place = document.parent / path if path else document
                self.assertTrue(place.exists(), f"{document.name}: {target}")
                if anchor:
                    self.assertIn(anchor, _anchors(read(place)), f"{document.name}: {target}")

    def test_no_machine(self) -> None:
        """No document names a place that only one machine has."""
        for document in documents():
            found = re.search(r"(?<![\w.])/(?:work|root|home|Users)/", read(document))
            self.assertIsNone(found, document.name)


def _paths(cells: list[str]) -> set[str]:
    """The paths that the first cells of route tables name."""
    return {word for cell in cells for word in in_ticks(cell) if word.startswith("/")}


def _anchors(text: str) -> set[str]:
    """The anchors that headings get, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }
