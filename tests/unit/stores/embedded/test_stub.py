import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.embedded import stub
from neuronetz_twisted.stores.embedded.stub import Plan, Preparation


class StubTests(SynchronousTestCase):
    """The stub as it is run: isolated, with a plan."""

    def setUp(self) -> None:
        """A directory of this user."""
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()

    def plan(self, code: str, prepare: Preparation | None = None) -> Plan:
        """A plan to become a small Python program."""
        return Plan(
            parent=os.getpid(),
            death_signal=signal.SIGKILL,
            home=str(self.home),
            owned=[],
            refuses_root=False,
            prepare=prepare,
            argv=[sys.executable, "-c", code],
        )

    def run_stub(self, plan: Plan) -> subprocess.CompletedProcess[str]:
        """The stub's end, or that of what it became."""
        return subprocess.run(
            [sys.executable, "-I", "-S", stub.__file__, json.dumps(plan)],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )

    def preparation(self, code: str) -> Preparation:
        """Make a directory by a small Python program."""
        return Preparation(
            argv=[sys.executable, "-c", code],
            made=str(self.home / "new"),
            becomes=str(self.home / "data"),
        )

    def test_becomes_the_program(self) -> None:
        """The program runs in the stub's place, its files private, its signals as usual."""
        ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGINT, ignored)
        done = self.run_stub(
            self.plan(
                "import os, signal; print(oct(os.umask(0)), os.getppid(),"
                " signal.getsignal(signal.SIGINT) is not signal.SIG_IGN)"
            )
        )
        self.assertEqual((done.stdout, done.stderr), (f"0o77 {os.getpid()} True\n", ""))

    def test_parent_already_dead(self) -> None:
        """A stub whose parent is not the one that forked it ends before it becomes anything."""
        plan = self.plan("print('served')")
        plan["parent"] = 1
        done = self.run_stub(plan)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr, "the gateway ended before its server began\n")

    def test_program_out_of_reach(self) -> None:
        """A program that its user cannot run is named, with what to do about it."""
        plan = self.plan("")
        plan["argv"] = [str(self.home / "missing")]
        done = self.run_stub(plan)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^uid \d+ cannot reach .*missing .*ordinary user")

    def test_prepares_once(self) -> None:
        """What a killed stub left is cleared; what is whole is never made again."""
        (self.home / "new").mkdir()
        (self.home / "new" / "half").touch()
        make = self.preparation(f"import os; os.mkdir({str(self.home / 'new')!r})")
        for _ in range(2):
            done = self.run_stub(self.plan("print('served')", make))
            self.assertEqual((done.stdout, done.stderr), ("served\n", ""))
            self.assertEqual([path.name for path in self.home.iterdir()], ["data"])
            make = self.preparation("raise SystemExit('made twice')")

    def test_failed_preparation(self) -> None:
        """A preparation that fails is told and leaves nothing that looks whole."""
        make = self.preparation("raise SystemExit(3)")
        done = self.run_stub(self.plan("print('served')", make))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"^python\S* failed with 3\n$")
        self.assertEqual(list(self.home.iterdir()), [])

    def test_names(self) -> None:
        """A uid is asked for in the password database."""
        self.assertTrue(stub.has_name(0))
        self.assertFalse(stub.has_name(54321))

    def test_in_child(self) -> None:
        """A step that the system denies is a status, and happens in a process of its own."""

        def denied() -> None:
            raise PermissionError

        self.assertEqual(stub.in_child(lambda: os.chdir("/")), 0)
        self.assertNotEqual(os.getcwd(), "/")  # noqa: PTH109
        self.assertEqual(stub.in_child(denied), 1)
