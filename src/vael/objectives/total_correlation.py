"""A bound whose divergence is taken apart, so that dependence between latents can cost more (β-TC-VAE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vael.errors import StateError
from vael.models import Terms
from vael.models.core import Levels
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.parts import ObjectivePart, Weight, elbo_in_words
from vael.objectives.path_gradients import independent_levels


def marginals(q: Distribution) -> Distribution:
    """q(z_j | x) of each latent. Errors: `StateError` for a posterior whose marginals are not known."""
    if isinstance(q, Independent):
        return q.base_dist
    if isinstance(q, MultivariateNormal):
        return Normal(q.loc, q.variance.sqrt(), validate_args=False)
    raise StateError(
        f"the total correlation takes the marginals of each latent, which are not known of {type(q).__name__}; choose "
        "the posterior gaussian or gaussian-full-covariance"
    )


def under_every_posterior(posteriors: tuple[Distribution, ...], latents: Levels) -> tuple[Tensor, Tensor]:
    """Log q(z_i | x_j) `[samples, rows, examples]` of draws z_i of some rows, `[samples, rows, *event]` for each level,
    under the posteriors of examples j; and the same of each latent by itself, `[samples, rows, examples, latents]`.
    """
    pairs = [(q, z[:, :, None]) for q, z in zip(posteriors, latents, strict=True)]
    joint = torch.stack([q.log_prob(at) for q, at in pairs]).sum(0)
    return joint, torch.cat([marginals(q).log_prob(at).flatten(3) for q, at in pairs], -1)


def stratified_log_weights(
    like: Float[Tensor, " batch"], weights: Weights = ALL_EXAMPLES, examples: int | None = None
) -> tuple[Float[Tensor, "batch batch"], Tensor]:
    """Logarithm of how much example j of a batch counts in q(z_i) of a set of N `examples`, and which j are examples.

    1/N for i itself, (N - 1) / (N M) for each of the M others, so that every row sums to 1. An example alone counts 1.
    """
    count = weights.sum(torch.ones_like(like))
    size = count if examples is None else count.clamp(min=float(examples))
    own = torch.where(count <= 1, torch.ones_like(size), 1 / size)
    others = (size - 1) / (size * (count - 1).clamp(min=1))
    same = torch.eye(len(like), dtype=torch.bool, device=like.device)
    real = torch.ones_like(same) if weights.rows is None else (weights.rows > 0).expand_as(same)
    return torch.where(same, own, others.clamp(min=torch.finfo(like.dtype).tiny)).log(), real


@dataclass(frozen=True)
class DivergenceParts:
    """log q(z|x) - log p(z) in three, nats, `[samples, batch]` each; they sum to it exactly."""

    information: Tensor  # log q(z|x) - log q(z): between example and latents
    total_correlation: Tensor  # log q(z) - Σ_j log q(z_j): between latents
    dimensions: Tensor  # Σ_j log q(z_j) - log p(z): of each latent from the prior


@dataclass(frozen=True)
class TotalCorrelation(Objective):
    """E_q[log p(x|z)] - α I(x; z) - β TC(z) - γ Σ_j KL(q(z_j) || p(z_j)) (Chen, Li, Grosse & Duvenaud 2018, eq. 4).

    The aggregate q(z) is estimated over the batch for a set of N `examples`: example i itself has weight 1/N, each of
    the M others (N - 1) / (N M). That is the paper's stratified weighting, averaged over which of the others is the
    stratum of its own, so that no order of the rows matters; its mean over batches is q(z). Without `examples` the
    batch is the whole set. Takes memory for batch² x latents numbers. Errors: `StateError` for a posterior whose
    marginals are not known, or that depends on another level's draw.
    """

    beta: float = 6.0
    information: float = 1.0
    dimensions: float = 1.0
    examples: int | None = None
    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "log_prior", "log_posterior"})
    is_bound: ClassVar[bool] = True
    couples: ClassVar[bool] = True

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        reconstruction = terms.log_likelihood.mean(0)
        divergence = (terms.log_posterior - terms.log_prior).sum(0).mean(0)
        found = self.parts(terms, weights)
        cost = (
            self.information * found.information
            + self.beta * found.total_correlation
            + self.dimensions * found.dimensions
        )
        return Value(bound=reconstruction - divergence, surrogate=reconstruction - cost.mean(0))

    def parts(self, terms: Terms, weights: Weights = ALL_EXAMPLES) -> DivergenceParts:
        """The three parts of the divergence of a batch."""
        independent_levels(terms, "the total correlation")
        joint, each = under_every_posterior(terms.posterior, terms.latent)
        log_weight, real = stratified_log_weights(terms.log_likelihood[0], weights, self.examples)
        nothing = torch.full_like(log_weight, -torch.inf)
        log_joint = torch.where(real, joint + log_weight, nothing).logsumexp(2)
        log_each = torch.where(real[..., None], each + log_weight[..., None], nothing[..., None])
        log_marginals = log_each.logsumexp(2).sum(-1)
        return DivergenceParts(
            terms.log_posterior.sum(0) - log_joint, log_joint - log_marginals, log_marginals - terms.log_prior.sum(0)
        )


class TotalCorrelationPart(ObjectivePart):
    """The bound with another weight on the total correlation of the latents (β-TC-VAE)."""

    kind: Literal["total-correlation"] = "total-correlation"
    beta: Weight = 6.0  # of the total correlation
    information: Weight = 1.0  # of the mutual information of example and latents
    dimensions: Weight = 1.0  # of what each latent diverges from the prior
    examples: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None  # in the training set, from the data

    def settled(self, examples: int) -> ObjectivePart:
        return self if self.examples else self.model_copy(update={"examples": examples})

    def build(self) -> Objective:
        return TotalCorrelation(self.beta, self.information, self.dimensions, self.examples)

    def said(self, what: str, samples: str) -> str:
        name = elbo_in_words(what)
        return f"{name}, {samples}, weight {self.beta:g} on the total correlation"
