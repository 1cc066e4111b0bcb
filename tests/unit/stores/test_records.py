from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.stores.records import (
    AmbiguousKey,
    KeyIsRevoked,
    NameTaken,
    NoSuchKey,
    NoSuchTenant,
)


class Sentences(SynchronousTestCase):
    """What the command line prints."""

    def test_one_plain_sentence_each(self) -> None:
        """Each error says what is wrong and, where it helps, what exists."""
        for error, sentence in (
            (NameTaken("tenant", "acme"), "a tenant named 'acme' exists already"),
            (NoSuchTenant("x", []), "there is no tenant 'x'; there are none yet"),
            (NoSuchTenant("x", ["a", "b"]), "there is no tenant 'x'; there are: a, b"),
            (NoSuchKey("nz_x", ["nz_y"]), "there is no key 'nz_x'; there are: nz_y"),
            (
                AmbiguousKey("laptop", ["nz_x", "nz_y"]),
                "'laptop' names several keys; say which of: nz_x, nz_y",
            ),
            (KeyIsRevoked("nz_x"), "the key 'nz_x' is revoked for good; make a new one"),
        ):
            with self.subTest(sentence=sentence):
                self.assertEqual(str(error), sentence)

    def test_long_lists_are_cut(self) -> None:
        """A hundred tenants do not make a screen of an error."""
        text = str(NoSuchTenant("x", [f"t{number}" for number in range(100)]))
        self.assertIn("t19 and 80 more", text)
        self.assertNotIn("t20", text)
