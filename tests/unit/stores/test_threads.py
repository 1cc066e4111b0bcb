"""The reactor's side of the threads: a pool that runs nothing until it is told to."""

import errno
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.lifeline import Lifeline
from neuronetz_twisted.stores.threads import (
    STOP_S,
    BoundedThreads,
    OwnThread,
    TooManyCalls,
    in_own_thread,
)


class ThreadClock(Clock):
    """A clock whose reactor thread is the test's own."""

    def callFromThread(self, callable: Callable[..., Any], /, *args: Any) -> None:  # noqa: A002
        """Call at once."""
        callable(*args)


@define
class Bench:
    """Threads that the test moves by hand: `begin` picks up the oldest work, `finish` returns."""

    waiting: list[tuple[Callable[[bool, Any], object], Callable[[], Any]]] = field(factory=list)
    running: list[tuple[Callable[[bool, Any], object], bool, Any]] = field(factory=list)
    started: bool = False
    stopped: bool = False

    def start(self) -> None:
        """Take work."""
        self.started = True

    def stop(self) -> None:
        """Take no more."""
        self.stopped = True

    def callInThreadWithCallback(
        self, onResult: Callable[[bool, Any], object], func: Callable[[], Any], /
    ) -> None:
        """Queue the work."""
        self.waiting.append((onResult, func))

    def begin(self) -> None:
        """Run the oldest work, without handing its result back yet."""
        done, work = self.waiting.pop(0)
        try:
            self.running.append((done, True, work()))
        except Exception:  # noqa: BLE001 - as the real pool does
            self.running.append((done, False, Failure()))

    def finish(self) -> None:
        """Hand the oldest result back."""
        done, succeeded, result = self.running.pop(0)
        done(succeeded, result)

    def step(self) -> None:
        """One whole piece of work."""
        self.begin()
        self.finish()


def answer(value: Any, _: Lifeline) -> Any:
    """Work that succeeds."""
    return value


def fail_with(error: Exception, _: Lifeline) -> Any:
    """Work that does not."""
    raise error


