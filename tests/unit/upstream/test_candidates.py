"""The order in which backends are asked, and what is told when none is left."""

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.errors import (
    NotAllowed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from neuronetz_twisted.testing.upstream import ScriptedPolls, ScriptedRoom
from neuronetz_twisted.upstream.backends import Backend
from neuronetz_twisted.upstream.candidates import Candidates
from neuronetz_twisted.upstream.health import FIRST_PAUSE_S, STALL_S
from neuronetz_twisted.upstream.hosts import Host

FREE = (True, False)
LINE = (False, False)
FULL = (False, True)
MODEL = "a-model"


class CandidatesTestCase(SynchronousTestCase):
    """Backends `a`, `b` and `c`."""

    def setUp(self) -> None:
        """All are well, and have places."""
        self.clock = Clock()
        self.rooms = [ScriptedRoom() for _ in "abc"]
        self.hosts = [
            Host(Backend(name=name, url=f"http://{name}"), room, ScriptedPolls(), self.clock)
            for name, room in zip("abc", self.rooms, strict=True)
        ]
        self.candidates = Candidates(MODEL, list(self.hosts))

    def places(self, *rooms: tuple[bool, bool]) -> None:
        """Say of each whether it is free, and whether it is full."""
        for room, (is_free, is_full) in zip(self.rooms, rooms, strict=True):
            room.is_free, room.is_full = is_free, is_full

    def leave_out(self, *numbers: int) -> None:
        """Have some left out."""
        for number in numbers:
            health = self.hosts[number].health
            health.failed(0.0, "why", trial=False, unreachable=True)

    def next(self, now: float = 0.0) -> str:
        """The name of the one to ask; in capitals where it was given up before."""
        found = self.candidates.next(now)
        if found is None:
            return ""
        host, again = found
        return host.backend.name.upper() if again else host.backend.name


class OrderTests(CandidatesTestCase):
    def test_order(self) -> None:
        """First who is well and has a place, then who is well and has a line, then the others."""
        for rooms, left_out, expected in (
            ((FREE, FREE, FREE), (), "a"),
            ((LINE, FREE, FREE), (), "b"),
            ((LINE, LINE, LINE), (), "a"),
            ((FULL, LINE, FULL), (), "b"),
            ((FULL, FULL, FULL), (), ""),
            ((FREE, LINE, FREE), (0,), "c"),
            ((FREE, LINE, FULL), (0,), "b"),
            ((FREE, FULL, FULL), (0,), "a"),
            ((FREE, FREE, FREE), (0, 1, 2), "a"),
            ((LINE, FREE, FREE), (0, 1, 2), "b"),
            ((LINE, FULL, FULL), (0, 1, 2), "a"),
        ):
            with self.subTest(rooms=rooms, left_out=left_out):
                self.setUp()
                self.places(*rooms)
                self.leave_out(*left_out)
                self.assertEqual(self.next(), expected)

    def test_a_trial_comes_in_its_turn(self) -> None:
        """Behind its pause the first one is the first again, for one call."""
        self.leave_out(0)
        self.assertEqual(self.next(FIRST_PAUSE_S), "a")
        self.hosts[0].health.begin(FIRST_PAUSE_S)
        self.assertEqual(self.next(FIRST_PAUSE_S), "b")

    def test_silent_ones_come_last_and_once(self) -> None:
        """One that was given up is asked again when all others have failed."""
        self.candidates.gave_up(self.hosts[0])
        self.assertEqual(self.next(), "b")
        for host in self.hosts[1:]:
            self.candidates.failed(host, UpstreamFailed())
        self.assertEqual(self.next(), "A")
        self.candidates.failed(self.hosts[0], UpstreamFailed())
        self.assertEqual(self.next(), "")

    def test_better_than(self) -> None:
        """Only one that is well and untried is worth leaving another for."""
        first, second, third = self.hosts
        for rooms, at_once, expected in (
            ((FREE, FREE, FULL), True, True),
            ((FREE, LINE, FULL), True, False),
            ((FREE, LINE, FULL), False, True),
            ((FREE, FULL, FULL), False, False),
        ):
            self.places(*rooms)
            self.assertEqual(self.candidates.better_than(first, at_once=at_once), expected)
        self.places(FREE, FREE, FREE)
        self.leave_out(1)
        self.assertTrue(self.candidates.better_than(first, at_once=False))
        self.candidates.failed(third, UpstreamFailed())
        self.assertFalse(self.candidates.better_than(first, at_once=False))
        second.health.answered()
        self.candidates.gave_up(second)
        self.assertFalse(self.candidates.better_than(first, at_once=False))


class RefusalTests(CandidatesTestCase):
    def refusal(self, *refusals: Refusal) -> Refusal:
        """What is told after these."""
        for host, refusal in zip(self.hosts, refusals, strict=True):
            self.candidates.failed(host, refusal)
        return self.candidates.refusal()

    def test_the_most_telling(self) -> None:
        """Busy, then silent, then failed; a model is missing only where all say so."""
        busy, late = UpstreamBusy(why="503"), UpstreamTimeout()
        failed, gone = UpstreamFailed(), NotAllowed()
        for refusals, expected in (
            ((failed, late, busy), busy),
            ((failed, gone, late), late),
            ((gone, gone, failed), failed),
            ((gone, NotAllowed(), NotAllowed()), gone),
            ((failed, UpstreamFailed(), UpstreamFailed()), failed),
        ):
            with self.subTest(expected=expected):
                self.setUp()
                self.assertIs(self.refusal(*refusals), expected)

    def test_no_room(self) -> None:
        """Where one had no place that is it, and the log of its line hears of it."""
        self.places(FULL, FREE, FREE)
        for host in self.hosts[1:]:
            self.candidates.failed(host, UpstreamFailed())
        self.assertEqual(self.next(), "")
        self.assertEqual(self.candidates.refusal().outcome, "refused:upstream_busy/queue")
        self.assertEqual([room.turned for room in self.rooms], [1, 0, 0])

    def test_nobody_has_the_model(self) -> None:
        """A model without a backend is a failed upstream."""
        self.assertEqual(Candidates(MODEL, []).refusal().why, "no_backend")


class LookTests(CandidatesTestCase):
    def test_silence_is_judged(self) -> None:
        """Each look takes what was heard; each change has one line."""
        host, room = self.hosts[0], self.rooms[0]
        room.expects = True
        with capturedLogs() as events:
            room.heard = True
            for _ in range(int(STALL_S) + 1):
                host.look()
                self.assertFalse(room.heard)
                self.clock.advance(1)
            self.assertTrue(host.health.is_stalled)
            room.heard = True
            host.look()
            self.assertTrue(host.health.is_well)
        lines = [formatEvent(event) for event in events]
        self.assertEqual(len(lines), 2)
        self.assertIn("backend a is left out: nothing came for 15 s", lines[0])
        self.assertEqual(lines[1], "backend a is asked again")
