"""From a name or a path to three splits in model units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from vael.data.catalog.finding import folder_of
from vael.data.catalog.named import known, read_named, unknown
from vael.data.cells import MOST_LEVELS, Look, as_examples, checked_numbers, fingerprint, kind_of, look, steps_of
from vael.data.files.images import Images
from vael.data.files.material import Material, MaterialPart
from vael.data.reading import read_path
from vael.data.source import AsFloat, Kind, Source, Splits, Transform
from vael.data.splitting import Sizes, ValidateOn, split
from vael.data.tabular import mixed
from vael.data.transforms import Binarize, Dequantization, DynamicBinarization, Threshold, binarized_once
from vael.errors import ShapeError, StateError, SupportError

AS_THEY_ARE = Images()
BINARISED = {
    Binarize.DYNAMIC: "dynamically binarised",
    Binarize.THRESHOLD: "binarised at half of the largest value",
    Binarize.STATIC: "statically binarised",
}
TWO_LEVELS = "only 0 and 255 occur, read as 0 and 1"
STATIC_SEED = 0  # statically binarised data are one data set, whatever the seed of a run


@dataclass(frozen=True)
class Meaning:
    """How the stored cells of a data set are to be taken."""

    kind: Kind
    levels: int | None
    transform: Transform
    notes: tuple[str, ...] = ()
    largest: float | None = None  # value that stands for a probability of 1, where cells are binarised
    draw_once: bool = False  # whether cells are to be replaced by one Bernoulli draw


def load(
    data: str | Path,
    *,
    binarize: Binarize | None = None,
    dequantize: bool = False,
    seed: int = 0,
    validation: float | int | ValidateOn | None = None,
    test: float | int | None = None,
    size: int | tuple[int, int] | None = None,
    images: Images = AS_THEY_ARE,
) -> Splits:
    """Training, validation and test data of a name or a path, in memory as they were stored, with what they are found
    to be.

    `validation` and `test` are shares below 1 or counts of examples to set aside (by default a tenth, validation at
    most 5,000) by a permutation that is a function of `seed`; official splits stay as they are. With
    `validation=ValidateOn.TEST`
    the test split is the validation split too, which every figure then says. `images` says how a
    folder of images is read and how many levels a cell has; `size` is short for its size (height, width; one number for
    a square). Errors: `FormatError` for files that are missing or damaged, `ShapeError` for arrays that are no
    examples, `SupportError` for cells that are not finite or do not fit what is asked for, `StateError` for splits that
    cannot be made.
    """
    how = images if size is None else replace(images, size=(size, size) if isinstance(size, int) else size)
    material = read(str(data), how)
    if material.schema is not None:
        if binarize is not None or dequantize:
            raise StateError(
                f"{material.name} is a table with columns of several kinds, each with a likelihood of its own; leave "
                "the transform out"
            )
        return mixed(material, split(material, Sizes(validation, test), seed))
    material = arranged(material)
    arrays = [part.x for part in material.parts]
    seen = look(arrays, material.name)
    if how.levels is None and black_and_white_in(arrays, seen):
        material, seen = _as_zero_and_one(material), replace(seen, maximum=1.0)
    meaning = meaning_of(arrays[0], seen, material.name, binarize=binarize, dequantize=dequantize, levels=how.levels)
    if meaning.draw_once and meaning.largest is not None:
        material = _drawn_once(material, meaning.largest)
    parts = split(material, Sizes(validation, test), seed)
    train, held_out = _source(material, parts.train, meaning), _source(material, parts.validation, meaning)
    found = Splits(train, held_out, _maybe(material, parts.test, meaning), material.origin, material.citation)
    return said_of_test(found) if isinstance(validation, ValidateOn) else found


def meaning_of(
    x: np.ndarray, seen: Look, name: str, *, binarize: Binarize | None, dequantize: bool, levels: int | None
) -> Meaning:
    """How cells such as those of `x` are to be taken, of which all were looked at.

    Errors: `StateError` for two transforms at once, `SupportError` for cells that do not fit what is asked for.
    """
    if binarize is not None and dequantize:
        raise StateError(f"{name} cannot be binarised and dequantised at once; leave one of them out")
    meaning = _dequantized(seen, name) if dequantize else _as_stored(x, seen, name)
    if levels is not None:
        meaning = _with_levels(meaning, seen, levels, name)
    return meaning if binarize is None else _binarized(meaning, seen, binarize, name)


def said_of_test(splits: Splits) -> Splits:
    """The splits with a note that figures on the test split are no honest ones."""
    note = "the test split was the validation split too, so weights may have been chosen on it"
    return splits.each(lambda one: replace(one, notes=(*one.notes, note)))


def read(data: str, images: Images = AS_THEY_ARE) -> Material:
    """What the files of a name or a path hold, before cells are looked at. Errors: `FormatError`, `ShapeError`."""
    item = known(data)
    if item is not None:
        return read_named(item, folder_of(item))
    if not Path(data).exists():
        raise unknown(data)
    return replace(read_path(Path(data), images), origin=str(Path(data)))


def arranged(material: Material) -> Material:
    """Every part as `[examples, features]` or `[examples, channels, height, width]`."""
    name = material.name

    def one(part: MaterialPart, number: int) -> MaterialPart:
        known = part.x.shape[1:] if material.channels_first else None
        return replace(part, x=as_examples(checked_numbers(part.x, name), name, known))

    arranged = material.changed(one)
    shapes = {part.x.shape[1:] for part in arranged.parts}
    if len(shapes) > 1:
        raise ShapeError(
            f"{name} has splits of different shapes {sorted(shapes)}; every example must have the same shape"
        )
    return arranged


def _as_stored(x: np.ndarray, seen: Look, name: str) -> Meaning:
    """Cells as they are; where real numbers are the steps of an image file, that their density is no probability is
    noted.
    """
    kind, levels = kind_of(x, seen, name)
    steps = steps_of(x, seen) if kind is Kind.REAL else ""
    said = (
        f"every cell is a multiple of {steps}, stored as a real number: log p(x) is that of a density and cannot be "
        "compared with probabilities "
        "of the levels (save whole numbers, uint8, for those)"
    )
    return Meaning(kind, levels, AsFloat(), (said,) if steps else ())


def _with_levels(meaning: Meaning, seen: Look, levels: int, name: str) -> Meaning:
    """As many levels as were asked for.

    Errors: `SupportError` where the cells are no whole numbers, or larger than the levels hold.
    """
    if not 2 <= levels <= MOST_LEVELS:
        raise SupportError(
            f"{levels:,} levels were asked for; expected 2 to {MOST_LEVELS:,}, such as 256 for 8 bits a pixel or 4,096 "
            "for 12"
        )
    if meaning.kind is Kind.REAL:
        raise SupportError(
            f"{name} holds real numbers, which have no levels: leave them (--levels) out, or save the cells as whole "
            "numbers from 0"
        )
    if seen.maximum >= levels:
        raise SupportError(
            f"{name} holds cells up to {seen.maximum:.0f}, but {levels:,} levels were asked for, which are 0 to "
            f"{levels - 1:,}; ask for more"
        )
    return (
        replace(meaning, kind=Kind.BINARY, levels=None)
        if levels == 2
        else replace(meaning, kind=Kind.INTEGER, levels=levels)
    )


def _binarized(meaning: Meaning, seen: Look, how: Binarize, name: str) -> Meaning:
    meaning = replace(meaning, notes=())
    if meaning.kind is Kind.BINARY:
        return replace(meaning, notes=(*meaning.notes, "cells were 0 and 1 already"))
    if meaning.kind is Kind.REAL and (seen.minimum < 0 or seen.maximum > 1):
        raise SupportError(
            f"{name} holds real numbers from {seen.minimum:g} to {seen.maximum:g}, but only grey values can be "
            "binarised: whole numbers from 0, "
            "or real numbers between 0 and 1; rescale them, or leave the binarisation out"
        )
    largest = 1.0 if meaning.levels is None else float(meaning.levels - 1)
    if how is Binarize.DYNAMIC:
        return Meaning(
            Kind.BINARY, None, DynamicBinarization(largest), (*meaning.notes, BINARISED[Binarize.DYNAMIC]), largest
        )
    if how is Binarize.THRESHOLD:
        return Meaning(Kind.BINARY, None, Threshold(largest), (*meaning.notes, BINARISED[Binarize.THRESHOLD]), largest)
    return Meaning(Kind.BINARY, None, AsFloat(), (*meaning.notes, BINARISED[Binarize.STATIC]), largest, draw_once=True)


def _dequantized(seen: Look, name: str) -> Meaning:
    if not seen.whole:
        raise SupportError(
            f"{name} holds real numbers already, but only whole numbers can be dequantised; leave the dequantisation "
            "out"
        )
    return Meaning(
        Kind.REAL, None, Dequantization(), ("uniformly dequantised: the bound is one on the discrete log-likelihood",)
    )


def black_and_white_in(arrays: Sequence[np.ndarray], seen: Look) -> bool:
    """Whether the only cells are 0 and 255, as 1-bit images are stored."""
    return (
        arrays[0].dtype == np.uint8
        and seen.two
        and seen.minimum == 0
        and seen.maximum == 255
        and not isinstance(arrays[0], np.memmap)
    )


def _as_zero_and_one(material: Material) -> Material:
    scaled = material.changed(lambda part, number: replace(part, x=part.x // 255))
    return replace(scaled, notes=(*material.notes, TWO_LEVELS))


def _drawn_once(material: Material, largest: float) -> Material:
    """Before rows are set aside, so that the drawn data do not depend on the seed of the split."""
    return material.changed(
        lambda part, number: replace(part, x=binarized_once(_tensor(part.x), largest, STATIC_SEED + number).numpy())
    )


def _maybe(material: Material, part: MaterialPart | None, meaning: Meaning) -> Source | None:
    return None if part is None else _source(material, part, meaning)


def _source(material: Material, part: MaterialPart, meaning: Meaning) -> Source:
    x = _tensor(part.x)
    label = None if part.label is None else torch.from_numpy(np.ascontiguousarray(part.label, dtype=np.int64))
    rows = None if part.rows is None else torch.from_numpy(part.rows)
    return Source(
        material.name,
        x,
        meaning.kind,
        fingerprint(x.numpy(), part.rows),
        meaning.levels,
        label,
        material.label_names,
        meaning.transform,
        (*material.notes, *meaning.notes),
        material.columns,
        largest=meaning.largest,
        rows=rows,
        rules=material.rules,
        keys=part.keys,
    )


MAPPED = (np.uint8, np.int16, np.int32, np.int64, np.float32)  # what a tensor can hold as it lies on the disk


def _tensor(x: np.ndarray) -> torch.Tensor:
    """Bytes stay bytes, other whole numbers become int32, floating point becomes float32; memory-mapped cells stay
    what they are.
    """
    if isinstance(x, np.memmap) and x.dtype in MAPPED:
        return torch.from_numpy(x)
    kind = np.uint8 if x.dtype.kind == "b" or x.dtype == np.uint8 else np.int32 if x.dtype.kind in "ui" else np.float32
    return torch.from_numpy(np.ascontiguousarray(x, dtype=kind))
