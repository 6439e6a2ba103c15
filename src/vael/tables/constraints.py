"""What every cell of a table must keep: the range, the levels, the decimals and the gaps that its column had in
training.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vael.errors import ShapeError
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.values.calendar import Beat

WHOLE = frozenset({ColumnKind.COUNT})
LARGEST_WHOLE = 2.0**52  # below which float64 has halves
SMALLEST = 1e-6  # tolerance of a float32 cell, relative to the largest number of its column


class Rule(Enum):
    """What a cell can break."""

    FINITE = "is infinite"
    LEVEL = "is no level of the column"
    BELOW = "lies below the least value of the training data"
    ABOVE = "lies above the largest value of the training data"
    DECIMALS = "has more decimals than the training data"
    MISSING = "is missing, although no cell of the column was missing in training"


@dataclass(frozen=True)
class Violation:
    """Cells of one column that break one rule."""

    column: str
    rule: Rule
    cells: int
    row: int  # the first of them, counted from 1 without the header line

    def __str__(self) -> str:
        many = f"{self.cells:,} cells, the first in row {self.row:,}:" if self.cells > 1 else f"row {self.row:,}:"
        return f"column {self.column!r}, {many} a cell {self.rule.value}"


def violations(schema: Schema, x: Float[Tensor, "rows columns"]) -> tuple[Violation, ...]:
    """Every rule that cells of `x` (in the schema's units, NaN where missing) break, column by column.

    Errors: `ShapeError` for another width.
    """
    found = []
    for column, cells in zip(schema.columns, columns_of(schema, x), strict=True):
        for rule, broken in _broken(column, cells):
            if broken.any():
                found.append(Violation(column.name, rule, int(broken.sum()), int(broken.argmax()) + 1))
    return tuple(found)


def columns_of(schema: Schema, x: Float[Tensor, "rows columns"]) -> list[np.ndarray]:
    """The columns as float64: codes of levels, numbers with their origin added again, NaN where missing.

    Errors: `ShapeError`.
    """
    if x.shape[1] != len(schema.columns):
        raise ShapeError(
            f"a table of {x.shape[1]} columns, but its schema has {len(schema.columns)}: "
            f"{', '.join(schema.names[:8])}; give them all"
        )
    cells = x.detach().cpu().double().numpy()
    return [
        cells[:, place] + (0.0 if column.kind in LEVELS else column.origin)
        for place, column in enumerate(schema.columns)
    ]


def whole_codes(column: Column, cells: Float[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
    """Codes of a column with levels as integers; a gap has the code after the last, what is no level the one after
    that.
    """
    known = np.nan_to_num(cells, nan=0.0, posinf=-1.0)
    level = (known >= 0) & (known < column.codes) & (known == np.round(known))
    return np.where(np.isnan(cells), column.codes, np.where(level, known, column.codes + 1)).astype(int)


def precision(column: Column) -> float:
    """How far a float32 cell may be from the number it stands for."""
    ends = [abs(end - column.origin) for end in (column.minimum, column.maximum) if end is not None]
    return SMALLEST * max([1.0, *ends]) if column.decimals is None else SMALLEST * max([10.0**-column.decimals, *ends])


def _broken(column: Column, cells: np.ndarray) -> list[tuple[Rule, np.ndarray]]:
    seen, room = ~np.isnan(cells), precision(column)
    finite = np.isfinite(cells)
    kept = np.where(finite, cells, 0.0)
    found = [(Rule.FINITE, seen & ~finite)]
    if not column.missing:
        found.append((Rule.MISSING, ~seen))
    if column.kind in LEVELS:
        return [*found, (Rule.LEVEL, finite & ((kept != np.round(kept)) | (kept < 0) | (kept >= column.codes)))]
    if column.minimum is not None:
        found.append((Rule.BELOW, finite & (kept < column.minimum - room)))
    if column.maximum is not None:
        found.append((Rule.ABOVE, finite & (kept > column.maximum + room)))
    digits = decimals(column)
    if digits is not None:
        found.append((Rule.DECIMALS, finite & (np.abs(kept - np.round(kept, digits)) > room)))
    return found


def decimals(column: Column) -> int | None:
    """Digits after the point of a column's numbers; None for any."""
    return 0 if column.kind in WHOLE else column.decimals


def enforced(schema: Schema, x: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """`x` with every number moved to the nearest one that keeps its column's range and decimals, every code to a whole
    one; gaps stay gaps.

    In float64, as numbers may have more digits than float32 and the last day of the calendar must not be rounded to the
    day after it. Errors: `ShapeError` for another width.
    """
    kept = [_nearest(column, cells) for column, cells in zip(schema.columns, columns_of(schema, x), strict=True)]
    return torch.from_numpy(np.stack(kept, axis=1)).to(x.device)


def _nearest(column: Column, cells: np.ndarray) -> np.ndarray:
    if column.kind in LEVELS:
        return np.clip(np.round(cells), 0, max(column.codes - 1, 0))
    low, high = column.minimum, column.maximum
    within = cells if low is None and high is None else np.clip(cells, low, high)
    digits = decimals(column)
    found = within if digits is None else rounded(within, digits)
    return (_on_beat(column, found) if column.kind is ColumnKind.DATE and digits == 0 else found) - column.origin


def _on_beat(column: Column, days: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Days moved to the nearest that the dates of their column fall on (the first of a month); those that many cells
    have stay.
    """
    start = column.usual[0] if column.usual else column.minimum
    if start is None:
        return days
    moved = Beat(column.months, column.step).nearest(days, start)
    low, high = (-np.inf if column.minimum is None else column.minimum, column.maximum)
    within = np.clip(moved, low, np.inf if high is None else high)
    return np.where(np.isin(days, column.spikes), days, within)


def rounded(values: np.ndarray, digits: int) -> np.ndarray:
    """Numbers to so many digits after the point, halves upward: to even ones, numbers of 15 digits (every eighth a
    half) would be even too often.
    """
    rate = 10.0**digits
    steps = values * rate
    exact = np.abs(np.where(np.isnan(steps), 0.0, steps)) < LARGEST_WHOLE
    return np.where(exact, np.floor(steps + 0.5) / rate, np.round(values, digits))
