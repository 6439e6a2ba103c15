"""New examples from the prior, each level of latents at a temperature of its own where there are several;
reconstructions and codes of given ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vael.counting import Progress, counted, reported
from vael.data import Batch, Source
from vael.errors import StateError
from vael.evaluation import row_blocks
from vael.models import CodeVector, Decodes, Encodes, LatentModel, Model, Reconstructs, Samples, needs, prior_levels
from vael.models.core import Levels
from vael.probability import Noise, PerExample, Recorded, Replayed, Stream, as_noise, draw, draw_wide, widened
from vael.tables.as_text.output import row_file

AT_ONCE = 256  # examples that pass through a model together
ROWS = 3  # axes of a law of rows of a table: samples, rows, columns


Conditions = Float[Tensor, "examples conditions"] | None


def samples(
    model: Model, count: int, seed: int = 0, context: Conditions = None, *, progress: Progress | None = None
) -> Float[Tensor, "examples *event"]:
    """`count` draws from p(x) = ∫ p(x | z) p(z) dz, the same for the same count and seed; one for each c.

    `progress(done, count)` is called as they are drawn.

    Errors: `StateError` for fewer than one, and for a model that cannot sample.
    """
    source, model = seeded(count, seed), needs(model, Samples, "sampling")
    with torch.no_grad():
        return torch.cat(
            [model.sample(len(one), generator=source, context=c) for one, c in parts(count, context, progress)]
        )


def row_samples(
    model: Model, count: int, seed: int = 0, context: Conditions = None, *, progress: Progress | None = None
) -> Float[Tensor, "rows columns"]:
    """As `samples`, in float64 where the model has latents: the numbers of a column may have more digits than float32.

    Errors: as `samples`.
    """
    if not isinstance(model, LatentModel):
        return samples(model, count, seed, context, progress=progress)
    source = as_noise(seeded(count, seed))
    with torch.no_grad():
        found = [prior_levels(model, len(one), source, context=c) for one, c in parts(count, context)]
        given = zip(found, parts(count, context, progress), strict=True)
        return torch.cat([_drawn(model, z, source, c) for z, (_, c) in given])


def drawn_rows(model: CodeVector, z: Float[Tensor, "rows features"], noise: torch.Generator | Noise) -> Tensor:
    """A draw from p(x | z) for each vector of latents; of rows of a table in float64."""
    return _drawn(model, model.in_levels(z[None]), noise)


def _drawn(model: Decodes, latent: Levels, noise: torch.Generator | Noise, context: Conditions = None) -> Tensor:
    law = model.decode(latent, context)
    return (draw_wide if in_rows(law) else draw)(law, 1, noise)[0, 0]


def in_rows(law: Distribution) -> bool:
    """Whether a distribution is of rows of columns, whose numbers may have more digits than float32."""
    return len(law.batch_shape) == ROWS


def mean_rows(model: CodeVector, z: Float[Tensor, "rows features"]) -> Tensor:
    """The mean of p(x | z) for each vector of latents; of rows of a table in float64."""
    return _means(model, model.in_levels(z[None]))


def _means(model: Decodes, latent: Levels, context: Conditions = None) -> Tensor:
    law = model.decode(latent, context)
    return (widened(law) if in_rows(law) else law).mean[0]


def mean_samples(
    model: Model, count: int, seed: int = 0, context: Conditions = None, *, progress: Progress | None = None
) -> Float[Tensor, "examples *event"]:
    """The means of p(x | z) at `count` draws of z from the prior: calmer pictures than samples, and no draws from
    p(x).
    """
    model, source = needs(model, LatentModel, "means of samples"), as_noise(seeded(count, seed))
    with torch.no_grad():
        return torch.cat(
            [
                _means(model, prior_levels(model, len(one), source, context=c), c)
                for one, c in parts(count, context, progress)
            ]
        )


def seeded(count: int, seed: int) -> torch.Generator:
    """A generator for `count` draws. Errors: `StateError` for fewer than one."""
    if count < 1:
        raise StateError(f"{count} samples were asked for; ask for at least 1")
    return torch.Generator().manual_seed(seed)


def parts(count: int, context: Conditions, progress: Progress | None = None) -> Iterator[tuple[range, Tensor | None]]:
    """`count` examples in parts of at most `AT_ONCE`, each with its conditions."""
    found = [range(first, min(first + AT_ONCE, count)) for first in range(0, count, AT_ONCE)]
    for one in reported(found, progress):
        yield one, None if context is None else context[one.start : one.stop]


def batches(
    source: Source, limit: int | None = None, seed: int = 0, *, progress: Progress | None = None
) -> Iterator[Batch]:
    """The examples of a source in order; a stochastic transform gives each the same values every time."""
    for index in reported(torch.arange(min(len(source), limit or len(source))).split(AT_ONCE), progress):
        yield source.batch(index, PerExample(seed, index))


@torch.no_grad()
def reconstructions(
    model: Model, source: Source, limit: int | None = None, *, progress: Progress | None = None
) -> tuple[Tensor, Tensor]:
    """(what went in, the mean of p(x | z) at the mean of q(z | x)) for the first `limit` examples, or all;
    deterministic. `progress(done, total)` is called as they are made.
    """
    model = needs(model, Reconstructs, "reconstruction")
    pairs = [(batch.x, model.reconstruct(batch)) for batch in batches(source, limit, progress=progress)]
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


def code_blocks(model: Encodes, source: Source) -> Iterator[Float[Tensor, "batch features"]]:
    """The mean of q(z | x) for every example in order, many at a time: for more examples than fit into memory.

    A row is the same in any company.
    """
    for block in row_blocks(model, source):
        with torch.inference_mode():
            found = model.encode(block.batch)[: block.rows]
        yield found


@torch.no_grad()
def codes(model: Model, source: Source, limit: int | None = None) -> Float[Tensor, "examples features"]:
    """The mean of q(z | x) for every example, in order; deterministic."""
    model = needs(model, Encodes, "encoding")
    return torch.cat([model.encode(batch) for batch in batches(source, limit)])


def write(path: Path, values: Float[Tensor, "examples *event"], names: Sequence[str] = ()) -> None:
    """Write the values as float32 in the format that the extension names (.npy, .csv, .parquet), whole or not at all.

    .npy keeps the shape `[examples, *event]`; the others have a column for each cell, with its name. Errors:
    `FormatError` for another extension.
    """
    with row_file(path, names) as file:
        file.add(values.detach().cpu().float().numpy())


def beside(first: Tensor, second: Tensor, columns: int = 10) -> Tensor:
    """Two sets of images for a grid of `columns`: a row of the first above its row of the second; the last rows are
    filled with blank images.
    """
    blank = first.new_full((-len(first) % columns, *first.shape[1:]), float(first.min()))
    rows = [torch.cat((images, blank)).unflatten(0, (-1, columns)) for images in (first, second)]
    return torch.stack(rows, dim=1).flatten(0, 2)


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
