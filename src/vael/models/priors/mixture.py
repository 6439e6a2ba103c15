"""A prior that is a mixture of Gaussians, all of it learned."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from vael.data.facts import Facts
from vael.models.core import Conditional, Prior
from vael.models.families import PriorPart
from vael.probability import bounded, diagonal_gaussian

LOG_SCALE = (-7.0, 3.0)  # log σ of a component, as of a posterior: no component can close in on a single code


class MixtureOfGaussiansPrior(Prior):
    """p(z) = Σ_k π_k N(z; μ_k, diag σ_k²) over `features` latents: weights, means and deviations are parameters.

    Means start as draws from N(0, I), σ at 1 and weights equal; log σ is bounded smoothly to (-7, 3).
    """

    def __init__(self, features: int, components: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.empty(components).zero_())
        self.loc = nn.Parameter(torch.empty(components, features).normal_())
        self.log_scale = nn.Parameter(torch.empty(components, features).zero_())

    def forward(self, context: Tensor | None = None) -> Distribution:
        components = diagonal_gaussian(self.loc, bounded(self.log_scale, *LOG_SCALE).exp())
        return MixtureSameFamily(Categorical(logits=self.logits, validate_args=False), components, validate_args=False)


class MixtureOfGaussiansPart(PriorPart):
    """A mixture of Gaussians, learned."""

    kind: Literal["mixture"] = "mixture"
    components: Annotated[int, Field(ge=1, le=2**20)] = 10

    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        return MixtureOfGaussiansPrior(features, self.components)
