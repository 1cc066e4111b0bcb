"""One of three model hosts killed, hung, slow or lying: clients notice nothing (SPEC 6)."""

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.upstream.health import STALL_S
from tests.crowd import Crowd
from tests.figures import within
from tests.fleet import SLOTS, shared_fleet, whole_and_own
from tests.gateway import marker
from tests.http_client import ask, chat, request_bytes
from tests.processes import eventually

CALLS = 2 * SLOTS
SOON_S = within(5.0)
STALLED_S = within(STALL_S + 5.0)
BACK_S = within(30.0)
LARGE = "qwen3:8b"
WAITING = "[[n=5 wait=2s]]"
"""An answer that is long in coming, so that something can happen before its first frame."""


class BackendsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """All three are well."""
        self.fleet = shared_fleet()
        self.port = self.fleet.stack.port
        eventually(self.is_well, BACK_S)

    def is_well(self) -> bool:
        """Whether the first one answers, as it does where nothing is wrong."""
        before = self.fleet.served(0)
        self.fleet.answered(1, "[[n=5]]", within_s=STALLED_S)
        return self.fleet.served(0) > before

    def assert_back(self, number: int) -> None:
        """One that was ill is used again in time."""
        seconds = self.fleet.seconds_until_served(number)
        self.assertTrue(seconds < BACK_S, f"{seconds} s")


class OrderTests(BackendsTestCase):
    def test_slots(self) -> None:
        """The first one has all it can take, the next one the rest, and the third one nothing."""
        before = [self.fleet.served(number) for number in range(3)]
        self.fleet.answered(SLOTS + 2, "[[n=5 wait=1s]]", within_s=SOON_S)
        after = [self.fleet.served(number) for number in range(3)]
        self.assertEqual([b - a for a, b in zip(before, after, strict=True)], [SLOTS, 2, 0])

    def test_lines(self) -> None:
        """More than all can take at once wait, and are answered."""
        self.fleet.answered(5 * SLOTS, "[[n=5 wait=1s]]", within_s=SOON_S)

    def test_pinned(self) -> None:
        """What the operator has set goes with every request, in every dialect."""
        for path in ("/api/chat", "/v1/chat/completions"):
            word = marker()
            body = chat(word, options={"num_ctx": 1, "seed": 7}, keep_alive=0)
            answer = ask(self.port, "POST", path, body, key=self.fleet.key)
            self.assertEqual(answer.status, 200, answer.body)
            sent = self.fleet.mocks[0].entry(word)["body"]
            self.assertEqual((sent["options"]["num_ctx"], sent["keep_alive"]), (8192, "30m"))


class IllTests(BackendsTestCase):
    def test_killed(self) -> None:
        """Whoever waits for a first frame is answered by another; it is used when it is back."""
        with Crowd(self.fleet.requests(CALLS, WAITING)) as crowd:
            eventually(lambda: len(self.fleet.mocks[1].seen()) > 0)
            self.fleet.kill(0)
            for call in crowd.wait(SOON_S):
                whole_and_own(call)
        self.fleet.answered(CALLS, within_s=SOON_S)
        self.fleet.revive(0)
        self.assert_back(0)

    def test_killed_during_answers(self) -> None:
        """What had begun ends honestly; no answer goes on with another one's words."""
        with Crowd(self.fleet.requests(SLOTS, "[[n=40 delay=50ms]]")) as crowd:
            streams = crowd.calls[1::2]
            eventually(lambda: all(call.frames for call in streams))
            self.fleet.kill(0)
            crowd.wait(SOON_S)
        for call in streams:
            self.assertEqual(call.last["code"], "upstream_failed")
            self.assertFalse(call.is_whole)
        self.fleet.revive(0)
        self.assert_back(0)

    def test_a_model_is_loaded(self) -> None:
        """Silence because of that is waited for; nobody else loads it meanwhile."""
        before = [self.fleet.served(number) for number in range(3)]
        with self.fleet.loads(0, STALL_S + 3):
            body = chat(f"{marker()} [[n=5]]", model=LARGE)
            request = request_bytes("POST", "/api/chat", body, key=self.fleet.key)
            with Crowd([(self.port, request)]) as crowd:
                (call,) = crowd.wait(2 * STALLED_S)
            whole_and_own(call)
        after = [self.fleet.served(number) for number in range(3)]
        self.assertEqual([b - a for a, b in zip(before, after, strict=True)], [1, 0, 0])

    def test_frozen(self) -> None:
        """Whoever waits at one that hangs goes elsewhere; the next ones do at once."""
        with self.fleet.frozen(0):
            self.fleet.answered(SLOTS // 2, "[[n=5]]", within_s=STALLED_S)
            calls = self.fleet.answered(CALLS, "[[n=5]]", within_s=STALLED_S)
            quick = [call for call in calls if (call.ended_at or 0.0) - call.began < SOON_S]
            # One may have been the trial.
            self.assertTrue(len(quick) >= CALLS - 1, f"{len(quick)}")
        self.assert_back(0)

    def test_lists_answer_and_streams_stand_still(self) -> None:
        """So does whoever waits at one that looks well to every list."""
        with self.fleet.ill(0, fail="stall"):
            self.fleet.answered(SLOTS // 2, "[[n=5]]", within_s=STALLED_S)
            self.fleet.answered(CALLS, "[[n=5]]", within_s=STALLED_S)
        self.assert_back(0)

    def test_lying(self) -> None:
        """One that does not have what it lists is no reason for a refusal."""
        with self.fleet.ill(0, lie=True):
            self.fleet.answered(CALLS, "[[n=5]]", within_s=SOON_S)
        self.assert_back(0)

    def test_statuses(self) -> None:
        """Nor is one that is busy, fails, or refuses our token."""
        for failure in (500, 503, 429, 401, "refuse"):
            with self.subTest(failure=failure), self.fleet.ill(0, fail=failure):
                self.fleet.answered(CALLS, "[[n=5]]", within_s=SOON_S)
            self.assert_back(0)

    def test_slow(self) -> None:
        """One that is slow is waited for, as long as it is not silent."""
        with self.fleet.ill(0, slow=2):
            self.fleet.answered(CALLS, "[[n=5]]", within_s=SOON_S)
        self.assert_back(0)

    def test_two_of_three(self) -> None:
        """One that is left answers all."""
        self.fleet.kill(0)
        self.fleet.kill(1)
        self.fleet.answered(CALLS, "[[n=5]]", within_s=SOON_S)
        for number in (0, 1):
            self.fleet.revive(number)
        self.assert_back(0)
