"""N(0, 1) as a law of its own: what is known of it need not be computed."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.distributions.kl import register_kl

from vael.probability.sampling import Noise, register_draw


class Standard(Normal):
    """N(0, 1) in every cell, in the shape, type and place of `zeros`.

    It is equal to `Normal(0, 1)` in all that it answers; its density and its divergence take a third fewer operations.
    """

    def __init__(self, zeros: Tensor, ones: Tensor) -> None:
        self.loc, self.scale = zeros, ones
        Distribution.__init__(self, zeros.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """-z²/2 - log(2π)/2."""
        return -0.5 * (value * value + math.log(2 * math.pi))


@register_kl(Normal, Standard)
def _divergence(q: Normal, p: Standard) -> Tensor:
    """(μ² + σ² - 1)/2 - log σ, cell by cell (Kingma & Welling 2013, appendix B)."""
    return 0.5 * (torch.addcmul(q.loc * q.loc, q.scale, q.scale) - 1) - q.scale.log()


@register_draw(Standard)
def _draw(law: Standard, shape: torch.Size, noise: Noise) -> Tensor:
    return noise.normal(shape, law.loc)


def standard_gaussian(zeros: Tensor, ones: Tensor) -> Independent:
    """N(0, I) over the last axis."""
    return Independent(Standard(zeros, ones), 1, validate_args=False)
