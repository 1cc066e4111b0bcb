"""One backend: what speaks of the host, and what only of a model there."""

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.testing.upstream import ScriptedPolls, ScriptedRoom
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.health import FAILURES, FIRST_PAUSE_S, LOAD_S, STALL_S
from neuronetz_twisted.upstream.hosts import KEPT_S, NO_TRIAL, Host


class HostTests(SynchronousTestCase):
    def setUp(self) -> None:
        """It is well."""
        self.clock = Clock()
        self.polls = ScriptedPolls()
        backend = Backend(name="a", url="http://a")
        self.host = Host(backend, ScriptedRoom(), self.polls, self.clock)

    def fail(self, model: str) -> None:  # type: ignore[override]
        """Have it left out for a model."""
        for _ in range(FAILURES):
            self.host.failed(model, NO_TRIAL, "500")

    def test_of_one_model(self) -> None:
        """What fails of one model is nothing against the others, until it is answered."""
        self.fail("x")
        self.assertEqual([self.host.is_well("x"), self.host.is_well("y")], [False, True])
        self.host.answered("y")
        self.assertFalse(self.host.is_well("x"))
        self.host.answered("x")
        self.assertTrue(self.host.is_well("x"))

    def test_lost(self) -> None:
        """Connections that are lost speak of all its models."""
        for _ in range(FAILURES):
            self.host.lost("x", NO_TRIAL, "lost")
        self.assertFalse(self.host.is_well("y"))
        self.host.answered("y")
        self.assertTrue(self.host.is_well("x"))

    def test_trials(self) -> None:
        """One of them for each model, and it begins anew where it told nothing."""
        self.fail("x")
        self.clock.advance(FIRST_PAUSE_S)
        trial = self.host.begin("x")
        self.assertTrue(trial.of_model)
        self.assertFalse(trial.of_host)
        self.assertEqual(self.host.begin("x"), NO_TRIAL)
        self.host.ended("x", trial)
        trial = self.host.begin("x")
        self.host.lost("x", trial, "lost")
        self.assertTrue(self.host.begin("x").of_model)

    def test_patience(self) -> None:
        """It may load for a while, and read what is long; a host that is gone does neither."""
        self.assertEqual(self.host.patience_s("x", 0), LOAD_S)
        self.host.loaded("x")
        for prompt, expected in ((0, STALL_S), (10, STALL_S), (3000, 30), (10**6, LOAD_S)):
            self.assertEqual(self.host.patience_s("x", prompt), expected)
        self.polls.silent.add("a")
        self.assertEqual(self.host.patience_s("x", 10**6), STALL_S)

    def test_loaded(self) -> None:
        """Until another one is loaded, its time is over, or the host was lost."""
        for gone in (
            lambda: self.host.loaded("y"),
            lambda: self.clock.advance(KEPT_S),
            lambda: self.host.lost("y", NO_TRIAL, "lost"),
            lambda: setattr(self.host.room, "left_by_host", True),
        ):
            self.host.loaded("x")
            self.assertTrue(self.host.is_loaded("x"))
            gone()
            self.assertFalse(self.host.is_loaded("x"))
        self.host.loaded("x")
        self.clock.advance(KEPT_S - 1)
        self.host.loaded("x")
        self.clock.advance(KEPT_S - 1)
        self.assertTrue(self.host.is_loaded("x"))

    def test_log(self) -> None:
        """The log says of which model it is left out."""
        with capturedLogs() as logged:
            self.fail("x")
            self.host.answered("x")
        self.assertEqual(
            [formatEvent(event) for event in logged],
            ["backend a, model x is left out: 500", "backend a, model x is asked again"],
        )
