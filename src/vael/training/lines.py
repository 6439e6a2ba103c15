"""Plain lines about training, for a person who calls it from Python on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from vael.counting import counted
from vael.training.callbacks import Callback, Plan, Row

EVERY = 5.0  # seconds between two lines, at least


class Lines(Callback):
    """Says the plan, then every few seconds how the validation split stands, and notes; `say` takes a line."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.say = say or to_terminal
        self.told, self.steps = 0.0, 0

    def plan(self, plan: Plan) -> None:
        length = counted(plan.steps, "step") if plan.steps else "steps until the time limit"
        expected = "" if plan.expected_seconds is None else f", about {max(plan.expected_seconds, 1.0):,.0f} s"
        self.say(
            f"training: {counted(plan.parameters, 'parameter')}, {counted(plan.examples, 'example')}, "
            f"{length}{expected}, on {plan.device}"
        )
        self.steps = plan.steps or 0

    def row(self, row: Row) -> None:
        last = row.step == self.steps
        if row.split == "train" or (time.monotonic() - self.told < EVERY and not last):
            return
        self.told = time.monotonic()
        self.say(f"epoch {row.epoch:,}: validation {row.called} {row.elbo:,.2f} nats, after {row.seconds:,.0f} s")

    def note(self, text: str) -> None:
        self.say(f"note: {text}")


def to_terminal(line: str) -> None:
    """A line on standard error."""
    print(line, file=sys.stderr, flush=True)


def on_terminal() -> tuple[Callback, ...]:
    """Lines where standard error is a terminal; nothing for files, pipes and notebooks' kernels without one."""
    return (Lines(),) if sys.stderr is not None and sys.stderr.isatty() else ()
