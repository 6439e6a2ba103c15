"""Plain lines about training, for a person who calls it from Python on a terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

from vael.counting import counted
from vael.training.callbacks import Callback, Plan, Row, Tick

EVERY = 5.0  # seconds between two lines, at least
SECONDS, BAR = 0.5, 20  # seconds between two looks of a bar, at least, and its characters


class Lines(Callback):
    """Says the plan, then every few seconds how the validation split stands, and notes; `say` takes a line."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.say = say or to_terminal
        self.told, self.steps = -math.inf, 0  # a machine that was just started has a clock near 0

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


class NotebookBar(Callback):
    """One line in a cell, which is written over: share done, bound, time left; notes below it. `say` takes a text."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.say, self.told, self.width, self.steps = say or to_cell, -math.inf, 0, 0

    def plan(self, plan: Plan) -> None:
        self.steps = plan.steps or 0

    def tick(self, tick: Tick) -> None:
        if time.monotonic() - self.told < SECONDS:
            return
        self.told, full = time.monotonic(), round(BAR * min(max(tick.progress, 0.0), 1.0))
        left = f", {max(tick.seconds_left, 0.0):,.0f} s left" if math.isfinite(tick.seconds_left) else ""
        bar = "#" * full + "." * (BAR - full)
        self._over(f"[{bar}] {tick.progress:4.0%}  epoch {tick.epoch:,}, {tick.called} {tick.elbo:,.2f}{left}")

    def row(self, row: Row) -> None:
        if row.split != "train" and row.step == self.steps:
            told = f"epoch {row.epoch:,}: validation {row.called} {row.elbo:,.2f} after {row.seconds:,.0f} s"
            self._over(f"[{'#' * BAR}] 100%  {told}")
            self.say("\n")

    def note(self, text: str) -> None:
        self.say(f"\nnote: {text}\n")
        self.width = 0

    def _over(self, line: str) -> None:
        """A line in place of the one before."""
        self.say("\r" + line.ljust(self.width))
        self.width = len(line)


def to_cell(text: str) -> None:
    """A text in the output of a cell."""
    print(text, end="", flush=True)


def in_notebook() -> bool:
    """Whether a cell of a notebook runs this: IPython was imported, and its shell has a kernel."""
    module = sys.modules.get("IPython")
    return hasattr(getattr(module, "get_ipython", lambda: None)(), "kernel")


def on_terminal() -> tuple[Callback, ...]:
    """Lines where standard error is a terminal, a bar in a notebook; nothing for files and pipes."""
    if in_notebook():
        return (NotebookBar(),)
    return (Lines(),) if sys.stderr is not None and sys.stderr.isatty() else ()
