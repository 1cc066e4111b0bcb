"""The commands in docs/API.md do in a shell what stands below them."""

import os
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from neuronetz_twisted.vocabulary import Scope
from tests.api_examples import Example, examples_in, missing_from
from tests.gateway import shared_stack

API = Path(__file__).parents[2] / "docs" / "API.md"
DEMO = "http://127.0.0.1:8080"
ORIGIN = "https://app.example"
PLENTY = "100000000"


class ExampleTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A key with a budget, as the one in the document."""
        if shutil.which("curl") is None:
            raise SkipTest("curl is not installed")
        self.stack = shared_stack(GATEWAY_CORS_ORIGINS=ORIGIN)
        self.key = self.stack.new_key(scopes=tuple(Scope))
        name = f"tenant-{self.key[:12]}/{self.key[:12]}"
        self.stack.command("set-budget", "--key", name, "--total", PLENTY)
        self.home = self.mktemp()
        Path(self.home).mkdir()
        (Path(self.home) / ".curlrc").write_text("fail-with-body\nmax-time = 20\n")

    def answer(self, example: Example) -> str:
        """What the command prints, with an error of the gateway as a failure of it."""
        done = subprocess.run(
            ["sh", "-c", example.command.replace(DEMO, self.stack.url)],
            env={"PATH": os.environ["PATH"], "CURL_HOME": self.home, "KEY": self.key},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, f"{example.command}\n{done.stdout}{done.stderr}")
        return done.stdout.replace("\r\n", "\n")

    def test_all(self) -> None:
        """Each is answered, and nothing that is shown of its answer has another form."""
        examples = examples_in(API.read_text(encoding="utf-8"))
        self.assertGreater(len(examples), 20)
        for example in examples:
            with self.subTest(command=example.command):
                answer = self.answer(example)
                self.assertEqual(missing_from(example.shown, answer), [], answer)
