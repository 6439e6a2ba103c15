"""Gaussian priors that are learned: one for all examples, or one for each condition."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data.facts import Facts
from vael.errors import StateError
from vael.models.core import Conditional
from vael.models.families import PriorPart
from vael.models.likelihoods.heads import at_least_float32
from vael.networks import Dense
from vael.networks.parts import Widths
from vael.probability import bounded, diagonal_gaussian

LOG_SCALE = (-7.0, 3.0)


class GaussianPrior(Conditional):
    """p(z) = N(μ, diag σ²) over `features` latents, μ and σ parameters; starts as N(0, I).

    A decoder without a hidden layer could learn the same; one with hidden layers starts better with N(0, I), but an
    objective that leaves out the divergence of single examples needs a prior that goes where the codes are.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(features))
        self.log_scale = nn.Parameter(torch.zeros(features))

    def forward(self, context: Tensor | None = None) -> Distribution:
        return diagonal_gaussian(self.loc, bounded(self.log_scale, *LOG_SCALE).exp())


class ConditionalGaussianPrior(Conditional):
    """p(z | c) = N(μ(c), diag σ²(c)): a network gives μ and log σ from the condition (Sohn, Lee & Yan 2015).

    Starts near N(0, I) for every c; log σ is bounded smoothly to (-7, 3). A condition `[context]` gives one
    distribution, one of `[batch, context]` one for each example. Errors: `StateError` without a condition.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, context: Tensor | None = None) -> Distribution:
        """p(z | c), a network of c. Errors: `StateError` without c."""
        if context is None:
            raise StateError("this prior is given a condition c, p(z | c), but none was given; give the condition")
        dtype = next(self.network.parameters()).dtype
        rows = context.to(dtype) if context.dim() > 1 else context.to(dtype)[None]
        loc, raw = at_least_float32(self.network(rows)).chunk(2, -1)
        scale = bounded(raw, *LOG_SCALE).exp()
        return diagonal_gaussian(loc, scale) if context.dim() > 1 else diagonal_gaussian(loc[0], scale[0])


class GaussianPriorPart(PriorPart):
    """N(μ, diag σ²), learned."""

    kind: Literal["gaussian"] = "gaussian"

    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        return GaussianPrior(features)


class ConditionalGaussianPriorPart(PriorPart):
    """N(μ(c), diag σ²(c)) for each condition c, learned."""

    kind: Literal["conditional-gaussian"] = "conditional-gaussian"
    hidden: Widths = (64,)
    conditional: ClassVar[bool] = True

    def build(self, features: int, facts: Facts, posterior: Conditional) -> Conditional:
        """Errors: `StateError` for a model without a condition."""
        if not facts.context:
            raise StateError(
                "the prior conditional-gaussian is one for each condition, and there is none; name what the model is "
                "conditioned on (--condition-on), or choose another prior (--prior gaussian)"
            )
        return ConditionalGaussianPrior(Dense((facts.context,), (2 * features,), self.hidden, nn.SiLU))
