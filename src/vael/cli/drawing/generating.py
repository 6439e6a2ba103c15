"""`vael interpolate`, `attribute` and `inpaint`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL.Image import Image
from torch import Tensor

from vael.applications import inpainting, latents, traversal
from vael.applications.generation import codes
from vael.applications.inpainting import Region
from vael.cli import results
from vael.cli.formats import Result
from vael.cli.options.drawing import (
    DRAWS,
    FILM_DRAWS,
    FILM_FRAMES,
    FRAMES,
    AttributeOptions,
    InpaintOptions,
    InterpolateOptions,
)
from vael.cli.options.parser import UsageError
from vael.data import Batch, Source
from vael.errors import StateError, SupportError
from vael.models import LatentVector
from vael.probability import PerExample
from vael.report import display_of
from vael.specs import Run

SIDE = 64  # pixels that an image of a strip has at least, nearly


def interpolate(options: InterpolateOptions) -> int:
    """Means of p(x | z) between the codes of two examples."""
    run, target = results.opened(options, "interpolation")
    batch = picked(results.examples(run, options.data), [options.from_, options.to])
    ends = run.model.encode(batch).detach()
    path = traversal.spherical_path if options.spherical else traversal.linear_path
    frames = options.frames or target.form.many(FRAMES, FRAMES, FILM_FRAMES)
    x = traversal.decoded(at_first(run, batch), path(ends, frames - 1))
    return results.done(target.write(strip_of(run, x, "interpolation")), len(x), options)


def attribute(options: AttributeOptions) -> int:
    """Z + a (mean code with - mean code without), decoded, for a from 0 to the strength."""
    if options.give is None:
        raise UsageError("--give CLASS says which class has the attribute, and it is missing")
    run, target = results.opened(options, "attribute")
    batch = picked(results.examples(run, options.data), [options.of])
    (z,) = run.model.encode(batch).detach()
    direction = class_direction(run, options.give, options.take)
    frames = options.frames or target.form.many(FRAMES, FRAMES, FILM_FRAMES)
    amounts = torch.linspace(0, options.strength, frames).tolist()
    x = traversal.decoded(at_first(run, batch), latents.with_attribute(z, direction, amounts))
    return results.done(target.write(strip_of(run, x, "attribute")), len(x), options)


def class_direction(run: Run, give: str, take: str | None) -> Tensor:
    """From the mean code of one class, or of all examples outside `give`, to that of `give`."""
    train = run.splits().train
    has = latents.of_class(train, give)
    if take is None:
        rest = train.subset((train.label != int(has.label[0])).nonzero()[:, 0])  # type: ignore[index]
    else:
        rest = latents.of_class(train, take)
    both = [codes(run.model, part) for part in (has, rest)]
    return latents.attribute_direction(torch.cat(both), torch.arange(len(has) + len(rest)) < len(has))


def inpaint(options: InpaintOptions) -> int:
    """The hidden region of images given the rest: mean and draws."""
    region = region_of(options.region)
    run = results.loaded(options)
    if not results.shows_images(run):
        raise SupportError(
            f"examples of shape {run.spec.data.event} are no images, so there is no region; for a table use `vael "
            "impute`"
        )
    target = results.target_of(run, options, "inpainted")
    source = results.examples(run, options.data)
    count = min(len(source), options.count)
    batch = picked(source, range(1, count + 1))
    draws = target.form.many(DRAWS, DRAWS, FILM_DRAWS) if options.draws is None else options.draws
    found = inpainting.inpaint(run.model, hidden(batch, region), draws=max(draws, target.form.moves), seed=options.seed)
    grey = (batch.x.min() + batch.x.max()) / 2  # black would pass for a dark background
    blank = torch.where(region.outside(batch.x), batch.x, grey)
    rows = enlarged(torch.cat((batch.x[None], blank[None], found.mean[None], found.draws)).flatten(0, 1))
    film = torch.cat(found.draws.unbind(1), dim=-1)  # each frame a draw, the images side by side
    result = replace(
        results.elements(run, found.mean),
        picture=lambda path: results.grid(run, rows, path, columns=count),
        frames=lambda and_back: images_of(run, film, and_back),
        title="inpainted",
    )
    return results.done(target.write(result), target.form.many(count, count, len(film)), options)


def hidden(batch: Batch, region: Region) -> Batch:
    """The batch with the region not seen."""
    return replace(batch, observed=region.outside(batch.x))


def region_of(text: str | None) -> Region:
    """A rectangle from Y0:Y1,X0:X1. Errors: `UsageError`."""
    found = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+)", text or "")
    if found is None:
        raise UsageError(
            f"--region {text or 'is missing'}: expected Y0:Y1,X0:X1, such as 0:4,0:8 for the upper four rows of eight "
            "columns"
        )
    return Region(*map(int, found.groups()))


def picked(source: Source, rows: Sequence[int]) -> Batch:
    """Examples by their numbers from 1. Errors: `StateError` for a number beyond the last."""
    if max(rows) > len(source):
        raise StateError(f"example {max(rows)} was asked for, but {source.name} has {len(source):,}, counted from 1")
    index = torch.tensor(rows) - 1
    return source.batch(index, PerExample(0, index))


def at_first(run: Run, batch: Batch) -> LatentVector:
    """The model that decodes latents: a conditional one at the condition of the first of some examples."""
    return run.model if batch.context is None else run.model.at(batch.context[0])


def enlarged(x: Tensor) -> Tensor:
    """Small images with cells of several pixels, so that a strip of them can be seen."""
    factor = max(1, SIDE // max(x.shape[-2:]))
    return x.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def strip_of(run: Run, x: Tensor, title: str) -> Result:
    """Frames as a strip, a film, or numbers."""
    return replace(
        results.elements(run, x),
        picture=lambda path: results.grid(run, enlarged(x), path, columns=len(x)),
        frames=lambda and_back: images_of(run, x, and_back),
        title=title,
    )


def images_of(run: Run, x: Tensor, and_back: bool) -> list[Image]:
    """Frames as images large enough to be seen, once or there and back."""
    shown = display_of(run.splits().train)
    enlarge = max(1, 168 // max(run.spec.data.event[1:]))
    if x.shape[1] not in (1, 3):
        x = x.mean(1, keepdim=True)  # as a picture of such images shows them
    images = traversal.pictures(x, low=shown.low, high=shown.high, enlarge=enlarge)
    return [*images, *images[-2:0:-1]] if and_back else images
