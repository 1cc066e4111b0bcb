"""The key format: round trip, and every typo rejected by the CRC."""

import secrets
import zlib
from hashlib import sha256
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.admission.credentials import bearer_of, new_key, parse_key

# A loaded machine is slow; that is no failure.
UNHURRIED = settings(deadline=None)

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

keys = st.integers(0, 2**64).map(lambda seed: new_key(Random(seed).randrange))
places = st.integers(0, 43)


class KeyFormatTests(SynchronousTestCase):
    @UNHURRIED
    @given(keys)
    def test_a_new_key_is_read_back(self, key: str) -> None:
        """A key parses to its first twelve characters and the SHA-256 of all of it."""
        parsed = parse_key(key)
        assert parsed is not None
        self.assertEqual((parsed.prefix, parsed.digest), (key[:12], sha256(key.encode()).digest()))

    @UNHURRIED
    @given(keys)
    def test_a_key_has_the_documented_shape(self, key: str) -> None:
        """44 characters: nz_, 9 and 26 base62 ones, and the CRC32 in six base62 digits."""
        self.assertEqual(len(key), 44)
        self.assertTrue(key.startswith("nz_"))
        self.assertLessEqual(set(key[3:]), set(BASE62))
        crc = 0
        for digit in key[38:]:
            crc = crc * 62 + BASE62.index(digit)
        self.assertEqual(crc, zlib.crc32(key[:38].encode()))

    @UNHURRIED
    @given(keys, places, st.characters(min_codepoint=1, max_codepoint=0x17F))
    def test_every_changed_character_is_rejected(self, key: str, place: int, other: str) -> None:
        """No single substitution anywhere passes, of the same alphabet or not."""
        assume(key[place] != other)
        self.assertIsNone(parse_key(key[:place] + other + key[place + 1 :]))

    def test_every_changed_character_of_one_key_is_rejected(self) -> None:
        """All 44 places with all 62 characters of the alphabet, one key whole."""
        key = new_key(Random(1).randrange)
        for place in range(44):
            for other in BASE62.replace(key[place], ""):
                self.assertIsNone(parse_key(key[:place] + other + key[place + 1 :]))

    @UNHURRIED
    @given(keys, st.integers(0, 42))
    def test_swapped_neighbours_are_rejected(self, key: str, place: int) -> None:
        """Two different neighbours that change places do not pass."""
        left, right = key[place], key[place + 1]
        assume(left != right)
        self.assertIsNone(parse_key(key[:place] + right + left + key[place + 2 :]))

    @UNHURRIED
    @given(keys, places)
    def test_a_missing_or_doubled_character_is_rejected(self, key: str, place: int) -> None:
        """A key has one length."""
        self.assertIsNone(parse_key(key[:place] + key[place + 1 :]))
        self.assertIsNone(parse_key(key[:place] + key[place] + key[place:]))

    @UNHURRIED
    @given(st.text(max_size=60))
    def test_other_text_is_no_key(self, text: str) -> None:
        """Arbitrary text, also beyond ASCII, is None and not an error."""
        self.assertIsNone(parse_key(text))

    def test_a_line_feed_behind_a_key_is_rejected(self) -> None:
        """The whole text is the key."""
        self.assertIsNone(parse_key(new_key(secrets.randbelow) + "\n"))

    def test_keys_differ(self) -> None:
        """The characters come from the source, all 62 of them."""
        made = [new_key(secrets.randbelow) for _ in range(200)]
        self.assertEqual(len(set(made)), 200)
        self.assertEqual(set("".join(key[3:38] for key in made)), set(BASE62))

    def test_the_repr_hides_the_digest(self) -> None:
        """What is logged of a key is its prefix."""
        key = new_key(Random(3).randrange)
        shown = repr(parse_key(key))
        self.assertIn(key[:12], shown)
        self.assertNotIn(key[12:], shown)
        self.assertNotIn("digest", shown)


class BearerTests(SynchronousTestCase):
    def test_bearer_in_any_case(self) -> None:
        """The scheme's case does not matter, nor do further spaces."""
        for value in (b"Bearer word", b"bearer word", b"BEARER   word", b" Bearer word "):
            self.assertEqual(bearer_of(value, None), "word")

    def test_x_api_key(self) -> None:
        """Anthropic's clients send the key alone."""
        self.assertEqual(bearer_of(None, b" word "), "word")

    def test_nothing_else_is_a_credential(self) -> None:
        """No header, another scheme, no word, several words, bytes beyond ASCII: None."""
        for value in (None, b"", b"Basic word", b"word", b"Bearer", b"Bearer a b", b"Bearer w\xc3"):
            self.assertIsNone(bearer_of(value, None))
        for value in (b"", b"two words", b"\xff"):
            self.assertIsNone(bearer_of(None, value))

    def test_two_headers_must_agree(self) -> None:
        """The same key twice is one credential; two different ones are none."""
        self.assertEqual(bearer_of(b"Bearer word", b"word"), "word")
        self.assertIsNone(bearer_of(b"Bearer word", b"other"))
        self.assertIsNone(bearer_of(b"Basic word", b"word"))

    def test_long_values_are_not_looked_at(self) -> None:
        """256 bytes are read, one more is not."""
        self.assertEqual(bearer_of(None, b"a" * 256), "a" * 256)
        self.assertIsNone(bearer_of(None, b"a" * 257))
        self.assertIsNone(bearer_of(b"Bearer " + b"a" * 250, None))