class Calls(SynchronousTestCase):
    """Two threads, one more may wait, two seconds each."""

    def setUp(self) -> None:
        """Started threads."""
        self.clock = ThreadClock()
        self.bench = Bench()
        self.threads = BoundedThreads(
            self.clock, size=2, overflow=1, deadline_s=2.0, threads=self.bench
        )
        self.threads.start()

    def call(self, value: Any = 1) -> Deferred[Any]:
        """A call that would succeed."""
        return self.threads.call(partial(answer, value))

    def test_answer(self) -> None:
        """The value of the work is the answer, and no timer is left."""
        asked = self.call("value")
        self.bench.step()
        self.assertEqual(self.successResultOf(asked), "value")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_error(self) -> None:
        """An error of the work is the answer as it is."""
        asked = self.threads.call(partial(fail_with, KeyError("x")))
        self.bench.step()
        self.failureResultOf(asked, KeyError)

    def test_bounds(self) -> None:
        """Beyond threads and overflow a call is refused at once and costs no thread."""
        asked = [self.call() for _ in range(3)]
        self.failureResultOf(self.call(), TooManyCalls)
        self.assertEqual(len(self.bench.waiting), 3)
        self.bench.step()
        self.successResultOf(asked[0])
        self.assertNoResult(self.call())

    def test_not_started(self) -> None:
        """Before the start everything is refused."""
        threads = BoundedThreads(self.clock, size=1, overflow=0, deadline_s=1, threads=Bench())
        self.failureResultOf(threads.call(partial(answer, 1)), DatabaseUnavailable)

    def test_deadline(self) -> None:
        """At the deadline the caller is told and the lifeline cut; not a moment earlier."""
        lifelines: list[Lifeline] = []
        asked = self.threads.call(lifelines.append)
        self.bench.begin()
        self.clock.advance(1.99)
        self.assertNoResult(asked)
        self.assertFalse(lifelines[0].was_cut)
        self.clock.advance(0.01)
        self.failureResultOf(asked, DatabaseUnavailable)
        self.assertTrue(lifelines[0].was_cut)
        self.bench.finish()

    def test_overdue_thread_counts(self) -> None:
        """A thread that has not come back still takes up its place."""
        late = [self.call() for _ in range(3)]
        self.bench.begin()
        self.clock.advance(2)
        for asked in late:
            self.failureResultOf(asked, DatabaseUnavailable)
        self.failureResultOf(self.call(), TooManyCalls)

    def test_all_threads_stuck(self) -> None:
        """With every thread past its deadline a call is refused although there is overflow."""
        stuck = [self.call() for _ in range(2)]
        self.bench.begin()
        self.bench.begin()
        self.clock.advance(2)
        for asked in stuck:
            self.failureResultOf(asked, DatabaseUnavailable)
        self.failureResultOf(self.call(), TooManyCalls)
        self.bench.finish()
        asked = self.call("again")
        self.bench.begin()
        self.bench.finish()
        self.assertNoResult(asked)
        self.bench.finish()
        self.assertEqual(self.successResultOf(asked), "again")

    def test_overdue_before_it_began(self) -> None:
        """Work that no thread took up in time is not done later."""
        done: list[Lifeline] = []
        asked = self.threads.call(done.append)
        self.clock.advance(2)
        self.failureResultOf(asked, DatabaseUnavailable)
        self.bench.step()
        self.assertEqual(done, [])

    def test_late_value_is_handed_over(self) -> None:
        """A value that nobody waits for goes where `late` says, and only then."""
        late: list[Any] = []
        for advance, expected in ((0, []), (2, ["value"])):
            with self.subTest(advance=advance):
                asked = self.threads.call(partial(answer, "value"), late=late.append)
                asked.addErrback(lambda failure: failure.trap(DatabaseUnavailable) and None)
                self.bench.begin()
                self.clock.advance(advance)
                self.bench.finish()
                self.assertEqual(late, expected)

    def test_late_fault_is_logged(self) -> None:
        """An error after the deadline is lost on the caller but not on the log."""
        asked = self.threads.call(partial(fail_with, KeyError("x")))
        self.bench.begin()
        self.clock.advance(2)
        self.failureResultOf(asked, DatabaseUnavailable)
        self.bench.finish()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_late_outage_is_not_logged(self) -> None:
        """The connection error that a cut brings about says nothing new."""
        asked = self.threads.call(partial(fail_with, DatabaseUnavailable("cut")))
        self.bench.begin()
        self.clock.advance(2)
        self.failureResultOf(asked, DatabaseUnavailable)
        self.bench.finish()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancel(self) -> None:
        """Cancelling gives up the answer; thread and deadline go on."""
        lifelines: list[Lifeline] = []
        asked = self.threads.call(lifelines.append)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.bench.begin()
        self.clock.advance(2)
        self.assertTrue(lifelines[0].was_cut)
        self.bench.finish()

    def stop(self, last: list[str]) -> Deferred[None]:
        """Begin to stop; `last` tells what was done."""
        return Deferred.fromCoroutine(self.threads.stop(lambda: last.append("done")))

    def test_stop_when_idle(self) -> None:
        """The last work is done in a thread, then the threads end."""
        last: list[str] = []
        stopped = self.stop(last)
        self.assertEqual((last, self.bench.stopped), ([], False))
        self.bench.step()
        self.successResultOf(stopped)
        self.assertEqual((last, self.bench.stopped), (["done"], True))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.failureResultOf(self.call(), DatabaseUnavailable)

    def test_stop_waits(self) -> None:
        """Calls in flight are waited for and have their answers; new ones are refused."""
        asked = self.call("value")
        stopped = self.stop([])
        self.failureResultOf(self.call(), DatabaseUnavailable)
        self.bench.step()
        self.assertEqual(self.successResultOf(asked), "value")
        self.bench.step()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_does_not_wait_for_ever(self) -> None:
        """A thread that never comes back holds the end up for a few seconds only."""
        asked = self.call()
        self.bench.begin()
        stopped = self.stop([])
        self.clock.advance(2)
        self.failureResultOf(asked, DatabaseUnavailable)
        self.assertNoResult(stopped)
        self.clock.advance(STOP_S - 2)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_without_start(self) -> None:
        """Stopping what never ran is over at once."""
        threads = BoundedThreads(self.clock, size=1, overflow=0, deadline_s=1, threads=Bench())
        self.successResultOf(Deferred.fromCoroutine(threads.stop(self.fail)))


