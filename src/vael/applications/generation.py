"""Samples, reconstructions and codes as tensors, and tensors as files: .npy or .csv by extension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.counting import Progress, reported
from vael.data import Batch, Source
from vael.errors import StateError
from vael.evaluation import row_blocks
from vael.models import CodeVector, Decodes, Encodes, LatentModel, Model, Reconstructs, Samples, needs, prior_levels
from vael.models.core import Levels
from vael.probability import Noise, PerExample, as_noise, draw, draw_wide, widened
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
