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
HALVINGS = 30  # of the exponent: to 1e-9


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


def tempered(log_w: Float[Tensor, "draws *batch"], worth: float) -> Float[Tensor, "draws *batch"]:
    """Shares of draws that sum to 1, w^a / Σ w^a with the largest a in [0, 1] at which they are worth so many equal
    draws (their effective sample size, 1 / Σ share²), or half of the draws where these are few.

    Where the weights themselves are worth as much a is 1: the usual self-normalised estimate. Where a handful of draws
    would decide alone, a mean with these shares has less noise, at the price of a bias towards the proposal (the
    tempering of Beskos, Jasra, Kantas & Thiery 2016, of one step).
    """
    worth, none, whole = min(worth, len(log_w) / 2), log_w == -torch.inf, log_w.softmax(0)

    def shares(power: Tensor) -> Tensor:
        return torch.where(none, log_w, power * log_w).softmax(0)  # 0 × -∞ is no number

    low, high = torch.zeros_like(log_w[0]), torch.ones_like(log_w[0])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enough = 1 / shares(middle).square().sum(0) >= worth
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return torch.where(1 / whole.square().sum(0) >= worth, whole, shares(low))
