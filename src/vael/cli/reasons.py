"""The cells that make rows strange, in words: for the screen and as columns of a file."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vael.applications.anomaly import AnomalyDetector, Verdict
from vael.applications.attribution import regional
from vael.applications.synthesis import schema_of
from vael.data import Column, Schema, Source
from vael.data.source import spread
from vael.models import is_likelihood
from vael.specs import Run
from vael.tables.constraints import decimals
from vael.tables.ranges import shown
from vael.tables.schema import LEVELS
from vael.tables.stand_ins import SPIKE, apart

LEVELS_NAMED = 3
LEAST = 0.1  # nats more than usual that a cell must be to be a reason
ROWS_LOOKED_AT = 5000


@dataclass(frozen=True)
class Reason:
    """A cell or a region that is more surprising, or costs a larger error, than it usually does."""

    name: str
    surprise: float  # more than usual
    usual: str  # of a column, the middle nine tenths of its values in training, or its commonest levels
    unit: str = "nats"  # none of what an error costs

    def __str__(self) -> str:
        unit, usual = (self.unit and f" {self.unit}"), (self.usual and f"; usually {self.usual}")
        return f"{self.name} (+{self.surprise:.1f}{unit}{usual})"


class Reasons:
    """What to call the cells of a run, and what is usual in them."""

    def __init__(self, run: Run, train: Source, most: int) -> None:
        self.event, self.most = run.spec.data.event, most
        self.names = run.spec.data.columns or tuple(f"column {place}" for place in range(1, self.event[0] + 1))
        self.usual = usual_of(train) if most and len(self.event) == 1 else ()

    def of(
        self, detector: AnomalyDetector, source: Source, verdict: Verdict, rows: Tensor, first: int
    ) -> list[list[Reason]]:
        """The reasons of each of some rows, which are counted from the start of the verdict; `first` is where that
        starts in the source.
        """
        if not len(rows) or not self.most:
            return [[] for _ in rows]
        surprise = detector.explain(source.subset(rows + first), verdict.reasons[rows])
        if surprise.shape[1:] != self.event:
            return [[] for _ in rows]
        if len(self.event) == 3:
            found = ranked(*regional(surprise), (), self.most)
        else:
            found = ranked(surprise, self.names, self.usual, self.most)
        unit = "nats" if is_likelihood(detector.measuring.model) else ""
        return [[replace(one, unit=unit) for one in row] for row in found]


def ranked(surprise: Tensor, names: tuple[str, ...], usual: tuple[str, ...], most: int) -> list[list[Reason]]:
    """The most surprising cells of each row that are more surprising than usual by an amount that says something."""
    top = surprise.topk(min(most, surprise.shape[1]))
    told = usual or ("",) * len(names)
    pairs = zip(top.values.tolist(), top.indices.tolist(), strict=True)
    return [
        [Reason(names[cell], value, told[cell]) for value, cell in zip(values, cells, strict=True) if value >= LEAST]
        for values, cells in pairs
    ]


def usual_of(train: Source) -> tuple[str, ...]:
    """What is usual in each column: the middle nine tenths of its numbers, or its commonest levels."""
    index = spread(len(train), ROWS_LOOKED_AT)
    rules: Schema = schema_of(train)
    x = train.x.index_select(0, index if train.rows is None else train.rows[index]).double()
    found = []
    for place, column in enumerate(rules.columns):
        cells = x[:, place][~x[:, place].isnan()]
        if column.kind in LEVELS:
            counts = torch.bincount(cells.long(), minlength=column.codes)
            often = counts.argsort(descending=True, stable=True)[:LEVELS_NAMED].tolist()
            named = [(*column.levels, "one of the rare levels")[code] for code in often if counts[code]]
            found.append(", ".join(named) + (" ..." if int((counts > 0).sum()) > LEVELS_NAMED else ""))
        else:
            found.append(_usual_numbers(rules, place, cells))
    return tuple(found)


def _usual_numbers(rules: Schema, place: int, cells: Tensor) -> str:
    """The middle nine tenths of a column's numbers that stand for themselves, and the stand-ins that many cells
    have beside them.
    """
    column = rules.columns[place]
    values = cells.numpy() + column.origin
    if not len(values):
        return ""
    rest, beside = without_stand_ins(column, values)
    ends = torch.quantile(torch.from_numpy(rest), torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    low, high = (shown(column, nearest(column, end)) for end in ends)
    return f"{low} to {high}" + "".join(f", or {shown(column, value)}" for value in beside)


def without_stand_ins(column: Column, values: np.ndarray) -> tuple[np.ndarray, tuple[float, ...]]:
    """Numbers without the spikes of their column beyond the rest, and without few that stand apart from all others; and
    those spikes.

    Quantiles over -999 would be of no quantity. A few such cells are no spike of a column, as spikes are fitted.
    """
    outer = tuple(value for value in column.spikes if column.usual and not column.usual[0] <= value <= column.usual[1])
    spiked = np.zeros(len(values), bool)
    for value in outer:
        spiked |= np.abs(values - value) <= 1e-6 * max(1.0, abs(value))
    rest = values[~spiked]
    if not len(rest):
        return values, ()
    different = np.unique(rest)
    few = np.isin(rest, different[apart(different)])
    return (rest[~few] if few.sum() < SPIKE * len(values) else rest), outer


def nearest(column: Column, value: float) -> float:
    """The nearest number with the decimals of a column."""
    digits = decimals(column)
    return value if digits is None else round(value, digits)


def with_reasons(table: pa.Table, reasons: dict[int, list[Reason]], most: int, tell_usual: bool) -> pa.Table:
    """A table of scores with `reason_1`, `surprise_1`, `usual_1` ... for each of its rows that has some, empty
    elsewhere.
    """
    empty: list[Reason] = []
    for number in range(most):
        found = [one[number] if len(one := reasons.get(row, empty)) > number else None for row in range(table.num_rows)]
        table = table.append_column(f"reason_{number + 1}", pa.array([one and one.name for one in found], pa.string()))
        table = table.append_column(
            f"surprise_{number + 1}", pa.array([one and one.surprise for one in found], pa.float64())
        )
        if tell_usual:
            table = table.append_column(
                f"usual_{number + 1}", pa.array([one and one.usual for one in found], pa.string())
            )
    return table
