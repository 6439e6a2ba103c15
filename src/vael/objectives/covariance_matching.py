"""A bound with the covariance of the latents over all examples drawn to the identity (DIP-VAE)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from vael.errors import StateError
from vael.models import Terms
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.parts import ObjectivePart, Weight, elbo_in_words
from vael.objectives.path_gradients import independent_levels


def covariance_of_means(q: Distribution, weights: Weights = ALL_EXAMPLES) -> Float[Tensor, "latents latents"]:
    """Cov_x(E_q[z|x]) over the examples of a batch, each counting 1/N: their mean is taken over examples."""
    means = q.mean.flatten(1)
    centred = means - weights.mean(means.mT)
    return weights.mean((centred[:, :, None] * centred[:, None, :]).movedim(0, -1))


def mean_covariance(q: Distribution, weights: Weights = ALL_EXAMPLES) -> Float[Tensor, "latents latents"]:
    """E_x[Cov_q(z|x)]: diagonal where the latents of an example are independent."""
    if isinstance(q, MultivariateNormal):
        return weights.mean(q.covariance_matrix.movedim(0, -1))
    return weights.mean(q.variance.flatten(1).mT).diag_embed()


@dataclass(frozen=True)
class CovarianceMatching(Objective):
    """E_q[log p(x|z)] - KL(q(z|x) || p(z)) - λ_od Σ_{i≠j} C_ij² - λ_d Σ_i (C_ii - 1)² (Kumar, Sattigeri & Balakrishnan
    2018, eq. 6 and 7).

    C is the covariance over examples of the posterior means (DIP-VAE-I) or, with `spread`, of the latents themselves,
    Cov_x(E_q[z|x]) + E_x[Cov_q(z|x)] (DIP-VAE-II); of each level of latents by itself. λ_od is `off_diagonal`, λ_d
    `diagonal`. Logged is the bound itself. Errors: `StateError` for a posterior that is not stated, or that depends on
    the draw of another level.
    """

    off_diagonal: float = 10.0
    diagonal: float = 10.0
    spread: bool = True
    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "divergence"})
    is_bound: ClassVar[bool] = True
    couples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (0 <= self.off_diagonal < math.inf and 0 <= self.diagonal < math.inf):
            raise StateError(
                f"weights {self.off_diagonal} of covariances and {self.diagonal} of variances of the latents: expected "
                "finite numbers of at least 0"
            )

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        bound = terms.log_likelihood.mean(0) - terms.divergence.sum(0).mean(0)
        independent_levels(terms, "the covariance of the latents")
        cost = torch.stack([self.cost(q, weights) for q in terms.posterior]).sum()
        return Value(bound=bound, surrogate=bound - cost)

    def cost(self, q: Distribution, weights: Weights = ALL_EXAMPLES) -> Float[Tensor, ""]:
        """What is taken off the bound for one level of latents."""
        found = covariance_of_means(q, weights)
        if self.spread:
            found = found + mean_covariance(q, weights)
        variances = found.diagonal()
        beside = (found - variances.diag_embed()).square().sum()
        return self.off_diagonal * beside + self.diagonal * (variances - 1).square().sum()


class CovarianceMatchingPart(ObjectivePart):
    """The bound with the covariance of the latents drawn to the identity (DIP-VAE)."""

    kind: Literal["covariance-matching"] = "covariance-matching"
    off_diagonal: Weight = 10.0  # of the covariances of two latents, squared
    diagonal: Weight = 10.0  # of how far the variance of a latent is from 1, squared
    spread: bool = True  # whether the posterior's own variance counts (DIP-VAE-II), or that of its means alone (I)

    def build(self) -> Objective:
        return CovarianceMatching(self.off_diagonal, self.diagonal, self.spread)

    def said(self, what: str, samples: str) -> str:
        of = "latents" if self.spread else "posterior means"
        weights = f"weights {self.off_diagonal:g} and {self.diagonal:g}"
        return f"{elbo_in_words(what)}, {samples}, covariance of the {of} drawn to the identity with {weights}"
