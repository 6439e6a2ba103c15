"""Patches of pictures: when they are cut without being asked for, and whole pictures as tiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vael.counting import counted
from vael.data import Source, Splits
from vael.data.files.images import ENDINGS, sizes
from vael.data.matching import in_units
from vael.data.pictures.cutting import keys_of, load_patches, pictures_in
from vael.data.pictures.patching import Patching
from vael.data.pictures.tiles import corners, tiled
from vael.data.splitting import Sizes, ValidateOn
from vael.domains.described import DataSpec, Reading
from vael.domains.reading import trained_on
from vael.errors import ShapeError

PATCHING = Patching(height=32, width=32)  # where none was asked for
MOST_PICTURES = 200  # that are few
LEAST_SIDE = 4 * PATCHING.height  # of the smallest picture, so that it is large
UNASKED = (
    f"few large pictures, so patches of {PATCHING} are cut from them (of other sizes: --patches N; whole pictures, "
    "made smaller: --size N)"
)


def few_and_large(how: Reading) -> bool:
    """Whether a folder has so few pictures, all so large, that patches of them say more than one example each."""
    folder = Path(how.source)
    if how.images.size is not None or not folder.is_dir():
        return False
    found = sizes(folder)
    return bool(found) and found.total() <= MOST_PICTURES and min(map(min, found)) >= LEAST_SIDE


def patches_read(how: Reading, patching: Patching) -> Splits:
    """Patches of the pictures, by the splits that were asked for. Errors: those of `load_patches`."""
    return load_patches(
        how.source,
        patching,
        how.images,
        binarize=how.binarize,
        dequantize=how.dequantize,
        sizes=Sizes(ValidateOn.TEST if how.by_test else how.validation, how.test),
        seed=how.seed,
    )


def cut_up(known: DataSpec, data: str) -> bool:
    """Whether data are whole pictures, of which a run on patches sees tiles."""
    path = Path(data)
    return known.patching is not None and (path.is_dir() or path.suffix.lower() in ENDINGS)


def tiles_read(known: DataSpec, data: str, clip: bool) -> Source:
    """Whole pictures as the tiles that cover them, row by row; what a tile has outside of its picture repeats the edge.

    Errors: those of `pictures_in`, and `ShapeError` or `SupportError` for pictures that the model cannot take.
    """
    patching = known.patching or PATCHING
    found = pictures_in(data, known.reading.images)
    pictures = [one for part in found.parts.values() for one in part]
    cells = np.concatenate([tiled(one.cells.numpy(), patching) for one in pictures])
    if cells.shape[1:] != known.event:
        raise ShapeError(
            f"{data} has pictures of {counted(cells.shape[1], 'channel')}, but the run was trained on patches of shape "
            f"{known.event}; give such pictures"
        )
    named = [(one.name, *place) for one in pictures for place in corners(one.size, patching)]
    note = f"whole pictures as tiles of {patching}; what a tile has outside of its picture repeats the edge"
    source = in_units(cells, found.name, trained_on(known), 0, clip)
    return replace(source, keys=keys_of(named), notes=(*found.notes, note, *source.notes))


def with_note(splits: Splits, note: str) -> Splits:
    """The splits with something more that every figure must say."""
    return splits.each(lambda source: replace(source, notes=(note, *source.notes)))
