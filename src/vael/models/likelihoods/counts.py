"""The likelihood of counts."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.data.facts import Facts
from vael.data.source import Kind, Source
from vael.errors import SupportError
from vael.models.families import LikelihoodPart
from vael.models.likelihoods.heads import Head, parameters
from vael.models.likelihoods.support import no_nan
from vael.probability import ZeroInflatedPoisson, bounded

LOG_RATE = (-10.0, 16.0)  # rates between 0.00005 and 9 million


class ZeroInflatedPoissonHead(Head):
    """Whole numbers from 0 up: the decoder gives the logit of an extra zero, unbounded, and the logarithm of the rate,
    bounded smoothly to (-10, 16).
    """

    discrete = True
    channels_per_cell = 2

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        logits, log_rate = parameters(raw, 2)
        return ZeroInflatedPoisson(logits, bounded(log_rate, *LOG_RATE))

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        """By moments: λ = mean + variance / mean - 1 and 1 - π = mean / λ, within what a gradient moves."""
        mean = mean.clamp(min=0.01)
        rate = (mean + std.square() / mean - 1).clamp(min=mean)
        share = (1 - mean / rate).clamp(0.005, 0.995)
        return torch.cat((torch.logit(share), torch.log(mean / (1 - share))))

    def check(self, source: Source) -> None:
        """Errors: `SupportError` for what are no whole numbers from 0 up."""
        if not source.gaps:
            no_nan(source)
        if source.kind in (Kind.BINARY, Kind.MIXED):
            way = "the Bernoulli likelihood" if source.kind is Kind.BINARY else "the likelihood `columns`"
            raise SupportError(
                f"{source.name}: the zero-inflated Poisson likelihood takes counts in every element, but these are "
                f"{source.kind.value}; use {way}"
            )
        seen = source.x[~source.x.isnan()] if source.x.is_floating_point() else source.x
        whole = source.kind is Kind.INTEGER or bool((seen == seen.floor()).all())
        if source.transform.stochastic or not whole or bool((seen < 0).any()):
            raise SupportError(
                f"{source.name}: the zero-inflated Poisson likelihood takes whole numbers from 0 up, but these are "
                f"{'negative' if whole and bool((seen < 0).any()) else 'real'} numbers; use a Gaussian or Laplace "
                "likelihood, or load the counts as they were stored"
            )


class ZeroInflatedPoissonPart(LikelihoodPart):
    """Counts without an upper end, with more zeros than a Poisson distribution has."""

    kind: Literal["zero-inflated-poisson"] = "zero-inflated-poisson"

    def build(self, facts: Facts) -> Head:
        return ZeroInflatedPoissonHead()
