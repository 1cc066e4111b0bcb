"""Ids of ours, and those of clients."""

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.request_ids import client_request_id, new_request_id

TEN = st.binary(min_size=10, max_size=10)


class NewRequestIdTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.floats(0, 2**48 / 1000 - 1), TEN)
    def test_fields(self, now: float, entropy: bytes) -> None:
        """A UUIDv7: milliseconds in front, version and variant in their places (RFC 9562 5.7)."""
        made = UUID(new_request_id(now, entropy))
        self.assertEqual(made.version, 7)
        self.assertEqual(made.variant, "specified in RFC 4122")
        self.assertEqual(made.int >> 80, int(now * 1000))

    def test_example_of_the_rfc(self) -> None:
        """The test vector of RFC 9562, A.6."""
        entropy = bytes.fromhex("0CC3 18C4DC0C0C07398F")
        expected = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
        self.assertEqual(new_request_id(1645557742.0, entropy), expected)

    @settings(deadline=None)
    @given(TEN, TEN)
    def test_all_entropy_counts(self, one: bytes, other: bytes) -> None:
        """Ids of one millisecond differ where those 74 bits do that are not fixed."""
        fixed = 0xF << 76 | 0b11 << 62
        same_bits = int.from_bytes(one) | fixed == int.from_bytes(other) | fixed
        self.assertEqual(new_request_id(1.0, one) == new_request_id(1.0, other), same_bits)

    @settings(deadline=None)
    @given(st.integers(0, 2**40), st.integers(0, 2**40), TEN, TEN)
    def test_order(self, one: int, other: int, some: bytes, more: bytes) -> None:
        """Later ids sort behind earlier ones."""
        if one < other:
            self.assertLess(
                new_request_id(one / 1000, some), new_request_id((other + 1) / 1000, more)
            )


class ClientRequestIdTests(SynchronousTestCase):
    def test_fit(self) -> None:
        """1 to 128 plain characters are echoed."""
        for value in (b"a", b"A-b_c.9", b"x" * 128):
            self.assertEqual(client_request_id(value), value.decode())

    def test_unfit(self) -> None:
        """Anything else is as if it were not there."""
        for value in (None, b"", b"x" * 129, b"a b", b"a\n", b"a\r\nx: y", b"\xff", b"a,b", b"{}"):
            with self.subTest(value=value):
                self.assertIsNone(client_request_id(value))
