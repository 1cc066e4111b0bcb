import json
import os
import signal
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from neuronetz_twisted.cli.background import BackgroundProcess, _started_by_ps, started
from tests.waiting import until

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


def pid_of(process: BackgroundProcess) -> int:
    """What its pid file says."""
    pid: int = json.loads((process.directory / "child.pid").read_bytes())["pid"]
    return pid


class StartedByPsTests(SynchronousTestCase):
    def test_where_there_is_no_proc(self) -> None:
        """`ps` tells a moment that does not change, and nothing of a process that is not there."""
        if not Path("/bin/ps").exists():
            raise SkipTest("there is no /bin/ps")
        mine = _started_by_ps(os.getpid())
        self.assertTrue(mine)
        self.assertEqual(_started_by_ps(os.getpid()), mine)
        self.assertIsNone(_started_by_ps(2**22 + 1))


class BackgroundProcessTests(TestCase):
    def directory(self) -> Path:
        """An empty directory."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        return directory

    async def process(self, program: str) -> BackgroundProcess:
        """A started process whose program has printed a line."""
        process = BackgroundProcess("child", self.directory())
        process.start([sys.executable, "-c", program], os.environ)
        pid = pid_of(process)
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        await until(lambda: process.log.stat().st_size > 0)
        return process

    async def test_it_is_found_by_another_command(self) -> None:
        """Its name and directory are enough to see that it runs."""
        process = await self.process(SLEEPER)
        self.assertTrue(BackgroundProcess("child", process.directory).running())
        self.assertFalse(BackgroundProcess("other", process.directory).running())

    async def test_it_has_a_session_of_its_own(self) -> None:
        """A Ctrl-C in our terminal does not reach it."""
        pid = pid_of(await self.process(SLEEPER))
        self.assertEqual(os.getsid(pid), pid)

    async def test_its_files_are_private(self) -> None:
        """Nobody else reads log or pid file."""
        process = await self.process(SLEEPER)
        for path in (process.log, process.directory / "child.pid"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    async def test_stop(self) -> None:
        """It is asked to end, and forgotten once it has; again is no error."""
        process = await self.process(SLEEPER)
        process.stop(10)
        self.assertFalse(process.running())
        self.assertFalse((process.directory / "child.pid").exists())
        process.stop(10)

    async def test_one_that_does_not_listen_is_killed(self) -> None:
        """After the patience comes SIGKILL."""
        process = await self.process(STUBBORN)
        process.stop(0.1)
        self.assertFalse(process.running())

    async def test_a_stranger_with_its_pid_is_left_alone(self) -> None:
        """A pid that was given to another process is not ours any more."""
        process = await self.process(SLEEPER)
        pid = pid_of(process)
        (process.directory / "child.pid").write_text(json.dumps({"pid": pid, "started": "1"}))
        self.assertFalse(process.running())
        process.stop(0)
        self.assertIsNotNone(started(pid))

    async def test_a_zombie_has_ended(self) -> None:
        """A process that nobody waited for does not count as running."""
        process = await self.process(SLEEPER)
        os.kill(pid_of(process), signal.SIGKILL)
        await until(lambda: not process.running())

    def test_a_broken_pid_file_is_no_process(self) -> None:
        """A half-written file names nobody."""
        directory = self.directory()
        (directory / "child.pid").write_text('{"pid"')
        self.assertFalse(BackgroundProcess("child", directory).running())

    async def test_tail(self) -> None:
        """The last lines of its output, and nothing where there is none."""
        process = await self.process(
            "print('\\n'.join(map(str, range(100))), flush=True)" + "\n" + SLEEPER
        )
        await until(lambda: "up" in process.tail())
        self.assertEqual(process.tail(lines=3), "98\n99\nup")
        self.assertEqual(BackgroundProcess("other", process.directory).tail(), "")
