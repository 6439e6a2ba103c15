"""`vael interpolate`, `attribute` and `inpaint`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vael.cli import results
from vael.cli.formats import ARRAY, FILMS, PICTURE, STILLS, Result
from vael.cli.options.declaring import flag, option
from vael.cli.options.parser import UsageError
from vael.cli.options.shared import ResultOptions, in_run, own_data, result, seed
from vael.cli.options.values import natural, number, positive, whole
from vael.errors import StateError, SupportError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from vael.applications.inpainting import Region
    from vael.data import Batch, Source
    from vael.models import LatentVector
    from vael.specs import Run

FRAMES, FILM_FRAMES = 11, 31
SHOWN, DRAWS, FILM_DRAWS = 8, 4, 12
SIDE = 64  # pixels that an image of a strip has at least, nearly


FRAMES_TOLD = f"how many; default {FRAMES}, {FILM_FRAMES} in a film"


@dataclass(frozen=True, kw_only=True)
class StripOptions(ResultOptions):
    """Abstract: what a command takes that changes examples step by step."""

    data: str | None = own_data()
    frames: int | None = option("N", FRAMES_TOLD, number(int, 2))


def strip(name: str) -> Any:
    """`-o FILE` for frames of this name."""
    about = "file: .png (a strip), .gif or .html (a film), .npy, .csv or .parquet; default in the run folder"
    return result(about, in_run(f"{name}.png", f"{name}.csv"), formats=(*STILLS, *FILMS))


@dataclass(frozen=True, kw_only=True)
class InterpolateOptions(StripOptions):
    """What `vael interpolate` takes."""

    output: Path | None = strip("interpolation")
    from_: int = option("ROW", "example to begin at, counted from 1", whole, default=1)
    to: int = option("ROW", "example to end at", whole, default=2)
    spherical: bool = flag("along a great circle, where N(0, I) has its mass; default a straight line")


def interpolate(options: InterpolateOptions) -> int:
    """Means of p(x | z) between the codes of two examples."""
    from vael.applications import traversal

    run = results.loaded(options)
    target = results.target_of(run, options, "interpolation")
    batch = picked(results.examples(run, options.data), [options.from_, options.to])
    ends = run.model.encode(batch).detach()
    path = traversal.spherical_path if options.spherical else traversal.linear_path
    frames = options.frames or target.form.many(FRAMES, FRAMES, FILM_FRAMES)
    x = traversal.decoded(at_first(run, batch), path(ends, frames - 1))
    return results.done(target.write(strip_of(run, x, "interpolation")), len(x), options)


@dataclass(frozen=True, kw_only=True)
class AttributeOptions(StripOptions):
    """What `vael attribute` takes."""

    output: Path | None = strip("attribute")
    of: int = option("ROW", "example to change, counted from 1", whole, default=1)
    give: str | None = option("CLASS", "class whose examples have the attribute, by name or number; must be given")
    take: str | None = option("CLASS", "class whose examples have it not; default all others")
    strength: float = option("A", "go from 0 to A times the difference of means", positive, default=1.0)


def attribute(options: AttributeOptions) -> int:
    """Z + a (mean code with - mean code without), decoded, for a from 0 to the strength."""
    import torch

    from vael.applications import latents, traversal

    if options.give is None:
        raise UsageError("--give CLASS says which class has the attribute, and it is missing")
    run = results.loaded(options)
    target = results.target_of(run, options, "attribute")
    batch = picked(results.examples(run, options.data), [options.of])
    (z,) = run.model.encode(batch).detach()
    direction = class_direction(run, options.give, options.take)
    frames = options.frames or target.form.many(FRAMES, FRAMES, FILM_FRAMES)
    amounts = torch.linspace(0, options.strength, frames).tolist()
    x = traversal.decoded(at_first(run, batch), latents.with_attribute(z, direction, amounts))
    return results.done(target.write(strip_of(run, x, "attribute")), len(x), options)


def class_direction(run: Run, give: str, take: str | None) -> Tensor:
    """From the mean code of one class, or of all examples outside `give`, to that of `give`."""
    import torch

    from vael.applications import latents
    from vael.applications.generation import codes

    train = run.splits().train
    has = latents.of_class(train, give)
    if take is None:
        rest = train.subset((train.label != int(has.label[0])).nonzero()[:, 0])  # type: ignore[index]
    else:
        rest = latents.of_class(train, take)
    both = [codes(run.model, part) for part in (has, rest)]
    return latents.attribute_direction(torch.cat(both), torch.arange(len(has) + len(rest)) < len(has))


@dataclass(frozen=True, kw_only=True)
class InpaintOptions(ResultOptions):
    """What `vael inpaint` takes."""

    output: Path | None = result(
        "file: .png (original, what was seen, mean, draws, one column for each image), .gif or .html (a film of "
        "draws), .npy (means)",
        in_run("inpainted.png", "inpainted.csv"),
        formats=(PICTURE, ARRAY, *FILMS),
    )
    data: str | None = own_data()
    region: str | None = option(
        "Y0:Y1,X0:X1",
        "rows Y0 to Y1 - 1 and columns X0 to X1 - 1 of the image, counted from 0, are hidden; must be given",
    )
    draws: int | None = option("N", f"draws of the hidden pixels below the mean; default {DRAWS}", natural)
    seed: int = seed("the draws")
    count: int = option("N", "how many images, from the first", whole, "-n", default=SHOWN)


def inpaint(options: InpaintOptions) -> int:
    """The hidden region of images given the rest: mean and draws."""
    import torch

    from vael.applications import inpainting

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
    from vael.applications.inpainting import Region

    found = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+)", text or "")
    if found is None:
        raise UsageError(
            f"--region {text or 'is missing'}: expected Y0:Y1,X0:X1, such as 0:4,0:8 for the upper four rows of eight "
            "columns"
        )
    return Region(*map(int, found.groups()))


def picked(source: Source, rows: Sequence[int]) -> Batch:
    """Examples by their numbers from 1. Errors: `StateError` for a number beyond the last."""
    import torch

    from vael.probability import PerExample

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
    """Frames as a strip, a film, or numbers; rows of a table in the digits and the range of their columns."""
    from vael.tables.constraints import enforced

    plain, schema = results.elements(run, x), run.spec.data.row_schema
    return replace(
        plain,
        table=plain.table if schema is None else results.typed_rows(schema, enforced(schema, x), 0).table,
        picture=lambda path: results.grid(run, enlarged(x), path, columns=len(x)),
        frames=lambda and_back: images_of(run, x, and_back),
        title=title,
    )


def images_of(run: Run, x: Tensor, and_back: bool) -> list[Image]:
    """Frames as images large enough to be seen, once or there and back."""
    from vael.applications import traversal
    from vael.report import display_of

    shown = display_of(run.splits().train)
    enlarge = max(1, 168 // max(run.spec.data.event[1:]))
    if x.shape[1] not in (1, 3):
        x = x.mean(1, keepdim=True)  # as a picture of such images shows them
    images = traversal.pictures(x, low=shown.low, high=shown.high, enlarge=enlarge)
    return [*images, *images[-2:0:-1]] if and_back else images
