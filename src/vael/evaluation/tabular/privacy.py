"""How private synthetic rows are: how close they come to the rows that a model was trained on, and whether
membership can be told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError
from vael.evaluation.tabular.ranking import ALARM, RankedApart, ranked_apart
from vael.evaluation.tabular.signs import sign_p_value
from vael.tables.constraints import columns_of, whole_codes
from vael.tables.schema import LEVELS, Schema

MOST = 10_000  # rows of each table
LEVELS_OF_QUANTILES = (0.01, 0.05, 0.5)
FEWEST = 20
CHECKS = 2  # closeness and copies, or two attacks: each may raise half of the false alarms of its sentence
SAME = 1e-9  # a distance up to which two rows are one


@dataclass(frozen=True)
class ClosestRecords:
    """Distance of every synthetic row to its closest training row, beside its distance to the closest of equally many
    rows held out.

    A distance is the root of a sum over columns: 1 for another level (or a gap in one row only), else the squared
    difference of the two numbers' positions in the distribution of the real rows compared, in [0, 1]. Where the model
    has memorised nothing, training and held-out rows are exchangeable, so `share_closer` (ties count half) is 1/2 with
    standard deviation `null_error` = ½ √Σ_j w_j², w_j being the share of synthetic rows whose closest row is row j.
    `p_value` is exact: a toss of a coin for each j, which takes its synthetic rows with it; `copies_p_value` is the
    same for the synthetic rows that are a row of one of the two halves, and not of the other.
    """

    share_closer: float
    null_error: float
    to_train: Float[np.ndarray, " drawn"]
    to_holdout: Float[np.ndarray, " drawn"]
    copies: float  # share of synthetic rows that are a training row, cell by cell
    holdout_copies: float  # share of held-out rows that are a training row: what equal laws have
    compared: int  # rows of training and held-out data each
    p_value: float = 1.0  # P(so many or more synthetic rows are closer to training rows | nothing memorised)
    copies_p_value: float = 1.0

    @property
    def deviations(self) -> float:
        """Distance of `share_closer` from 1/2 in standard deviations of the null distribution."""
        return (self.share_closer - 0.5) / self.null_error if self.null_error else 0.0

    @property
    def quantiles(self) -> tuple[tuple[float, float, float], ...]:
        """(level, distance to training rows, distance to held-out rows): the small quantiles are where copies show."""
        return tuple(
            (q, float(np.quantile(self.to_train, q)), float(np.quantile(self.to_holdout, q)))
            for q in LEVELS_OF_QUANTILES
        )

    @property
    def suspicious(self) -> bool:
        """Whether synthetic rows are closer to training rows, or oftener copies of them, than chance allows: once
        in 1 / `ALARM` fresh tables.
        """
        return min(self.p_value, self.copies_p_value) < ALARM / CHECKS

    def __str__(self) -> str:
        return (
            f"{self.share_closer:.1%} of synthetic rows are closer to a training than to a held-out row (50.0% ± "
            f"{self.null_error:.1%} by chance)"
        )


@dataclass(frozen=True)
class Membership:
    """How well an attacker tells training rows from rows held out: AUC 1/2 is no better than a coin."""

    by: str  # what the attacker knows
    found: RankedApart

    @property
    def suspicious(self) -> bool:
        """Whether the attack is better than chance allows."""
        return self.found.p_value < ALARM / CHECKS

    def __str__(self) -> str:
        return f"by {self.by}: {self.found}"


def closest_records(
    schema: Schema,
    synthetic: Float[Tensor, "drawn columns"],
    train: Float[Tensor, "seen columns"],
    holdout: Float[Tensor, "unseen columns"],
    *,
    seed: int = 0,
) -> ClosestRecords:
    """Compare distances to training rows with distances to as many rows that the model never saw, at most `MOST` of
    each, drawn by `seed`.

    Errors: `ShapeError` for fewer than 20 rows in a table.
    """
    drawn, seen, unseen = _placed(schema, (synthetic, train, holdout), seed)
    (to_train, near), (to_holdout, other) = _nearest(drawn, seen), _nearest(drawn, unseen)
    apart = ~np.isclose(to_train, to_holdout, rtol=1e-9, atol=1e-9)
    closer = apart & (to_train < to_holdout)
    clusters = _clusters(near, other, closer, apart, len(seen))
    copy = apart & (np.minimum(to_train, to_holdout) <= SAME)
    share, error = float((closer + 0.5 * ~apart).mean()), 0.5 * math.sqrt(float(clusters @ clusters)) / len(near)
    return ClosestRecords(
        share,
        error,
        to_train,
        to_holdout,
        copied(synthetic, train),
        copied(holdout, train),
        len(seen),
        sign_p_value(clusters, _lead(closer, apart)),
        sign_p_value(_clusters(near, other, closer, copy, len(seen)), _lead(closer, copy)),
    )


def _placed(schema: Schema, tables: tuple[Tensor, Tensor, Tensor], seed: int) -> list[np.ndarray]:
    """Equally many rows of training and held-out data, and the synthetic ones, as points."""
    synthetic, train, holdout = tables
    size = min(len(train), len(holdout), MOST)
    if min(size, len(synthetic)) < FEWEST:
        sizes = " and ".join(f"{len(one):,}" for one in tables)
        raise ShapeError(
            f"tables of {sizes} synthetic, training and held-out rows; distances need at least {FEWEST} of each"
        )
    generator = np.random.default_rng(seed)
    chosen = [
        one[generator.permutation(len(one))[:most]] for one, most in ((synthetic, MOST), (train, size), (holdout, size))
    ]
    pool = torch.cat(
        (chosen[1], chosen[2])
    )  # of both alike: positions among training rows alone would make the two unlike
    return [positions(schema, one, pool) for one in chosen]


def _clusters(near: np.ndarray, other: np.ndarray, closer: np.ndarray, kept: np.ndarray, size: int) -> np.ndarray:
    """How many of the kept synthetic rows hang on each real row: it is training or held-out by the toss of a coin,
    and takes them with it.
    """
    counts = np.bincount(np.where(closer, near, other + size)[kept], minlength=2 * size)
    return counts[counts > 0]


def _lead(closer: np.ndarray, kept: np.ndarray) -> int:
    """Synthetic rows that are closer to training rows, less those closer to held-out rows."""
    return int((closer & kept).sum()) - int((~closer & kept).sum())


def closeness_attack(
    schema: Schema,
    synthetic: Float[Tensor, "drawn columns"],
    train: Float[Tensor, "seen columns"],
    holdout: Float[Tensor, "unseen columns"],
    *,
    seed: int = 0,
) -> Membership:
    """An attacker who has only the synthetic rows takes rows close to one of them for training rows.

    Errors: `ShapeError`.
    """
    drawn, seen, unseen = _placed(schema, (synthetic, train, holdout), seed)
    scores = [-_nearest(rows, drawn)[0] for rows in (seen, unseen)]
    return Membership("the distance to the closest synthetic row", ranked_apart(*scores))


def bound_attack(train: Float[Tensor, " seen"], holdout: Float[Tensor, " unseen"]) -> Membership:
    """An attacker who has the model takes rows with a high bound on log p(x) for training rows; given are the bounds,
    in nats.

    An AUC above 1/2 is overfitting made visible: it says what the model itself gives away, not what its samples do.
    Both groups give equally many rows: where many bounds are equal, groups of unlike sizes would make false alarms
    commoner than the normal law of their ranks says.
    """
    size = min(len(train), len(holdout))
    both = (one.numpy(force=True).astype(np.float64)[np.arange(size) * len(one) // size] for one in (train, holdout))
    return Membership("the model's bound on log p(x)", ranked_apart(*both))


def positions(
    schema: Schema, x: Float[Tensor, "rows columns"], train: Float[Tensor, "seen columns"]
) -> Float[np.ndarray, "rows features"]:
    """Rows as points whose squared Euclidean distance is the one of `ClosestRecords`: levels one-hot over √2,
    numbers by their position.
    """
    blocks = []
    for column, cells, known in zip(schema.columns, columns_of(schema, x), columns_of(schema, train), strict=True):
        gap = np.isnan(cells)
        if column.kind in LEVELS:
            blocks.append(np.eye(column.codes + 2)[whole_codes(column, cells)] / math.sqrt(2))
        else:
            # a gap is at distance 1 from every number: a coordinate of its own, and the middle of the others
            place = np.where(gap, 0.5, position(np.nan_to_num(cells), known[~np.isnan(known)]))
            blocks.append(np.column_stack((place, gap.astype(np.float64))))
    return np.concatenate(blocks, axis=1)


def position(cells: Float[np.ndarray, " rows"], known: Float[np.ndarray, " seen"]) -> Float[np.ndarray, " rows"]:
    """Mid-ranks of numbers among known ones over their count, linear between; equal only where the numbers are,
    within the range known.
    """
    if not len(known):
        return np.zeros_like(cells)
    values, counts = np.unique(known, return_counts=True)
    return np.interp(cells, values, (np.cumsum(counts) - counts / 2) / len(known))


def copied(rows: Float[Tensor, "rows columns"], among: Float[Tensor, "others columns"]) -> float:
    """Share of rows that are among others, cell by cell, gaps included."""
    first, second = (np.nan_to_num(one.numpy(force=True).astype(np.float32) + 0.0, nan=np.inf) for one in (rows, among))
    known = {row.tobytes() for row in second}
    return sum(row.tobytes() in known for row in first) / len(first)


def _nearest(rows: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the closest row and its index; the distance is computed anew from the difference, so that a copy
    is at 0 exactly.
    """
    from sklearn.metrics import pairwise_distances_argmin

    index = np.asarray(pairwise_distances_argmin(rows, among))
    return np.sqrt(((rows - among[index]) ** 2).sum(1)), index
