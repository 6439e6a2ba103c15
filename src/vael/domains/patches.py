"""Patches of pictures: when they are cut without being asked for, and whole pictures as tiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vael.data import Source, Splits
from vael.data.files.images import sizes
from vael.data.pictures.cutting import load_patches
from vael.data.pictures.patching import Patching
from vael.data.splitting import Sizes, ValidateOn
from vael.domains.described import Reading

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


def with_note(splits: Splits, note: str) -> Splits:
    """The splits with something more that every figure must say."""

    def noted(source: Source) -> Source:
        return replace(source, notes=(note, *source.notes))

    test = None if splits.test is None else noted(splits.test)
    return replace(splits, train=noted(splits.train), validation=noted(splits.validation), test=test)