class QueueReactor(ThreadClock):
    """Keeps what other threads ask of it until the test runs it."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def callFromThread(self, callable: Callable[..., Any], /, *args: Any) -> None:  # noqa: A002
        """Keep it."""
        self._asked.put(partial(callable, *args))

    def turn(self) -> None:
        """Run the next one, waiting for it if need be."""
        self._asked.get(timeout=10)()


def no_more_threads(case: SynchronousTestCase) -> MonkeyPatcher:
    """Let no thread be started; gives what ends that."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    patched: MonkeyPatcher = case.patch(threading.Thread, "start", start)
    return patched


class InOwnThread(SynchronousTestCase):
    """Work of any length."""

    def setUp(self) -> None:
        """A reactor whose thread is the test's own."""
        self.reactor = QueueReactor()

    def test_answer(self) -> None:
        """The value comes back; the thread is none that the process would wait for."""
        answer = in_own_thread(self.reactor, threading.current_thread, "work")
        self.assertNoResult(answer)
        self.reactor.turn()
        thread = self.successResultOf(answer)
        self.assertTrue(thread.daemon)
        self.assertEqual(thread.name, "work")

    def test_error(self) -> None:
        """So does what was raised."""
        answer = in_own_thread(self.reactor, partial(int, "x"), "work")
        self.reactor.turn()
        self.failureResultOf(answer, ValueError)

    def test_cancel(self) -> None:
        """Who stops waiting is free at once; what comes later is nobody's."""
        go_on = threading.Event()
        answer = in_own_thread(self.reactor, partial(go_on.wait, 10), "work")
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        go_on.set()
        self.reactor.turn()

    def test_no_thread(self) -> None:
        """Where the system has none left, the answer says so at once."""
        no_more_threads(self)
        answer = in_own_thread(self.reactor, partial(int, "7"), "work")
        self.assertEqual(self.failureResultOf(answer, OSError).value.errno, errno.EAGAIN)


class OwnThreads(SynchronousTestCase):
    """Short work that comes often."""

    def setUp(self) -> None:
        """A thread that ends when it has nothing to do."""
        self.reactor = QueueReactor()
        self.thread = OwnThread(self.reactor, "work", idle_s=0)

    def test_one_thread(self) -> None:
        """While there is work it is all done in the same thread, in its order."""
        go_on = threading.Event()
        waiting = self.thread(partial(go_on.wait, 10))
        answers = [self.thread(threading.current_thread) for _ in range(2)]
        go_on.set()
        for answer in (waiting, *answers):
            self.assertNoResult(answer)
            self.reactor.turn()
        first, second = (self.successResultOf(answer) for answer in answers)
        self.assertIs(first, second)
        self.assertEqual((first.name, first.daemon), ("work", True))

    def test_idle(self) -> None:
        """A thread that has nothing to do ends, and the next work begins another one."""
        seen = []
        for _ in range(2):
            answer = self.thread(threading.current_thread)
            self.reactor.turn()
            thread = self.successResultOf(answer)
            thread.join(10)
            self.assertFalse(thread.is_alive())
            seen.append(thread)
        self.assertIsNot(seen[0], seen[1])

    def test_kept(self) -> None:
        """Between two pieces of work that come soon after each other it waits."""
        kept = OwnThread(self.reactor, "work", idle_s=10)
        seen = []
        for _ in range(2):
            answer = kept(threading.current_thread)
            self.reactor.turn()
            seen.append(self.successResultOf(answer))
        self.assertIs(seen[0], seen[1])

    def test_error(self) -> None:
        """What was raised comes back, and what comes behind it is done."""
        answers = [self.thread(partial(int, text)) for text in ("x", "7")]
        self.reactor.turn()
        self.reactor.turn()
        self.failureResultOf(answers[0], ValueError)
        self.assertEqual(self.successResultOf(answers[1]), 7)

    def test_no_thread(self) -> None:
        """Where the system has none left, the answer says so at once, and the next may do."""
        threads = no_more_threads(self)
        self.failureResultOf(self.thread(partial(int, "7")), OSError)
        threads.restore()
        answer = self.thread(partial(int, "7"))
        self.reactor.turn()
        self.assertEqual(self.successResultOf(answer), 7)
