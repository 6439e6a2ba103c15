"""A prior whose latents come one after another."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.facts import Facts
from vael.models.core import Conditional, Prior
from vael.models.families import PriorPart
from vael.networks import Perceptron, degrees, in_float32
from vael.networks.parts import Widths
from vael.probability.flows.conditionals import AutoregressiveGaussians


class AutoregressivePrior(Prior):
    """p(z) = Π_i p(z_i | z_<i), each a mixture of `components` Gaussians whose numbers a masked network gives (MADE:
    Germain, Gregor, Murray & Larochelle 2015; RNADE's conditionals: Uria, Murray & Larochelle 2013).

    Starts near N(0, I) with one component, with several near a mixture of Gaussians whose means are from N(0, 1).
    """

    def __init__(self, features: int, components: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.components = components
        self.network = Perceptron(features, (features, 3 * components), hidden, known=degrees(features, hidden))
        self.start = nn.Parameter(torch.empty(features, 3 * components).zero_())
        if components > 1:
            with torch.no_grad():
                self.start[:, components : 2 * components].normal_()
        self.register_buffer("like", torch.zeros(features), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return AutoregressiveGaussians(self._conditionals, self.like)

    def _conditionals(self, z: Tensor) -> Tensor:
        with in_float32(z):
            return self.start + self.network(z)


class AutoregressivePriorPart(PriorPart):
    """Each latent a mixture of Gaussians given those before it, learned."""

    kind: Literal["autoregressive"] = "autoregressive"
    components: Annotated[int, Field(ge=1, le=4096)] = 5
    hidden: Widths = (64,)

    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        return AutoregressivePrior(features, self.components, self.hidden)
