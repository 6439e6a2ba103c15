"""The Gaussian posterior with independent latents."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.distributions import Distribution

from vael.models.core import Conditional, Posterior, given
from vael.models.families import PosteriorPart
from vael.models.likelihoods.heads import at_least_float32
from vael.probability import bounded, diagonal_gaussian


class GaussianPosterior(Posterior):
    """Encoder q(z | x) = N(μ(x), diag σ²(x)); the network gives 2 × features numbers: μ, then raw log σ.

    log σ is bounded smoothly to (-7, 3): σ between 0.0009 and 20.
    """

    def __init__(self, network: nn.Module, *, sees_gaps: bool = False) -> None:
        super().__init__()
        self.network, self.sees_gaps = network, sees_gaps

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        loc, raw = at_least_float32(given(self.network, x, context)).chunk(2, dim=-1)
        return diagonal_gaussian(loc, bounded(raw, -7.0, 3.0).exp())


class GaussianPosteriorPart(PosteriorPart):
    """N(μ(x), diag σ²(x))."""

    kind: Literal["gaussian"] = "gaussian"

    def numbers(self, features: int) -> int:
        return 2 * features

    def build(self, network: nn.Module, features: int, *, sees_gaps: bool) -> Conditional:
        return GaussianPosterior(network, sees_gaps=sees_gaps)
