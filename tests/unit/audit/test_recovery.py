"""What the segments of a writer that is gone say, taken together."""

from uuid import UUID, uuid4

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.audit import chain, segments
from neuronetz_twisted.audit.recovery import Recovery, first_seq_in
from neuronetz_twisted.audit.segments import Header, Kind, Scan, scan
from tests.unit.audit.spools import final, id_in, intent

WRITER = UUID("0191d4b7-0000-7000-8000-000000000001")
A, B = uuid4(), uuid4()


def intent_frame(request: UUID) -> bytes:
    """An intent."""
    return segments.frame(Kind.INTENT, intent(request))


def lease_frame(request: UUID, tokens: int) -> bytes:
    """A reservation."""
    return segments.frame(Kind.LEASE, segments.lease(request, tokens))


def link_frame(seq: int, record: bytes, kind: Kind = Kind.FINAL) -> bytes:
    """A link, whose hash is made of its number."""
    return segments.frame(kind, segments.link(record, seq, bytes([seq]) * 32))


def segment(number: int, first_seq: int, *frames: bytes) -> Scan:
    """A segment with these frames."""
    head = Header(WRITER, first_seq, bytes([first_seq - 1]) * 32, number)
    return scan(segments.header(head) + b"".join(frames))


def headless(*frames: bytes) -> Scan:
    """A segment whose header is damaged."""
    return scan(bytes(segments.HEADER_BYTES) + b"".join(frames))


def read(*scans: Scan) -> Recovery:
    """What these segments say."""
    firsts = [
        first_seq_in(each) if each.header is None else each.header.first_seq for each in scans
    ]
    found = Recovery(WRITER, firsts)
    for each in scans:
        found.read(each)
    return found


class RecoveryTests(SynchronousTestCase):
    def test_nothing(self) -> None:
        """Without a segment the chain is at its beginning."""
        found = read()
        self.assertEqual(found.base, (0, chain.start(WRITER)))
        self.assertEqual((found.head, found.first_seqs, found.left), (found.base, [], []))

    def test_where_the_chain_stands(self) -> None:
        """It stands before the first segment's header and behind the last final."""
        found = read(
            segment(4, 3, link_frame(3, final(A)), link_frame(4, b"{}", Kind.NOTE)),
            segment(5, 5, intent_frame(B)),
        )
        self.assertEqual(found.base, (2, bytes([2]) * 32))
        self.assertEqual(found.head, (4, bytes([4]) * 32))
        self.assertEqual(found.first_seqs, [3, 5])

    def test_what_is_left(self) -> None:
        """Intents without a final are left, each with the last reservation written for it."""
        found = read(
            segment(1, 1, intent_frame(A), intent_frame(B), lease_frame(B, 7)),
            segment(2, 1, intent_frame(B), lease_frame(B, 9), link_frame(1, final(A))),
        )
        (left,) = found.left
        self.assertEqual((id_in(left.intent), left.reservation), (B, 9))

    def test_no_lease(self) -> None:
        """Without a further lease the reservation is that of the intent."""
        (left,) = read(segment(1, 1, intent_frame(A), lease_frame(B, 7))).left
        self.assertEqual(left.reservation, 100)

    def test_a_note_completes_nothing(self) -> None:
        """A note with the id of a call is not its end."""
        found = read(segment(1, 1, intent_frame(A), link_frame(1, final(A), Kind.NOTE)))
        self.assertEqual(len(found.left), 1)

    def test_written_again(self) -> None:
        """What a later segment begins with again counts there, and only there."""
        found = read(
            segment(1, 1, intent_frame(A), link_frame(1, b'{"id":"%s"}' % str(B).encode())),
            segment(2, 2, link_frame(2, final(A))),
            segment(3, 2),
        )
        self.assertEqual(found.head.seq, 1)
        self.assertEqual(found.first_seqs, [1, 2, 2])
        self.assertEqual([id_in(left.intent) for left in found.left], [A])

    def test_without_headers(self) -> None:
        """Where headers are damaged, the finals say where the chain stands."""
        found = read(
            headless(link_frame(5, final(A))),
            headless(link_frame(6, final(A)), link_frame(7, final(A))),
            headless(),
        )
        self.assertEqual((found.base.seq, found.head.seq), (4, 7))
        self.assertEqual(found.first_seqs, [5, 6, 8])

    def test_nothing_is_kept_of_what_ended(self) -> None:
        """A call that has its end leaves nothing behind, however many there are."""
        found = read(
            segment(1, 1, intent_frame(A), lease_frame(A, 7), link_frame(1, final(A))),
        )
        self.assertEqual((found._intents, found._leases), ({}, {}))
