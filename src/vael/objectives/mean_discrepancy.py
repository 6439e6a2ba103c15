"""Latents of all examples together drawn to the prior, beside a bound (InfoVAE; Wasserstein autoencoder)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vael.errors import StateError
from vael.models import Terms
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.parts import ObjectivePart, Weight

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the kernel, squared, in units of the latents' number


def location_and_spread(p: Distribution) -> tuple[Tensor, Tensor]:
    """Mean and variance of each latent under a Gaussian prior. Errors: `StateError` for another prior."""
    base = p.base_dist if isinstance(p, Independent) else p
    if not isinstance(base, Normal):
        raise StateError(
            f"the mean discrepancy is in closed form for a Gaussian prior with independent latents, and this one is "
            f"{type(base).__name__}; choose the prior standard-normal"
        )
    return p.mean, p.variance


def squared_discrepancy(
    z: Float[Tensor, "batch latents"], p: Distribution, weights: Weights = ALL_EXAMPLES
) -> Float[Tensor, ""]:
    """MMD²(q, p) = E k(z, z') - 2 E k(z, y) + E k(y, y') with z, z' ~ q of which rows are given and y, y' ~ p Gaussian.

    The kernel is the mean of exp(-|a - b|² / 2h²) over five widths h². The expectations over p are in closed form, the
    first is over pairs of two different rows: an unbiased estimate, which may be below 0. For a single row, 0.
    """
    mean, variance = location_and_spread(p)
    count = weights.sum(torch.ones_like(z[:, 0]))
    pairs = torch.where(torch.eye(len(z), dtype=torch.bool, device=z.device), 0.0, 1.0)
    far = (z[:, None] - z[None]).square().sum(-1)
    found = torch.zeros_like(z[0, 0])
    for width in WIDTHS:
        h = width * z.shape[1]
        among = weights.sum(weights.sum(torch.exp(-far / (2 * h)) * pairs)) / (count * (count - 1)).clamp(min=1)
        once = 0.5 * (torch.log(h / (h + variance)) - (z - mean).square() / (h + variance)).sum(-1)
        between = weights.mean(once.exp())
        within = (0.5 * torch.log(h / (h + 2 * variance)).sum(-1)).exp()
        found = found + (among - 2 * between + within) / len(WIDTHS)
    return torch.where(count > 1, found, torch.zeros_like(found))


@dataclass(frozen=True)
class MeanDiscrepancy(Objective):
    """E_q[log p(x|z)] - β KL(q(z|x) || p(z)) - λ MMD²(q(z), p(z)) (Zhao, Song & Ermon 2019, eq. 6, with β = 1 - α and λ
    in place of α + λ - 1); β = 0 is the Wasserstein autoencoder with maximum mean discrepancy (Tolstikhin, Bousquet,
    Gelly & Schölkopf 2018).

    q(z) is the aggregate of the batch, one sample of each example at a time. Logged is the evidence lower bound itself.
    Errors: `StateError` for a prior that is not a Gaussian with independent latents, and without a prior.
    """

    weight: float = 1000.0
    beta: float = 0.0
    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "divergence"})
    is_bound: ClassVar[bool] = True
    couples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (0 <= self.weight < math.inf and 0 <= self.beta < math.inf):
            raise StateError(
                f"weights {self.weight} of the mean discrepancy and {self.beta} of the divergence: expected finite "
                "numbers of at least 0"
            )

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        reconstruction = terms.log_likelihood.mean(0)
        divergence = terms.divergence.sum(0).mean(0)
        if not terms.latent or len(terms.prior) != len(terms.latent):
            raise StateError("the mean discrepancy is from a prior, which this model does not state; climb another")
        cost = torch.zeros_like(reconstruction[0])
        for z, p in zip(terms.latent, terms.prior, strict=True):
            if p.batch_shape.numel() > 1:
                raise StateError(
                    f"the mean discrepancy takes one prior for all examples, but one here has batch shape "
                    f"{tuple(p.batch_shape)}; climb another objective"
                )
            found = [squared_discrepancy(draw.flatten(1).to(reconstruction.dtype), p, weights) for draw in z]
            cost = cost + torch.stack(found).mean()
        surrogate = reconstruction - self.beta * divergence - self.weight * cost
        return Value(bound=reconstruction - divergence, surrogate=surrogate)


class MeanDiscrepancyPart(ObjectivePart):
    """Reconstruction, and the latents of all examples together near the prior (InfoVAE, WAE with MMD)."""

    kind: Literal["mean-discrepancy"] = "mean-discrepancy"
    weight: Weight = 1000.0  # of the squared maximum mean discrepancy
    beta: Weight = 0.0  # of the divergence of each example

    def build(self) -> Objective:
        return MeanDiscrepancy(self.weight, self.beta)

    def said(self, what: str, samples: str) -> str:
        divergence = f", weight {self.beta:g} on the divergence" if self.beta else ", no divergence of single examples"
        return f"reconstruction less {self.weight:g} × squared mean discrepancy of the latents, {samples}{divergence}"
