"""The prior N(0, I)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from vael.data.facts import Facts
from vael.models.core import Conditional, Prior
from vael.models.families import PriorPart
from vael.probability import standard_gaussian


class StandardNormal(Prior):
    """Prior N(0, I) over `features` latents."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(features), persistent=False)
        self.register_buffer("scale", torch.ones(features), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return standard_gaussian(self.loc, self.scale)


class StandardNormalPart(PriorPart):
    """N(0, I)."""

    kind: Literal["standard-normal"] = "standard-normal"

    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        return StandardNormal(features)
