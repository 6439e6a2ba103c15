"""How far each column of one table is from the same column of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError
from vael.tables.constraints import columns_of
from vael.tables.schema import LEVELS, Column, Schema

LEAST_EXPECTED = 5.0  # in a cell of a table of counts, for the law of chi-square to hold


@dataclass(frozen=True)
class MarginalDistance:
    """One column of two tables, by its cells that were seen.

    `distance` lies in [0, 1]: the total variation ½ Σ |p - q| over codes for a column with levels, the
    Kolmogorov-Smirnov distance sup |F - G| for numbers, which is the largest total variation of a cut in two. NaN where
    a column has no cell seen in one of the tables.
    """

    column: str
    distance: float
    wasserstein: (
        float | None
    )  # E|X - Y| of the closest coupling, in standard deviations of the second table; None for levels
    missing: float  # share of missing cells, first table less second
    # P(so far apart or farther | one law): Kolmogorov's law, for levels chi-square with rare levels taken together
    p_value: float = 1.0


def marginals(
    schema: Schema, x: Float[Tensor, "rows columns"], y: Float[Tensor, "others columns"]
) -> tuple[MarginalDistance, ...]:
    """Each column of `x` against that of `y`. Errors: `ShapeError` for tables of another width or without rows."""
    if not len(x) or not len(y):
        raise ShapeError(f"tables of {len(x):,} and {len(y):,} rows; expected at least one in each")
    return tuple(
        marginal(*one) for one in zip(schema.columns, columns_of(schema, x), columns_of(schema, y), strict=True)
    )


def marginal(column: Column, x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " others"]) -> MarginalDistance:
    """One column of two tables; NaN where missing."""
    first, second = x[~np.isnan(x)], y[~np.isnan(y)]
    missing = float(np.isnan(x).mean() - np.isnan(y).mean())
    if not len(first) or not len(second):
        return MarginalDistance(column.name, float("nan"), None, missing)
    if column.kind in LEVELS:
        return MarginalDistance(column.name, total_variation(first, second), None, missing, chi_square(first, second))
    spread = float(second.std()) or 1.0
    far = kolmogorov_smirnov(first, second)
    return MarginalDistance(
        column.name, far, wasserstein(first, second) / spread, missing, kolmogorov(far, len(first), len(second))
    )


def kolmogorov(distance: float, rows: int, others: int) -> float:
    """P(a distance as large | one law), by the law for one sample of n m / (n + m) rows; too large where values
    repeat, which is the safe side.
    """
    from scipy.stats import kstwo

    return float(kstwo.sf(distance, max(1, round(rows * others / (rows + others)))))


def chi_square(x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " others"]) -> float:
    """P(counts of codes so unlike | one law); codes of which fewer than five are expected in a table count as one."""
    from scipy.stats import chi2

    values = np.union1d(x, y)
    counts = np.stack([np.bincount(np.searchsorted(values, one), minlength=len(values)) for one in (x, y)]).astype(
        np.float64
    )
    rare = counts.sum(0) * min(len(x), len(y)) / (len(x) + len(y)) < LEAST_EXPECTED
    table = np.concatenate((counts[:, ~rare], counts[:, rare].sum(1, keepdims=True)), axis=1) if rare.any() else counts
    table = table[:, table.sum(0) > 0]
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return (
        float(chi2.sf((np.abs(table - expected) ** 2 / expected).sum(), table.shape[1] - 1))
        if table.shape[1] > 1
        else 1.0
    )


def total_variation(x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " others"]) -> float:
    """½ Σ |p - q| of two samples of codes."""
    values = np.union1d(x, y)
    p, q = (np.bincount(np.searchsorted(values, one), minlength=len(values)) / len(one) for one in (x, y))
    return float(np.abs(p - q).sum() / 2)


def _cumulative(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.sort(np.concatenate((x, y)))
    first, second = (np.searchsorted(np.sort(one), values, "right") / len(one) for one in (x, y))
    return values, first, second


def kolmogorov_smirnov(x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " others"]) -> float:
    """The supremum of |F - G| of two empirical distributions."""
    _, first, second = _cumulative(x, y)
    return float(np.abs(first - second).max())


def wasserstein(x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " others"]) -> float:
    """∫ |F - G|, the Wasserstein-1 distance of two empirical distributions on the line."""
    values, first, second = _cumulative(x, y)
    return float((np.abs(first - second)[:-1] * np.diff(values)).sum())
