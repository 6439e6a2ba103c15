"""What the loop tells the world while it runs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

LARGEST = 1e15  # nats; what lies beyond was never a bound, and sums of it are no longer exact


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
    is_bound: bool = True  # whether `elbo` is a bound on log p(x); in metrics.jsonl its name says so

    @property
    def called(self) -> str:
        """What `elbo` may be called: bound or objective."""
        return "bound" if self.is_bound else "objective"


def recorded_mean(value: float) -> float:
    """A mean as a row has it: an infinity where it lies beyond what a bound can be."""
    return value if math.isnan(value) or abs(value) < LARGEST else math.copysign(math.inf, value)


def row_record(row: Row) -> dict[str, Any]:
    """A row as it stands in metrics.jsonl."""
    found = asdict(row)
    is_bound = found.pop("is_bound")
    return {"objective" if name == "elbo" and not is_bound else name: value for name, value in found.items()}


def read_row(record: dict[str, Any]) -> Row:
    """A row from metrics.jsonl. Errors: `TypeError` for other fields."""
    named = {"elbo" if name == "objective" else name: value for name, value in record.items()}
    return Row(**named, is_bound="elbo" in record)


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
    is_bound: bool = True  # whether `elbo` is a bound on log p(x)

    @property
    def called(self) -> str:
        """What `elbo` may be called: bound or objective."""
        return "bound" if self.is_bound else "objective"


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
