"""The page, and the results that it is made of."""

import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from benchmarks.machine import describe, processor
from benchmarks.report import NOTES, document
from benchmarks.results import Results


def results() -> Results:
    """A small run."""
    made = Results(
        command="./benchmarks/run.sh",
        date="2026-11-23",
        seconds=660.0,
        machine={"cores": "2"},
        versions={"nginx, pass-through": "nginx/1.22.1"},
        labels={"gateway": "neuronetz-gateway", "nginx": "nginx, pass-through"},
        remarks=["Caddy: skipped"],
    )
    chat = {"cpu_us": 100.0, "stores_us": 9.0, "rate": 5000.0, "failed": 0.0}
    for workload in ("chat-16", "rate-50"):
        made.add(workload, "gateway", {**chat, "first_p50_ms": 1.0, "first_p99_ms": 2.0})
    made.add("chat-16", "nginx", {**chat, "cpu_us": 10.0})
    made.add("leave-stream", "gateway", {"asked": 10.0, "seen": 9.0, "max_ms": 1.0})
    made.add("paced-500", "gateway", {"started": 500.0, "whole": 499.0, "kb_each": 8.0})
    return made


class DocumentTests(SynchronousTestCase):
    """What the page says."""

    def test_parts(self) -> None:
        """Command, machine, versions, remarks, goals and the notes as they were written."""
        page = document(results())
        expected = ["`./benchmarks/run.sh` on 2026-11-23, in 11 minutes", "| cores | 2 |"]
        expected += ["nginx/1.22.1", "- Caddy: skipped", "| S1 |", "| S9 |"]
        expected += [NOTES.read_text(encoding="utf-8")]
        for part in expected:
            self.assertIn(part, page)

    def test_tables(self) -> None:
        """A row has medians and ratios; workloads that were not run have no table."""
        page = document(results())
        self.assertIn("| neuronetz-gateway | 100 | 10.0 x | 9.00 | 5 000 | 1.00 x |", page)
        self.assertIn("| neuronetz-gateway | 9 of 10 | - | 1.00 |", page)
        self.assertIn("| 499 of 500 |", page)
        self.assertNotIn("64 connections\n", page)

    def test_rate(self) -> None:
        """At a fixed rate no cost is claimed."""
        _, _, table = document(results()).partition("50 requests a second\n")
        self.assertNotIn("CPU", table.partition("##")[0])


class ResultTests(SynchronousTestCase):
    """Results outlive the process."""

    def test_round_trip(self) -> None:
        """What is saved is what is loaded."""
        path = Path(self.mktemp())
        results().save(path)
        self.assertEqual(Results.load(path), results())


class MachineTests(SynchronousTestCase):
    """What is told of the machine."""

    def test_processor(self) -> None:
        """The first model that is named; unknown where none is."""
        self.assertEqual(processor("a\t: b\nmodel name\t: Some CPU @ 2 GHz\n"), "Some CPU @ 2 GHz")
        self.assertEqual(processor("Features : neon\n"), "unknown")

    def test_no_name(self) -> None:
        """Neither a host's name nor a path is told."""
        if sys.platform != "linux":
            raise SkipTest("benchmarks run on Linux")
        described = describe()
        self.assertEqual(set(described), {"cores", "processor", "memory", "kernel", "Python"})
