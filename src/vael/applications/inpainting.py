"""A region of an example from the rest of it: the conditional mean of the cells that were not seen, and draws of
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.distributions import Distribution

from vael.applications.imputation import cells_of
from vael.data import Batch
from vael.errors import ShapeError, StateError
from vael.evaluation import RowKeys
from vael.inference import LogJoint, approximation, can_be_joint, joint_by_prior
from vael.models import CellWise, LatentModel, LatentVector, Model, needs
from vael.models.core import Levels
from vael.probability import Common, EachLatent, Noise, PerExample, draw
from vael.probability.totals import shared_out

CANDIDATES = 128  # latents for each example
AT_ONCE = 32  # examples


@dataclass(frozen=True)
class Region:
    """A rectangle of an image in rows and columns, `top` to `bottom - 1` and `left` to `right - 1`, counted from 0."""

    top: int
    bottom: int
    left: int
    right: int

    def outside(self, x: Float[Tensor, "batch channels height width"]) -> Bool[Tensor, "batch channels height width"]:
        """Which cells are seen: those outside.

        Errors: `ShapeError` for a rectangle that is empty or not within the image.
        """
        height, width = x.shape[-2:]
        if not (0 <= self.top < self.bottom <= height and 0 <= self.left < self.right <= width):
            raise ShapeError(
                f"region {self.top}:{self.bottom},{self.left}:{self.right} of images {height} high and {width} wide: "
                "expected "
                f"0 <= y0 < y1 <= {height} and 0 <= x0 < x1 <= {width}"
            )
        seen = torch.ones_like(x, dtype=torch.bool)
        seen[..., self.top : self.bottom, self.left : self.right] = False
        return seen


@dataclass(frozen=True)
class Inpainted:
    """What can be said of cells that were not seen; seen cells are as they came."""

    mean: Float[Tensor, "batch *event"]  # E[x | seen cells]
    draws: Float[Tensor, "draws batch *event"]  # from p(x | seen cells), by resampling of the latents
    effective_samples: Float[Tensor, " batch"]  # of the weights: near 1 says that few latents carry the answer


def inpaint(model: Model, batch: Batch, *, draws: int = 1, candidates: int = CANDIDATES, seed: int = 0) -> Inpainted:
    """E[x | seen] = Σ w_k E[x | z_k] / Σ w_k over z_k from a Gaussian at the mode of log p(seen cells, z), w = p(seen,
    z) / q(z). With several levels of latents it is a Gaussian over the standard variates that the prior draws them
    with.

    Draws choose a latent with probability w_k / Σ w and then draw cells from p(x | z) (sampling importance resampling,
    Rubin 1987). Draws have variates of the example's own, a function of the seed, its seen cells and how many examples
    equal to it stand before it: draws of different examples are independent, and an example has the same ones alone and
    among others.

    Errors: `StateError` for a batch without a mask of seen cells, for fewer than one candidate, and for a likelihood
    that joins cells, which cannot leave any out.
    """
    if not can_be_joint(model):
        needs(model, LatentVector, "inpainting")
    needs(model, CellWise, "inpainting")
    model = needs(model, LatentModel, "inpainting")
    if batch.observed is None or candidates < 1 or draws < 0:
        raise StateError(
            f"{candidates} candidates, {draws} draws: expected a batch with `observed`, at least one candidate, and "
            "draws from 0 on"
        )
    keys = RowKeys().of(torch.where(batch.observed, batch.x, torch.nan))
    parts = torch.arange(len(batch)).split(AT_ONCE)
    found = [_inpainted(model, cells_of(batch, index), draws, candidates, seed, keys[index]) for index in parts]
    return Inpainted(
        torch.cat([one.mean for one in found]),
        torch.cat([one.draws for one in found], dim=1),
        torch.cat([one.effective_samples for one in found]),
    )


@torch.no_grad()
def _inpainted(
    model: LatentModel, batch: Batch, draws: int, candidates: int, seed: int, keys: Int64[Tensor, " batch"]
) -> Inpainted:
    seen = batch.seen
    about = joint_by_prior(model, batch)
    q = approximation(about, widen=1.0)
    # the mean is an answer for each example, and opposite pairs of variates that examples share make it exact for all
    # that is linear
    z, share = _weighted_latents(about, q, candidates, Common(seed))
    means = model.decode(z, batch.context).mean
    mean = torch.einsum("sb,sb...->b...", share, means)
    drawn = means[:0]
    if draws:
        noise = PerExample(seed, keys)
        chosen = _resampled(about, q, (draws, candidates), noise)
        drawn = draw(model.decode(chosen, batch.context), 1, EachLatent(noise))[0]
    return Inpainted(torch.where(seen, batch.x, mean), torch.where(seen, batch.x, drawn), 1 / share.square().sum(0))


def _weighted_latents(
    about: LogJoint, q: Distribution, candidates: int, noise: Noise
) -> tuple[Levels, Float[Tensor, "candidates batch"]]:
    vector = draw(q, candidates, noise)
    return about.levels(vector), shared_out(about.log_weight(vector, q))


def _resampled(about: LogJoint, q: Distribution, sizes: tuple[int, int], noise: PerExample) -> Levels:
    """Latents of so many draws, `[draws, batch, *event]` a level; candidates and all from the example's variates."""
    draws, candidates = sizes
    z, share = _weighted_latents(about, q, candidates, noise)
    point = noise.uniform((draws, share.shape[1]), share)
    chosen = (point.unsqueeze(1) >= share.cumsum(0)).sum(1).clamp(max=candidates - 1)  # [draws, batch]
    return tuple(torch.gather(level, 0, chosen[..., None].expand(-1, -1, level.shape[-1])) for level in z)
