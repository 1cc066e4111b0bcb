import json
import os
from pathlib import Path
from typing import Any

from click.testing import Result
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.config import load
from tests.command_line import command, json_of

CANARY = "canary-token"
REST = "# ours\nDATABASE_URL=embedded:\nOLLAMA_BASE_URL=http://10.0.0.1:11434\n"


class ChangesTestCase(SynchronousTestCase):
    """In a directory of its own, whose .env names one host."""

    def setUp(self) -> None:
        """Nothing was changed."""
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)
        self.path = self.folder / ".env"
        self.path.write_text(REST)

    def backends(self) -> list[tuple[str, str]]:
        """Name and place of those that the gateway would have."""
        found = load({}, self.folder).settings.ollama_backends or ()
        return [(entry.name, entry.url) for entry in found]

    def refused(self, *words: str, status: int = 1, **environ: str) -> str:
        """What is said where nothing is done."""
        before = self.path.read_bytes()
        result = command(*words, **environ)
        self.assertEqual(result.exit_code, status, result.output)
        self.assertEqual(self.path.read_bytes(), before)
        return result.stderr

    def add(self, *words: str, **environ: str) -> Any:
        """Add one; what the command says in JSON."""
        return json_of(command("add-backend", *words, "--json", **environ))


class AddTests(ChangesTestCase):
    def test_first(self) -> None:
        """The host that was there stays in its place, and the file is otherwise the same."""
        result = command("add-backend", "gpu-b", "http://10.0.0.2:11434", "--slots", "4")
        self.assertEqual(result.exit_code, 0, result.output)
        expected = [("default", "http://10.0.0.1:11434"), ("gpu-b", "http://10.0.0.2:11434")]
        self.assertEqual(self.backends(), expected)
        self.assertTrue(self.path.read_text().startswith(REST))
        self.assertIn("stays, as backend 'default'", result.stderr)
        self.assertIn("started again", result.stderr)
        self.assertRegex(result.stdout, r"gpu-b +http://10.0.0.2:11434 +- +Authorization +4")

    def test_next(self) -> None:
        """The next one comes behind the others."""
        self.add("b", "http://b")
        records = self.add("c", "http://c", "--token", CANARY, "--header", "X-Key", "--scheme", "")
        self.assertEqual([record["name"] for record in records], ["default", "b", "c"])
        self.assertEqual(records[2]["token"], "***")
        entry = (load({}, self.folder).settings.ollama_backends or ())[2]
        self.assertEqual((entry.token, entry.header, entry.scheme), (CANARY, "X-Key", ""))

    def test_the_token_of_the_first_one(self) -> None:
        """What opens the host that was there is kept as well."""
        self.path.write_text(f"{REST}OLLAMA_AUTH_TOKEN={CANARY}\nOLLAMA_AUTH_HEADER=X-Key\n")
        self.path.chmod(0o644)
        result = command("add-backend", "b", "http://b")
        self.assertNotIn(CANARY, result.output)
        self.assertIn("others than its owner may read it", result.stderr)
        entry = (load({}, self.folder).settings.ollama_backends or ())[0]
        self.assertEqual((entry.token, entry.header), (CANARY, "X-Key"))

    def test_token_from_a_file(self) -> None:
        """A token need not stand in a list of processes."""
        Path("token").write_text(f"{CANARY}\n")
        self.add("b", "http://b", "--token-file", "token")
        self.assertIn(CANARY, self.path.read_text())
        for name, text in (("missing", None), ("empty", "\n"), ("odd", "a\x01b")):
            if text is not None:
                Path(name).write_text(text)
            words = ("add-backend", "c", "http://c", "--token-file", name)
            self.assertIn(name, self.refused(*words))
        both = ("--token", "x", "--token-file", "token")
        self.refused("add-backend", "c", "http://c", *both, status=2)

    def test_what_is_there(self) -> None:
        """Names and places are unique, and the message says what exists."""
        self.add("b", "http://b")
        said = self.refused("add-backend", "b", "http://c")
        self.assertIn("there is a backend 'b' already, at http://b", said)
        said = self.refused("add-backend", "c", "http://b")
        self.assertIn("http://b is the backend 'b' already", said)

    def test_usage(self) -> None:
        """What the variable would not take is a usage error, and is not repeated."""
        for words in (
            ("Bad", "http://b"),
            ("b", f"http://u:{CANARY}@b"),
            ("b", "http://b", "--slots", "0"),
            ("b", "http://b", "--header", "a b"),
            ("b", "http://b", "--token", f"{CANARY}\x01"),
        ):
            self.assertNotIn(CANARY, self.refused("add-backend", *words, status=2))

    def test_from_elsewhere(self) -> None:
        """Where the environment or another file says it, that is where it is changed."""
        told = '[{"name":"a","url":"http://a"}]'
        said = self.refused("add-backend", "b", "http://b", OLLAMA_BACKENDS=told)
        self.assertIn("comes from the environment", said)
        Path("list").write_text(told)
        said = self.refused("remove-backend", "a", "--yes", OLLAMA_BACKENDS_FILE="list")
        self.assertIn("comes from the file list", said)

    def test_a_file_that_is_wrong(self) -> None:
        """Nothing is written where the configuration is not good, and its faults are told."""
        self.path.write_text(f"{REST}OLLAMA_BACKENDS=[]\n")
        said = self.refused("add-backend", "b", "http://b", status=2)
        self.assertIn("OLLAMA_BACKENDS: must be a JSON list", said)


class RemoveTests(ChangesTestCase):
    def setUp(self) -> None:
        """There are two."""
        super().setUp()
        self.add("b", "http://b")

    def remove(self, *words: str) -> Result:
        """Remove one."""
        return command("remove-backend", *words)

    def test_removed(self) -> None:
        """The others stay, in order."""
        records = json_of(self.remove("default", "--yes", "--json"))
        self.assertEqual([record["name"] for record in records], ["b"])
        self.assertEqual(self.backends(), [("b", "http://b")])
        self.assertTrue(self.path.read_text().startswith(REST))

    def test_asks(self) -> None:
        """Without a terminal and without --yes nothing is done."""
        self.assertIn("--yes", self.refused("remove-backend", "b"))

    def test_not_there(self) -> None:
        """Who is not there cannot go."""
        said = self.refused("remove-backend", "c", "--yes")
        self.assertIn("no backend 'c', only default, b", said)

    def test_the_last_one(self) -> None:
        """Without a backend there is nothing to do."""
        self.remove("b", "--yes")
        self.assertIn("last backend", self.refused("remove-backend", "default", "--yes"))

    def test_not_set(self) -> None:
        """The host of OLLAMA_BASE_URL is no entry that could be removed."""
        self.path.write_text(REST)
        said = self.refused("remove-backend", "default", "--yes")
        self.assertIn("OLLAMA_BACKENDS is not set", said)
        self.assertEqual(
            json.loads(command("list-backends", "--json").stdout)[0]["name"], "default"
        )
