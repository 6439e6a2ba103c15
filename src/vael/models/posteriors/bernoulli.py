"""A posterior over zeros and ones: no gradient passes through a draw of them."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.distributions import Distribution

from vael.models.core import Conditional, Posterior, given
from vael.models.families import PosteriorPart
from vael.models.likelihoods.heads import at_least_float32
from vael.probability import independent_bits


class BernoulliPosterior(Posterior):
    """Encoder q(z | x) = Π Bernoulli(z_j; sigmoid of the network's j-th output); climb it by
    `objectives.ScoreFunction`.
    """

    def __init__(self, network: nn.Module, *, sees_gaps: bool = False) -> None:
        super().__init__()
        self.network, self.sees_gaps = network, sees_gaps

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        return independent_bits(at_least_float32(given(self.network, x, context)))


class BernoulliPosteriorPart(PosteriorPart):
    """Independent zeros and ones."""

    kind: Literal["bernoulli"] = "bernoulli"
    reparameterized: ClassVar[bool] = False
    latents: ClassVar[str] = "bits"

    def numbers(self, features: int) -> int:
        return features

    def build(self, network: nn.Module, features: int, *, sees_gaps: bool) -> Conditional:
        return BernoulliPosterior(network, sees_gaps=sees_gaps)
