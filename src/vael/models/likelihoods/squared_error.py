"""Squared error as what an error costs: no likelihood."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.data.source import Source
from vael.models.likelihoods.heads import Head, Moments, units
from vael.models.likelihoods.support import no_nan
from vael.probability import SquaredError


class SquaredErrorHead(Head):
    """(x - x̂)² for each cell, in squared units of the data, with x̂ = shift + scale × raw; no likelihood, so never
    reported as one.

    Shift and scale are the moments of the data, 0 and 1 without them.
    """

    is_likelihood = False

    def __init__(self, moments: Moments | None = None) -> None:
        super().__init__()
        shift, scale = (torch.zeros(()), torch.ones(())) if moments is None else units(moments)
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        return SquaredError(self.shift + self.scale * raw)

    def check(self, source: Source) -> None:
        no_nan(source)
