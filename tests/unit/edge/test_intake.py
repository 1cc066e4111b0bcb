"""What comes behind a head: the body when it is asked for, and the next request."""

from math import inf
from typing import Any, cast

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.edge.deadlines import BODY_BYTES_PER_S, BODY_GRACE_S, BODY_S
from neuronetz_twisted.edge.framing import HTTP_1_1, RequestHead, RequestLine
from neuronetz_twisted.edge.intake import HOLD_BACK_BYTES, MAX_BEHIND_BYTES, Intake, Upload
from neuronetz_twisted.errors import InvalidRequest, RequestTimeout, RequestTooLarge

LIMIT = 100_000


def head(length: int | None, *, invited: bool = False) -> RequestHead:
    """A head whose body has this length, None for a chunked one."""
    line = RequestLine(b"POST", b"/", HTTP_1_1)
    return RequestHead(line=line, fields={}, length=length, keeps_alive=True, invited=invited)


class UploadTests(SynchronousTestCase):
    def test_the_deadline_moves_with_what_comes(self) -> None:
        """A grace, a second for as many bytes, and an end to all patience."""
        self.assertEqual((BODY_GRACE_S, BODY_BYTES_PER_S, BODY_S), (10.0, 512, 30.0))
        upload = Upload(5.0, wanted=True)
        self.assertEqual(upload.deadline, 15.0)
        upload.take(b"")
        upload.take(b"x" * 512)
        self.assertEqual(upload.deadline, 16.0)
        upload.take(b"x" * 256)
        self.assertEqual(upload.deadline, 16.5)
        upload.take(b"x" * 10**6)
        self.assertEqual(upload.deadline, 35.0)


class IntakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """An intake whose calls are counted."""
        self.transport = StringTransport()
        self.clock = Clock()
        self.invitations: list[None] = []
        self.aborts: list[None] = []
        self.intake = Intake(
            cast("Any", self.transport),
            self.clock,
            lambda: self.invitations.append(None),
            lambda: self.aborts.append(None),
        )

    def begin(self, length: int | None, behind: bytes = b"", *, invited: bool = False) -> None:
        """Let a head be whole, with `behind` in the same segment."""
        self.intake.begin(head(length, invited=invited), behind, LIMIT)

    def read(self, limit: int = LIMIT) -> "Deferred[bytes]":
        """Ask for the body."""
        return Deferred.fromCoroutine(self.intake.read(limit))

    def test_no_body(self) -> None:
        """It is there at once, and what comes behind is left."""
        self.begin(0, b"GET")
        self.assertEqual(self.successResultOf(self.read()), b"")
        self.assertEqual((self.intake.pending, self.intake.deadline), (b"GET", inf))
        self.assertTrue(self.intake.skip())

    def test_a_body_that_is_here(self) -> None:
        """It needs no waiting; what follows it is left."""
        self.begin(3, b"abcGET")
        self.assertEqual(self.successResultOf(self.read()), b"abc")
        self.assertEqual((self.intake.pending, self.intake.deadline), (b"GET", inf))
        self.assertFalse(self.intake.is_over)

    def test_a_body_that_comes(self) -> None:
        """In pieces, of which the last has more; asked for twice it is not read twice."""
        self.begin(None, b"3\r\nab")
        body = self.read()
        for piece in (b"c\r", b"\n0\r\n\r", b"\nGET"):
            self.assertNoResult(body)
            self.assertEqual(
                self.intake.deadline, 10.0 + 2 / 512 + (1 / 512 if piece != b"c\r" else 0)
            )
            self.intake.take(piece)
        self.assertEqual(self.successResultOf(body), b"abc")
        self.assertEqual((self.intake.pending, self.intake.deadline), (b"GET", inf))
        self.assertEqual(self.successResultOf(self.read()), b"")

    def test_too_long_by_its_head(self) -> None:
        """Nothing of it is read, and nobody is invited."""
        self.begin(11, b"x", invited=True)
        self.failureResultOf(self.read(10), RequestTooLarge)
        self.assertEqual((self.intake.pending, self.invitations), (b"x", []))
        self.assertFalse(self.intake.skip())
        self.assertFalse(self.intake.is_over)

    def test_too_long_by_its_chunks(self) -> None:
        """It is refused with the chunk that says so, and no request may follow."""
        self.begin(None)
        body = self.read()
        self.intake.take(b"%x\r\n" % (LIMIT + 1))
        self.failureResultOf(body, RequestTooLarge)
        self.assertTrue(self.intake.in_doubt)
        self.assertEqual((self.intake.skip(), self.intake.deadline), (False, inf))

    def test_a_lower_limit(self) -> None:
        """That of the reader counts, also where a larger one was known when the head came."""
        for behind in (b"b\r\n", b""):
            with self.subTest(behind=behind):
                self.setUp()
                self.begin(None, behind)
                body = self.read(10)
                if not behind:
                    self.intake.take(b"b\r\n")
                self.failureResultOf(body, RequestTooLarge)
        self.setUp()
        self.begin(None, b"a\r\n0123456789\r\n0\r\n\r\n")
        self.assertEqual(self.successResultOf(self.read(10)), b"0123456789")

    def test_malformed(self) -> None:
        """The same for one that is not well framed; what comes then is only kept."""
        self.begin(None, b"zz\r\n")
        self.failureResultOf(self.read(), InvalidRequest)
        self.intake.take(b"0\r\n\r\n")
        self.assertTrue(self.intake.in_doubt)
        self.assertFalse(self.intake.skip())

    def test_too_slow(self) -> None:
        """The end of patience is a refusal, once."""
        self.begin(3)
        body = self.read()
        self.intake.expired()
        self.failureResultOf(body, RequestTimeout)
        self.intake.expired()
        self.assertTrue(self.intake.in_doubt)

    def test_nobody_waits_any_more(self) -> None:
        """Whoever asked may have gone: the rest, or its fault, raises nothing."""
        for rest in (b"3\r\nabc\r\n0\r\n\r\n", b"zz\r\n"):
            self.setUp()
            self.begin(None)
            body = self.read()
            body.cancel()
            self.failureResultOf(body, CancelledError)
            self.intake.take(rest)
            self.assertEqual(self.intake.deadline, inf)

    def test_invitation(self) -> None:
        """Once, when it is asked for, and only where nothing has come."""
        self.begin(3, invited=True)
        self.assertEqual(self.invitations, [])
        body = self.read()
        self.assertEqual(len(self.invitations), 1)
        self.intake.take(b"abc")
        self.successResultOf(body)
        self.read()
        self.assertEqual(len(self.invitations), 1)

    def test_no_invitation(self) -> None:
        """Not for one that did not ask, one that has begun, or one that is not read."""
        self.begin(3)
        self.read()
        self.begin(3, b"a", invited=True)
        self.read()
        self.begin(3, invited=True)
        self.intake.skip()
        self.assertEqual(self.invitations, [])

    def test_skip(self) -> None:
        """A body that nobody asked for is dropped, now or as it comes."""
        for length, behind, whole, left in (
            (3, b"abcGET", True, b"GET"),
            (3, b"ab", False, b""),
            (3, b"", False, b""),
            (None, b"3\r\nabc\r\n0\r\n\r\nGET", True, b"GET"),
        ):
            with self.subTest(behind=behind):
                self.setUp()
                self.begin(length, behind)
                self.assertTrue(self.intake.skip())
                self.assertEqual(self.intake.drops, not whole)
                self.assertEqual(
                    (self.intake.pending, self.intake.is_over), (left, whole and not left)
                )

    def test_not_to_be_skipped(self) -> None:
        """One over the limit, one in chunks that is not here, one that may never be sent."""
        self.begin(None, b"3\r\nabc\r\n")
        self.assertFalse(self.intake.skip())
        self.assertEqual((self.intake.drops, self.intake.deadline), (False, inf))
        self.setUp()
        self.begin(LIMIT + 1)
        self.assertFalse(self.intake.skip())
        self.intake.begin(evolve(head(3), fields={b"expect": [b"a-pony"]}), b"", LIMIT)
        self.assertFalse(self.intake.skip())

    def test_skip_what_is_malformed(self) -> None:
        """Nobody knows where it ends."""
        self.begin(None, b"zz\r\n0\r\n\r\n")
        self.assertFalse(self.intake.skip())
        self.assertTrue(self.intake.in_doubt)
        self.assertFalse(self.intake.is_over)

    def test_hold_back(self) -> None:
        """Of a body that nobody has asked for, no more is read than a little; then it goes on."""
        self.begin(LIMIT, b"x" * HOLD_BACK_BYTES)
        self.intake.take(b"")
        self.assertEqual(self.transport.producerState, "producing")
        self.intake.take(b"x")
        self.assertEqual(self.transport.producerState, "paused")
        self.assertEqual(self.intake.deadline, inf)
        body = self.read()
        self.assertEqual(self.transport.producerState, "producing")
        self.intake.take(b"x" * (LIMIT - HOLD_BACK_BYTES - 1))
        self.assertEqual(len(self.successResultOf(body)), LIMIT)

    def test_no_reading_on_where_nothing_was_held(self) -> None:
        """A transport that somebody else has paused stays so."""
        self.transport.pauseProducing()
        self.begin(3)
        self.read()
        self.intake.release()
        self.assertEqual(self.transport.producerState, "paused")

    def test_much_behind_a_request(self) -> None:
        """A little waits, more is a reset: one that is not read from cannot be heard leaving."""
        self.begin(0, b"x")
        self.intake.take(b"x" * (MAX_BEHIND_BYTES - 1))
        self.assertEqual((self.aborts, self.transport.producerState), ([], "producing"))
        self.intake.take(b"x")
        self.assertEqual(len(self.aborts), 1)

    def test_behind_a_body(self) -> None:
        """The same, counted from where the body ended."""
        self.begin(3)
        body = self.read()
        self.intake.take(b"abc" + b"x" * MAX_BEHIND_BYTES)
        self.assertEqual((self.successResultOf(body), self.aborts), (b"abc", []))
        self.intake.take(b"x")
        self.assertEqual(len(self.aborts), 1)

    def test_in_a_stream(self) -> None:
        """Any byte is a reset, and none is kept."""
        self.begin(0, b"GET")
        self.intake.closed_for_stream = True
        self.intake.take(b"x")
        self.assertEqual((len(self.aborts), self.intake.pending), (1, b"GET"))

    def test_behind_an_answer_that_is_not_read(self) -> None:
        """It is kept in order and nothing more is read, until the client reads on."""
        self.intake.hold(b"GET")
        self.intake.hold(b" /")
        self.assertEqual((self.intake.pending, self.transport.producerState), (b"GET /", "paused"))
        self.intake.release()
        self.assertEqual(self.transport.producerState, "producing")
