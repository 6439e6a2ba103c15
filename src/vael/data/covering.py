"""Every step of some series in a window, and windows as steps again: for using a model on whole series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float64, Int64, Shaped

from vael.data.keys import ROW
from vael.data.sequences import starts, windows
from vael.data.series import CALENDAR, Sequences, Series, rounded, usual_step
from vael.data.source import Source
from vael.tables.schema import Column, ColumnKind

STEP = "step"
MONTHS = (1, 3, 6, 12)  # of each of `CALENDAR`
HALF_A_SECOND = 0.5 / 86_400.0  # days: a midnight that was rounded downwards is that of its day
FORTNIGHT = 10  # working days: so many without a Saturday or a Sunday are no chance


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


def last_windows(found: Sequences) -> Source:
    """The last window of each series, shorter ones preceded by elements that were not seen."""
    source = windows(found, [one.part(max(0, len(one) - found.window), len(one)) for one in found.series], found.window)
    if not any(len(one) < found.window for one in found.series):
        return source
    x = torch.stack([row.roll(min(len(one), found.window), 0) for row, one in zip(source.x, found.series, strict=True)])
    return replace(source, x=x)


def following(series: Series, steps: int, column: Column) -> Float64[np.ndarray, " steps"]:
    """The times after the last one of a series, as far apart as its own are in the middle: of dates also by months, on
    the last days of months where all are, and of days on working days where no other is among them.
    """
    clock = series.clock if series.clock is not None else np.arange(len(series), dtype=np.float64)
    ahead = np.arange(1, steps + 1)
    if column.kind is not ColumnKind.DATE:
        if not rounded(clock, column.decimals):
            return clock[-1] + usual_step(clock) * ahead
        slope, start = np.polyfit(np.arange(len(clock)), clock - clock[-1], 1)  # rounding has no say in a line
        return clock[-1] + start + slope * (len(clock) - 1 + ahead)
    usual, days = usual_step(clock), np.floor(clock + column.origin + HALF_A_SECOND).astype("datetime64[D]")
    later = _later_days(days, usual, ahead)
    if later is None:
        return clock[-1] + usual * ahead
    return later.astype(np.float64) + clock[-1] - days[-1].astype(np.float64)


def _later_days(days: np.ndarray, usual: float, ahead: np.ndarray) -> np.ndarray | None:
    """The days that many steps after the last one, where a calendar has them; None where they are equally far apart."""
    months = days.astype("datetime64[M]")
    for (low, high), length in zip(CALENDAR, MONTHS, strict=True):
        if low <= usual <= high:
            later = months[-1] + length * ahead
            last = (later + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
            if ((days + np.timedelta64(1, "D")).astype("datetime64[M]") > months).all():
                return last
            return np.minimum(later.astype("datetime64[D]") + (days[-1] - months[-1].astype("datetime64[D]")), last)
    if usual == 1 and len(days) > FORTNIGHT and np.is_busday(days).all():
        return np.busday_offset(days[-1], ahead)
    return None
