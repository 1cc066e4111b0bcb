import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.cli.serve import twistd_command
from tests.command_line import command


class ServeTests(SynchronousTestCase):
    def test_it_becomes_twistd(self) -> None:
        """The process is replaced by twistd in the foreground, without a pid file."""
        became: list[tuple[str, list[str]]] = []
        self.patch(os, "execv", lambda *words: became.append(words))
        self.assertEqual(command("serve").exit_code, 0)
        self.assertEqual(command("serve", "--migrate").exit_code, 0)
        (program, plain), (_, migrating) = became
        self.assertEqual(program, sys.executable)
        self.assertEqual(plain[-3:], ["-n", "--pidfile=", "neuronetz"])
        self.assertEqual(migrating, [*plain, "--migrate"])

    def test_the_program_is_twistd(self) -> None:
        """What it becomes is there: it answers to --version as twistd does."""
        words = twistd_command(migrate=False)
        done = subprocess.run(
            [*words[: words.index("-n")], "--version"], capture_output=True, text=True, check=True
        )
        self.assertIn("Twisted", done.stdout)
