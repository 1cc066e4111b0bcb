"""What a run has found, as plain values that survive in a file."""

import json
from pathlib import Path

from attrs import asdict, define, field

from benchmarks.figures import Spread, spread

Figures = dict[str, float]
"""What one round has shown, by name."""


@define
class Results:
    """Figures of each round by workload and lane, and what must be known to read them.

    A lane is a target asked in one way; `labels` are their names for people, in order.
    """

    command: str = ""
    date: str = ""
    seconds: float = 0.0
    machine: dict[str, str] = field(factory=dict)
    versions: dict[str, str] = field(factory=dict)
    labels: dict[str, str] = field(factory=dict)
    remarks: list[str] = field(factory=list)
    rounds: dict[str, dict[str, list[Figures]]] = field(factory=dict)

    def add(self, workload: str, lane: str, figures: Figures) -> None:
        """Take in one round."""
        self.rounds.setdefault(workload, {}).setdefault(lane, []).append(figures)

    def lanes(self, workload: str) -> list[str]:
        """The lanes that were measured, in the order of `labels`."""
        return [lane for lane in self.labels if lane in self.rounds.get(workload, {})]

    def spread(self, workload: str, lane: str, figure: str) -> Spread | None:
        """One figure over all rounds in which it was found."""
        rounds = self.rounds.get(workload, {}).get(lane, [])
        return spread([figures[figure] for figures in rounds if figure in figures])

    def median(self, workload: str, lane: str, figure: str) -> float | None:
        """The median of one figure; None where it was not measured."""
        found = self.spread(workload, lane, figure)
        return None if found is None else found.median

    def save(self, path: Path) -> None:
        """Write them to a file."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Results":
        """What was saved."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
