"""Every step of some series in a window, and windows as steps again: for using a model on whole series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    begins: Int64[np.ndarray, " windows"]  # the place of the first step among those of all series, one after another
    # that of every step; -1 where another window answers for it, and beyond the end of a series
    steps: Int64[np.ndarray, "windows time"]
    rows: Int64[np.ndarray, " steps"]  # of the steps in the data
    names: tuple[str, ...]  # of their series
    times: pa.Array | None  # as they came

    def steps_of(self, values: Shaped[np.ndarray, "windows time numbers"]) -> Shaped[np.ndarray, "steps numbers"]:
        """The values of windows as those of steps."""
        known = self.steps >= 0
        found = np.empty((len(self.rows), values.shape[2]), values.dtype)
        found[self.steps[known]] = values[known]
        return found

    def beside(self, found: Sequences, at: Int64[np.ndarray, " some"] | None = None) -> dict[str, pa.Array]:
        """What names some steps (None: all): their rows (of an array the example and the step), their series and their
        times.
        """
        at = np.arange(len(self.rows)) if at is None else at
        first = {ROW: pa.array(self.rows[at])}
        if self.times is None:
            inside = np.concatenate([np.arange(1, n + 1) for n in np.unique(self.rows, return_counts=True)[1]])
            return {**first, STEP: pa.array(inside[at])}
        if found.windowing.id:
            first[found.windowing.id] = pa.array([self.names[place] for place in at], pa.string())
        return {**first, found.windowing.time: self.times.take(pa.array(at))}

    def told(self, found: Sequences, window: int, step: int) -> str:
        """A step as people name it."""
        place = int(self.begins[window]) + step
        series = f"{self.names[place]} " if found.windowing.id else ""
        if self.times is None:
            return f"example {self.rows[place]}, step {step + 1}"
        return f"{series}{self.times[place]}"


def cover(found: Sequences, series: Sequence[Series], *, overlap: int = 0) -> Covering:
    """Windows of which neighbours share `overlap` steps, the first half of them answered for by the window that ends
    there, the others by the next one; the last window of a series ends where the series does.
    """
    places, begins, begin, stride = [], [], 0, max(1, found.window - overlap)
    for one in series:
        first = starts(len(one), found.window, stride, True)
        ends = [begin + (a + found.window + b) // 2 for a, b in pairwise(first)]
        for start, low, high in zip(first, [begin, *ends], [*ends, begin + len(one)], strict=True):
            at = begin + np.arange(start, start + found.window)
            places.append(np.where((at >= low) & (at < high), at, -1))
            begins.append(begin + start)
        begin += len(one)
    times = [one.times for one in series if one.times is not None]
    return Covering(
        windows(found, series, stride, whole=True),
        np.array(begins),
        np.stack(places),
        np.concatenate([one.rows for one in series]),
        tuple(one.name for one in series for _ in range(len(one))),
        pa.concat_arrays(times) if times else None,
    )
