"""A request's options over Ollama's defaults."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.options import TRAINED_CONTEXT, RunnerOptions, checked_options, runner_options
from mock_ollama.refused import Refused


class CheckedTests(SynchronousTestCase):
    def test_converted(self) -> None:
        """Known options are converted, unknown and null ones are left out, keys are exact."""
        given = {
            "num_predict": 1.9,
            "temperature": 1,
            "use_mmap": False,
            "stop": ["x"],
            "seed": None,
            "nothing": {},
            "NUM_CTX": 5,
            "mirostat": 1,
        }
        expected = {"num_predict": 1, "temperature": 1.0, "use_mmap": False, "stop": ("x",)}
        self.assertEqual(checked_options(given), expected)

    def test_out_of_range(self) -> None:
        """A number that no integer can hold is the least one, as on the machines Ollama runs on."""
        for value in (1e300, -1e300, 2.0**63):
            self.assertEqual(checked_options({"num_ctx": value}), {"num_ctx": -(2**63)})

    def test_mistyped(self) -> None:
        """A known option of another type is refused in Ollama's words."""
        for key, value, kind in (
            ("num_ctx", "x", "of type integer"),
            ("num_ctx", True, "of type integer"),
            ("top_p", [], "of type float32"),
            ("use_mmap", 1, "of type boolean"),
            ("stop", "x", "of type array"),
            ("stop", ["x", 1], "of an array of strings"),
        ):
            with self.subTest(key=key, value=value):
                refused = self.assertRaises(Refused, checked_options, {key: value})
                self.assertEqual(refused.status, 500)
                self.assertEqual(refused.text, f'option "{key}" must be {kind}')


class RunnerTests(SynchronousTestCase):
    def test_reload_rule(self) -> None:
        """Any other runner option needs a reload; one that is the default does not."""
        loaded = RunnerOptions()
        self.assertTrue(loaded.suits(RunnerOptions()))
        for changes in (
            {"num_ctx": 8192},
            {"num_batch": 1},
            {"num_gpu": 0},
            {"main_gpu": 0},
            {"use_mmap": True},
            {"num_thread": 4},
            {"draft_num_predict": 1},
            {"shift": False},
        ):
            with self.subTest(changes=changes):
                other = evolve(loaded, **changes)
                self.assertFalse(loaded.suits(other))
                self.assertTrue(other.suits(other))
        self.assertTrue(RunnerOptions(num_gpu=3).suits(RunnerOptions()))

    def test_of_a_request(self) -> None:
        """The context has a least and a largest size, more on a model that sees."""
        for options, vision, context in (
            ({}, False, 4096),
            ({"num_ctx": 1}, False, 4),
            ({"num_ctx": 1}, True, 2048),
            ({"num_ctx": 10**9}, False, TRAINED_CONTEXT),
            ({}, True, 4096),
        ):
            with self.subTest(options=options, vision=vision):
                found = runner_options(options, shift=None, vision=vision)
                self.assertEqual(found, RunnerOptions(num_ctx=context))
        found = runner_options({"num_thread": 2, "top_k": 3}, shift=False, vision=False)
        self.assertEqual(found, RunnerOptions(num_thread=2, shift=False))
