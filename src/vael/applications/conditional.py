"""Rows that have given values in some columns: draws of the other columns from p(rest | given)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.applications.generation import drawn_rows, seeded
from vael.data import Batch
from vael.errors import ShapeError, StateError
from vael.inference import refined
from vael.models import VAE
from vael.models.vae import filled, seen
from vael.probability import draw

LATENTS = 4096  # that are weighed at least, and for each row that is wanted
EACH, MOST = 4, 200_000
AT_ONCE = 2048


@dataclass(frozen=True)
class Conditioned:
    """Draws of whole rows, and how many independent latents their weights are worth: near 1 says that the answer hangs on a few."""

    x: Float[Tensor, "rows columns"]
    effective_samples: float


@torch.no_grad()
def conditional_samples(model: VAE, given: Float[Tensor, " columns"], count: int, seed: int = 0) -> Conditioned:
    """`count` rows from p(x | x_given = given); NaN in `given` says that a cell is to be drawn.

    z_k ~ ½ p(z) + ½ q(z), where q is a Gaussian at the mode of p(z | x_given), w_k ∝ p(x_given | z_k) p(z_k) / (½ p(z_k) + ½ q(z_k)); rows take
    latents in proportion to w_k (systematic resampling, Kitagawa 1996) and their cells from p(x | z_k): exact as the number of latents grows. With
    the prior in the proposal no weight is above twice its likelihood (defensive mixture, Hesterberg 1995), and the encoder, which may never have
    been shown a gap, is not asked. Deterministic for a seed.

    Errors: `StateError` for fewer than one row, or where nothing is given; `ShapeError` for another number of columns; `StateError` for values
    to which the model gives no probability.
    """
    noise, observed = seeded(count, seed), ~torch.isnan(given)
    if not observed.any():
        raise StateError("no cell is given, so there is no condition; draw rows by `samples`")
    batch = Batch(x=given[None], observed=observed[None])
    prior = model.prior(None)
    if draw(model.decode((draw(prior, 1, noise)[None],)), 1, noise).shape[3:] != given.shape:
        raise ShapeError(
            f"{len(given)} cells were given, but rows of this model have another number of columns; give one cell for each, NaN to draw it"
        )
    with torch.enable_grad():
        fitted = refined(model.eval()).infer(batch)
    number = min(max(LATENTS, EACH * count), MOST) // 2
    z = torch.cat((draw(prior, number, noise), draw(fitted, number, noise)[:, 0]))
    log_w = torch.cat([_log_weights(model, batch, (prior, fitted), part) for part in z.split(AT_ONCE)]).double()
    if not torch.isfinite(log_w).any():
        raise StateError("the model gives the given values no probability together; give fewer, or values nearer to those of the training rows")
    share = log_w.nan_to_num(nan=-torch.inf).softmax(0)
    chosen = z[_systematic(share, count, noise)]
    rows = torch.cat([drawn_rows(model, part, noise) for part in chosen.split(AT_ONCE)])
    return Conditioned(torch.where(observed, given.to(rows), rows), float(1 / share.square().sum()))


def _log_weights(model: VAE, batch: Batch, laws: tuple[Distribution, Distribution], z: Tensor) -> Tensor:
    prior, fitted = laws
    likelihood = seen(model.decode((z[:, None],)).log_prob(filled(batch.x, batch.observed)), batch.observed)[:, 0]
    proposal = torch.logaddexp(prior.log_prob(z), fitted.log_prob(z[:, None])[:, 0])
    return likelihood + prior.log_prob(z) - proposal


def _systematic(share: Tensor, count: int, noise: torch.Generator) -> Tensor:
    """Indices, each as often as its share times `count` says but for a fraction, in random order."""
    points = (torch.arange(count, dtype=share.dtype) + torch.rand((), generator=noise, dtype=share.dtype)) / count
    found = torch.searchsorted(share.cumsum(0), points).clamp(max=len(share) - 1)
    return found[torch.randperm(count, generator=noise)]
