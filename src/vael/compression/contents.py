"""What is compressed: arrays and folders of images as cells of a model, and back to the last byte."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from vael.compression.container import Layout
from vael.compression.level import Symbols
from vael.counting import counted
from vael.data import Source
from vael.data.cells import as_examples
from vael.data.files.images import Images, read_images, sizes
from vael.data.pictures.cutting import pictures_in
from vael.data.pictures.patching import Patching
from vael.data.pictures.store import Picture
from vael.data.pictures.tiles import tiled, tiles_in, untiled, visible, visible_sizes
from vael.errors import FormatError, ShapeError

KEPT = "pixels and names are kept; what else a file says (palette, camera, date) is not"


@dataclass(frozen=True)
class Contents:
    """An array `[examples, ...]` as it is to be given back, and how its cells become those of a model."""

    name: str
    array: np.ndarray
    layout: Layout
    beside: bytes = b""  # of a table: all that is no symbol
    original_bytes: int | None = None  # None: those of the array

    def __len__(self) -> int:
        return len(self.array)


def from_array(x: np.ndarray, name: str, event: tuple[int, ...], factor: int = 1, note: str = "") -> Contents:
    """An array, given back with its type and shape.

    Errors: `ShapeError` for examples of another shape than the model's, `FormatError` for text.
    """
    if x.dtype.kind not in "buif":
        raise FormatError(f"{name} holds cells of type {x.dtype}, but numbers were expected")
    found = as_examples(x, name, event).shape[1:]
    if found != event:
        raise ShapeError(
            f"{name} has examples of shape {found}, but the run was trained on {event}; give data of that shape"
        )
    last = x.ndim == 4 and x.shape[1:] != event
    return Contents(
        name, x, Layout(kind="array", dtype=x.dtype.str, shape=x.shape, factor=factor, channels_last=last, note=note)
    )


def from_folder(folder: Path, event: tuple[int, ...], factor: int = 1) -> Contents:
    """All images of a folder, given back as PNG files with the same pixels under the same names.

    Errors: those of `vael.data.files.images.read_images`; `ShapeError` for images of another size; `FormatError` for
    two that would get one name.
    """
    found = sizes(folder)
    if set(found) - {event[1:]}:
        more = " ..." if len(found) > 3 else ""
        said = ", ".join(f"{height}×{width}" for height, width in sorted(found)[:3]) + more
        raise ShapeError(
            f"{folder} has images of {said}, but the run was trained on {event}, and only images of that shape can be "
            "given back whole; save them so, or train on patches (`vael train --patches`), whose runs code pictures of "
            "any size"
        )
    read = read_images(folder)
    files, x = read.files, read.x
    if x.shape[1:] != event:
        raise ShapeError(
            f"{folder} has images of shape {x.shape[1:]}, but the run was trained on {event}; give images of that shape"
        )
    names = [file.relative_to(folder).as_posix() for file in files]
    written = as_png(folder, names, "images")
    other = sum(name != given for name, given in zip(names, written, strict=True))
    note = "; ".join(
        (
            KEPT,
            *read.notes,
            *((f"{counted(other, 'image')} {'comes' if other == 1 else 'come'} back as PNG",) if other else ()),
        )
    )
    layout = Layout(kind="images", dtype=x.dtype.str, shape=x.shape, factor=factor, names=written, note=note)
    return Contents(str(folder), x, layout)


def as_png(place: Path, names: Sequence[str], what: str) -> tuple[str, ...]:
    """What files are called as PNG. Errors: `FormatError` for two that would get one name."""
    written = tuple(name if name.lower().endswith(".png") else f"{name}.png" for name in names)
    twice = next((name for name, count in Counter(written).items() if count > 1), None)
    if twice is not None:
        raise FormatError(f"{place} has two {what} that would both come back as {twice}; rename one of them")
    return written


def from_pictures(path: Path, patching: Patching, channels: int, factor: int = 1) -> Contents:
    """All pictures of a folder, or one picture, of any sizes, as tiles; given back as PNG files with the same pixels
    under the same names.

    Errors: those of `vael.data.files.images.read_pictures`; `ShapeError` for other channels than `channels`,
    `FormatError` for two that would get one name.
    """
    found = pictures_in(str(path), Images())
    pictures = [one for part in found.parts.values() for one in part]
    other = next((one for one in pictures if one.cells.shape[0] != channels), None)
    if other is not None:
        raise ShapeError(
            f"{path} has pictures of {counted(other.cells.shape[0], 'channel')}, but the run was trained on pictures "
            f"of {channels}; give such pictures"
        )
    written = as_png(path, [one.name if path.is_dir() else path.name for one in pictures], "pictures")
    event = (channels, *patching.size)
    tiles = [marked(one, patching, factor) for one in pictures]
    note = "; ".join((KEPT, *found.notes))
    whole = np.concatenate(tiles)
    layout = Layout(
        kind="pictures",
        dtype="<i2",
        shape=whole.shape,
        factor=factor,
        names=written,
        sizes=tuple(one.size for one in pictures),
        tile=event,
        note=note,
    )
    return Contents(str(path), whole, layout, original_bytes=sum(one.cells.numel() for one in pictures))


def marked(picture: Picture, patching: Patching, factor: int) -> np.ndarray:
    """The tiles of a picture, flat, -1 outside of it."""
    cells = tiled(picture.cells.numpy().astype("<i2") // factor, patching)
    seen = visible(visible_sizes(picture.size, patching), patching)
    return np.where(seen[:, None], cells, -1).astype("<i2").reshape(len(cells), -1)


def pictures_of(array: np.ndarray, layout: Layout) -> Iterator[np.ndarray]:
    """The pictures `[channels, height, width]` that tiles are of, one after another."""
    _, height, width = layout.tile
    first = 0
    for size in layout.sizes:
        count = math.prod(tiles_in(size, Patching(height=height, width=width)))
        tiles = array[first : first + count].reshape(count, *layout.tile)
        yield (untiled(tiles, size) * layout.factor).astype(np.uint8)
        first += count


def from_cells(source: Source, x: np.ndarray) -> Contents:
    """The cells of a source as its transform gave them, as the smallest type of whole numbers that holds them."""
    kind = np.uint8 if x.max(initial=0) < 1 << 8 else np.uint16 if x.max(initial=0) < 1 << 16 else np.int32
    said = "; ".join(("the cells as the model sees them are kept, labels and other columns are not", *source.notes))
    return from_array(x.astype(kind), source.name, source.event, note=said)


def to_cells(block: np.ndarray, layout: Layout, levels: int) -> Symbols:
    """A block as cells 0 ... levels - 1 `[examples, cells]`.

    Errors: `FormatError` where that would lose anything: the block goes raw.
    """
    if layout.kind in ("table", "pictures"):
        return np.ascontiguousarray(block, np.int32)
    with np.errstate(invalid="ignore"):
        cells = np.floor_divide(block.astype(np.float64), layout.factor)
    whole = np.where(np.isfinite(cells), cells, -1)
    if len(block) and not (whole.min() >= 0 and whole.max() < levels):
        raise FormatError(f"cells that are not among the {levels} values that the model knows")
    back = whole.transpose(0, 3, 1, 2) if layout.channels_last else whole
    symbols = np.ascontiguousarray(back.reshape(len(block), -1), np.int32)
    if to_original(symbols, block.shape[1:], layout).tobytes() != np.ascontiguousarray(block).tobytes():
        raise FormatError("cells that are no whole numbers")
    return symbols


def to_original(cells: Symbols, shape: tuple[int, ...], layout: Layout) -> np.ndarray:
    """A block as it was; `shape` is that of one example in the original."""
    if layout.kind == "pictures":
        return np.ascontiguousarray(cells, np.dtype(layout.dtype))
    if layout.channels_last:
        height, width, channels = shape
        cells = cells.reshape(len(cells), channels, height, width).transpose(0, 2, 3, 1)
    scaled = cells.astype(np.int64) * layout.factor
    return np.ascontiguousarray(scaled.reshape(len(cells), *shape)).astype(np.dtype(layout.dtype))


def safe_names(layout: Layout, name: str) -> list[PurePosixPath]:
    """Names of images that stay within the folder they are written to. Errors: `FormatError` for others."""
    paths = [PurePosixPath(given) for given in layout.names]
    for path in paths:
        if (
            path.is_absolute()
            or ".." in path.parts
            or "\\" in str(path)
            or "\0" in str(path)
            or ":" in str(path)
            or not path.parts
        ):
            raise FormatError(
                f"{name} holds an image called {str(path)!r}, which would be written outside of the folder; it is not "
                "to be trusted"
            )
    taken = {str(path).casefold() for path in paths}
    above = {str(folder).casefold() for path in paths for folder in path.parents}
    if len(taken) < len(paths) or taken & above:
        raise FormatError(
            f"{name} holds two images of one name, or one with the name of a folder; it is not to be trusted"
        )
    return paths
