"""A Gaussian posterior that starts at the encoder's and climbs the bound of the example itself (semi-amortised)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.models.core import Conditional, Posterior
from vael.models.families import PosteriorPart
from vael.models.posteriors.gaussian import GaussianPosterior
from vael.models.vae import filled, seen, shown
from vael.probability import diagonal_gaussian, divergence

Gaussian = tuple[Tensor, Tensor]  # mean and log-deviation


@dataclass(frozen=True)
class Refinement:
    """How a posterior is made better: steps and their size, over how many variates, and whether in training too."""

    steps: int = 8
    rate: float = 0.3
    samples: int = 8
    in_training: bool = False

    def noise(self, features: int) -> Float[Tensor, "samples 1 features"]:
        """Standard normal variates, always the same, each beside its opposite."""
        half = torch.randn((self.samples + 1) // 2, 1, features, generator=torch.Generator().manual_seed(0))
        return torch.cat((half, -half))[: self.samples]


class RefinedPosterior(Posterior):
    """q(z | x) = N(μ_K, diag σ_K²): from the encoder's μ_0 and σ_0, K steps up E_q[log p(x | z)] - KL(q || p) of the
    example (Kim, Wiseman, Miller, Sontag & Rush 2018).

    A step is μ += rate σ c(σ ∂/∂μ), log σ += rate c(½ ∂/∂log σ), c a clip to (-1, 1): a natural gradient that cannot
    run away. The expectation is over variates that are always the same; the encoder's own Gaussian is kept where it has
    the higher bound under them. What is drawn later is independent of those, so a bound stays one.

    In training the encoder's Gaussian is used as it is, unless `in_training`: then gradients pass through the steps
    too. Each step costs a pass through the decoder and back. Where x is NaN no element was seen.
    """

    sees_gaps = True

    def __init__(
        self, start: Conditional, features: int, prior: Conditional, likelihood: Conditional, how: Refinement
    ) -> None:
        super().__init__()
        self.start, self.how = start, how
        self.shared = (prior, likelihood)  # in a tuple they are no modules of this one
        self.register_buffer("noise", how.noise(features), persistent=False)

    def forward(self, x: Float[Tensor, "batch *event"], context: Tensor | None = None) -> Distribution:
        start = self._start(x, context)
        if self.training:
            return law_of(self._climbed(start, x, context) if self.how.in_training else start)
        with torch.inference_mode(False), torch.no_grad():
            given = None if context is None else context.clone()
            found = self._climbed((start[0].clone(), start[1].clone()), x.clone(), given)
        # what is given for the encoder's own gradient, where one is taken, is that of its start
        return law_of((start[0] + (found[0] - start[0]).detach(), start[1] + (found[1] - start[1]).detach()))

    def _start(self, x: Tensor, context: Tensor | None) -> Gaussian:
        """The encoder's own."""
        inner = self.start(shown(x, ~x.isnan(), self.start), context)
        return inner.mean, inner.stddev.log()

    def _climbed(self, start: Gaussian, x: Tensor, context: Tensor | None) -> Gaussian:
        """After all steps, or the start where that is better; gradients pass through where there are any to pass."""
        at, through = start, start[0].requires_grad
        for _ in range(self.how.steps):
            with torch.enable_grad():
                loc, log_scale = at if through else (one.detach().requires_grad_() for one in at)
                bound = self._bound((loc, log_scale), x, context).sum()
                slopes = torch.autograd.grad(bound, (loc, log_scale), create_graph=through)
            moved = log_scale.exp() * (log_scale.exp() * slopes[0]).clamp(-1, 1)
            at = loc + self.how.rate * moved, log_scale + self.how.rate * (0.5 * slopes[1]).clamp(-1, 1)
        with torch.no_grad():
            better = (self._bound(at, x, context) > self._bound(start, x, context))[:, None]
        return torch.where(better, at[0], start[0]), torch.where(better, at[1], start[1])

    def _bound(self, at: Gaussian, x: Tensor, context: Tensor | None) -> Float[Tensor, " batch"]:
        """By the variates that are always the same."""
        observed, (prior, likelihood) = ~x.isnan(), self.shared
        z = at[0] + at[1].exp() * self.noise.to(at[0].dtype)
        cells = likelihood(z, context).log_prob(filled(x, observed))
        one_by_one = cells.shape[2:] == observed.shape[1:]  # else they are joined, and none can be left out
        return (seen(cells, observed if one_by_one else None) - divergence(law_of(at), prior(context), z)).mean(0)


def law_of(at: Gaussian) -> Distribution:
    """N(μ, diag σ²)."""
    return diagonal_gaussian(at[0], at[1].exp())


class RefinedPosteriorPart(PosteriorPart):
    """The encoder's Gaussian, improved on every example by gradient steps up its own bound (semi-amortised)."""

    kind: Literal["refined"] = "refined"
    steps: Annotated[int, Field(ge=1, le=1024)] = 8
    rate: Annotated[float, Field(gt=0, le=1)] = 0.3
    samples: Annotated[int, Field(ge=1, le=1024)] = 8
    in_training: bool = False  # whether the steps are taken in training too, with gradients through them

    def numbers(self, features: int) -> int:
        return 2 * features

    def build(self, network: nn.Module, features: int, *, sees_gaps: bool) -> Conditional:
        return GaussianPosterior(network, sees_gaps=sees_gaps)

    def completed(
        self, posterior: Conditional, features: int, prior: Conditional, likelihood: Conditional
    ) -> Conditional:
        how = Refinement(self.steps, self.rate, self.samples, self.in_training)
        return RefinedPosterior(posterior, features, prior, likelihood, how)
