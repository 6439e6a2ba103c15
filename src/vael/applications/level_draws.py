"""New examples from several levels of latents: every level at a temperature of its own, and one level drawn anew while
the others keep their noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vael.applications.generation import AT_ONCE, seeded
from vael.counting import counted
from vael.errors import StateError
from vael.models import LatentModel, Model, needs, prior_levels
from vael.models.core import Levels
from vael.probability import Noise, Recorded, Replayed, Stream, draw


class AtTemperatures(Noise):
    """Normal variates of one call after another, those of the k-th multiplied by the k-th temperature.

    Of Gaussian levels this multiplies the distance of each latent from its mean. Errors: `StateError` for uniform
    variates, of laws that are no Gaussians.
    """

    def __init__(self, inner: Noise, temperatures: Sequence[float]) -> None:
        self.inner, self.left = inner, list(temperatures)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self.left.pop(0) * self.inner.normal(shape, like)

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Errors: `StateError`, always: only Gaussian levels have a temperature."""
        raise StateError(
            "a temperature is for Gaussian levels of latents, but one is drawn by another law; leave it out"
        )


class OwnSeeds(Noise):
    """Normal variates of one call after another, those of the k-th decided by the k-th seed alone."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.left = list(seeds)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return Stream(torch.Generator(like.device).manual_seed(self.left.pop(0))).normal(shape, like)

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return Stream(torch.Generator(like.device).manual_seed(self.left.pop(0))).uniform(shape, like)


def levels_of_seeds(model: Model, seeds: Sequence[int], temperatures: Sequence[float] = (1.0,)) -> Levels:
    """One draw of all levels from the prior, the noise of each decided by a seed of its own: another seed for one level
    leaves the noise of the others as it is.

    Errors: as `levels_at`, and `StateError` for another number of seeds than levels.
    """
    model = needs(model, LatentModel, "drawing latents")
    depth = model.depth(())
    if len(seeds) != depth:
        raise StateError(
            f"{counted(len(seeds), 'seed')} for {counted(depth, 'level')} of latents: expected one for each, the top "
            "level first"
        )
    with torch.no_grad():
        return prior_levels(model, 1, AtTemperatures(OwnSeeds(seeds), for_levels(temperatures, depth)))


def levels_at(model: Model, count: int, *, temperatures: Sequence[float] = (1.0,), seed: int = 0) -> Levels:
    """Draws of all levels from the prior, `[1, count, *event]` each, the distance of every latent from its mean given
    the levels above multiplied by the temperature of its level; one temperature is that of all levels.

    At any temperature but 1 what is decoded from them is no draw from p(x). Errors: `StateError` for another number of
    temperatures than levels, one below 0, fewer than one draw, and a model without levels of Gaussians.
    """
    model = needs(model, LatentModel, "drawing latents")
    noise = source(model, count, seed)
    with torch.no_grad():
        return prior_levels(model, count, AtTemperatures(noise, for_levels(temperatures, model.depth(()))))


def source(model: Model, count: int, seed: int) -> Noise:
    """Noise for so many draws, where the model is. Errors: `StateError` for fewer than one."""
    device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
    seeded(count, seed)
    return Stream(torch.Generator(device).manual_seed(seed))


def for_levels(temperatures: Sequence[float], depth: int) -> tuple[float, ...]:
    """One for each level. Errors: `StateError` for others than one or one for each, and numbers below 0."""
    if len(temperatures) not in (1, depth):
        raise StateError(
            f"{counted(len(temperatures), 'temperature')} for {counted(depth, 'level')} of latents: expected one for "
            "all levels, or one for each, the top level first"
        )
    if not all(0 <= one < math.inf for one in temperatures):
        raise StateError(
            f"temperatures {', '.join(f'{one:g}' for one in temperatures)}: expected finite numbers of at least 0, "
            "where 1 leaves a level as it is"
        )
    return tuple(temperatures) if len(temperatures) == depth else tuple(temperatures) * depth


def examples_of(model: Model, latent: Levels, *, seed: int = 0, mean: bool = False) -> Tensor:
    """One draw from p(x | z) at each latent of all levels, or its mean, `[examples, *event]`."""
    model = needs(model, LatentModel, "decoding latents")
    noise, found = source(model, latent[0].shape[1], seed), []
    with torch.no_grad():
        for part in zip(*(level.split(AT_ONCE, 1) for level in latent), strict=True):
            law = model.decode(part, None)
            found.append(law.mean[0] if mean else draw(law, 1, noise)[0, 0])
    return torch.cat(found)


def redrawn(model: Model, count: int, *, seed: int = 0) -> list[Levels]:
    """One draw of all levels, and for each level `count` draws in which that level alone has new noise.

    What the levels below draw given it has the noise of before. The first of each `count` is the draw itself, so a row
    of them shows what that level decides.
    """
    model = needs(model, LatentModel, "drawing latents")
    whole, found = source(model, count, seed), []
    with torch.no_grad():
        prior_levels(model, 1, recorded := Recorded(whole))
        for level in range(model.depth(())):
            same = [_for_all(one, place, count) for place, one in enumerate(recorded.variates)]
            same[level][1:] = whole.normal(same[level][1:].shape, same[level])
            noise = Replayed([_as_asked(one, place) for place, one in enumerate(same)])
            found.append(prior_levels(model, count, noise))
    return found


@torch.no_grad()
def moved(model: Model, chosen: Sequence[int], distances: Float[Tensor, " steps"]) -> Levels:
    """All levels while one latent of the top level goes to so many standard deviations of its prior, one chosen latent
    after the other, `[1, chosen · steps, *event]` each.

    The others of the top level stay at their prior's mean, every level below is at the mean of its prior given those
    above. Errors: `StateError` for a model without levels, and a top level that is no vector of
    independent Gaussian latents.
    """
    model = needs(model, LatentModel, "moving latents of the top level")
    law = latent_by_latent(model.prior_at(()))
    if law is None:
        raise StateError(
            "moving a latent of the top level needs a level that is a vector of independent Gaussian latents; look at "
            "what every level decides instead (redrawn)"
        )
    z = law.mean.expand(len(chosen), len(distances), -1).clone()
    for row, latent in enumerate(chosen):
        z[row, :, latent] += distances.to(z) * law.stddev[..., latent]
    found: Levels = (z.flatten(0, 1)[None],)
    for _ in range(1, model.depth(())):
        found = (*found, model.prior_at(found).mean)
    return found


def latent_by_latent(law: Distribution) -> Normal | None:
    """The laws of the single latents, where a vector of them is independent and Gaussian."""
    if not isinstance(law, Independent) or law.reinterpreted_batch_ndims != 1:
        return None
    return law.base_dist if isinstance(law.base_dist, Normal) else None


def _for_all(variates: Tensor, level: int, count: int) -> Tensor:
    """The variates of one draw for so many, `[count, *event]`, in memory of their own."""
    one = variates[0] if level else variates
    return one.expand(count, *one.shape[1:]).clone()


def _as_asked(variates: Tensor, level: int) -> Tensor:
    """As `prior_levels` asks for them: `[count, *event]` of the first level, `[1, count, *event]` of others."""
    return variates[None] if level else variates
