"""All examples of a file in order, a block at a time, checked against what a model was trained on: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from vael.data.cells import as_examples, checked_numbers
from vael.data.source import AsFloat, Kind, Source, Transform
from vael.errors import FormatError, ShapeError, SupportError

ROWS = 2**16
CELLS = 2**22


@dataclass(frozen=True)
class Like:
    """What the examples must be: as the data that a model was trained on."""

    name: str
    event: tuple[int, ...]
    kind: Kind
    levels: int | None = None
    columns: tuple[str, ...] = ()
    gaps: bool = False
    notes: tuple[str, ...] = ()
    transform: Transform = field(default_factory=AsFloat)

    def source(self, x: np.ndarray, first: int = 0) -> Source:
        """Stored cells as a source of this kind; `first` is the number of their first row, for messages.

        Errors: `ShapeError` for another shape of example, `SupportError` for cells that data of this kind do not have, with the row.
        """
        cells = as_examples(checked_numbers(x, self.name), self.name)
        if cells.shape[1:] != self.event:
            raise ShapeError(f"{self.name} has examples of shape {cells.shape[1:]}, but the model takes {self.event}; give data of that shape")
        self._check(cells, first)
        kept = cells if cells.dtype in (np.uint8, np.int32, np.float32) else cells.astype(np.float32)
        return Source(
            self.name, torch.from_numpy(np.ascontiguousarray(kept)), self.kind, "", self.levels, transform=self.transform, notes=self.notes,
            columns=self.columns, gaps=self.gaps,
        )  # fmt: skip

    def _check(self, cells: np.ndarray, first: int) -> None:
        if self.transform.stochastic or not isinstance(self.transform, AsFloat):
            return  # what is stored is not what the likelihood sees
        if self.kind is Kind.REAL:
            fits = np.abs(cells) <= np.finfo(np.float32).max
            fits = fits | np.isnan(cells) if self.gaps else fits
        else:
            top = 1 if self.kind is Kind.BINARY else (self.levels or 1) - 1
            fits = (cells >= 0) & (cells <= top)
            fits = fits if cells.dtype.kind in "bui" else fits & (cells == np.floor(cells))
        if not fits.all():
            place = tuple(int(axis[0]) for axis in np.nonzero(~fits))
            expected = {Kind.REAL: "finite numbers", Kind.BINARY: "0 or 1", Kind.INTEGER: f"whole numbers 0 ... {(self.levels or 1) - 1}"}
            where = self.columns[place[1]] if len(place) == 2 and self.columns else "cell " + ", ".join(map(str, place[1:]))
            raise SupportError(
                f"{self.name}, row {first + place[0] + 1}, {where}: {cells[place]} came, but the model was trained on {expected[self.kind]}; "
                "correct the cell, or leave the row out"
            )


def array_blocks(path: Path, rows: int | None = None) -> Iterator[np.ndarray]:
    """Consecutive examples of an `.npy` file, read as they are needed. Errors: `FormatError` for files that are damaged or hold objects."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise FormatError(f"{path} could not be read as an array ({error}); it is truncated, damaged or holds objects: save it again") from error
    if mapped.ndim == 0 or not len(mapped):
        raise FormatError(f"{path} holds an array of shape {mapped.shape}, but at least one example was expected")
    size = rows or max(1, min(ROWS, CELLS // max(1, mapped[0].size)))
    if not mapped.flags.c_contiguous:
        yield from (np.array(mapped[start : start + size]) for start in range(0, len(mapped), size))
        return
    shape, dtype, offset = mapped.shape, mapped.dtype, mapped.offset
    del mapped  # pages of a mapping count as memory of the process; what is read into one block does not stay
    with open(path, "rb") as file:
        file.seek(offset)
        for start in range(0, shape[0], size):
            count = min(size, shape[0] - start)
            yield np.fromfile(file, dtype, count * int(np.prod(shape[1:]))).reshape(count, *shape[1:])
