"""The divergence of a split taken apart: what latents say of x, how they depend on each other, how each is from the
prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal

from vael.data import Batch
from vael.models import LatentVector
from vael.objectives.total_correlation import stratified_log_weights, under_every_posterior
from vael.probability import PerExample, draw

EXAMPLES = 1000  # at most, evenly over the split: their pairs are looked at
PAIRS = 1 << 22  # numbers at once


@dataclass(frozen=True)
class DecomposedDivergence:
    """E_q[log q(z|x) - log p(z)] in three, nats per example, means over one draw for each of `taken` examples; they sum
    to `sampled` (Hoffman & Johnson 2016; Chen, Li, Grosse & Duvenaud 2018, eq. 2).

    The aggregate q(z) of all `examples` of the split is estimated over those that were taken, with weights that sum to
    one, so it is exact where all were. `information` is at most log `examples`.
    """

    information: float  # log q(z|x) - log q(z): how much z says about which example it is
    total_correlation: float  # log q(z) - Σ_j log q(z_j): of latents with each other
    dimensions: float  # Σ_j log q(z_j) - log p(z): of each latent from the prior
    information_error: float  # standard errors over examples
    total_correlation_error: float
    dimensions_error: float
    taken: int
    examples: int

    @property
    def sampled(self) -> float:
        """The divergence by the same draws."""
        return self.information + self.total_correlation + self.dimensions

    def __str__(self) -> str:
        return (
            f"mutual information {self.information:.2f} ± {self.information_error:.2f}, total correlation "
            f"{self.total_correlation:.2f} ± {self.total_correlation_error:.2f}, latents from the prior "
            f"{self.dimensions:.2f} ± {self.dimensions_error:.2f} nats"
        )


def rows_taken(examples: int) -> Int64[Tensor, " rows"]:
    """The examples whose pairs are looked at: all, or so many evenly over the split."""
    return torch.linspace(0, examples - 1, min(examples, EXAMPLES)).round().long()


def can_be_taken_apart(posterior: Distribution | None) -> bool:
    """Whether the density of each latent given x is known."""
    return isinstance(posterior, Independent | MultivariateNormal)


def decomposed_divergence(
    model: LatentVector, batch: Batch, examples: int | None = None, seed: int = 0
) -> DecomposedDivergence | None:
    """Of the examples of a batch, out of a set of so many; None where the marginals of the posterior are not known, and
    for fewer than two examples. Memory is bounded; time grows with the square of the batch.
    """
    posterior = model.posterior_at((), batch)
    if not can_be_taken_apart(posterior) or len(batch) < 2:
        return None
    z = draw(posterior, 1, PerExample(seed, batch.rows))
    log_q = posterior.log_prob(z)[0]
    log_p = model.prior_at((), batch.context).log_prob(z)[0]
    log_weight, _ = stratified_log_weights(log_q, examples=examples)
    joint, each = [], []
    for rows in torch.arange(len(batch)).split(max(1, PAIRS // (len(batch) * z.shape[-1]))):
        every, alone = under_every_posterior((posterior,), (z[:, rows],))
        joint.append((every[0] + log_weight[rows]).logsumexp(1))
        each.append((alone[0] + log_weight[rows, :, None]).logsumexp(1).sum(1))
    return told_apart(log_q, torch.cat(joint), torch.cat(each), log_p, examples or len(batch))


def told_apart(
    log_q: Float[Tensor, " rows"],
    log_joint: Float[Tensor, " rows"],
    log_marginals: Float[Tensor, " rows"],
    log_p: Float[Tensor, " rows"],
    examples: int,
) -> DecomposedDivergence:
    """The record of log q(z|x), log q(z), Σ_j log q(z_j) and log p(z) at the draws."""
    levels = torch.stack((log_q, log_joint, log_marginals, log_p)).double()
    parts = levels[:-1] - levels[1:]
    errors = parts.std(1) / math.sqrt(parts.shape[1])
    return DecomposedDivergence(*parts.mean(1).tolist(), *errors.tolist(), taken=parts.shape[1], examples=examples)
