"""A prior that is a normalising flow."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from vael.data.facts import Facts
from vael.models.core import Conditional, Prior
from vael.models.families import PriorPart
from vael.models.flows.layers import Layers
from vael.models.flows.parts import CouplingPart, FlowPart
from vael.probability import standard_gaussian


class FlowPrior(Prior):
    """p(z): what invertible layers make of N(0, I) (Huang et al. 2017; Xu et al. 2019). Starts near N(0, I)."""

    def __init__(self, features: int, layers: Layers) -> None:
        super().__init__()
        self.layers = layers
        self.register_buffer("loc", torch.zeros(features), persistent=False)
        self.register_buffer("scale", torch.ones(features), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return self.layers.after(standard_gaussian(self.loc, self.scale))


class FlowPriorPart(PriorPart):
    """What invertible layers make of N(0, I): a normalising flow."""

    kind: Literal["flow"] = "flow"
    flow: FlowPart = CouplingPart()

    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        return FlowPrior(features, self.flow.build(features))
