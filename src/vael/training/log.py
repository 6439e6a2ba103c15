"""What a run says while it goes on: rows of metrics, and words to those who listen."""

from __future__ import annotations

from collections.abc import Sequence

from vael.training.callbacks import Callback, Plan, Row, Tick
from vael.training.clock import Stopwatch
from vael.training.store import RunStore


class RunLog:
    """The rows so far, kept in the store as they come, and told to the callbacks."""

    def __init__(self, store: RunStore, callbacks: Sequence[Callback]) -> None:
        self.store, self.callbacks = store, callbacks
        self.rows: list[Row] = []
        self.watch = Stopwatch()  # since the last tick

    def row(self, row: Row) -> None:
        """Keep and tell a row."""
        self.rows.append(row)
        self.store.append(row)
        for callback in self.callbacks:
            callback.row(row)

    def plan(self, plan: Plan) -> None:
        """Tell what is about to happen."""
        for callback in self.callbacks:
            callback.plan(plan)

    def tick(self, tick: Tick) -> None:
        """Tell where training is."""
        for callback in self.callbacks:
            callback.tick(tick)

    def note(self, text: str) -> None:
        """Tell what a person should know."""
        for callback in self.callbacks:
            callback.note(text)

    def validated(self, step: int) -> bool:
        """Whether the last row is of the validation after so many steps."""
        return bool(self.rows) and self.rows[-1].step == step and self.rows[-1].split == "validation"

    def rewind(self, step: int) -> None:
        """Go on from the rows until `step`."""
        self.rows = self.store.rewind(step)
