"""The file format of the spool."""

import re
from collections.abc import Iterator
from uuid import UUID

from attrs import frozen
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit import segments
from neuronetz_twisted.audit.segments import (
    HEADER_BYTES,
    LEASE_FRAME_BYTES,
    MAX_FRAME,
    Header,
    Kind,
    Link,
    NotASegment,
    Span,
    scan,
    scan_links,
)

WRITER = UUID("0191d4b7-0000-7000-8000-000000000001")
HEADER = Header(WRITER, 7, b"h" * 32, 3)
ZEROS = bytes(64)
EXAMPLES = settings(derandomize=True, database=None, deadline=None)

payloads = st.builds(
    lambda text: b'{"x":"%s"}' % text.encode("utf-8"), st.text("ab\\é", max_size=30)
)
frames = st.one_of(
    st.builds(lambda payload: segments.frame(Kind.INTENT, payload), payloads),
    st.builds(
        lambda tokens: segments.frame(Kind.LEASE, segments.lease(WRITER, tokens)),
        st.integers(0, 2**64 - 1),
    ),
    st.builds(
        lambda kind, payload, chain_hash: segments.frame(
            kind, segments.link(payload, 9, chain_hash)
        ),
        st.sampled_from([Kind.FINAL, Kind.NOTE]),
        payloads,
        st.binary(min_size=32, max_size=32),
    ),
)


def file_of(written: list[bytes], behind: bytes = ZEROS) -> bytes:
    """A file with these frames."""
    return segments.header(HEADER) + b"".join(written) + behind


def ends_of(written: list[bytes]) -> list[int]:
    """Where the header and each frame end."""
    ends = [HEADER_BYTES]
    for each in written:
        ends.append(ends[-1] + len(each))
    return ends


class FormatTests(SynchronousTestCase):
    def test_header(self) -> None:
        """A header is read as it was written, in 80 bytes."""
        data = segments.header(HEADER)
        self.assertEqual(len(data), HEADER_BYTES)
        self.assertEqual(scan(data).header, HEADER)

    def test_damaged_header(self) -> None:
        """A header with a wrong byte is none, and the records behind it are read."""
        data = bytearray(file_of([segments.frame(Kind.INTENT, b"{}")]))
        data[30] ^= 1
        self.assertIsNone(scan(bytes(data)).header)
        self.assertEqual(len(scan(bytes(data)).records), 1)

    def test_unused(self) -> None:
        """A segment that was never begun, or not even made, has nothing in it."""
        for data in (b"", bytes(10), bytes(200)):
            found = scan(data)
            self.assertEqual((found.header, found.records, found.torn_at), (None, (), None))

    def test_another_version(self) -> None:
        """A file of another version is not read, as if it were empty or damaged."""
        body = bytearray(segments.header(HEADER)[:72])
        body[7] = 2
        data = bytes(body) + crc32c(bytes(body)).to_bytes(4, "little") + bytes(100)
        self.assertRaises(NotASegment, scan, data)

    def test_values(self) -> None:
        """Leases and links come back as they went."""
        self.assertEqual(segments.lease_of(segments.lease(WRITER, 5)), (WRITER, 5))
        link = segments.link_of(segments.link(b"{}", 5, b"c" * 32))
        self.assertEqual(link, Link(b"{}", 5, b"c" * 32))

    def test_sizes(self) -> None:
        """The sizes that room is counted by are those of the frames."""
        lease = segments.frame(Kind.LEASE, segments.lease(WRITER, 5))
        self.assertEqual(len(lease), LEASE_FRAME_BYTES)
        longest = segments.frame(Kind.FINAL, segments.link(b"x" * 8192, 5, b"c" * 32))
        self.assertEqual(len(longest), MAX_FRAME)
        self.assertEqual(len(scan(file_of([longest])).records), 1)

    def test_length_without_a_record(self) -> None:
        """A frame over the longest record is none, whatever its sum says."""
        found = scan(file_of([segments.frame(Kind.INTENT, b"x" * 9000)]))
        self.assertEqual((found.records, found.torn_at), ((), HEADER_BYTES))

    def test_length_of_its_kind(self) -> None:
        """A link without its number and hash is none, nor is a lease of another length."""
        whole = segments.frame(Kind.INTENT, b"{}")
        for wrong in (
            segments.frame(Kind.FINAL, b"x" * 39),
            segments.frame(Kind.NOTE, b"x"),
            segments.frame(Kind.LEASE, b"x" * 23),
            segments.frame(Kind.LEASE, b"x" * 25),
        ):
            found = scan(file_of([whole, wrong, whole]))
            ends = ends_of([whole, wrong, whole])
            self.assertEqual(found.damaged, (Span(ends[1], ends[2]),))

    def test_links_of_a_part(self) -> None:
        """Of a part of a file the links are given, with their own places in it."""
        note = segments.frame(Kind.NOTE, segments.link(b"{}", 5, b"c" * 32))
        written = [note, note, segments.frame(Kind.INTENT, b"{}"), note]
        ends = ends_of(written)
        found = scan_links(file_of(written)[ends[1] :], ends[1])
        places = [(record.offset, record.end) for record in found.records]
        self.assertEqual(places, [(ends[1], ends[2]), (ends[3], ends[4])])
        self.assertEqual((found.end, found.damaged), (ends[4], ()))

    def test_damage_between_links(self) -> None:
        """What is no link is checked all the same."""
        note = segments.frame(Kind.NOTE, segments.link(b"{}", 5, b"c" * 32))
        intent = bytearray(segments.frame(Kind.INTENT, b"{}"))
        intent[-1] ^= 1
        written = [note, bytes(intent), note]
        ends = ends_of(written)
        found = scan_links(file_of(written)[ends[0] :], ends[0])
        self.assertEqual(found.damaged, (Span(ends[1], ends[2]),))


