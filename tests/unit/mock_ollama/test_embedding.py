"""Vectors for texts."""

from math import hypot

from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.embedding import raw_vector, unit_vector


class VectorTests(SynchronousTestCase):
    def test_deterministic(self) -> None:
        """A text has one vector of its own."""
        self.assertEqual(raw_vector("a"), raw_vector("a"))
        self.assertNotEqual(raw_vector("a"), raw_vector("b"))
        self.assertEqual(len(raw_vector("a")), 768)

    def test_unit_length(self) -> None:
        """Normalised vectors have length one at any number of dimensions."""
        for dimensions, length in ((0, 768), (10, 10), (9999, 768)):
            with self.subTest(dimensions=dimensions):
                vector = unit_vector("a", dimensions)
                self.assertEqual(len(vector), length)
                self.assertAlmostEqual(hypot(*vector), 1.0, places=5)
