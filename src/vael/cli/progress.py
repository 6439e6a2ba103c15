"""What a person sees while a model trains."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from vael.cli.wording import duration
from vael.counting import counted
from vael.training import Callback, Plan, Row, Tick

QUIET = 5.0  # seconds between plain lines, at least
WIDTH = 20  # characters of the bar


def numbers(row: Row | Tick) -> str:
    """What is climbed, a bound or not, and its two parts."""
    elbo, distortion, divergence = row.elbo, row.distortion, row.divergence
    return f"{row.called} {elbo:9.2f}  distortion {distortion:8.2f}  divergence {divergence:7.2f}"


class Telling(Callback):
    """Says the plan and the notes; `say` takes a line."""

    def __init__(self, say: Callable[[str], None], time_limit: float | None = None) -> None:
        self.say, self.time_limit = say, time_limit

    def plan(self, plan: Plan) -> None:
        length = (
            f"{counted(plan.steps, 'step')} of {plan.batch}"
            if plan.steps
            else f"steps of {plan.batch} until the time limit"
        )
        self.say(
            f"  {counted(plan.parameters, 'parameter')}, {counted(plan.examples, 'training example')}, {length}, on "
            f"{plan.device}"
        )
        if plan.expected_seconds is not None:
            self.say(f"  expected time: {duration(plan.expected_seconds)}")
        elif self.time_limit:
            self.say(f"  expected time: {duration(self.time_limit)}, the time limit")
        self.say("")

    def note(self, text: str) -> None:
        self.say(f"note: {text}")


class PlainLines(Telling):
    """One line per validation, a few seconds apart at least, and the last one always."""

    def __init__(self, say: Callable[[str], None], time_limit: float | None = None) -> None:
        super().__init__(say, time_limit)
        self.told, self.waiting, self.train = 0.0, "", ""

    def row(self, row: Row) -> None:
        if row.split == "train":
            self.train = f"{row.examples_per_second:,.0f} examples/s"
            return
        self.waiting = f"epoch {row.epoch:>4}  validation {numbers(row)}  {self.train}"
        if time.monotonic() - self.told > QUIET:
            self.close()

    def close(self) -> None:
        """Say the line that was held back."""
        if self.waiting:
            self.say(self.waiting)
            self.told, self.waiting = time.monotonic(), ""


class Bar(Telling):
    """A live line on a terminal: share done, speed, bound, distortion, divergence, time left; under it the last
    validation.
    """

    def __init__(self, stream: TextIO, time_limit: float | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self.console = Console(file=stream, highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.head, self.validation = "starting", ""
        super().__init__(lambda line: self.console.print(line, markup=False), time_limit)

    def plan(self, plan: Plan) -> None:
        super().plan(plan)
        self.live.start()

    def tick(self, tick: Tick) -> None:
        done = round(tick.progress * WIDTH)
        bar = "━" * done + "╌" * (WIDTH - done)
        self.head = (
            f"{bar} {tick.progress:4.0%}  epoch {tick.epoch}  {tick.examples_per_second:,.0f} examples/s  "
            f"{duration(tick.seconds_left)} left\n"
            f"  training    {numbers(tick)}"
        )
        self.show()

    def row(self, row: Row) -> None:
        if row.split == "validation":
            self.validation = f"  validation  {numbers(row)}"
            self.show()

    def show(self) -> None:
        """Draw what is known now."""
        self.live.update(self.head + ("\n" + self.validation if self.validation else ""), refresh=True)

    def close(self) -> None:
        """Take the live lines away and leave the last validation."""
        self.live.stop()
        if self.validation:
            self.say(self.validation.strip())
