"""How strongly each pair of columns hangs together, whatever their kinds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError
from vael.tables.constraints import columns_of
from vael.tables.schema import LEVELS, Schema

MOST_COLUMNS = 64  # whose pairs are looked at: the first ones
BLOCKS, LEAST_BLOCK, MOST_ROWS, EXCHANGES = (
    8,
    15,
    4000,
    3999,
)  # of `association_p_value`: blocks of a table, their rows, and divisions tried
FEWEST = 8  # rows in which both columns were seen, below which no association is given


@dataclass(frozen=True)
class Associations:
    """One number for each pair of columns; NaN where too few rows have both, or where a column never varies.

    Numbers with numbers: Spearman's rank correlation, in [-1, 1]. Levels with levels: Cramér's V with the correction
    for chance of Bergsma (2013). Levels with numbers: the correlation ratio of the ranks, with the same kind of
    correction (Kelley 1935). Ranks, because a few huge values would rule the rest. Independent columns have 0 up to
    chance.
    """

    columns: tuple[str, ...]
    matrix: Float[np.ndarray, "columns columns"]


@dataclass(frozen=True)
class AssociationDistance:
    """Where the associations of two tables differ."""

    first: Associations
    second: Associations

    @property
    def difference(self) -> Float[np.ndarray, "columns columns"]:
        """Of the first less the second."""
        return self.first.matrix - self.second.matrix

    @property
    def pairs(self) -> Float[np.ndarray, " pairs"]:
        """The differences of the pairs that both tables have, each once."""
        above = self.difference[np.triu_indices(len(self.difference), 1)]
        return above[np.isfinite(above)]

    @property
    def mean(self) -> float:
        """Mean absolute difference over pairs; 0 where there are none."""
        return float(np.abs(self.pairs).mean()) if len(self.pairs) else 0.0

    @property
    def largest(self) -> tuple[str, str, float] | None:
        """The pair that differs most and its difference, None where there are no pairs."""
        if not len(self.pairs):
            return None
        apart = np.nan_to_num(np.triu(self.difference, 1))
        row, column = divmod(int(np.abs(apart).argmax()), len(apart))
        return self.first.columns[row], self.first.columns[column], float(apart[row, column])


def association_distance(
    schema: Schema, x: Float[Tensor, "rows columns"], y: Float[Tensor, "others columns"]
) -> AssociationDistance:
    """The associations of two tables. Errors: `ShapeError`."""
    return AssociationDistance(associations(schema, x), associations(schema, y))


def association_p_value(
    schema: Schema, x: Float[Tensor, "rows columns"], y: Float[Tensor, "others columns"], *, seed: int = 0
) -> float:
    """P(associations so unlike | one law), by exchange of blocks of rows: exact up to the number of exchanges tried,
    whatever the columns.

    Both tables are cut into `BLOCKS` blocks of equally many rows. Where rows are independent and of one law, all blocks
    are exchangeable, so the mean and the largest difference of block means over pairs are compared with what other
    divisions of the blocks give; twice the smaller of the two p-values. 1 where blocks would be too small.
    """
    size = min(len(x), len(y), MOST_ROWS) // BLOCKS
    if size < LEAST_BLOCK:
        return 1.0
    parts = [table[block * size : (block + 1) * size] for table in (x, y) for block in range(BLOCKS)]
    above = np.triu_indices(min(len(schema.columns), MOST_COLUMNS), 1)
    blocks = np.stack([associations(schema, part).matrix[above] for part in parts])
    blocks = blocks[:, np.isfinite(blocks).all(0)]
    if not blocks.shape[1]:
        return 1.0
    sign = np.tile(np.repeat([1.0, -1.0], BLOCKS), (EXCHANGES + 1, 1))
    sign[1:] = np.random.default_rng(seed).permuted(sign[1:], axis=1)
    apart = np.abs(sign @ blocks)
    return min(1.0, 2 * min(float((one >= one[0] * (1 - 1e-9)).mean()) for one in (apart.mean(1), apart.max(1))))


def associations(schema: Schema, x: Float[Tensor, "rows columns"]) -> Associations:
    """Every pair of the first `MOST_COLUMNS` columns, by the rows that have both.

    Errors: `ShapeError` for a table of another width or without rows.
    """
    if not len(x):
        raise ShapeError("a table without rows has no associations; give one with rows")
    cells, count = columns_of(schema, x), min(len(schema.columns), MOST_COLUMNS)
    leveled = [column.kind in LEVELS for column in schema.columns]
    matrix = np.eye(count)
    for i in range(count):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = _pair(cells[i], cells[j], leveled[i], leveled[j])
    return Associations(schema.names[:count], matrix)


def _pair(x: np.ndarray, y: np.ndarray, x_leveled: bool, y_leveled: bool) -> float:
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if len(x) < FEWEST:
        return math.nan
    if x_leveled and y_leveled:
        return cramers_v(x, y)
    if x_leveled or y_leveled:
        return correlation_ratio(x, ranks(y)) if x_leveled else correlation_ratio(y, ranks(x))
    return correlation(ranks(x), ranks(y))


def ranks(x: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Mean ranks, from 0."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]


def correlation(x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " rows"]) -> float:
    """Pearson's correlation; NaN where one never varies."""
    a, b = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else math.nan


def correlation_ratio(group: Float[np.ndarray, " rows"], y: Float[np.ndarray, " rows"]) -> float:
    """ε, the root of 1 - (1 - η²)(n - 1)/(n - k), where η² is the share of the variance of y that k groups explain,
    and 0 where that is below 0.
    """
    codes, inverse, counts = np.unique(group, return_inverse=True, return_counts=True)
    n, k, centred = len(y), len(codes), y - y.mean()
    total = float(centred @ centred)
    if k < 2 or n <= k or total <= 0:
        return math.nan
    between = float((np.bincount(inverse, centred) ** 2 / counts).sum())
    return math.sqrt(min(max(0.0, 1 - (1 - between / total) * (n - 1) / (n - k)), 1.0))


def cramers_v(x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " rows"]) -> float:
    """√(φ̃² / (min(r̃, k̃) - 1)), with φ̃² = max(0, χ²/n - (r - 1)(k - 1)/(n - 1)) and r̃ = r - (r - 1)²/(n - 1),
    k̃ likewise.
    """
    (_, row), (_, place) = (np.unique(one, return_inverse=True) for one in (x, y))
    r, k, n = int(row.max()) + 1, int(place.max()) + 1, len(x)
    if min(r, k) < 2:
        return math.nan
    table = np.bincount(row * k + place, minlength=r * k).reshape(r, k)
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi = float(((table - expected) ** 2 / expected).sum()) / n - (r - 1) * (k - 1) / (n - 1)
    fewest = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return math.sqrt(min(max(0.0, phi) / fewest, 1.0)) if fewest > 0 else math.nan
