"""A prior over zeros and ones."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.facts import Facts
from vael.models.core import Conditional, Prior
from vael.models.families import PriorPart
from vael.probability import independent_bits


class BernoulliPrior(Prior):
    """Prior over `features` zeros and ones, with learned probabilities that start at one half."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(features))

    def forward(self, context: Tensor | None = None) -> Distribution:
        return independent_bits(self.logits)


class BernoulliPriorPart(PriorPart):
    """Zeros and ones with learned probabilities."""

    kind: Literal["bernoulli"] = "bernoulli"
    latents: ClassVar[str] = "bits"

    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        return BernoulliPrior(features)
