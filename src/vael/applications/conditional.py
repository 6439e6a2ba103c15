"""Rows that have given values in some columns: draws of the other columns from p(rest | given)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.applications.generation import drawn_rows, seeded
from vael.data import Batch
from vael.errors import ShapeError, StateError
from vael.inference import refined, weighed
from vael.models import CellWise, ColumnsHead, LatentVector, Model, needs
from vael.probability import draw
from vael.tables.ranges import outside

LATENTS, MOST = 4096, 200_000  # that are weighed at least, and at most
# independent latents for each row, where they can be had: the mean over rows then errs as that of independent rows
# does, within 2.5 %
EACH = 20
AT_ONCE = 2048
GUESSED = "beyond what was learned: "  # how a warning of values outside of their ranges begins


@dataclass(frozen=True)
class ConditionedDraws:
    """Draws of whole rows, and how many independent latents their weights are worth: near 1 says that the answer
    hangs on a few.
    """

    x: Float[Tensor, "rows columns"]
    effective_samples: float


@torch.no_grad()
def conditional_samples(model: Model, given: Float[Tensor, " columns"], count: int, seed: int = 0) -> ConditionedDraws:
    """`count` rows from p(x | x_given = given); NaN in `given` says that a cell is to be drawn.

    z_k ~ ½ p(z) + ½ q(z), where q is a Gaussian at the mode of p(z | x_given), w_k ∝ p(x_given | z_k) p(z_k) / (½
    p(z_k) + ½ q(z_k)); each row takes a latent with probability w_k (sampling importance resampling, Rubin 1987) and
    its cells from p(x | z_k): exact as the number of latents grows. With the prior in the proposal no weight is above
    twice its likelihood (defensive mixture, Hesterberg 1995), and the encoder, which may never have been shown a gap,
    is not asked. Deterministic for a seed.

    Rows choose for themselves, from latents that they share: two rows are as good as independent where
    `effective_samples` is many times `count`, and more latents are drawn until it is `EACH` times that, or there are
    `MOST`.

    A value outside of the range that its column had in training is answered with a `UserWarning`: the rest of the rows
    is a guess then.

    Errors: `StateError` for fewer than one row, or where nothing is given; `ShapeError` for another number of columns;
    `StateError` for values to which the model gives no probability.
    """
    model = needs(model, LatentVector, "drawing rows that have given values")
    needs(model, CellWise, "drawing rows that have given values")
    noise, observed = seeded(count, seed), ~torch.isnan(given)
    if not observed.any():
        raise StateError("no cell is given, so there is no condition; draw rows by `samples`")
    batch = Batch(x=given[None], observed=observed[None])
    prior = model.prior(None)
    if draw(model.decode((draw(prior, 1, noise)[None],)), 1, noise).shape[3:] != given.shape:
        raise ShapeError(
            f"{len(given)} cells were given, but rows of this model have another number of columns; give one cell for "
            "each, NaN to draw it"
        )
    _warn_of_ranges(model, given)
    with torch.enable_grad():
        fitted = refined(model.eval()).infer(batch)
    z, log_w = _candidates(model, batch, (prior, fitted), count, noise)
    if not torch.isfinite(log_w).any():
        raise StateError(
            "the model gives the given values no probability together; give fewer, or values nearer to those of the "
            "training rows"
        )
    share = _shares(log_w)
    points = torch.rand(count, generator=noise, dtype=share.dtype)
    chosen = z[torch.searchsorted(share.cumsum(0), points).clamp(max=len(share) - 1)]
    rows = torch.cat([drawn_rows(model, part, noise) for part in chosen.split(AT_ONCE)])
    return ConditionedDraws(torch.where(observed, given.to(rows), rows), _worth(log_w))


def _warn_of_ranges(model: LatentVector, given: Tensor) -> None:
    head = next((part for part in model.likelihood.modules() if isinstance(part, ColumnsHead)), None)
    if head is not None and (beyond := outside(head.schema, given[None])):
        warnings.warn(GUESSED + "; ".join(map(str, beyond)), stacklevel=3)


class _Either(Distribution):
    """½ p + ½ q, up to the factor ½, which the shares of weights do not see."""

    def __init__(self, first: Distribution, second: Distribution) -> None:
        super().__init__(second.batch_shape, second.event_shape, validate_args=False)
        self.laws = first, second

    def log_prob(self, value: Tensor) -> Tensor:
        first, second = self.laws
        return torch.logaddexp(first.log_prob(value), second.log_prob(value))


def _log_weights(model: LatentVector, batch: Batch, laws: tuple[Distribution, Distribution], z: Tensor) -> Tensor:
    prior, fitted = laws
    return weighed(model, batch, (z[:, None],), _Either(prior, fitted)).log_weight[:, 0]


def _candidates(
    model: LatentVector, batch: Batch, laws: tuple[Distribution, Distribution], count: int, noise: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Latents of both laws in equal parts, twice as many each time until they are worth enough, and their
    log-weights in float64.
    """
    parts, log_w = [], torch.zeros(0, dtype=torch.float64)
    while len(log_w) < LATENTS or (_worth(log_w) < EACH * count and len(log_w) < MOST):
        half = min(max(LATENTS, len(log_w)), MOST - len(log_w)) // 2
        more = torch.cat((draw(laws[0], half, noise), draw(laws[1], half, noise)[:, 0]))
        parts.append(more)
        log_w = torch.cat((log_w, *(_log_weights(model, batch, laws, part).double() for part in more.split(AT_ONCE))))
        if not torch.isfinite(log_w).any():
            break
    return torch.cat(parts), log_w


def _shares(log_w: Float[Tensor, " latents"]) -> Float[Tensor, " latents"]:
    return log_w.nan_to_num(nan=-torch.inf, posinf=-torch.inf).softmax(0)


def _worth(log_w: Float[Tensor, " latents"]) -> float:
    """How many equal weights these are worth; 0 where none is finite."""
    return float(1 / _shares(log_w).square().sum()) if torch.isfinite(log_w).any() else 0.0
