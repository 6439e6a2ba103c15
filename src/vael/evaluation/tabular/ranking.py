"""How well a score ranks one group above another: the area under the ROC curve with its standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vael.errors import ShapeError, SupportError

# P(N(0, 1) > 3): how often each sentence that accuses a table may be said of one whose rows are fresh, 1 in 740
ALARM = 0.00135


@dataclass(frozen=True)
class RankedApart:
    """AUC = P(score of the one > score of the other) + P(equal) / 2, estimated from two groups of scores.

    `null_error` is its standard deviation where both groups follow one law (Mann & Whitney 1947, with ties), so
    `deviations` is standard normal then; `standard_error` holds in any case (DeLong, DeLong & Clarke-Pearson 1988).
    """

    auc: float
    standard_error: float
    null_error: float
    positives: int
    negatives: int

    @property
    def deviations(self) -> float:
        """Distance from 1/2 in standard deviations of the null distribution; 0 where all scores are equal."""
        return (self.auc - 0.5) / self.null_error if self.null_error else 0.0

    @property
    def p_value(self) -> float:
        """P(an AUC as large or larger | one law), one-sided, by the normal approximation."""
        return 0.5 * math.erfc(self.deviations / math.sqrt(2))

    def __str__(self) -> str:
        return f"AUC {self.auc:.3f} ± {self.standard_error:.3f} ({self.deviations:+.1f} standard deviations from 1/2)"


def ranked_apart(positive: Float[np.ndarray, " positives"], negative: Float[np.ndarray, " negatives"]) -> RankedApart:
    """How well scores tell `positive` (to be larger) from `negative`.

    Errors: `ShapeError` for fewer than two of each, `SupportError` for NaN.
    """
    m, n = len(positive), len(negative)
    if m < 2 or n < 2:
        raise ShapeError(f"{m} scores of one group and {n} of the other; expected at least two of each")
    pooled = np.concatenate((positive, negative)).astype(np.float64)
    if np.isnan(pooled).any():
        raise SupportError(f"{int(np.isnan(pooled).sum())} scores are NaN, which have no rank; drop these rows")
    # share of the other group below each score, ties half
    above = _share_below(positive, negative)
    below = _share_below(negative, positive)
    delong = above.var(ddof=1) / m + below.var(ddof=1) / n
    counts = np.unique(pooled, return_counts=True)[1].astype(np.float64)
    total = m + n
    ties = (counts**3 - counts).sum() / (total * (total - 1))
    null = (total + 1 - ties) / (12 * m * n)
    return RankedApart(float(above.mean()), math.sqrt(delong), math.sqrt(max(null, 0.0)), m, n)


def _share_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    ordered = np.sort(others)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * len(others))
