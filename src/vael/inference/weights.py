"""Importance weights log w = log p(x, z) - log q(z | x): made here for all who weigh latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.data import Batch
from vael.models import LatentModel
from vael.models.core import Levels
from vael.objectives import log_weights
from vael.probability import Noise, draw

REQUIRES = frozenset({"log_prior", "log_posterior"})


@dataclass(frozen=True)
class WeighedLatents:
    """Latents with the logarithms of their weights, in nats; levels of latents are summed over."""

    latent: Levels
    log_likelihood: Float[Tensor, "samples batch"]  # log p(x | z)
    log_weight: Float[Tensor, "samples batch"]  # log p(x, z) - log q(z)
    prior: tuple[Distribution, ...]  # of each level


def weighed(model: LatentModel, batch: Batch, latent: Levels, proposal: Distribution | None = None) -> WeighedLatents:
    """The weights of latents that were drawn from `proposal`, or level by level from the model's own posterior.

    A proposal is for one level. Elements that were not seen (`batch.observed`) are left out of log p(x | z).
    """
    terms = model.terms(
        batch,
        samples=len(latent[0]),
        generator=torch.Generator(batch.x.device),  # the latents are given, so nothing is drawn
        requires=REQUIRES,
        posterior=None if proposal is None else (proposal,),
        latent=latent,
    )
    return WeighedLatents(latent, terms.log_likelihood, log_weights(terms), terms.prior)


def drawn_and_weighed(
    model: LatentModel, batch: Batch, proposal: Distribution, samples: int, noise: torch.Generator | Noise
) -> WeighedLatents:
    """`samples` draws per example from a proposal over one level of latents, with their weights."""
    return weighed(model, batch, (draw(proposal, samples, noise),), proposal)
