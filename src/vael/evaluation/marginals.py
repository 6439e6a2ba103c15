"""How far each column of one table is from the same column of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vael.data.constraints import columns_of
from vael.data.schema import LEVELS, Column, Schema
from vael.errors import ShapeError


@dataclass(frozen=True)
class MarginalDistance:
    """One column of two tables, by its cells that were seen.

    `distance` lies in [0, 1]: the total variation ½ Σ |p - q| over codes for a column with levels, the Kolmogorov-Smirnov distance
    sup |F - G| for numbers, which is the largest total variation of a cut in two. NaN where a column has no cell seen in one of the tables.
    """

    column: str
    distance: float
    wasserstein: float | None  # E|X - Y| of the closest coupling, in standard deviations of the second table; None for levels
    missing: float  # share of missing cells, first table less second


def marginals(schema: Schema, x: Float[Tensor, "rows columns"], y: Float[Tensor, "others columns"]) -> tuple[MarginalDistance, ...]:
    """Each column of `x` against that of `y`. Errors: `ShapeError` for tables of another width or without rows."""
    if not len(x) or not len(y):
        raise ShapeError(f"tables of {len(x):,} and {len(y):,} rows; expected at least one in each")
    return tuple(marginal(*one) for one in zip(schema.columns, columns_of(schema, x), columns_of(schema, y), strict=True))


def marginal(column: Column, x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " others"]) -> MarginalDistance:
    """One column of two tables; NaN where missing."""
    first, second = x[~np.isnan(x)], y[~np.isnan(y)]
    missing = float(np.isnan(x).mean() - np.isnan(y).mean())
    if not len(first) or not len(second):
        return MarginalDistance(column.name, float("nan"), None, missing)
    if column.kind in LEVELS:
        return MarginalDistance(column.name, total_variation(first, second), None, missing)
    spread = float(second.std()) or 1.0
    return MarginalDistance(column.name, kolmogorov_smirnov(first, second), wasserstein(first, second) / spread, missing)


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
