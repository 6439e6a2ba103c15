"""Dates that all fall on the first or the last day of a month, a quarter or a year, or on one day of the week."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vael.counting import counted
from vael.tables.values.arrow_types import DAY

FEWEST = 8  # different dates from which all of them on the first of a month are no chance
WEEK = 7.0 * DAY
FEWEST_WEEKS = 12  # those on one day of the week, of which there are only seven


@dataclass(frozen=True)
class Beat:
    """Between which days a column of dates has none."""

    months: int | None = None  # months from one first day to the next; below 0 of last days
    step: float | None = None  # seconds from one day to the next, where they are weeks

    def __str__(self) -> str:
        """The beat in words; nothing where there is none."""
        if self.months is None:
            return "" if self.step is None else f"every {counted(round(self.step / DAY), 'day')}"
        which = "first" if self.months > 0 else "last"
        return f"the {which} day of {'a month' if abs(self.months) == 1 else f'every {abs(self.months)} months'}"

    def nearest(self, days: Float64[np.ndarray, " rows"], start: float) -> Float64[np.ndarray, " rows"]:
        """The nearest days of the beat to some days, of which `start` is one; NaN where they are."""
        if self.months is None and (self.step is None or self.step <= DAY):
            return days
        known = np.where(np.isfinite(days), days, start)
        if self.months is None:
            week = (self.step or WEEK) / DAY
            found = start + np.round((known - start) / week) * week
        else:
            found = self._nearest_months(known, start)
        return np.where(np.isfinite(days), found, days)

    def _nearest_months(self, days: Float64[np.ndarray, " rows"], start: float) -> Float64[np.ndarray, " rows"]:
        last, length = float((self.months or 1) < 0), abs(self.months or 1)
        first = _months(np.array([start + last]))[0]
        before = first + (_months(days + last) - first) // length * length
        below, above = (_days(one) - last for one in (before, before + length))
        return np.where(days - below < above - days, below, above)


def _months(days: Float64[np.ndarray, " rows"]) -> np.ndarray:
    """Months since 1970-01."""
    return np.floor(days).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _days(months: np.ndarray) -> Float64[np.ndarray, " rows"]:
    """Days since 1970-01-01 of the first day of months."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.float64)


def beat_of(days: Float64[np.ndarray, " rows"]) -> Beat:
    """The beat of whole days, of which none is missing or stands in for a date: the longest that all of them keep."""
    distinct = np.unique(days)
    if len(distinct) < FEWEST:
        return Beat()
    for last in (0, 1):
        months = _months(distinct + last)
        if (_days(months) == distinct + last).all():
            between = np.gcd.reduce(np.diff(months))
            length = next(one for one in (12, 3, 1) if between % one == 0)
            return Beat(months=-length if last else length)
    weekly = len(distinct) >= FEWEST_WEEKS and (np.diff(distinct) % 7 == 0).all()
    return Beat(step=WEEK if weekly else None)
