"""Figures from what the load reports and what /proc tells."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.measure import (
    Lane,
    Taken,
    chat_figures,
    lanes_of,
    leave_figures,
    slow_figures,
    stream_figures,
)
from benchmarks.programs import Program
from benchmarks.targets import NO_LIMIT, Running, Surface
from benchmarks.workloads import WORKLOADS

TAKEN = Taken(cpu_s=0.5, stores_cpu_s=0.1, before_kib=1000, during_kib=3000)
SAMPLES = {"count": 100, "p50": 1500, "p90": 1, "p99": 20_000, "max": 1}


def report(**changes: Any) -> dict[str, Any]:
    """What `load` prints, with some of it changed."""
    return {
        "started": 100,
        "complete": 100,
        "failed": 0,
        "unfinished": 0,
        "tokens": 1000,
        "wall_s": 2.0,
        "first_us": SAMPLES,
        "late_us": SAMPLES,
        "left": [],
        "failure": "",
        **changes,
    }


class FigureTests(SynchronousTestCase):
    """Each kind of round."""

    def test_chat(self) -> None:
        """The cost of one answer, its stores' apart, the rate and the latency."""
        self.assertEqual(
            chat_figures(report(), TAKEN),
            {
                "failed": 0.0,
                "cpu_us": 5000.0,
                "stores_us": 1000.0,
                "rate": 50.0,
                "first_p50_ms": 1.5,
                "first_p99_ms": 20.0,
            },
        )

    def test_no_answers(self) -> None:
        """Where nothing was answered, only the failures are known."""
        found = chat_figures(report(complete=0, failed=3, unfinished=2), TAKEN)
        self.assertEqual(found, {"failed": 5.0})

    def test_streams(self) -> None:
        """The cost of one token, and the memory of one stream above idle."""
        found = stream_figures(report(), TAKEN, 2000)
        self.assertEqual((found["cpu_us"], found["rate"]), (500.0, 500.0))
        self.assertEqual((found["started"], found["whole"]), (100.0, 100.0))
        self.assertAlmostEqual(found["kb_each"], 10.24)
        self.assertEqual(found["late_p99_ms"], 20.0)

    def test_no_tokens(self) -> None:
        """Streams without a token cost nothing that could be told."""
        found = stream_figures(report(tokens=0, complete=0), TAKEN, 2000)
        self.assertEqual(found["whole"], 0.0)
        self.assertNotIn("cpu_us", found)

    def test_leave(self) -> None:
        """Clients are held against their own label; one that nobody saw go counts as unseen."""
        left = [{"id": 1, "at_us": 1000}, {"id": 2, "at_us": 2000}, {"id": 3, "at_us": 3000}]
        found = leave_figures(report(left=left), {1, 2, 3}, {1: 1500, 2: 4000, 9: 1})
        self.assertEqual(found, {"asked": 3.0, "seen": 2.0, "p50_ms": 2.0, "max_ms": 2.0})

    def test_left_before(self) -> None:
        """A client that went before the upstream was asked is no client that it should see go."""
        left = [{"id": 1, "at_us": 1000}, {"id": 2, "at_us": 2000}]
        found = leave_figures(report(left=left), {1}, {1: 1500})
        self.assertEqual(found, {"asked": 1.0, "seen": 1.0, "p50_ms": 0.5, "max_ms": 0.5})

    def test_slow(self) -> None:
        """Growth during the round; a target that shrank has not grown."""
        self.assertEqual(slow_figures(report(), TAKEN)["grown_kb"], 2048.0)
        shrunk = Taken(cpu_s=0.0, stores_cpu_s=0.0, before_kib=1000, during_kib=900)
        self.assertEqual(slow_figures(report(), shrunk)["grown_kb"], 0.0)


class LaneTests(SynchronousTestCase):
    """Which targets are asked, and how."""

    def running(self, name: str, most_streams: int = NO_LIMIT) -> Running:
        """A target that ends with the test."""
        program = Program(["true"], Path(self.mktemp()).absolute())
        self.addCleanup(program.stop)
        return Running(name=name, label=name, program=program, port=1, most_streams=most_streams)

    def test_lanes(self) -> None:
        """Those named are asked on both surfaces, those that bear too little not at all."""
        (workload,) = [each for each in WORKLOADS if each.name == "paced-500"]
        targets = [self.running("gateway"), self.running("small", 100)]
        lanes = lanes_of(targets, workload, ["gateway", "small"])
        self.assertEqual([lane.key for lane in lanes], ["gateway", "gateway-native"])
        self.assertIs(lanes[1].surface, Surface.NATIVE)
        self.assertIsInstance(lanes[0], Lane)
