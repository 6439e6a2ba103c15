"""Arrays and images read as the data of a trained model were: the same kind, levels and transform, whatever these
cells alone would suggest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from vael.data.blocks import Like, refuse_truths
from vael.data.cells import as_examples, blocks, checked_numbers, fingerprint
from vael.data.files.images import Images
from vael.data.keys import joined_keys
from vael.data.loading import AS_THEY_ARE, BINARISED, STATIC_SEED, read
from vael.data.source import Kind, Source, Splits
from vael.data.splitting import MOST_VALIDATION, SHARE, STREAM
from vael.data.transforms import Binarize, Dequantization, DynamicBinarization, Threshold, binarized_once
from vael.errors import ShapeError, StateError, SupportError

TEST = 2  # the number of the test split among the parts of a data set


@dataclass(frozen=True)
class Trained:
    """What a model was trained on: shape, kind and levels of its cells in model units, and how they were made of
    those that were stored.
    """

    event: tuple[int, ...]
    kind: Kind
    levels: int | None = None
    binarize: Binarize | None = None
    dequantize: bool = False
    largest: float | None = None  # stored value that stands for a probability of 1, where cells were binarised

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to the cells, as `vael.data.load` says it."""
        return () if self.binarize is None or self.largest is None else (BINARISED[self.binarize],)


def matching(data: str, trained: Trained, images: Images = AS_THEY_ARE, *, clip: bool = False) -> Source:
    """The test split of data that have their own, else all examples in their order, in the units of a model.

    With `clip`, cells above the largest level count as the largest one, and a note says so.

    Errors: `ShapeError` for examples of another shape, `SupportError` for cells that the model's data cannot have, with
    the row, and those of `vael.data.load` for files that cannot be read; `StateError` for a table with a schema.
    """
    material = read(data, images)
    if material.schema is not None:
        raise StateError(
            f"{data} is a table with a schema, but the run was trained on arrays or images of shape {trained.event}; "
            "give such data"
        )
    parts = (material.train, *((material.validation,) if material.validation is not None else ()))
    number, parts = (TEST, (material.test,)) if material.test is not None else (0, parts)
    cells = [_cells(part.x, data, trained) for part in parts]
    found = in_units(cells[0] if len(cells) == 1 else np.concatenate(cells), Path(data).name, trained, number, clip)
    known = [part.label for part in parts if part.label is not None]
    label = torch.from_numpy(np.concatenate(known).astype(np.int64)) if len(known) == len(parts) else None
    return replace(
        found,
        fingerprint=fingerprint(found.x.numpy()),
        label=label,
        label_names=material.label_names,
        notes=(*material.notes, *trained.notes, *found.notes),
        keys=joined_keys([part.keys for part in parts]),
    )


def given(x: np.ndarray, name: str, trained: Trained, *, clip: bool = False) -> Source:
    """Examples in memory, `[examples, *event]` as they are stored, in the units of a model.

    Errors: as `matching`.
    """
    found = in_units(_cells(x, name, trained), name, trained, 0, clip)
    return replace(found, notes=(*trained.notes, *found.notes))


def _cells(x: np.ndarray, data: str, trained: Trained) -> np.ndarray:
    """Cells `[examples, *event]` as they were stored. Errors: `ShapeError` for another shape."""
    found = as_examples(checked_numbers(x, data), data, trained.event)
    refuse_truths(found, data, Kind.INTEGER if (trained.largest or 1) > 1 else trained.kind)
    if found.shape[1:] != trained.event:
        raise ShapeError(
            f"{data} has examples of shape {found.shape[1:]}, but the run was trained on {trained.event}; give data of "
            "that shape"
        )
    return found


def in_units(x: np.ndarray, name: str, trained: Trained, number: int, clip: bool) -> Source:
    """Stored cells of the right shape in the units of a model, as part `number` of their data.

    Errors: `SupportError` for cells that the model's data cannot have.
    """
    if trained.dequantize:
        _check(x, name, trained)
        return Like(name, trained.event, trained.kind, transform=Dequantization()).source(x)
    if trained.binarize is None or trained.largest is None:
        return Like(name, trained.event, trained.kind, trained.levels, clip=clip).source(x)
    _check(x, name, trained)
    if trained.binarize is Binarize.STATIC:
        drawn = binarized_once(torch.from_numpy(np.ascontiguousarray(x)), trained.largest, STATIC_SEED + number)
        return Like(name, trained.event, Kind.BINARY).source(drawn.numpy())
    transform = (
        DynamicBinarization(trained.largest) if trained.binarize is Binarize.DYNAMIC else Threshold(trained.largest)
    )
    return Like(name, trained.event, Kind.BINARY, transform=transform).source(x)


def _check(x: np.ndarray, name: str, trained: Trained) -> None:
    """Errors: `SupportError` for cells that the transform of the model's data does not take, with the first of
    their rows.
    """
    largest = trained.largest
    first = 0
    for block in blocks(x):
        with np.errstate(invalid="ignore"):
            fits = np.isfinite(block) if trained.dequantize or largest is None else (block >= 0) & (block <= largest)
            fits = fits & (block == np.floor(block)) if trained.dequantize else fits
        if not fits.all():
            row, *place = np.argwhere(~fits)[0].tolist()
            expected = "whole numbers" if trained.dequantize else f"grey values from 0 to {largest:g}"
            raise SupportError(
                f"{name}, row {first + row + 1}, cell {', '.join(map(str, place))}: {block[row, *place]} came, but the "
                "model was trained on "
                f"{expected}; correct the cell, or leave the row out"
            )
        first += len(block)


def joined(splits: Splits) -> Source:
    """The official test split, or the rows of all splits back in the order in which they were stored."""
    parts = [part for part in (splits.test, splits.validation, splits.train) if part is not None]
    sizes, whole = [len(part) for part in parts], sum(len(part) for part in parts)
    if (
        splits.test is None
        or len(splits.test) != max(1, round(SHARE * whole))
        or len(splits.validation) != min(len(splits.test), MOST_VALIDATION)
    ):
        return splits.test or splits.train
    order = torch.randperm(
        whole, generator=torch.Generator().manual_seed(STREAM)
    )  # how `vael.data.splitting` sets rows aside from seed 0
    rows = torch.cat([chosen.sort().values for chosen in order.split(sizes)])
    back = rows.argsort()
    x = torch.cat([part.stored for part in parts])[back]
    label = None if splits.train.label is None else torch.cat([part.label for part in parts])[back]  # type: ignore[misc]
    keys = joined_keys([part.named for part in parts])
    context = None if splits.train.context is None else torch.cat([part.context for part in parts])[back]  # type: ignore[misc]
    keys = None if keys is None else keys.take(back.numpy())
    return replace(splits.train, x=x, rows=None, label=label, context=context, keys=keys)
