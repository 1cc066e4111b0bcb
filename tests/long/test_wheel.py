"""The wheel, installed into an empty environment elsewhere, is a working gateway."""

import shutil
import subprocess
import tempfile
import venv
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.gateway import installed_stack
from tests.http_client import ask, chat
from tests.wheel import built_wheel, pip


class InstallationTests(SynchronousTestCase):
    def test_away_from_the_tree(self) -> None:
        """It migrates, starts and answers, without a file of this tree."""
        home = Path(tempfile.mkdtemp(prefix="nzinstalled"))
        self.addCleanup(shutil.rmtree, home)
        venv.create(home, with_pip=True)
        programs = home / "bin"
        pip(str(programs / "python"), "install", f"{built_wheel()}[embedded]")
        stack = installed_stack(self, programs)

        stack.command("migrate")
        self.assertEqual(stack.command("list-keys", "--json").strip(), "[]")
        stack.start()
        key = stack.new_key()
        body = chat("hello", stream=False)
        answer = ask(stack.port, "POST", "/api/chat", body, key=key)
        self.assertEqual(answer.status, 200)
        self.assertIn(key[:12], stack.command("list-keys"))

        imported = subprocess.run(
            [programs / "python", "-c", "import neuronetz_twisted as n; print(n.__file__)"],
            cwd=home,
            env=stack.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertTrue(Path(imported.stdout.strip()).is_relative_to(home))
