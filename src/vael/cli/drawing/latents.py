"""The part of `vael sample` that draws latents in another way than from the prior."""

from __future__ import annotations

import sys

from PIL.Image import Image
from torch import Tensor

from vael.applications import latents, level_draws, traversal
from vael.applications.aggregate import SAMPLERS, aggregate_samples
from vael.cli.options.sampling import LatentOptions, SampleOptions
from vael.cli.telling import answer
from vael.counting import Progress
from vael.errors import StateError
from vael.models import Whitens, has
from vael.report import display_of, grid_image, on_white
from vael.specs import Run

STATIONS, STEPS = 4, 10  # draws of z that each of them passes, and frames from one to the next


def drawn_latents(run: Run, count: int, seed: int, asked: LatentOptions) -> Tensor:
    """Latents of a class or from the prior, at a temperature.

    Errors: `StateError` for data without labels or without the class, and several temperatures for one vector.
    """
    (temperature,) = level_draws.for_levels(asked.temperature or (1.0,), 1)
    if asked.class_ is not None:
        chosen = latents.of_class(run.splits().train, asked.class_)
        return latents.aggregate_gaussian(run.model, chosen).sample(count, temperature=temperature, seed=seed)
    return latents.prior_latents(run.model, count, temperature=temperature, seed=seed)


def latent_samples(run: Run, count: int, options: SampleOptions) -> Tensor:
    """Examples from such latents, or from levels of them at their temperatures. Errors: as `drawn_latents`, and as
    `vael.applications.level_draws.levels_at`.
    """
    if options.latents.class_ is None and has(run.model, Whitens):
        asked = options.latents.temperature or (1.0,)
        levels = level_draws.levels_at(run.model, count, temperatures=asked, seed=options.seed)
        return level_draws.examples_of(run.model, levels, seed=options.seed + 1, mean=options.mean)
    z = drawn_latents(run, count, options.seed, options.latents)
    return traversal.decoded(run.model, z) if options.mean else latents.drawn(run.model, z, options.seed + 1)


def fitted_samples(run: Run, count: int, options: SampleOptions, name: str, progress: Progress) -> Tensor:
    """Examples from latents under a density that is fitted to codes of the training examples.

    Errors: `StateError` for a model without one vector of codes.
    """
    density = SAMPLERS[name](run.model, run.splits().train, options.seed)
    return aggregate_samples(run.model, density, count, options.seed, progress=progress)


def say_where_from(run: Run, name: str) -> None:
    """That z does not come from the model's own prior."""
    answer(
        f"vael: note: z comes from a {name} fitted to codes of {run.spec.data.name} afterwards: these are no draws "
        "from the model's own p(x), and its bound and log p(x) say nothing about them",
        file=sys.stderr,
    )


def film(run: Run, count: int, options: SampleOptions) -> list[Image]:
    """A grid of samples, each on its way between draws of z and back to the first: means of p(x | z), as draws of x
    would flicker. Errors: as `drawn_latents`.
    """
    if options.latents.fitted:
        raise StateError("a film goes between draws from the prior; leave --sampler out, or write .png or .npy")
    z = drawn_latents(run, STATIONS * count, options.seed, options.latents).unflatten(0, (STATIONS, count))
    path = traversal.round_trip(z, STEPS)
    shown = display_of(run.splits().train)
    return [on_white(grid_image(x, shown)) for x in traversal.decoded(run.model, path.flatten(0, 1)).split(count)]
