"""How a run stands to the goals."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.goals import (
    BOTH,
    GOALS,
    NATIVE,
    OPENAI,
    PHASES,
    WITHOUT_NATIVE,
    Finding,
    Verdict,
)
from benchmarks.results import Figures, Results


def verdict(name: str, results: Results) -> Verdict:
    """The verdict on one goal."""
    (goal,) = [each for each in GOALS if each.name == name]
    return goal.find(results).verdict


def run(rounds: dict[tuple[str, str], Figures]) -> Results:
    """Results with one round for each workload and lane."""
    results = Results()
    for (workload, lane), figures in rounds.items():
        results.add(workload, lane, figures)
    return results


class FindingTests(SynchronousTestCase):
    """What makes a verdict."""

    def test_verdicts(self) -> None:
        """The aim needs all of it, and what was not measured is never missed."""
        cases = {
            Verdict.AIM: Finding("", [True, True], [True]),
            Verdict.ACCEPTABLE: Finding("", [True], [True, False]),
            Verdict.MISSED: Finding("", [True, False], [True]),
            Verdict.UNKNOWN: Finding("", [False, None], [True]),
        }
        for expected, finding in cases.items():
            self.assertIs(finding.verdict, expected)

    def test_aim_unknown(self) -> None:
        """An aim that was not measured is not reached."""
        self.assertIs(Finding("", [True], [None]).verdict, Verdict.ACCEPTABLE)


class GoalTests(SynchronousTestCase):
    """Each goal at its limits."""

    def test_nothing_measured(self) -> None:
        """An empty run says nothing of any goal."""
        verdicts = {goal.find(Results()).verdict for goal in GOALS}
        self.assertEqual(verdicts, {Verdict.UNKNOWN})

    def test_all_there(self) -> None:
        """The goals are S1 to S9, and what a record and the limits cost."""
        names = [f"S{number}" for number in range(1, 10)]
        self.assertEqual([goal.name for goal in GOALS], [*names, "records", "limits"])

    def test_records(self) -> None:
        """By itself a record is within its limit or its share of a relay; a token costs none."""

        def at(alone: float, token: float) -> Verdict:
            return verdict(
                "records",
                run(
                    {
                        ("records", OPENAI): {"cpu_us": alone},
                        ("records", "aiohttp"): {"cpu_us": 208.0},
                        ("flood-64", NATIVE): {"cpu_us": token},
                        ("flood-64", WITHOUT_NATIVE): {"cpu_us": 4.0},
                    }
                ),
            )

        self.assertEqual(
            [at(15.0, 5.0), at(30.0, 5.0), at(31.0, 5.0), at(15.0, 5.1)],
            [Verdict.AIM, Verdict.AIM, Verdict.MISSED, Verdict.MISSED],
        )

    def test_cost(self) -> None:
        """S1 is held against the dearer of two sizes."""

        def at(larger: float) -> Verdict:
            figures = {("chat-16", OPENAI): {"cpu_us": 100.0}}
            figures["chat-64", OPENAI] = {"cpu_us": larger}
            return verdict("S1", run(figures))

        self.assertEqual(
            [at(120.0), at(121.0), at(221.0)],
            [Verdict.AIM, Verdict.ACCEPTABLE, Verdict.MISSED],
        )

    def test_cost_on_a_slow_machine(self) -> None:
        """S1 holds as well where a bare relay needs more than where the goal was set."""

        def at(cost: float) -> Verdict:
            rounds: dict[tuple[str, str], Figures] = {}
            for size in ("chat-16", "chat-64"):
                rounds[size, "aiohttp"] = {"cpu_us": 208.0}
                rounds[size, OPENAI] = {"cpu_us": cost}
            return verdict("S1", run(rounds))

        self.assertEqual(
            [at(240.0), at(440.0), at(441.0)],
            [Verdict.AIM, Verdict.ACCEPTABLE, Verdict.MISSED],
        )

    def test_rates(self) -> None:
        """S2 wants each peer beaten by its factor."""
        rates = {"portkey": 300.0, "fastapi": 140.0, "litellm": 20.0, "aiohttp": 2000.0}
        rounds: dict[tuple[str, str], Figures] = {
            ("chat-64", peer): {"rate": rate} for peer, rate in rates.items()
        }
        for own, expected in ((2000.0, Verdict.AIM), (1000.0, Verdict.ACCEPTABLE),
                              (899.0, Verdict.MISSED)):  # fmt: skip
            rounds["chat-64", OPENAI] = {"rate": own}
            self.assertIs(verdict("S2", run(rounds)), expected)

    def test_limits(self) -> None:
        """What admission adds is held in microseconds, or in proportion to a bare relay."""

        def at(cost: float) -> Verdict:
            return verdict(
                "limits",
                run(
                    {
                        ("chat-64", OPENAI): {"cpu_us": 200.0 + cost},
                        ("chat-64", "unlimited"): {"cpu_us": 200.0},
                        ("chat-64", "aiohttp"): {"cpu_us": 156.0},
                    }
                ),
            )

        self.assertEqual([at(60.0), at(89.0), at(91.0)], [Verdict.AIM, Verdict.AIM, Verdict.MISSED])

    def test_token_cost(self) -> None:
        """S3 compares each surface with nginx on the same."""
        rounds: dict[tuple[str, str], Figures] = {
            ("paced-500", "nginx"): {"cpu_us": 10.0},
            ("paced-500", "nginx-native"): {"cpu_us": 8.0},
            ("paced-500", OPENAI): {"cpu_us": 35.0},
            ("paced-500", NATIVE): {"cpu_us": 20.0},
        }
        self.assertIs(verdict("S3", run(rounds)), Verdict.ACCEPTABLE)
        rounds["paced-500", NATIVE] = {"cpu_us": 20.5}
        self.assertIs(verdict("S3", run(rounds)), Verdict.MISSED)

    def test_pace(self) -> None:
        """S4 wants every stream whole on both surfaces."""
        whole = {"started": 9.0, "whole": 9.0, "late_p99_ms": 90.0, "kb_each": 11.0, "wall_s": 5.0}
        rounds: dict[tuple[str, str], Figures] = {
            (f"paced-{streams}", lane): whole for streams in (1000, 2000) for lane in BOTH
        }
        rounds["paced-2000", "direct"] = {"wall_s": 4.9}
        self.assertIs(verdict("S4", run(rounds)), Verdict.AIM)
        rounds["paced-2000", NATIVE] = {**whole, "whole": 8.0}
        self.assertIs(verdict("S4", run(rounds)), Verdict.MISSED)

    def test_added(self) -> None:
        """S5 takes away what the model host itself needs."""
        rounds: dict[tuple[str, str], Figures] = {}
        for workload in ("chat-1", "rate-50"):
            rounds[workload, "direct"] = {"first_p50_ms": 5.0, "first_p99_ms": 50.0}
            rounds[workload, OPENAI] = {"first_p50_ms": 5.2, "first_p99_ms": 51.0}
        self.assertIs(verdict("S5", run(rounds)), Verdict.AIM)

    def test_added_on_a_slow_machine(self) -> None:
        """S5 holds as well in proportion to a bare relay, but for the slowest answers."""
        rounds: dict[tuple[str, str], Figures] = {}
        for workload in ("chat-1", "rate-50"):
            rounds[workload, "direct"] = {"first_p50_ms": 1.0, "first_p99_ms": 1.0}
            rounds[workload, "aiohttp"] = {"first_p50_ms": 2.0, "first_p99_ms": 2.0}
            rounds[workload, OPENAI] = {"first_p50_ms": 3.0, "first_p99_ms": 6.0}
        self.assertIs(verdict("S5", run(rounds)), Verdict.ACCEPTABLE)
        rounds["rate-50", OPENAI] = {"first_p50_ms": 3.1, "first_p99_ms": 6.0}
        self.assertIs(verdict("S5", run(rounds)), Verdict.MISSED)
        rounds["rate-50", OPENAI] = {"first_p50_ms": 3.0, "first_p99_ms": 6.1}
        self.assertIs(verdict("S5", run(rounds)), Verdict.MISSED)

    def test_left(self) -> None:
        """S7 wants every client seen, and the last of all in time."""
        seen = {"asked": 10.0, "seen": 10.0, "max_ms": 0.9}
        rounds: dict[tuple[str, str], Figures] = {
            (phase, lane): seen for phase in PHASES for lane in BOTH
        }
        self.assertIs(verdict("S7", run(rounds)), Verdict.AIM)
        for changed in (
            {**seen, "seen": 9.0},
            {**seen, "max_ms": 21.0},
            {"asked": 1.0, "seen": 0.0},
        ):
            rounds[PHASES[1], NATIVE] = changed
            self.assertIs(verdict("S7", run(rounds)), Verdict.MISSED)

    def test_slow(self) -> None:
        """S8 is held against the surface that grows more."""
        rounds: dict[tuple[str, str], Figures] = {
            ("slow-1", OPENAI): {"grown_kb": 10.0},
            ("slow-1", NATIVE): {"grown_kb": 257.0},
        }
        self.assertIs(verdict("S8", run(rounds)), Verdict.ACCEPTABLE)

    def test_start(self) -> None:
        """S9 wants both a fast start and little memory."""
        rounds: dict[tuple[str, str], Figures] = {
            ("start", OPENAI): {"start_s": 0.9, "idle_mib": 91.0}
        }
        self.assertIs(verdict("S9", run(rounds)), Verdict.MISSED)
