"""What the loop tells the world while it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of metrics.jsonl: means over examples, in nats; `elbo` is written as `objective` where it is no
    bound on log p(x).
    """

    step: int
    epoch: int
    split: str
    elbo: float
    distortion: float
    divergence: float
    examples_per_second: float
    seconds: float
    skipped: int
    learning_rate: float | None  # of the last step, the schedule's factor in it; None for an algorithm that has none


def row_record(row: Row, is_bound: bool) -> dict[str, Any]:
    """A row as it stands in metrics.jsonl."""
    return {"objective" if name == "elbo" and not is_bound else name: value for name, value in asdict(row).items()}


def read_row(record: dict[str, Any]) -> Row:
    """A row from metrics.jsonl. Errors: `TypeError` for other fields."""
    return Row(**{"elbo" if name == "objective" else name: value for name, value in record.items()})


@dataclass(frozen=True)
class Plan:
    """What is about to happen. `expected_seconds` is from a few timed steps; None where the run is bounded by time."""

    parameters: int
    examples: int
    batch: int
    steps: int | None
    device: str
    precision: str
    compilation: str
    expected_seconds: float | None


@dataclass(frozen=True)
class Tick:
    """Where training is, several times a second at most."""

    step: int
    epoch: int
    progress: float
    elbo: float
    distortion: float
    divergence: float
    examples_per_second: float
    seconds_left: float


class Callback:
    """Base of listeners; every method does nothing until it is given something to do."""

    def plan(self, plan: Plan) -> None:
        """Before the first step."""

    def tick(self, tick: Tick) -> None:
        """While an epoch runs."""

    def row(self, row: Row) -> None:
        """After a line was added to metrics.jsonl."""

    def note(self, text: str) -> None:
        """Something that a person should know: skipped steps, an early stop."""
