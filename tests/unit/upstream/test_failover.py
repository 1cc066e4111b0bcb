"""Which backend is asked, and which next, until a first frame has come."""

from typing import Any

from attrs import evolve
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred

from neuronetz_twisted.errors import (
    AnswersTooLarge,
    AnswerTooLarge,
    Draining,
    InvalidRequest,
    NotAllowed,
    Refusal,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from neuronetz_twisted.relay.live import LiveCall
from neuronetz_twisted.testing.agent import Asked
from neuronetz_twisted.testing.calls import GRANT, made_model, made_ticket
from neuronetz_twisted.upstream.health import (
    FAILURES,
    FIRST_PAUSE_S,
    LOAD_S,
    SLOWEST,
    STALL_S,
    TRIAL_S,
)
from neuronetz_twisted.upstream.hosts import NO_TRIAL
from neuronetz_twisted.upstream.pool import PoolFull
from neuronetz_twisted.upstream.storage import LARGEST, SHARED
from tests.unit.upstream.asking import FRAME, MAX_WHOLE_BYTES, READ_S, BackendsTestCase

LONG_S = 600.0


class FailoverTests(BackendsTestCase):
    def test_next_backend(self) -> None:
        """A backend that fails before its first frame is followed by the next one."""
        for name, fail in (
            ("refused", lambda: self.last.fail(error.ConnectionRefusedError())),
            ("lost", lambda: self.last.fail(error.ConnectionLost())),
            ("busy", lambda: self.last.respond(503, b"-")),
            ("limited", lambda: self.last.respond(429, b"-")),
            ("failed", lambda: self.last.respond(500, b"-")),
            ("our token", lambda: self.last.respond(401, b"-")),
            ("model gone", lambda: self.last.respond(404, b"-")),
            ("nonsense", lambda: self.last.respond(200, b"-\n")),
            ("silent", lambda: self.clock.advance(READ_S)),
        ):
            with self.subTest(case=name):
                self.setUp()
                opening = self.open("a", "b")
                fail()
                self.assertEqual(self.last.url, b"http://b/api/chat")
                response = self.last.respond()
                response.send(FRAME)
                self.assertEqual(self.successResultOf(opening).backend, "b")
                self.assertEqual(self.asking.asked, ["a", "b"])
                self.assertEqual(self.missing, ["a"] * (name == "model gone"))
                response.finish()
                self.at_rest()

    def test_all_fail(self) -> None:
        """The most telling failure is the answer."""
        opening = self.open("a", "b", "c")
        self.last.fail(error.ConnectionRefusedError())
        self.last.respond(503, b"-")
        self.last.respond(404, b"-")
        self.refused(opening, UpstreamBusy, "503")

    def test_all_have_lost_the_model(self) -> None:
        """Only where each of them says so the model is not there."""
        opening = self.open("a", "b")
        self.last.respond(404, b"-")
        self.last.respond(404, b"-")
        self.refused(opening, NotAllowed, "model_gone")
        self.assertEqual(self.missing, ["a", "b"])

    def test_not_for_a_bad_request(self) -> None:
        """What the model cannot do is not asked of another host."""
        for status in (400, 422):
            with self.subTest(status=status):
                self.setUp()
                opening = self.open("a", "b")
                self.last.respond(status, b"-")
                self.refused(opening, InvalidRequest, "upstream")
                self.assertEqual(len(self.agent.asked), 1)

    def test_not_for_an_answer_that_is_too_large(self) -> None:
        """Another one's would be as large: the client is told, and no host is blamed."""
        for _ in range(FAILURES):
            opening = self.open("a", "b", is_whole=True)
            asked = len(self.agent.asked)
            response = self.last.respond()
            for _ in range(LARGEST):
                response.send(b"1" * MAX_WHOLE_BYTES)
            self.assertNoResult(opening)
            response.send(b"1")
            self.refused(opening, AnswerTooLarge, "answer")
            self.assertTrue(response.transport.aborted)
            self.assertEqual(len(self.agent.asked), asked)
            self.assertTrue(self.hosts["a"].health.is_well)

    def test_not_where_many_answers_are_large(self) -> None:
        """Whoever comes too late is told that all is busy; the end of others makes room."""
        openings = []
        for _ in range(SHARED // (LARGEST - 1) + 1):
            openings.append(self.open("a", "b", is_whole=True))
            response = self.last.respond()
            for _ in range(LARGEST):
                response.send(b"1" * MAX_WHOLE_BYTES)
        self.failureResultOf(openings[-1], AnswersTooLarge)
        self.assertNoResult(openings[-2])
        openings[0].cancel()
        self.failureResultOf(openings[0], CancelledError)
        opening = self.open("a", "b", is_whole=True)
        response = self.last.respond()
        vectors = b'{"embeddings":[[%b]]}' % b",".join([b"1"] * MAX_WHOLE_BYTES)
        response.send(vectors + b"\n")
        self.successResultOf(opening).finish()
        self.assertEqual({asked.url for asked in self.agent.asked}, {b"http://a/api/chat"})

    def test_not_after_the_first_frame(self) -> None:
        """A stream that dies is the relay's."""
        opening = self.open("a", "b")
        response = self.last.respond()
        response.send(FRAME)
        self.successResultOf(opening)
        response.lose()
        self.assertEqual(len(self.agent.asked), 1)
        self.at_rest()

    def test_not_for_a_call_that_was_cut(self) -> None:
        """A cut ends the attempt that is under way; none is begun behind it."""
        opening = self.open("a", "b")
        self.last.respond(503, b"-")
        self.asking.cut(Draining())
        self.refused(opening, Draining, "")
        self.assertEqual([asked.cancelled for asked in self.agent.asked], [False, True])
        ticket = evolve(made_ticket(), model=made_model(backends=("a",)))
        late = LiveCall(ticket, confirmed_epoch=1)
        late.cut(Draining())
        opening = Deferred.fromCoroutine(self.backends.open(ticket, late))
        self.refused(opening, Draining, "")
        self.assertEqual(len(self.agent.asked), 2)

    def test_not_for_a_client_that_went(self) -> None:
        """A cancel asks nobody else."""
        opening = self.open("a", "b")
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertEqual(len(self.agent.asked), 1)
        self.at_rest()


class PatienceTestCase(BackendsTestCase):
    """Backends that are looked at each second, and a long time for a first frame."""

    def setUp(self) -> None:
        """All are well."""
        super().setUp()
        self.backends = self.made(read_timeout_s=LONG_S)
        for host in self.hosts.values():
            host.loaded("Llama3:latest")

    def asked_of(self, name: str) -> Asked:
        """The newest request to a backend."""
        url = f"http://{name}/".encode()
        return [asked for asked in self.agent.asked if asked.url.startswith(url)][-1]

    def names(self) -> str:
        """The backends in the order in which they were asked."""
        return "".join(asked.url.decode()[7] for asked in self.agent.asked)

    def wait(self, seconds: float) -> None:
        """Let time pass, with a look at each backend every second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            for host in self.hosts.values():
                host.look()

    def hang(self, *names: str) -> None:
        """Let hosts owe something from now on."""
        for name in names:
            self.rooms[name].expects = True

    def stall(self, name: str) -> None:
        """Have one stand still, whom a call has left for it whose client went then."""
        self.hosts[name].health.look(self.clock.seconds(), heard=False, expects=True, allowed_s=0)

    def answered(self, opening: "Deferred[Any]", name: str) -> None:
        """Let a backend answer; the call is its."""
        self.asked_of(name).respond().send(FRAME)
        self.assertEqual(self.successResultOf(opening).backend, name)


class PatienceTests(PatienceTestCase):
    def test_a_silent_one_is_given_up(self) -> None:
        """Whoever waits for one that stands still goes to the next one that is well."""
        self.hang("a")
        openings = [self.open("a", "b"), self.open("a", "b")]
        self.wait(STALL_S - 1)
        self.assertEqual(self.names(), "aa")
        self.wait(1)
        self.assertEqual(self.names(), "aabb")
        self.assertEqual(
            [asked.cancelled for asked in self.agent.asked], [True, True, False, False]
        )
        self.assertFalse(self.hosts["a"].health.is_well)
        for asked, opening in zip(self.agent.asked[2:], openings, strict=True):
            asked.respond().send(FRAME)
            self.assertEqual(self.successResultOf(opening).backend, "b")

    def test_a_model_is_loaded(self) -> None:
        """Who asks for a model that is not there waits for it, and no host is left out for it."""
        self.hang("a")
        opening = self.open("a", "b", installed="large:latest")
        self.wait(LOAD_S - 1)
        self.assertEqual(self.names(), "a")
        self.assertTrue(self.hosts["a"].health.is_well)
        self.answered(opening, "a")
        # Others may have had to go for it.
        self.assertFalse(self.hosts["a"].is_loaded("Llama3:latest"))

    def test_no_host_is_left_out_for_long_prompts(self) -> None:
        """Who asked for little goes elsewhere meanwhile, and makes nobody look ill by that."""
        self.hang("a")
        long, *short = [self.open("a", "b", prompt=prompt) for prompt in (6000, *[1] * FAILURES)]
        self.wait(STALL_S)
        for asked, opening in zip(self.agent.asked[-FAILURES:], short, strict=True):
            asked.respond().send(FRAME)
            self.assertEqual(self.successResultOf(opening).backend, "b")
        self.wait(59 - STALL_S)
        self.assertTrue(self.hosts["a"].health.is_well)
        self.assertNoResult(long)
        self.wait(1)
        self.assertTrue(self.hosts["a"].health.is_stalled)

    def test_a_call_of_a_tool_is_written(self) -> None:
        """It comes when it is whole, which may take as long as the answer may have tokens."""
        self.hang("a")
        opening = self.open("a", "b", body={"messages": [], "tools": [{}]})
        self.wait(GRANT.num_predict // SLOWEST)
        self.assertEqual(self.names(), "a")
        self.answered(opening, "a")

    def test_a_host_that_is_gone_loads_nothing(self) -> None:
        """It is asked for its list when it is silent, and where that fails it is not waited for."""
        self.hang("a")
        self.open("a", "b", installed="large:latest")
        self.wait(STALL_S - 1)
        self.assertEqual(self.polls.doubts, [])
        self.wait(10)
        self.assertEqual(set(self.polls.doubts), {"a"})
        self.assertEqual(self.names(), "a")
        self.polls.silent.add("a")
        self.wait(1)
        self.assertEqual(self.names(), "ab")
        self.assertTrue(self.hosts["a"].health.is_stalled)

    def test_a_host_that_was_started_again(self) -> None:
        """Its first call may load a model, which takes longer than a trial of one that hangs."""
        self.hosts["a"].lost("-", NO_TRIAL, "refused", unreachable=True)
        self.wait(FIRST_PAUSE_S)
        trial = self.open("a", "b")
        self.wait(LOAD_S - 1)
        self.answered(trial, "a")
        self.assertTrue(self.hosts["a"].health.is_well)

    def test_not_while_others_get_on(self) -> None:
        """A host that brings something for others is only slow for this one."""
        self.hang("a")
        opening = self.open("a", "b")
        for _ in range(10):
            self.wait(STALL_S - 1)
            self.rooms["a"].heard = True
        self.answered(opening, "a")

    def test_the_last_one_has_the_whole_time(self) -> None:
        """Where nobody else could answer it is waited for as long as ever."""
        self.hang("a", "b")
        opening = self.open("a", "b")
        self.wait(STALL_S)
        self.assertEqual(self.names(), "ab")
        self.wait(LONG_S - 1)
        self.assertNoResult(opening)
        self.clock.advance(1)
        # The first one may only have been slow: it has the whole time now.
        self.assertEqual(self.names(), "aba")
        self.wait(LONG_S)
        self.failureResultOf(opening, UpstreamTimeout)
        self.assertEqual(self.names(), "aba")

    def test_a_slow_one_that_is_alone_after_all(self) -> None:
        """A host that was given up answers where the others fail."""
        self.hang("a")
        opening = self.open("a", "b")
        self.wait(STALL_S)
        self.asked_of("b").fail(error.ConnectionRefusedError())
        self.assertEqual(self.names(), "aba")
        self.wait(2 * STALL_S)
        self.answered(opening, "a")
        self.assertTrue(self.hosts["a"].health.is_well)

    def test_another_one_that_gets_well(self) -> None:
        """Who waits at one that stands still leaves it when another is well again."""
        self.hosts["b"].health.failed(0.0, "why", trial=False, unreachable=True)
        self.hang("a")
        opening = self.open("a", "b")
        self.wait(2 * STALL_S)
        self.assertEqual(self.names(), "a")
        self.hosts["b"].health.answered()
        self.wait(1)
        self.answered(opening, "b")

    def test_new_calls_go_elsewhere(self) -> None:
        """One that stands still is not asked, whoever it was that found out."""
        self.hang("a")
        self.open("a")
        self.wait(STALL_S)
        self.open("a", "b")
        self.assertEqual(self.names(), "ab")

    def test_trials(self) -> None:
        """One call at a time tries it again, for a short time; an answer is the end of that."""
        self.stall("a")
        self.wait(FIRST_PAUSE_S)
        trial = self.open("a", "b")
        self.open("a", "b")
        self.assertEqual(self.names(), "ab")
        self.wait(TRIAL_S - 1)
        self.assertEqual(self.names(), "ab")
        self.wait(1)
        self.assertEqual(self.names(), "abb")
        self.answered(trial, "b")
        self.wait(2 * FIRST_PAUSE_S)
        trial = self.open("a", "b")
        self.answered(trial, "a")
        self.assertTrue(self.hosts["a"].health.is_well)

    def test_a_trial_without_an_alternative(self) -> None:
        """It is waited for as long as ever."""
        self.hosts["a"].health.failed(0.0, "why", trial=False, unreachable=True)
        self.wait(FIRST_PAUSE_S)
        trial = self.open("a")
        self.wait(LONG_S - 1)
        self.answered(trial, "a")

    def test_a_trial_whose_client_goes(self) -> None:
        """The next call is the trial."""
        self.hosts["a"].health.failed(0.0, "why", trial=False, unreachable=True)
        self.wait(FIRST_PAUSE_S)
        trial = self.open("a", "b")
        trial.cancel()
        self.failureResultOf(trial, CancelledError)
        self.open("a", "b")
        self.assertEqual(self.names(), "aa")

    def test_left_out_after_failures(self) -> None:
        """After three in a row calls do not even try; a refused connection is enough alone."""
        for failures, fail in (
            (3, lambda asked: asked.respond(500, b"-")),
            (1, lambda asked: asked.fail(error.ConnectionRefusedError())),
            (1, lambda asked: asked.fail(error.DNSLookupError())),
        ):
            with self.subTest(failures=failures):
                self.setUp()
                for number in range(failures):
                    opening = self.open("a", "b")
                    self.assertEqual(self.names(), "ab" * number + "a")
                    fail(self.asked_of("a"))
                    self.answered(opening, "b")
                self.open("a", "b")
                self.assertEqual(self.names()[2 * failures :], "b")

    def test_a_request_that_all_fail(self) -> None:
        """It is to blame itself: a tenant who sends it makes no host look ill to the others."""
        for number in range(FAILURES + 1):
            opening = self.open("a", "b")
            self.asked_of("a").respond(500, b"-")
            self.asked_of("b").respond(200, b'{"error":"-"}\n')
            self.failureResultOf(opening, UpstreamFailed)
            self.assertEqual(self.names(), "ab" * (number + 1))

    def test_a_model_that_fails_at_one(self) -> None:
        """Its calls go where it works; those of other models go on as ever."""
        for _ in range(FAILURES):
            opening = self.open("a", "b")
            self.asked_of("a").respond(500, b"-")
            self.answered(opening, "b")
        self.open("a", "b", installed="mistral:latest")
        self.open("a", "b")
        self.assertEqual(self.names(), "ab" * FAILURES + "ab")

    def test_a_trial_of_a_model(self) -> None:
        """One call at a time tries it there again; an answer is the end of that."""
        for _ in range(FAILURES):
            self.hosts["a"].failed("Llama3:latest", NO_TRIAL, "500")
        self.wait(FIRST_PAUSE_S)
        self.open("a", "b")
        self.open("a", "b")
        self.assertEqual(self.names(), "ab")
        self.asked_of("a").respond(500, b"-")
        self.answered(self.open("a", "b"), "a")
        self.open("a", "b")
        self.open("a", "b")
        self.assertEqual(self.names(), "abbaaa")

    def test_neither_busy_nor_lying_is_ill(self) -> None:
        """A host that is busy, or has lost a model, is asked the next time; a 400 is an answer."""
        for status in (503, 404, 400):
            with self.subTest(status=status):
                self.setUp()
                for _ in range(5):
                    opening = self.open("a")
                    self.asked_of("a").respond(status, b"-")
                    self.failureResultOf(opening, Refusal)
                self.assertTrue(self.hosts["a"].health.is_well)

    def test_all_left_out(self) -> None:
        """What might be answered is never refused: all are tried in order."""
        for name in "abc":
            self.hosts[name].health.failed(0.0, "why", trial=False, unreachable=True)
        opening = self.open("a", "b", "c")
        self.asked_of("a").fail(error.ConnectionRefusedError())
        self.asked_of("b").respond(500, b"-")
        self.answered(opening, "c")


class LineTests(PatienceTestCase):
    """Calls whose request has not gone out, as they wait in line."""

    def setUp(self) -> None:
        """Every place of every host is taken; requests stay in line."""
        super().setUp()
        for room in self.rooms.values():
            room.is_free = False
        self.agent.sends = False

    def test_the_first_line(self) -> None:
        """Where none has a place, the line of the first one is it."""
        self.open("a", "b")
        self.wait(30)
        self.assertEqual(self.names(), "a")
        self.assertEqual(self.asking.asked, [])

    def test_no_line_for_a_trial(self) -> None:
        """One that is left out has no line that is better than that of one that is well."""
        self.hosts["a"].health.failed(0.0, "why", trial=False, unreachable=True)
        self.wait(FIRST_PAUSE_S)
        self.open("a", "b")
        self.wait(3)
        self.assertEqual(self.names(), "b")

    def test_another_place(self) -> None:
        """Who stands in line goes where a place is free by now; nobody is to blame."""
        opening = self.open("a", "b")
        self.rooms["b"].is_free = True
        self.wait(1)
        self.assertEqual(self.names(), "ab")
        self.assertTrue(self.agent.asked[0].cancelled)
        self.answered(opening, "b")
        self.assertTrue(self.hosts["a"].health.is_well)

    def test_away_from_one_that_stands_still(self) -> None:
        """The line of one that is well is better than that of one that is not."""
        opening = self.open("a", "b")
        self.hang("a")
        self.wait(STALL_S)
        self.assertEqual(self.names(), "ab")
        opening.cancel()
        self.failureResultOf(opening, CancelledError)

    def test_a_connection_under_way_is_no_line(self) -> None:
        """A host that was free is waited for until it is there, or fails."""
        self.rooms["a"].is_free = True
        self.open("a", "b")
        self.rooms["b"].is_free = True
        self.wait(3)
        self.assertEqual(self.names(), "a")

    def test_in_vain(self) -> None:
        """Who got no place in time is told that all is busy; no other line is tried."""
        opening = self.open("a", "b")
        self.last.fail(PoolFull())
        self.refused(opening, UpstreamBusy, "queue")
        self.assertEqual(self.names(), "a")

    def test_no_room(self) -> None:
        """Where every line is full nobody is asked."""
        for room in self.rooms.values():
            room.is_full = True
        self.refused(self.open("a", "b"), UpstreamBusy, "queue")
        self.assertEqual(self.agent.asked, [])
        self.assertRaises(UpstreamBusy, self.backends.check)
        self.assertEqual([room.turned for room in self.rooms.values()], [2, 1, 1])

    def test_room_at_one(self) -> None:
        """While one has room a call may come."""
        self.rooms["a"].is_full = self.rooms["b"].is_full = True
        self.backends.check()
        self.refused(self.open("a", "b"), UpstreamBusy, "queue")

    def test_failures_before_a_full_line(self) -> None:
        """That one is busy tells more than that another has failed."""
        self.rooms["a"].is_free = True
        self.rooms["b"].is_full = True
        opening = self.open("a", "b")
        self.last.respond(500, b"-")
        self.refused(opening, UpstreamBusy, "queue")
