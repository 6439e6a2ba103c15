"""A prior over categories."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.facts import Facts
from vael.models.core import Conditional, Prior
from vael.models.families import Categories, PriorPart
from vael.probability.binary import OneHots


class CategoricalPrior(Prior):
    """Independent categories of `levels` levels each, as one-hot vectors side by side; their probabilities are learned
    and start equal.
    """

    def __init__(self, features: int, levels: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.empty(features, levels).zero_())

    def forward(self, context: Tensor | None = None) -> Distribution:
        return OneHots(self.logits)


class CategoricalPriorPart(PriorPart):
    """Categories with learned probabilities; `latent` is how many there are."""

    kind: Literal["categorical"] = "categorical"
    levels: Categories = 10
    latents: ClassVar[str] = "categories"

    def width(self, features: int) -> int:
        return features * self.levels

    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        return CategoricalPrior(features, self.levels)
