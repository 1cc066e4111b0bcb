"""Loaded models and their time."""

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.options import RunnerOptions
from mock_ollama.residency import Residency

OPTIONS = RunnerOptions()


class ResidencyTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Load one model."""
        self.residency = Residency()
        self.runner = self.residency.load("a", OPTIONS, 1000.0)

    def names(self, now: float) -> list[str]:
        """List the loaded models."""
        return [name for name, _ in self.residency.loaded(now)]

    def test_expires(self) -> None:
        """A model is loaded until five minutes after its last use."""
        self.assertEqual(self.names(1299), ["a"])
        self.assertEqual(self.names(1300), [])
        self.assertIsNone(self.residency.runner("a", 1000))

    def test_used(self) -> None:
        """A model in use stays."""
        self.runner.users = 1
        self.assertEqual(self.names(9999), ["a"])

    def test_for_ever(self) -> None:
        """For ever is as long as Go can say."""
        self.runner.keep_alive = inf
        self.runner.extend(1000)
        self.assertEqual(self.names(9e9), ["a"])
        self.assertLess(self.runner.expires_at, 1e10)

    def test_unload(self) -> None:
        """An unloaded model goes at once, or when its last user goes; others are not known."""
        self.residency.unload("nothing", 1000)
        self.runner.users = 1
        self.residency.unload("a", 1000)
        self.assertEqual(self.names(1000), ["a"])
        self.runner.users = 0
        self.assertEqual(self.names(1000), [])

    def test_order(self) -> None:
        """The one that stays longest comes first."""
        self.residency.load("b", OPTIONS, 1001.0)
        self.assertEqual(self.names(1001), ["b", "a"])

    def test_counts(self) -> None:
        """A load in the place of a loaded runner is a reload, one after its end is not."""
        self.residency.load("a", OPTIONS, 1001.0)
        self.residency.load("b", OPTIONS, 1001.0)
        self.assertEqual(self.names(5000), [])
        self.residency.load("a", OPTIONS, 5001.0)
        expected = {
            "loads": 4,
            "reloads": 1,
            "models": {"a": {"loads": 3, "reloads": 1}, "b": {"loads": 1, "reloads": 0}},
        }
        self.assertEqual(self.residency.as_json(), expected)
        self.residency.forget()
        self.assertEqual(self.residency.as_json(), {"loads": 0, "reloads": 0, "models": {}})

    def test_clear(self) -> None:
        """Clearing drops all."""
        self.residency.clear()
        self.assertEqual(self.names(1000), [])
