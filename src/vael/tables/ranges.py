"""Values that training never came near: cells outside of the range that their column had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vael.counting import counted
from vael.tables.constraints import columns_of, precision
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.writing import arrow_cells, written_cells

FAR = (
    1.0  # widths of a column's range that a seen cell may lie beyond it before that is said of what is filled beside it
)
LONG = 1e15  # from which a number is written with an exponent


@dataclass(frozen=True)
class Outside:
    """Cells of one column outside of its range in training, as they would be written."""

    column: str
    cells: int
    row: int  # the number of the first of them
    value: str  # of that cell
    least: str
    most: str

    def __str__(self) -> str:
        return (
            f"{self.column} = {self.value} lies outside of {self.least} to {self.most}, which is its range in training"
        )

    @property
    def beside_gaps(self) -> str:
        """What is to be said of such cells in rows whose gaps are filled."""
        return (
            f"row {self.row:,}: {self} ({counted(self.cells, 'such cell')} beside gaps): what is filled there is a "
            "guess beyond what was learned"
        )


def outside(
    schema: Schema, x: Float[Tensor, "rows columns"], margin: float = 0.0, rows: Int[np.ndarray, " rows"] | None = None
) -> tuple[Outside, ...]:
    """Columns with cells outside of their range in training by more than `margin` times its width; `x` in the schema's
    units, NaN where missing.

    The range is that of the values that are no spikes; a spike itself is inside. `rows` are the numbers of the rows,
    from 1 on unless given. Errors: `ShapeError` for another width.
    """
    found, numbers = [], np.arange(1, len(x) + 1) if rows is None else rows
    for column, cells in zip(schema.columns, columns_of(schema, x), strict=True):
        if column.kind in LEVELS or column.minimum is None or column.maximum is None:
            continue
        low, high = column.usual or (column.minimum, column.maximum)
        beyond = _beyond(column, cells, low, high, margin)
        if beyond.any():
            first = int(beyond.argmax())
            value, *ends = (shown(column, one) for one in (float(cells[first]), low, high))
            found.append(Outside(column.name, int(beyond.sum()), int(numbers[first]), value, *ends))
    return tuple(found)


def beside_gaps(
    schema: Schema, x: Float[Tensor, "rows columns"], rows: Int[np.ndarray, " rows"] | None = None
) -> tuple[Outside, ...]:
    """Cells that are far (`FAR`) outside of their range in training, in rows with gaps; as `outside`."""
    numbers, gapped = np.arange(1, len(x) + 1) if rows is None else rows, np.flatnonzero(torch.isnan(x).any(1).numpy())
    return outside(schema, x[gapped.tolist()], FAR, numbers[gapped])


def summed(parts: Iterable[Outside]) -> tuple[Outside, ...]:
    """Parts of one table as one, by columns."""
    found: dict[str, Outside] = {}
    for part in parts:
        known = found.get(part.column, replace(part, cells=0))
        found[part.column] = replace(known, cells=known.cells + part.cells)
    return tuple(found.values())


def _beyond(column: Column, cells: np.ndarray, low: float, high: float, margin: float) -> Bool[np.ndarray, " rows"]:
    room = precision(column) + margin * (high - low)
    spike = np.zeros(len(cells), bool)
    for value in column.spikes:
        spike |= np.abs(cells - value) <= max(precision(column), 1e-6 * abs(value))
    return ~np.isnan(cells) & ((cells < low - room) | (cells > high + room)) & ~spike


def shown(column: Column, value: float) -> str:
    """A value as the cells of its column are written; numbers of very many digits with an exponent."""
    if column.kind is not ColumnKind.DATE and abs(value) >= LONG:
        return f"{value:g}"
    plain = replace(column, type="")
    cells = arrow_cells(Schema((plain,)), torch.tensor([[value - column.origin]], dtype=torch.float64))
    return written_cells(plain, cells.column(0).combine_chunks())[0]
