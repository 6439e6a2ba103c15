"""Looking at cells: which of their axes is which, what kind they are, and their fingerprint; a block at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vael.data.source import Kind
from vael.errors import ShapeError, SupportError

BLOCK = 2**22  # cells looked at in one go
MOST_LEVELS = 2**16
DEPTHS = (2**8, 2**10, 2**12, 2**14, MOST_LEVELS)  # levels that cameras and scanners give a pixel
FEW = 2**7  # levels up to which the cells are taken for a scale of their own (17 inks, 5 classes), not for a camera's


@dataclass(frozen=True)
class Look:
    """What the cells of all parts of a data set have in common."""

    minimum: float
    maximum: float
    whole: bool  # every cell is a whole number
    two: bool  # no cell lies strictly between minimum and maximum


def as_examples(x: np.ndarray, what: str, event: tuple[int, ...] | None = None) -> np.ndarray:
    """The same cells as `[examples, features]` or `[examples, channels, height, width]`.

    Two axes are a table; three are grey images; of four, the shorter one of the second and the last is the channels,
    unless `event` (channels, height, width) is known and one of both fits. Errors: `ShapeError` for other numbers of
    axes, for axes of no length, and where second and last are equally long.
    """
    if x.ndim < 2 or x.ndim > 4 or 0 in x.shape:
        raise ShapeError(
            f"{what} has shape {x.shape}, but [examples, features], [examples, height, width] or [examples, height, "
            "width, channels] "
            "(channels may stand second) was expected, with at least one of each; reshape it"
        )
    if x.ndim < 4:
        return x if x.ndim == 2 else x[:, None]
    moved = x.transpose(0, 3, 1, 2)
    if event in (x.shape[1:], moved.shape[1:]):
        return x if x.shape[1:] == event else moved
    if x.shape[1] == x.shape[3] > 1:
        raise ShapeError(
            f"{what} has shape {x.shape}: the second and the last axis are equally long, so which one is the channels "
            "cannot be told; "
            "give grey images as [examples, height, width], or pad the images by a row"
        )
    return x if x.shape[1] <= x.shape[3] else moved


def blocks(x: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive rows, a few million cells at a time."""
    rows = max(1, BLOCK // max(1, x[:1].size))
    for start in range(0, len(x), rows):
        yield x[start : start + rows]


def checked_numbers(x: np.ndarray, what: str) -> np.ndarray:
    """`x` itself, if a tensor can hold it. Errors: `SupportError` for objects, text, dates and complex numbers."""
    if x.dtype.kind not in "buif":
        raise SupportError(
            f"{what} holds cells of type {x.dtype}, but numbers were expected; turn each column into numbers "
            "(categories into codes) and save again"
        )
    return x


def look(parts: Sequence[np.ndarray], what: str) -> Look:
    """One pass over all cells. Errors: `SupportError` for cells that are not finite."""
    found = [_look(block, what) for x in parts for block in blocks(x)]
    minimum, maximum = min(part.minimum for part in found), max(part.maximum for part in found)
    ends = {minimum, maximum}
    two = all(part.two and {part.minimum, part.maximum} <= ends for part in found)
    return Look(minimum, maximum, all(part.whole for part in found), two)


def _look(block: np.ndarray, what: str) -> Look:
    minimum, maximum = float(block.min()), float(block.max())
    if not (np.isfinite(minimum) and np.isfinite(maximum)):
        bad = int(np.count_nonzero(~np.isfinite(block)))
        raise SupportError(
            f"{what} holds {bad:,} cells that are not finite (NaN or infinite) in one block of {block.size:,}, but "
            "every cell must be a number, "
            "since no likelihood here takes a mask; fill them in, or drop those rows"
        )
    whole = block.dtype.kind in "bui" or bool((block == np.floor(block)).all())
    return Look(minimum, maximum, whole, bool(((block == minimum) | (block == maximum)).all()))


def black_and_white(x: np.ndarray) -> bool:
    """Whether bytes are 0 and 255 and nothing else, as 1-bit images are stored; 0 alone is 0."""
    return (
        x.dtype == np.uint8
        and x.size > 0
        and int(x.max()) == 255
        and all(bool(((block == 0) | (block == 255)).all()) for block in blocks(x))
    )


def steps_of(x: np.ndarray, seen: Look) -> str:
    """What numbers stored as floating point are steps of, where they are (grey values from a file): "1/255",
    "1/127.5" or "1"; else nothing.
    """
    if x.dtype.kind != "f":
        return ""
    cells = next(blocks(x)).astype(np.float64)
    if x.ndim > 2 and seen.whole:
        return "1"
    for low, scale, name in ((0.0, 255.0, "1/255"), (-1.0, 127.5, "1/127.5")):
        if low <= seen.minimum and seen.maximum <= 1:
            steps = (cells - low) * scale
            if (np.abs(steps - np.round(steps)) <= max(1e-4, scale * float(np.finfo(x.dtype).eps))).all():
                return name
    return ""


def kind_of(x: np.ndarray, seen: Look, what: str) -> tuple[Kind, int | None]:
    """The kind of the cells, and their levels if they are integers.

    Only 0 and 1: binary. Stored as whole numbers 0 ... 65,535: integers, with the levels of `levels_of`. Stored as
    floating point: real. Errors: `SupportError` for stored whole numbers outside of that range.
    """
    if seen.whole and seen.minimum >= 0 and seen.maximum <= 1:
        return Kind.BINARY, None
    if max(-seen.minimum, seen.maximum) > float(np.finfo(np.float32).max):
        raise SupportError(f"{what} holds numbers beyond 3e38, which float32 cannot hold; give them in another unit")
    if x.dtype.kind == "f":
        return Kind.REAL, None
    if seen.minimum < 0 or seen.maximum >= MOST_LEVELS:
        raise SupportError(
            f"{what} holds whole numbers from {seen.minimum:.0f} to {seen.maximum:.0f}, but integer likelihoods take 0 "
            f"to {MOST_LEVELS - 1}; "
            "shift them to begin at 0, or load them with dequantisation (--dequantize), for a density"
        )
    return Kind.INTEGER, levels_of(x, int(seen.maximum))


def levels_of(x: np.ndarray, largest: int) -> int:
    """How many levels the cells have: as many as the largest asks for, of images above 128 those of the least bit depth
    that holds it.

    A picture that comes later may be brighter than any of the training data: 4,093 is the brightest pixel of 12 bits,
    not of 4,094 levels.
    """
    image = x.ndim > 2 or x.dtype == np.uint8
    return next(depth for depth in DEPTHS if largest < depth) if image and largest >= FEW else largest + 1


def fingerprint(x: np.ndarray, rows: np.ndarray | None = None) -> str:
    """sha256 of type, shape and cells (of some rows), in order: equal for equal data wherever they were stored."""
    count = len(x) if rows is None else len(rows)
    digest = hashlib.sha256(f"{x.dtype.name} {(count, *x.shape[1:])}".encode())
    for block in blocks(x) if rows is None else (x[some] for some in blocks_of_rows(x, rows)):
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()


def blocks_of_rows(x: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """`rows` in groups that hold a few million cells of `x` each."""
    size = max(1, BLOCK // max(1, x[:1].size))
    yield from (rows[start : start + size] for start in range(0, len(rows), size))
