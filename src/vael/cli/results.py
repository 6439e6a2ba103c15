"""What commands write about a run, and where: examples as the extension of the file says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli.options.endings import Ending, ending_of
from vael.cli.options.shared import CommandOptions
from vael.cli.telling import tell
from vael.counting import counted
from vael.errors import SupportError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from vael.data import Source
    from vael.specs import Piece, Run
    from vael.tables.reading import Skipped

LISTED = 10  # rows that were skipped, on the screen


def is_image(event: tuple[int, ...]) -> bool:
    """Whether examples of this shape can be shown."""
    return len(event) == 3


def default(run: Run, name: str) -> Path:
    """Where it goes when nothing was said: a picture of images, a table of anything else."""
    return run.inside(f"{name}{'.png' if is_image(run.spec.data.event) else '.csv'}")


def store(path: Path, x: Tensor, run: Run, columns: int | None = None) -> Path:
    """Write cells as the extension says, images in `columns` (None: nearly square).

    Errors: `SupportError` for a picture of what is no image.
    """
    from vael.applications import generation

    if ending_of(path) is not Ending.PICTURE:
        generation.write(path, x, run.spec.data.columns)
        return path
    if not is_image(run.spec.data.event):
        raise SupportError(
            f"{path}: examples of shape {run.spec.data.event} are no images, so there is no picture; write .npy or .csv"
        )
    from vael.report import display_of, save_grid

    return save_grid(path, x, display_of(run.splits().train), columns=columns)


def refuse_film(run: Run, target: Path) -> None:
    """Errors: `SupportError` for a film of what is no image."""
    if not is_image(run.spec.data.event):
        raise SupportError(
            f"{target}: examples of shape {run.spec.data.event} are no images, so there is no film; write .npy or .csv"
        )


def store_film(target: Path, frames: Sequence[Image], title: str) -> Path:
    """Write pictures one after another as the extension says."""
    from vael.applications import traversal

    return (
        traversal.write_gif(target, frames)
        if ending_of(target) is Ending.GIF
        else traversal.write_html(target, frames, title)
    )


def examples(run: Run, data: str | None) -> Source:
    """The run's test split, or all examples of other data.

    Errors: `ShapeError`, `SupportError` if the model cannot take them.
    """
    if data is None:
        return run.split()[1]
    from vael.specs import examples_of

    return examples_of(run.spec, data)


def rows(run: Run, data: str | None, on_error: str | None = None, *, clip: bool = False) -> Iterator[Piece]:
    """The run's test split, or all examples of other data a block at a time; `clip` as in `vael.specs.pieces`.

    Errors: as `examples`.
    """
    from vael.data import OnError
    from vael.specs import Piece, pieces

    if data is not None:
        return pieces(run.spec, data, on_error=OnError(on_error or "stop"), clip=clip)
    source = run.split()[1]
    return iter([Piece(source, source.named.rows)])


def done(path: Path, count: int, options: CommandOptions, skipped: Sequence[Skipped] | None = None) -> int:
    """Say what was written where, and which rows were not; `skipped` is None where rows cannot be."""
    if options.json:
        listed = {} if skipped is None else {"skipped": [vars(one) for one in skipped]}
        print(json.dumps({"file": str(path), "examples": count, **listed}))
        return 0
    tell(f"{path}: {counted(count, 'example')}")
    list_skipped(skipped or ())
    return 0


def list_skipped(skipped: Sequence[Skipped]) -> None:
    """The first of the rows that were left out, and how many more there are."""
    for one in skipped[:LISTED]:
        tell(f"  row {one.row:,} was skipped: {one.reason}")
    if len(skipped) > LISTED:
        tell(f"  ... and {len(skipped) - LISTED:,} more rows were skipped (all are listed with --json)")
