"""Gaussian laws."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal


def diagonal_gaussian(loc: Tensor, scale: Tensor) -> Independent:
    """N(loc, diag(scale²)) over the last axis: batch shape `[*batch]`, event shape `[features]`.

    Its divergence from another diagonal Gaussian is the closed form that PyTorch registers for `Normal`.
    """
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


def deviation(law: Distribution) -> Tensor:
    """σ of a law over vectors of independent elements, or of one over single numbers: what PyTorch would square and
    take the root of again.
    """
    return law.base_dist.stddev if isinstance(law, Independent) else law.stddev


def bounded(raw: Tensor, low: float, high: float) -> Tensor:
    """A smooth clip of `raw`: the identity well inside (low, high), with a gradient that never turns to zero just
    outside.

    The lower bound is exact; the upper one is exceeded by at most log(1 + e^(low - high)), 5e-5 where they are 10
    apart.
    """
    return low + F.softplus((high - F.softplus(high - raw)) - low)
