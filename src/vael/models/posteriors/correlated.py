"""A posterior whose latents depend on each other given x."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from vael.errors import ShapeError
from vael.models.core import Conditional, Posterior, given
from vael.models.families import PosteriorPart
from vael.models.likelihoods.heads import at_least_float32
from vael.probability import bounded


def numbers_of(features: int) -> int:
    """Numbers that a correlated posterior over so many latents asks of its network: mean, log-deviations, and what
    lies below the diagonal.
    """
    return features * (features + 3) // 2


class CorrelatedGaussianPosterior(Posterior):
    """Encoder q(z | x) = N(μ(x), L(x) L(x)ᵀ), L lower triangular: z = μ + L ε (Kingma & Welling 2019, section 2.5.1).

    The network gives features (features + 3) / 2 numbers: μ, raw log-deviations, then what lies below the diagonal row
    by row. Column j of L is σ_j times a column with 1 on the diagonal; log σ is bounded smoothly to (-7, 3), so L is
    regular for any numbers.

    Errors: `ShapeError` for a network with another number of outputs.
    """

    def __init__(self, network: nn.Module, features: int, *, sees_gaps: bool = False) -> None:
        super().__init__()
        self.network, self.features, self.sees_gaps = network, features, sees_gaps
        below = torch.tril_indices(features, features, -1)
        self.register_buffer("below", below[0] * features + below[1], persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """q(z | x), batch shape `[batch]`, event shape `[features]`.

        Errors: `ShapeError` where the network gives another count of numbers.
        """
        raw, size = at_least_float32(given(self.network, x, context)), self.features
        if raw.shape[-1] != numbers_of(size):
            raise ShapeError(
                f"the network gives {raw.shape[-1]} numbers, but a posterior with full covariance over {size} latents "
                f"takes {numbers_of(size)}: "
                "features (features + 3) / 2"
            )
        loc, log_scale, below = raw.split((size, size, size * (size - 1) // 2), dim=-1)
        scale = bounded(log_scale, -7.0, 3.0).exp()
        shear = (
            raw.new_zeros(*raw.shape[:-1], size * size).index_copy(-1, self.below, below).unflatten(-1, (size, size))
        )
        shear = shear + torch.eye(size, dtype=raw.dtype, device=raw.device)
        return MultivariateNormal(loc, scale_tril=shear * scale[..., None, :], validate_args=False)


class FullCovariancePosteriorPart(PosteriorPart):
    """N(μ(x), L(x) L(x)ᵀ): latents that depend on each other given x."""

    kind: Literal["gaussian-full-covariance"] = "gaussian-full-covariance"

    def numbers(self, features: int) -> int:
        return numbers_of(features)

    def build(self, network: nn.Module, features: int, *, sees_gaps: bool) -> Conditional:
        return CorrelatedGaussianPosterior(network, features, sees_gaps=sees_gaps)
