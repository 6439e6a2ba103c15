"""Images and arrays of whole numbers to be compressed, and written again."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image

from vael import files
from vael.compression import (
    Contents,
    Decompressed,
    Header,
    Level,
    SafeLevel,
    TiledLevel,
    from_array,
    from_cells,
    from_folder,
    from_pictures,
    pictures_of,
    safe_names,
)
from vael.compression.container import Layout
from vael.compression.levels import make_level
from vael.data import Kind, Source
from vael.data.files.arrays import array_in
from vael.data.files.images import ENDINGS, image_files
from vael.data.pictures.patching import Patching
from vael.data.pictures.tiles import visible_sizes
from vael.domains.coding import Coding, SetAside
from vael.domains.described import DataSpec
from vael.errors import FormatError, SupportError
from vael.evaluation.examples import batch_at
from vael.models import Head, Model
from vael.models.families import ModelPart
from vael.tables.reading import Frame

AT_ONCE = 4096  # examples put through the transform together


@dataclass(frozen=True)
class ElementCoding(Coding):
    """Every element of an array or an image is a symbol; an array comes back as it was, a folder of images by its
    pixels and names, anything else as an array.
    """

    examples: Callable[[DataSpec, str], Source]  # how other data are read in the units of the run
    whole_numbers: ClassVar[bool] = True

    def refuse_densities(self, part: ModelPart) -> None:
        """Errors: `SupportError` for real numbers too."""
        if self.known.kind == Kind.REAL.value and self.known.columns:
            raise SupportError(
                "the run was trained on a table of plain numbers, whose model gives densities and no probabilities to "
                "code with; write its schema (vael data info TABLE --schema FILE.json) and train by it (vael train "
                "TABLE --schema FILE.json): numbers of declared decimals are coded"
            )
        if self.known.kind not in (Kind.BINARY.value, Kind.INTEGER.value):
            raise SupportError(
                f"the run was trained on cells that are {self.known.kind}, so its model gives densities and no "
                "probabilities to code with; train on whole numbers or zeros and ones (without --dequantize)"
            )

    def symbols(self, model: Model) -> int:
        """As the likelihood counts them."""
        counted = [int(getattr(part, "levels", 0)) for part in model.modules() if isinstance(part, Head)]
        return max(counted, default=0) or self.known.levels or (2 if self.known.kind == Kind.BINARY.value else 256)

    def contents(self, model: Model, data: Path | str | Frame | None, aside: SetAside) -> Contents:
        """An array, a folder of images or pictures as they were stored, else the elements as the model has them.

        Errors: `SupportError` for a table.
        """
        if data is None:
            return cells_of(aside()[1])
        if not isinstance(data, Path | str):
            raise SupportError(
                f"a table was given, but the run was trained on {self.known.name}; give an array or images of shape "
                f"{self.known.event}"
            )
        path, event, symbols = Path(data), self.known.event, self.symbols(model)
        if self.known.patching is not None and is_pictures(path):
            return from_pictures(path, self.known.patching, event[0], 255 if symbols == 2 else 1)
        if path.is_file() and path.suffix.lower() == ".npy":
            x = array_in(path)
            factor = factor_of(x, symbols)
            if factor is not None or self.known.binarize is None:
                return from_array(x, str(path), event, factor or 1)
        elif path.is_dir() and image_files(path) and not list(path.glob("data_batch_*.bin")):
            found = from_folder(path, event)
            factor = factor_of(found.array, symbols)
            if factor is not None or self.known.binarize is None:
                return from_folder(path, event, factor or 1)
        return cells_of(self.examples(self.known, str(data)))

    def level(self, name: str, model: Model, layout: Layout, settings: Mapping[str, int] | None = None) -> Level:
        """Errors: `FormatError` for tiles of another size than the model's, or a level that codes whole ones only."""
        inner = make_level(name, model, self.known.event, self.symbols(model), settings)
        if layout.kind != "pictures":
            return inner
        if layout.tile != self.known.event or not isinstance(inner, SafeLevel):
            raise FormatError(
                f"tiles of shape {layout.tile} at the level {name}: the run was trained on {self.known.event}, and "
                "pictures are coded at the level safe; it was not written with this run"
            )
        cut = Patching(height=layout.tile[1], width=layout.tile[2])
        return TiledLevel(inner, [one for size in layout.sizes for one in visible_sizes(size, cut)])

    def holds(self, header: Header) -> bool:
        return header.layout.kind != "table"

    def endings(self, layout: Layout) -> tuple[str, ...]:
        return () if layout.kind in ("images", "pictures") else (".npy",)

    def give_back(self, done: Decompressed, file: Path, target: Path) -> Decompressed:
        if done.layout.kind in ("images", "pictures"):
            write_images(done, file, target)
            return done
        buffer = io.BytesIO()
        np.save(buffer, done.array, allow_pickle=False)
        files.write_bytes(target, buffer.getvalue())
        return done


def is_pictures(path: Path) -> bool:
    """Whether a path is a folder of pictures, or one of them."""
    return bool(image_files(path)) if path.is_dir() else path.suffix.lower() in ENDINGS


def factor_of(x: np.ndarray, symbols: int) -> int | None:
    """What the elements of a model of zeros and ones are to be multiplied by: 1, or 255 for black and white; None
    where they have other values.
    """
    if symbols > 2:
        return 1
    values = np.unique(x)
    return next((factor for factor in (1, 255) if np.isin(values, (0, factor)).all()), None)


def cells_of(source: Source) -> Contents:
    """The elements of a source; what a transform draws at random is drawn once, from seed 0, and kept."""
    if source.kind not in (Kind.BINARY, Kind.INTEGER):
        raise SupportError(
            f"{source.name} holds cells that are {source.kind.value}, but only whole numbers can be coded without loss"
        )
    like, parts = torch.zeros(0), []
    for start in range(0, len(source), AT_ONCE):
        parts.append(
            batch_at(source, range(start, min(start + AT_ONCE, len(source))), 0, like).x.to(torch.int32).numpy()
        )
    return from_cells(source, np.concatenate(parts))


def write_images(done: Decompressed, file: Path, target: Path) -> None:
    """Images as PNG in a folder that was not there, or was empty.

    Errors: `StateError` for another, `FormatError` for names that lead elsewhere.
    """
    names = safe_names(done.layout, str(file))
    with files.new_folder(target) as folder:
        tiles = done.layout.kind == "pictures"
        for name, cells in zip(names, pictures_of(done.array, done.layout) if tiles else done.array, strict=True):
            stream = io.BytesIO()
            Image.fromarray(cells[0] if len(cells) == 1 else cells.transpose(1, 2, 0)).save(stream, "PNG")
            files.write_bytes(folder / name, stream.getvalue(), durable=False)