class ScanTests(SynchronousTestCase):
    @given(st.lists(frames, max_size=6))
    @settings(EXAMPLES, max_examples=50)
    def test_whole(self, written: list[bytes]) -> None:
        """Everything that was written is read, in order, and nothing else."""
        found = scan(file_of(written))
        ends = ends_of(written)
        self.assertEqual([record.end for record in found.records], ends[1:])
        self.assertEqual((found.end, found.torn_at, found.damaged), (ends[-1], None, ()))

    @given(st.lists(frames, min_size=1, max_size=4))
    @settings(EXAMPLES, max_examples=20)
    def test_cut_at_every_byte(self, written: list[bytes]) -> None:
        """Wherever the end is missing, all records before the cut are read and it is named."""
        ends = ends_of(written)
        data = file_of(written, b"")
        for cut in range(HEADER_BYTES, len(data)):
            for behind in (b"", ZEROS):
                left = data[:cut] + behind
                found = scan(left)
                # A record that ends in zeros is whole again where zeros follow.
                whole = [end for end in ends if left[:end] == data[:end]]
                self.assertEqual(len(found.records), len(whole) - 1)
                self.assertEqual((found.end, found.damaged), (whole[-1], ()))
                if left[whole[-1] :].strip(b"\0"):
                    self.assertEqual(found.torn_at, whole[-1])
                else:
                    self.assertIsNone(found.torn_at)

    @given(st.lists(frames, min_size=1, max_size=4), st.integers(1, 255))
    @settings(EXAMPLES, max_examples=20)
    def test_flip_every_byte(self, written: list[bytes], mask: int) -> None:
        """Whichever byte is wrong, every other record is read and the bad one is named."""
        ends = ends_of(written)
        whole = file_of(written)
        for at in range(HEADER_BYTES, ends[-1]):
            data = bytearray(whole)
            data[at] ^= mask
            found = scan(bytes(data))
            bad = max(index for index, end in enumerate(ends) if end <= at)
            expected = [end for index, end in enumerate(ends[1:]) if index != bad]
            self.assertEqual([record.end for record in found.records], expected)
            if bad == len(written) - 1:
                self.assertEqual((found.torn_at, found.damaged), (ends[bad], ()))
            else:
                self.assertEqual(found.damaged, (Span(ends[bad], ends[bad + 1]),))
                self.assertIsNone(found.torn_at)

    def test_dirt_behind_the_end(self) -> None:
        """What is no record and no zero behind the last one is a torn end."""
        written = [segments.frame(Kind.INTENT, b"{}")]
        found = scan(file_of(written, bytes(20) + b"x"))
        self.assertEqual((found.end, found.torn_at), (ends_of(written)[1],) * 2)

    def test_zeros_are_not_searched(self) -> None:
        """No record is looked for in the zeros at the end, which are most of a segment."""
        searched: list[int] = []

        @frozen
        class Beginning:
            pattern: re.Pattern[bytes]

            def finditer(self, data: bytes, start: int, end: int) -> Iterator[re.Match[bytes]]:
                searched.append(end - start)
                return self.pattern.finditer(data, start, end)

        self.patch(segments, "_BEGINNING", Beginning(segments._BEGINNING))
        written = [segments.frame(Kind.FINAL, segments.link(b"{}", 1, bytes(32)))]
        found = scan(file_of(written, bytes(1 << 16)))
        self.assertEqual((len(found.records), found.torn_at), (1, None))
        scan(bytes(1 << 16))
        self.assertLessEqual(max(searched), 0)
