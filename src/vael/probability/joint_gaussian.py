"""A Gaussian over all cells of an example at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vael.errors import ShapeError
from vael.probability.factorization import whitened
from vael.probability.observation import Law
from vael.probability.sampling import Noise, register_draw


class JointGaussian(Law):
    """N(μ, L Lᵀ) over the flattened cells of an example: batch shape `[*batch]`, event shape `[*event]`.

    `loc` is `[*batch, cells]` and `scale_tril`, L, `[*batch, cells, cells]`, lower triangular with a diagonal above 0.

    Errors: `ShapeError` where the sizes do not fit.
    """

    def __init__(self, loc: Tensor, scale_tril: Tensor, event: tuple[int, ...]) -> None:
        cells = loc.shape[-1]
        if math.prod(event) != cells or scale_tril.shape != (*loc.shape, cells):
            raise ShapeError(
                f"means {tuple(loc.shape)} and factors {tuple(scale_tril.shape)} for events of shape {event}; expected "
                "[*batch, cells] and "
                "[*batch, cells, cells]"
            )
        super().__init__(loc.shape[:-1], torch.Size(event))
        self.loc, self.scale_tril = loc, scale_tril

    @property
    def mean(self) -> Tensor:
        """`[*batch, *event]`."""
        return self.loc.unflatten(-1, self.event_shape)

    @property
    def variance(self) -> Tensor:
        """Of each cell, `[*batch, *event]`."""
        return self.scale_tril.square().sum(-1).unflatten(-1, self.event_shape)

    @property
    def covariance(self) -> Tensor:
        """Σ = L Lᵀ, `[*batch, cells, cells]`."""
        return self.scale_tril @ self.scale_tril.mT

    def log_determinant(self) -> Tensor:
        """Log |Σ| = 2 Σ_j log L_jj."""
        return 2 * self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def squared_mahalanobis(self, value: Tensor) -> Tensor:
        """(x - μ)ᵀ Σ⁻¹ (x - μ) = |L⁻¹ (x - μ)|², one triangular solve."""
        centred = value.flatten(-len(self.event_shape)) - self.loc
        return whitened(self.scale_tril, centred[..., None]).square().sum((-2, -1))

    def log_prob(self, value: Tensor) -> Tensor:
        """Of whole examples, `[*batch]`: -½ (d log 2π + log |Σ| + (x - μ)ᵀ Σ⁻¹ (x - μ))."""
        return -0.5 * (
            self.loc.shape[-1] * math.log(2 * math.pi) + self.log_determinant() + self.squared_mahalanobis(value)
        )


@register_draw(JointGaussian)
def _joint_gaussian(distribution: JointGaussian, shape: torch.Size, noise: Noise) -> Tensor:
    standard = noise.normal(shape, distribution.loc).flatten(-len(distribution.event_shape))
    drawn = distribution.loc + (distribution.scale_tril @ standard[..., None]).squeeze(-1)
    return drawn.unflatten(-1, distribution.event_shape)
