"""Blocking calls in a few threads, of which none can hold up the reactor, the caller or the end.

A caller has an answer or `DatabaseUnavailable` by the deadline; the thread counts as busy until it
has really come back, which a cut of its socket (`lifeline`) makes it do. What cannot be started
within the bounds is refused at once, since a queue would only make everybody late.
"""

import errno
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Condition, Thread
from typing import Any, Protocol, TypeVar

from attrs import define
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from neuronetz_twisted.errors import DatabaseUnavailable
from neuronetz_twisted.stores.lifeline import Lifeline

T = TypeVar("T")

# A connection attempt takes two seconds at most and may begin just before a deadline.
STOP_S = 4.0
IDLE_S = 10.0
"""How long a thread of `OwnThread` waits for more."""


class ThreadedReactor(Protocol):
    """What is used of the reactor: its clock, and the way back from a thread."""

    def callLater(self, delay: float, callable: Callable[..., Any], /, *args: Any) -> IDelayedCall:  # noqa: A002
        """Call after so many seconds."""
        ...

    def callFromThread(self, callable: Callable[..., Any], /, *args: Any) -> None:  # noqa: A002
        """Call in the reactor's thread."""
        ...


class Threads(Protocol):
    """What is used of Twisted's `ThreadPool`."""

    def start(self) -> None:
        """Take work from now on."""
        ...

    def stop(self) -> None:
        """Wait for the work in progress, then end the threads."""
        ...

    def callInThreadWithCallback(
        self, onResult: Callable[[bool, Any], object], func: Callable[[], Any], /
    ) -> None:
        """Call `func` in a thread, then `onResult` there with success and result or Failure."""
        ...


class TooManyCalls(DatabaseUnavailable):
    """Refused at once for what is in flight; it says nothing of the server itself."""


