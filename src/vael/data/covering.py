"""Every step of some series in a window, and windows as steps again: for using a model on whole series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, Shaped

from vael.data.keys import ROW
from vael.data.sequences import Sequences, Series, starts, windows
from vael.data.source import Source

STEP = "step"


@dataclass(frozen=True)
class Covering:
    """Windows in which every step of some series is, and where each of their steps stands among all of them."""

    source: Source
    # the place of a step among those of all series, one after another; -1 where an earlier window has it, and beyond
    # the end of a series
    steps: Int64[np.ndarray, "windows time"]
    rows: Int64[np.ndarray, " steps"]  # of the steps in the data
    names: tuple[str, ...]  # of their series
    times: pa.Array | None  # as they came

    def steps_of(self, values: Shaped[np.ndarray, "windows time channels"]) -> Shaped[np.ndarray, "steps channels"]:
        """The values of windows as those of steps."""
        known = self.steps >= 0
        found = np.empty((len(self.rows), values.shape[2]), values.dtype)
        found[self.steps[known]] = values[known]
        return found

    def beside(self, found: Sequences, window: np.ndarray, step: np.ndarray) -> dict[str, pa.Array]:
        """What names some steps: their rows (of an array the example and the step), their series and their times."""
        at = self.steps[window, step]
        first = {ROW: pa.array(self.rows[at])}
        if self.times is None:
            inside = np.concatenate([np.arange(1, n + 1) for n in np.unique(self.rows, return_counts=True)[1]])
            return {**first, STEP: pa.array(inside[at])}
        if found.windowing.id:
            first[found.windowing.id] = pa.array([self.names[place] for place in at], pa.string())
        return {**first, found.windowing.time: self.times.take(pa.array(at))}

    def told(self, found: Sequences, window: int, step: int) -> str:
        """A step as people name it."""
        at = self.steps[window, step]
        if at < 0:
            at = (
                self.steps[window].max()
                - int((self.steps[window] >= 0).sum())
                + 1
                - int((self.steps[window, step:] < 0).sum())
            )
        place = max(0, int(at))
        series = f"{self.names[place]} " if found.windowing.id else ""
        if self.times is None:
            return f"example {self.rows[place]}, step {step + 1}"
        return f"{series}{self.times[place]}"


def cover(found: Sequences, series: Sequence[Series]) -> Covering:
    """Windows side by side; the last one of a series ends where the series does."""
    places, begin, done = [], 0, 0
    for one in series:
        for first in starts(len(one), found.window, found.window, True):
            at = begin + np.arange(first, first + found.window)
            places.append(np.where((at < begin + len(one)) & (at >= done), at, -1))
            done = min(begin + len(one), begin + first + found.window)
        begin += len(one)
    times = [one.times for one in series if one.times is not None]
    return Covering(
        windows(found, series, found.window, whole=True),
        np.stack(places),
        np.concatenate([one.rows for one in series]),
        tuple(one.name for one in series for _ in range(len(one))),
        pa.concat_arrays(times) if times else None,
    )
