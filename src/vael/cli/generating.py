"""`vael interpolate`, `attribute` and `inpaint`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli import using
from vael.cli.parser import Parser, UsageError, number
from vael.errors import StateError, SupportError

if TYPE_CHECKING:
    from torch import Tensor

    from vael.applications.inpainting import Region
    from vael.data import Batch, Source
    from vael.models import LatentVector
    from vael.specs import Run

PICTURES, FILMS, ARRAYS = (".png",), (".gif", ".html"), (".npy", ".csv", ".parquet")
TABLES = (".csv", ".parquet")
FRAMES, FILM_FRAMES = 11, 31
SHOWN, DRAWS, FILM_DRAWS = 8, 4, 12
SIDE = 64  # pixels that an image of a strip has at least, nearly


# vael interpolate


def interpolate_options(parser: Parser) -> None:
    """Everything that `vael interpolate` takes."""
    common(
        parser,
        "interpolation",
        "file: .png (a strip), .gif or .html (a film), .npy, .csv or .parquet; default in the run folder",
    )
    parser.option("--from", metavar="ROW", type=number(int, 1), help="example to begin at, counted from 1; default 1")
    parser.option("--to", metavar="ROW", type=number(int, 1), help="example to end at; default 2")
    parser.option(
        "--spherical",
        action="store_true",
        help="along a great circle, where N(0, I) has its mass; default a straight line",
    )
    parser.option(
        "--frames",
        metavar="N",
        type=number(int, 2),
        help=f"how many, both ends included; default {FRAMES}, {FILM_FRAMES} in a film",
    )


def interpolate(given: argparse.Namespace) -> int:
    """Means of p(x | z) between the codes of two examples."""
    from vael.applications import traversal

    options = vars(given)
    run, target = opened(options, "interpolation")
    batch = picked(run, options, [int(options.get("from", 1)), int(options.get("to", 2))])
    ends = run.model.encode(batch).detach()
    path = traversal.spherical_path if options.get("spherical") else traversal.linear_path
    frames = int(options.get("frames", FILM_FRAMES if target.suffix.lower() in FILMS else FRAMES))
    return written(
        run, target, traversal.decoded(at_first(run, batch), path(ends, frames - 1)), options, "interpolation"
    )


# vael attribute


def attribute_options(parser: Parser) -> None:
    """Everything that `vael attribute` takes."""
    common(
        parser,
        "attribute",
        "file: .png (a strip), .gif or .html (a film), .npy, .csv or .parquet; default in the run folder",
    )
    parser.option("--of", metavar="ROW", type=number(int, 1), help="example to change, counted from 1; default 1")
    parser.option("--give", metavar="CLASS", help="class whose examples have the attribute, by name or number")
    parser.option("--take", metavar="CLASS", help="class whose examples have it not; default all others")
    parser.option(
        "--strength",
        metavar="A",
        type=number(float, 0, above=True),
        help="go from 0 to A times the difference of means; default 1",
    )
    parser.option(
        "--frames", metavar="N", type=number(int, 2), help=f"how many; default {FRAMES}, {FILM_FRAMES} in a film"
    )


def attribute(given: argparse.Namespace) -> int:
    """Z + a (mean code with - mean code without), decoded, for a from 0 to the strength."""
    import torch

    from vael.applications import latents, traversal

    options = vars(given)
    if "give" not in options:
        raise UsageError("--give CLASS says which class has the attribute, and it is missing")
    run, target = opened(options, "attribute")
    batch = picked(run, options, [int(options.get("of", 1))])
    (z,) = run.model.encode(batch).detach()
    direction = class_direction(run, str(options["give"]), options.get("take"))
    frames = int(options.get("frames", FILM_FRAMES if target.suffix.lower() in FILMS else FRAMES))
    amounts = torch.linspace(0, float(options.get("strength", 1.0)), frames).tolist()
    return written(
        run,
        target,
        traversal.decoded(at_first(run, batch), latents.with_attribute(z, direction, amounts)),
        options,
        "attribute",
    )


def class_direction(run: Run, give: str, take: object) -> Tensor:
    """From the mean code of one class, or of all examples outside `give`, to that of `give`."""
    import torch

    from vael.applications import latents
    from vael.applications.generation import codes

    train = run.splits().train
    has = latents.of_class(train, give)
    if take is None and train.label is not None:
        rest = train.subset((train.label != int(has.label[0])).nonzero()[:, 0])  # type: ignore[index]
    else:
        rest = latents.of_class(train, str(take))
    both = [codes(run.model, part) for part in (has, rest)]
    return latents.attribute_direction(torch.cat(both), torch.arange(len(has) + len(rest)) < len(has))


# vael inpaint


def inpaint_options(parser: Parser) -> None:
    """Everything that `vael inpaint` takes."""
    common(
        parser,
        "inpainted",
        "file: .png (original, what was seen, mean, draws, one column for each image), .gif or .html (a film of "
        "draws), .npy (means)",
    )
    parser.option(
        "--region",
        metavar="Y0:Y1,X0:X1",
        help="rows Y0 to Y1 - 1 and columns X0 to X1 - 1 of the image, counted from 0, are hidden",
    )
    parser.option(
        "-n", "--count", metavar="N", type=number(int, 1), help=f"how many images, from the first; default {SHOWN}"
    )
    parser.option(
        "--draws", metavar="N", type=number(int, 0), help=f"draws of the hidden cells below the mean; default {DRAWS}"
    )
    parser.option("--seed", metavar="N", type=number(int, 0), help="seed of the draws; default 0")


def inpaint(given: argparse.Namespace) -> int:
    """The hidden region of images given the rest: mean and draws."""
    import torch

    from vael.applications import inpainting

    options = vars(given)
    region = region_of(options.get("region"))
    run, target = opened(options, "inpainted", ARRAYS[:1])
    if not using.is_image(run.spec.data.event):
        raise SupportError(
            f"examples of shape {run.spec.data.event} are no images, so there is no region; for a table use `vael "
            "impute`"
        )
    source = using.examples(run, options.get("data"))
    count = min(len(source), int(options.get("count", SHOWN)))
    batch = picked(run, options, list(range(1, count + 1)), source)
    film = target.suffix.lower() in FILMS
    draws = int(options.get("draws", FILM_DRAWS if film else DRAWS))
    found = inpainting.inpaint(
        run.model, hidden(batch, region), draws=max(draws, film), seed=int(options.get("seed", 0))
    )
    if film:  # each frame a draw, the images side by side
        return written(run, target, torch.cat(found.draws.unbind(1), dim=-1), options, "inpainted")
    if target.suffix.lower() != ".png":
        return using.done(using.store(target, found.mean, run), count, options)
    grey = (batch.x.min() + batch.x.max()) / 2  # black would pass for a dark background
    blank = torch.where(region.outside(batch.x), batch.x, grey)
    rows = torch.cat((batch.x[None], blank[None], found.mean[None], found.draws))
    return using.done(using.store(target, enlarged(rows.flatten(0, 1), target), run, count), count, options)


def hidden(batch: Batch, region: Region) -> Batch:
    """The batch with the region not seen."""
    from dataclasses import replace

    return replace(batch, observed=region.outside(batch.x))


def region_of(text: object) -> Region:
    """A rectangle from Y0:Y1,X0:X1. Errors: `UsageError`."""
    from vael.applications.inpainting import Region

    found = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+)", str(text or ""))
    if found is None:
        raise UsageError(
            f"--region {text or 'is missing'}: expected Y0:Y1,X0:X1, such as 0:4,0:8 for the upper four rows of eight "
            "columns"
        )
    return Region(*map(int, found.groups()))


# all of them


def common(parser: Parser, name: str, output: str) -> None:
    """RUN, DATA, -o, --json."""
    using.common(parser, using.in_run(name), output)
    using.from_data(parser)


def opened(options: Mapping[str, object], name: str, arrays: tuple[str, ...] = ARRAYS) -> tuple[Run, Path]:
    """The run, and where the result goes. Errors: `FormatError` for an extension that cannot be written."""
    from vael import specs

    asked = options.get("output")
    if isinstance(asked, Path):
        using.known_ending(asked, (*PICTURES, *FILMS, *arrays))
    run = specs.load(Path(str(options["run"])))
    return run, asked if isinstance(asked, Path) else using.default(run, name)


def picked(run: Run, options: Mapping[str, object], rows: list[int], source: Source | None = None) -> Batch:
    """Examples by their numbers from 1. Errors: `StateError` for a number beyond the last."""
    import torch

    from vael.probability import PerExample

    data = options.get("data")
    source = source or using.examples(run, None if data is None else str(data))
    if max(rows) > len(source):
        raise StateError(f"example {max(rows)} was asked for, but {source.name} has {len(source):,}, counted from 1")
    index = torch.tensor(rows) - 1
    return source.batch(index, PerExample(0, index))


def at_first(run: Run, batch: Batch) -> LatentVector:
    """The model that decodes latents: a conditional one at the condition of the first of some examples."""
    return run.model if batch.context is None else run.model.at(batch.context[0])


def enlarged(x: Tensor, target: Path) -> Tensor:
    """Small images for a picture with cells of several pixels, so that a strip of them can be seen; anything else
    as it is.
    """
    if target.suffix.lower() != ".png" or x.dim() != 4:
        return x
    factor = max(1, SIDE // max(x.shape[-2:]))
    return x.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def rows_of_table(run: Run, target: Path, x: Tensor) -> Path:
    """Rows with levels by name and numbers in the digits and the range of their columns."""
    from vael.tables.constraints import enforced
    from vael.tables.schema_file import from_record
    from vael.tables.writing import write_rows

    schema = from_record(run.spec.data.table, "run.json")
    write_rows(target, schema, enforced(schema, x))
    return target


def written(run: Run, target: Path, x: Tensor, options: dict[str, object], title: str) -> int:
    """Frames as a strip, a film, or cells. Errors: `SupportError` for a film of what is no image."""
    from vael.applications import traversal

    if target.suffix.lower() in TABLES and run.spec.data.table is not None:
        return using.done(rows_of_table(run, target, x), len(x), options)
    if target.suffix.lower() not in FILMS:
        return using.done(using.store(target, enlarged(x, target), run, len(x)), len(x), options)
    if not using.is_image(run.spec.data.event):
        raise SupportError(
            f"{target}: examples of shape {run.spec.data.event} are no images, so there is no film; write .npy or .csv"
        )
    from vael.report import display_of

    shown = display_of(run.splits().train)
    enlarge = max(1, 168 // max(run.spec.data.event[1:]))
    if x.shape[1] not in (1, 3):
        x = x.mean(1, keepdim=True)  # as a picture of such images shows them
    images = traversal.pictures(x, low=shown.low, high=shown.high, enlarge=enlarge)
    if target.suffix.lower() == ".gif":
        traversal.write_gif(target, [*images, *images[-2:0:-1]])
    else:
        traversal.write_html(target, images, title)
    return using.done(target, len(x), options)
