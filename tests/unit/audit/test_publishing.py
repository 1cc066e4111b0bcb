"""Statements on their way into the checkpoint file, while nobody waits for it."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit.publishing import Publisher
from tests.unit.audit.chains import chain_of, signed


class Publishing(SynchronousTestCase):
    def setUp(self) -> None:
        """A file that takes as long as the test says."""
        self.written: list[int] = []
        self.faults: list[str] = []
        self.held: list[tuple[Deferred[Any], Callable[[], Any]]] = []
        self.publisher = Publisher(
            lambda statement: self.written.append(statement.seq),
            in_thread=self.in_thread,
            fault=self.faults.append,
        )
        self.statements = [signed(final) for final in chain_of(3)]

    def in_thread(self, work: Callable[[], Any], /) -> Deferred[Any]:
        """Later."""
        answer: Deferred[Any] = Deferred()
        self.held.append((answer, work))
        return answer

    def answer(self) -> None:
        """The oldest thread comes back."""
        answer, work = self.held.pop(0)
        answer.callback(work())

    def test_one_at_a_time(self) -> None:
        """One thread at most works, and the order is that of the statements."""
        for statement in self.statements:
            self.publisher.add(statement)
        while self.held:
            self.assertEqual(len(self.held), 1)
            self.answer()
        self.assertEqual((self.written, self.faults), ([1, 2, 3], []))

    def test_fault(self) -> None:
        """Whatever happened is told, and the next statement brings what was left with it."""
        for error in (OSError("no room"), ValueError()):
            self.publisher.add(self.statements[0])
            self.held.pop(0)[0].errback(error)
            self.assertEqual(self.held, [])
        self.assertEqual(self.faults, ["a checkpoint could not be appended to its file"] * 2)
        self.publisher.add(self.statements[1])
        while self.held:
            self.answer()
        self.assertEqual(self.written, [1, 1, 2])

    def test_finish(self) -> None:
        """Who waits has all of them in the file then; where nothing is left, at once."""
        self.successResultOf(Deferred.fromCoroutine(self.publisher.finish()))
        self.publisher.add(self.statements[0])
        finished = Deferred.fromCoroutine(self.publisher.finish())
        self.assertNoResult(finished)
        self.answer()
        self.successResultOf(finished)
        self.successResultOf(Deferred.fromCoroutine(self.publisher.finish()))

    def test_give_up(self) -> None:
        """A thread that hangs is waited for no longer, and what comes of it is nobody's."""
        self.publisher.give_up()
        self.publisher.add(self.statements[0])
        finished = Deferred.fromCoroutine(self.publisher.finish())
        self.publisher.give_up()
        self.successResultOf(finished)
        self.answer()
        self.assertEqual((self.written, self.faults, self.held), ([1], [], []))
