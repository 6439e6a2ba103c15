"""Latents that are zeros and ones: no gradient passes through a draw of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.models.core import Conditional
from vael.models.heads import at_least_float32
from vael.probability import independent_bits


class BernoulliPrior(Conditional):
    """Prior over `features` zeros and ones, with learned probabilities that start at one half."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(features))

    def forward(self, context: Tensor | None = None) -> Distribution:
        return independent_bits(self.logits)


class BernoulliPosterior(Conditional):
    """Encoder q(z | x) = Π Bernoulli(z_j; sigmoid of the network's j-th output); climb it by
    `objectives.ScoreFunction`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        return independent_bits(at_least_float32(self.network(x)))
