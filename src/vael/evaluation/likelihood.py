"""Importance weights of many draws, in bounded memory, from noise that depends on nothing but (seed, example)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.data import Batch
from vael.evaluation.collapse import divergence_per_latent
from vael.evaluation.weights import ImportanceWeights
from vael.inference import weighed
from vael.models import Model
from vael.probability import PerExample, divergence, draw, has_closed_form

NOISE_BLOCK = (
    500  # draws under one call number of the noise: a constant, so that neither batch nor memory can change a draw
)


@dataclass(frozen=True)
class Draws:
    """How many draws of which noise: `first` is the number of the first block, so that draws for two purposes are
    independent.

    At most `rows` latents are decoded at once.
    """

    samples: int
    seed: int
    rows: int
    first: int = 0


@dataclass(frozen=True)
class Judged:
    """What K draws say about each example, float64, in nats."""

    log_likelihood: Float[Tensor, " batch"]  # log 1/K Σ w
    distortion: Float[Tensor, " batch"]
    divergence: Float[Tensor, " batch"]
    effective_samples: Float[Tensor, " batch"]
    k_hat: Float[Tensor, " batch"] | None
    mean: Float[Tensor, "batch features"]  # of the posterior
    divergence_per_latent: Float[Tensor, "batch features"] | None
    fitted: Float[Tensor, " batch"]  # 1 where the draws for log p(x) came from a proposal fitted to the example, else 0


def judge(model: Model, batch: Batch, posterior: Distribution, how: Draws) -> Judged:
    """All figures of the examples of a batch under their posterior."""
    weights = ImportanceWeights(how.samples, len(batch), posterior.mean)
    reconstruction, ratio = torch.zeros(2, len(batch), dtype=torch.float64, device=posterior.mean.device)
    first, prior = None, None
    for latent in latents(posterior, batch, how):
        for z in latent.split(max(1, how.rows // len(batch))):
            found = weighed(model, batch, (z,), posterior)
            log_likelihood, log_w, (prior,) = found.log_likelihood, found.log_weight, found.prior
            weights.add(log_w)
            reconstruction += log_likelihood.double().sum(0)
            ratio += (log_likelihood.double() - log_w.double()).sum(0)  # log q(z | x) - log p(z)
        first = latent if first is None else first
    closed = has_closed_form(posterior, prior)
    return Judged(
        log_likelihood=weights.log_mean(),
        distortion=-reconstruction / how.samples,
        divergence=divergence(posterior, prior, first[:1])[0].double() if closed else ratio / how.samples,
        effective_samples=weights.effective_samples(),
        k_hat=weights.k_hat(),
        mean=posterior.mean,
        divergence_per_latent=divergence_per_latent(posterior, prior, first),
        fitted=torch.zeros_like(ratio),
    )


def weigh(model: Model, batch: Batch, proposal: Distribution, how: Draws) -> ImportanceWeights:
    """W = p(x, z) / q(z) of draws z from a proposal q, for each example of a batch."""
    weights = ImportanceWeights(how.samples, len(batch), proposal.mean)
    for latent in latents(proposal, batch, how):
        for z in latent.split(max(1, how.rows // len(batch))):
            weights.add(weighed(model, batch, (z,), proposal).log_weight)
    return weights


def latents(posterior: Distribution, batch: Batch, how: Draws) -> Iterator[Tensor]:
    """Draws per example in blocks `[draws, batch, features]`: fewer draws are the first of more."""
    for block in range(-(-how.samples // NOISE_BLOCK)):
        count = min(NOISE_BLOCK, how.samples - block * NOISE_BLOCK)
        yield draw(posterior, count, PerExample(how.seed, batch.index, skip=how.first + block))
