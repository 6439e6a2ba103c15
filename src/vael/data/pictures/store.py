"""Pictures decoded once: in memory as far as they fit there, else in a file that goes with the process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from vael import files
from vael.data.batch import Variates
from vael.data.pictures.patching import Patching

MEMORY = 1 << 30  # bytes of decoded pictures that are kept in memory


@dataclass(frozen=True)
class Picture:
    """A picture, and what it is called in its folder."""

    name: str
    cells: Shaped[Tensor, "channels height width"]
    label: int = -1
    top: int = 0  # where a region of a picture begins in it
    left: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.cells.shape[1], self.cells.shape[2]

    def region(self, axis: int, start: int, length: int) -> Picture:
        """A part of it, of `length` pixels along the height (axis 0) or the width (axis 1); nothing is copied."""
        moved = {"top": self.top + start} if axis == 0 else {"left": self.left + start}
        return replace(self, cells=self.cells.narrow(axis + 1, start, length), **moved)


class PictureStore:
    """Takes pictures one by one; those beyond `memory` bytes, and all before them, lie on the disk."""

    def __init__(self, memory: int = MEMORY) -> None:
        self.memory, self.bytes = memory, 0
        self.found: list[Picture] = []
        self.file: BinaryIO | None = None

    def add(self, name: str, cells: np.ndarray, label: int = -1) -> None:
        """A picture `[channels, height, width]` of whole numbers."""
        kept = np.require(cells, np.uint8 if cells.dtype == np.uint8 else np.int32, ("C", "W"))
        self.bytes += kept.nbytes
        if self.file is None and self.bytes > self.memory:
            self.file = files.scratch()
            self.found = [replace(one, cells=self._stored(self.file, one.cells.numpy())) for one in self.found]
        stored = torch.from_numpy(kept) if self.file is None else self._stored(self.file, kept)
        self.found.append(Picture(name, stored, label))

    def _stored(self, file: BinaryIO, cells: np.ndarray) -> Tensor:
        start = file.seek(0, 2)
        file.write(cells.data)
        file.flush()
        mapped = np.memmap(file, cells.dtype, "c", start, cells.shape)  # nothing is ever written into it
        return torch.from_numpy(mapped)


@dataclass(frozen=True)
class Patches:
    """Patches at random places: example i is of the picture `which[i]`, and its place there follows from the noise."""

    pictures: tuple[Picture, ...]
    which: Int64[Tensor, " examples"]
    patching: Patching
    moves: bool = True  # whether noise takes patches of other places, as in training

    def cut(self, index: Int64[Tensor, " batch"], noise: Variates) -> Shaped[Tensor, "batch channels height width"]:
        """A patch for each of the examples, every place in its picture as likely as every other."""
        height, width = self.patching.size
        variates = noise.uniform((1, len(index), 2), torch.zeros(()))[0].cpu()
        found = []
        for picture, (down, across) in zip(self.which[index.cpu()].tolist(), variates.tolist(), strict=True):
            cells = self.pictures[picture].cells
            rows, columns = cells.shape[1] - height + 1, cells.shape[2] - width + 1
            top, left = min(int(down * rows), rows - 1), min(int(across * columns), columns - 1)
            found.append(cells[:, top : top + height, left : left + width])
        return torch.stack(found)
