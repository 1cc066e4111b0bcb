"""Slots, the queue and loads, on a clock."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.catalogue import Model
from mock_ollama.options import RunnerOptions
from mock_ollama.refused import Refused
from mock_ollama.residency import Residency
from mock_ollama.scheduler import Place, Scheduler

MODEL = Model("llama3.2:latest")
OTHER = Model("qwen3:8b")
EMBEDDER = Model("nomic-embed-text:latest")
PLAIN = RunnerOptions()
LONGER = RunnerOptions(num_ctx=8192)


class SchedulerTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Make a scheduler without limits."""
        self.clock = Clock()
        self.residency = Residency()
        self.scheduler = Scheduler(self.clock, self.residency)

    def enter(
        self, model: Model = MODEL, options: RunnerOptions = PLAIN, keep_alive: float | None = None
    ) -> Deferred[Place]:
        """Ask for a place."""
        return self.scheduler.enter(model, options, keep_alive)

    def counts(self) -> tuple[int, int]:
        """Give the loads and reloads so far."""
        counted = self.residency.as_json()
        return counted["loads"], counted["reloads"]

    def test_without_limits(self) -> None:
        """Any number run at once, on one load."""
        for _ in range(1000):
            self.successResultOf(self.enter())
        self.assertEqual(self.counts(), (1, 0))

    def test_slots(self) -> None:
        """The rest wait in order of arrival, each model for itself."""
        self.scheduler.num_parallel = 2
        first, second, third, fourth = (self.enter() for _ in range(4))
        self.successResultOf(self.enter(OTHER))
        self.successResultOf(first)
        self.assertNoResult(third)
        self.clock.advance(5)
        self.successResultOf(second).leave()
        place = self.successResultOf(third)
        self.assertEqual(place.waited, 5)
        self.assertNoResult(fourth)
        place.leave()
        self.successResultOf(fourth)

    def test_embedding_runs_alone(self) -> None:
        """A model that embeds has one slot where there are slots at all."""
        self.scheduler.num_parallel = 4
        self.successResultOf(self.enter(EMBEDDER))
        self.assertNoResult(self.enter(EMBEDDER))

    def test_queue(self) -> None:
        """One too many is refused, and takes nobody's place."""
        self.scheduler.num_parallel, self.scheduler.max_queue = 1, 2
        first, *waiting = (self.enter() for _ in range(3))
        for _ in range(2):
            refused = self.assertRaises(Refused, self.enter)
            self.assertEqual(refused.status, 503)
            self.assertIn("server busy, please try again.  maximum", refused.text)
        self.successResultOf(self.enter(OTHER))
        for place in (first, *waiting):
            self.successResultOf(place).leave()

    def test_cancelled(self) -> None:
        """Who gives up leaves the queue."""
        self.scheduler.num_parallel, self.scheduler.max_queue = 1, 1
        first, second = self.enter(), self.enter()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        third = self.enter()
        self.successResultOf(first).leave()
        self.successResultOf(third)

    def test_cancelled_before_a_reload(self) -> None:
        """Who waits behind a reload that is given up goes on at once."""
        self.successResultOf(self.enter())
        reload, behind = self.enter(options=LONGER), self.enter()
        self.assertNoResult(behind)
        reload.cancel()
        self.failureResultOf(reload, CancelledError)
        self.successResultOf(behind)

    def test_reload(self) -> None:
        """Other options wait for an idle runner and reload it, as do those that come back."""
        first = self.successResultOf(self.enter())
        second = self.enter(options=LONGER)
        self.assertNoResult(second)
        first.leave()
        self.successResultOf(second).leave()
        self.assertEqual(self.counts(), (2, 1))
        self.successResultOf(self.enter(options=LONGER)).leave()
        self.assertEqual(self.counts(), (2, 1))
        self.successResultOf(self.enter())
        self.assertEqual(self.counts(), (3, 2))

    def test_load_time(self) -> None:
        """A load takes its time, for all who wait for it."""
        self.scheduler.load_time = 3
        first, second = self.enter(), self.enter()
        self.clock.advance(2)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(second).waited, 3)
        self.assertEqual(self.counts(), (1, 0))

    def test_keep_alive(self) -> None:
        """A request sets how long the model stays after it; one that does not say leaves that."""
        for keep_alive, seconds in ((10.0, 10), (None, 10), (0.0, 0), (None, 300)):
            with self.subTest(keep_alive=keep_alive):
                self.successResultOf(self.enter(keep_alive=keep_alive)).leave()
                loaded = [runner.expires_at for _, runner in self.residency.loaded(0)]
                self.assertEqual(loaded, [seconds] if seconds else [])

    def test_many_short_ones(self) -> None:
        """A queue of requests that end as soon as they begin does not exhaust the stack."""
        self.scheduler.num_parallel, self.scheduler.max_queue = 1, 5000
        first = self.successResultOf(self.enter())
        done = []

        def leave(place: Place) -> None:
            done.append(place)
            place.leave()

        for _ in range(5000):
            self.enter().addCallback(leave)
        first.leave()
        self.assertEqual(len(done), 5000)
