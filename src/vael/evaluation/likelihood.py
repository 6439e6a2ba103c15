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
from vael.inference import LogJoint, weighed
from vael.models import LatentModel
from vael.models.core import Levels
from vael.probability import EachLatent, PerExample, divergence, draw, has_closed_form

NOISE_BLOCK = (
    500  # draws under one call number of the noise: a constant, so that neither batch nor memory can change a draw
)
LEVEL_BLOCKS = 1 << 33  # numbers of noise from one level of latents to the next


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
    class_log_probability: Float[Tensor, "batch classes"] | None = None  # log q(y | x), of a model of classes
    class_bound: Float[Tensor, "batch classes"] | None = None  # its bound on log p(x, y)


def under_posterior(model: LatentModel, batch: Batch, posterior: Distribution | None, how: Draws) -> Judged:
    """All figures of the examples of a batch under their posterior; None stands for several levels of latents."""
    like = batch.x if posterior is None else posterior.mean
    weights = ImportanceWeights(how.samples, len(batch), like)
    reconstruction, ratio = torch.zeros(2, len(batch), dtype=torch.float64, device=like.device)
    first: Levels = ()  # the first block of draws
    priors: tuple[Distribution, ...] = ()
    for latent in level_blocks(model, batch, posterior, how):
        for z in parts_of(latent, max(1, how.rows // len(batch))):
            found = weighed(model, batch, z, posterior)
            log_likelihood, log_w, priors = found.log_likelihood, found.log_weight, found.prior
            weights.add(log_w)
            reconstruction += log_likelihood.double().sum(0)
            ratio += (log_likelihood.double() - log_w.double()).sum(0)  # log q(z | x) - log p(z)
        first = first or latent
    return Judged(
        log_likelihood=weights.log_mean(),
        distortion=-reconstruction / how.samples,
        divergence=divergence(posterior, priors[0], first[0][:1])[0].double()
        if posterior is not None and has_closed_form(posterior, priors[0])
        else ratio / how.samples,
        effective_samples=weights.effective_samples(),
        k_hat=weights.k_hat(),
        mean=model.encode(batch) if posterior is None else posterior.mean,
        divergence_per_latent=None if posterior is None else divergence_per_latent(posterior, priors[0], first[0]),
        fitted=torch.zeros_like(ratio),
    )


def parts_of(latent: Levels, rows: int) -> Iterator[Levels]:
    """At most so many draws of every level at once."""
    yield from zip(*(level.split(rows) for level in latent), strict=True)


def level_blocks(model: LatentModel, batch: Batch, posterior: Distribution | None, how: Draws) -> Iterator[Levels]:
    """Draws of all levels in blocks `[draws, batch, *event]`: fewer draws are the first of more.

    Every level has noise of its own, in blocks that no draw of another one reaches.
    """
    if posterior is not None:
        yield from ((z,) for z in latents(posterior, batch, how))
        return
    posterior_at = model.posterior_given(batch)
    for block in range(-(-how.samples // NOISE_BLOCK)):
        count = min(NOISE_BLOCK, how.samples - block * NOISE_BLOCK)
        found: Levels = ()
        for level in range(model.depth(tuple(batch.x.shape[1:]))):
            law = posterior_at(found)
            noise = PerExample(how.seed, batch.rows, skip=how.first + block + level * LEVEL_BLOCKS)
            found = (*found, draw(law, 1, EachLatent(noise))[0] if found else draw(law, count, noise))
        yield found


def weigh(about: LogJoint, batch: Batch, proposal: Distribution, how: Draws) -> ImportanceWeights:
    """W = p(x, z) / q(z) of draws z from a proposal q, for each example of a batch."""
    weights = ImportanceWeights(how.samples, len(batch), proposal.mean)
    for latent in latents(proposal, batch, how):
        weights.add(log_weights_of(about, proposal, latent, how.rows))
    return weights


def log_weights_of(about: LogJoint, proposal: Distribution, z: Tensor, rows: int) -> Float[Tensor, "draws batch"]:
    """Log p(x, z) - log q(z) of draws from a proposal, so many latents at once."""
    parts = z.split(max(1, rows // z.shape[1]))
    return torch.cat([about.log_weight(part, proposal) for part in parts])


def latents(posterior: Distribution, batch: Batch, how: Draws) -> Iterator[Tensor]:
    """Draws per example in blocks `[draws, batch, features]`: fewer draws are the first of more."""
    for block in range(-(-how.samples // NOISE_BLOCK)):
        count = min(NOISE_BLOCK, how.samples - block * NOISE_BLOCK)
        yield draw(posterior, count, PerExample(how.seed, batch.rows, skip=how.first + block))