class _DaemonThread(Thread):
    """A thread that does not keep the process when it is stuck."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, daemon=True, **kwargs)


class _DaemonThreads(ThreadPool):
    threadFactory = _DaemonThread


def in_own_thread(reactor: ThreadedReactor, work: Callable[[], T], name: str) -> Deferred[T]:
    """Call `work`, however long it takes, in a thread that does not keep the process from ending.

    Cancelling gives up the answer, not the work. Fails with `OSError` where the system has no
    thread left.
    """
    answer: Deferred[T] = Deferred()
    try:
        _start(partial(_answer, reactor, work, answer), name)
    except OSError:
        return fail()
    return answer


class OwnThread:
    """As `in_own_thread`, for short calls that come often: all in one thread, one at a time.

    The thread ends when there was nothing to do for `idle_s` seconds, and starts again with the
    next call.
    """

    def __init__(self, reactor: ThreadedReactor, name: str, *, idle_s: float = IDLE_S) -> None:
        self._reactor = reactor
        self._name = name
        self._idle_s = idle_s
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = Condition()
        self._runs = False

    def __call__(self, work: Callable[[], T], /) -> Deferred[T]:
        """Call `work` behind what was given before."""
        answer: Deferred[T] = Deferred()
        with self._changed:
            if not self._runs:
                try:
                    _start(self._run, self._name)
                except OSError:
                    return fail()
                self._runs = True
            self._calls.append(partial(_answer, self._reactor, work, answer))
            self._changed.notify()
        return answer

    def _run(self) -> None:
        while (call := self._next()) is not None:
            call()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            if self._changed.wait_for(lambda: self._calls, self._idle_s):
                return self._calls.popleft()
            self._runs = False
            return None


def _start(target: Callable[[], None], name: str) -> None:
    try:
        _DaemonThread(target=target, name=name).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error


def _answer(reactor: ThreadedReactor, work: Callable[[], T], answer: Deferred[T]) -> None:
    try:
        result: T | Failure = work()
    except BaseException:  # noqa: BLE001 - whatever it is, it is the caller's
        result = Failure()
    reactor.callFromThread(answer.callback, result)


@define(eq=False)
class _Call:
    """One call in progress. `answer` may have fired long before the thread is back."""

    answer: Deferred[Any]
    lifeline: Lifeline
    late: Callable[[Any], object] | None
    timer: IDelayedCall | None = None


class BoundedThreads:
    """At most `size` calls run and `overflow` more wait, each with `deadline_s` seconds in all."""

    _log = Logger()

    def __init__(
        self,
        reactor: ThreadedReactor,
        *,
        size: int,
        overflow: int,
        deadline_s: float,
        threads: Threads | None = None,
    ) -> None:
        self._reactor = reactor
        self._size = size
        self._limit = size + overflow
        self._deadline_s = deadline_s
        self._threads = threads or _DaemonThreads(minthreads=0, maxthreads=size, name="database")
        self._open = False
        self._in_flight: set[_Call] = set()
        self._idle: Deferred[None] | None = None

    def start(self) -> None:
        """Take calls from now on."""
        self._open = True
        self._threads.start()

    def call(
        self, work: Callable[[Lifeline], T], *, late: Callable[[T], object] | None = None
    ) -> Deferred[T]:
        """Call `work` in a thread, with the lifeline that its connections are to be held on.

        `late` is given a result that nobody waits for any more. Fails with `DatabaseUnavailable` at
        the deadline, with `TooManyCalls` at once, else as `work` does.
        """
        refusal = self._refusal()
        if refusal is not None:
            return fail(TooManyCalls(refusal))
        answer: Deferred[T] = Deferred()
        call = _Call(answer, Lifeline(), late)
        call.timer = self._reactor.callLater(self._deadline_s, self._expire, call)
        self._in_flight.add(call)
        self._hand_over(partial(_unless_cut, work, call.lifeline), partial(self._back, call))
        return answer

    async def stop(self, last: Callable[[], object]) -> None:
        """Refuse calls, wait for those in flight, call `last` in a thread, end the threads.

        Returns after four seconds at most; a thread that is stuck even then ends by itself.
        """
        if not self._open:
            return
        self._open = False
        if self._in_flight:
            self._idle = Deferred()
            timer = self._reactor.callLater(STOP_S, self._idle.callback, None)
            await self._idle
            if timer.active():
                timer.cancel()
        if self._in_flight:
            self._log.warn("{count} database calls are stuck", count=len(self._in_flight))
            # Joining stuck threads would hold the reactor: let a thread do it that nobody awaits.
            ending = Thread(target=self._end, args=(last,), name="database-end", daemon=True)
            ending.start()
            return
        ended: Deferred[object] = Deferred()
        self._hand_over(last, lambda _, result: ended.callback(result))
        await ended
        self._threads.stop()

    def _refusal(self) -> str | None:
        if not self._open:
            return "the database service is not running"
        if len(self._in_flight) >= self._limit:
            return f"{self._limit} database calls are in flight"
        if sum(call.lifeline.was_cut for call in self._in_flight) >= self._size:
            return "every database thread is stuck"
        return None

    def _hand_over(self, work: Callable[[], Any], done: Callable[[bool, Any], object]) -> None:
        self._threads.callInThreadWithCallback(partial(self._reactor.callFromThread, done), work)

    def _expire(self, call: _Call) -> None:
        call.lifeline.cut()
        if not call.answer.called:
            call.answer.errback(DatabaseUnavailable("the database did not answer in time"))

    def _back(self, call: _Call, succeeded: bool, result: Any) -> None:  # noqa: FBT001 - Twisted's
        self._in_flight.discard(call)
        if call.timer is not None and call.timer.active():
            call.timer.cancel()
        if not call.answer.called:
            call.answer.callback(result)
        elif succeeded:
            if call.late is not None:
                call.late(result)
        elif not result.check(DatabaseUnavailable):
            self._log.failure("a database call failed after its deadline", failure=result)
        if not self._in_flight and self._idle is not None and not self._idle.called:
            self._idle.callback(None)

    def _end(self, last: Callable[[], object]) -> None:
        last()
        self._threads.stop()


def _unless_cut(work: Callable[[Lifeline], T], lifeline: Lifeline) -> T:
    if lifeline.was_cut:
        raise DatabaseUnavailable("no database thread was free in time")
    try:
        return work(lifeline)
    finally:
        lifeline.release()
