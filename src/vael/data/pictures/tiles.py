"""A picture as tiles of one size that cover it, each pixel in one of them, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Shaped

from vael.data.pictures.patching import Patching


def tiles_in(size: Sequence[int], patching: Patching) -> tuple[int, int]:
    """How many tiles cover a picture, down and across."""
    return -(-size[0] // patching.height), -(-size[1] // patching.width)


def corners(size: Sequence[int], patching: Patching) -> list[tuple[int, int]]:
    """Top and left of the tiles, row by row."""
    down, across = tiles_in(size, patching)
    return [(row * patching.height, column * patching.width) for row in range(down) for column in range(across)]


def visible_sizes(size: Sequence[int], patching: Patching) -> list[tuple[int, int]]:
    """Height and width of what of each tile is in the picture: all of it but at the lower and the right edge."""
    return [(min(patching.height, size[0] - t), min(patching.width, size[1] - s)) for t, s in corners(size, patching)]


def visible(sizes: Sequence[tuple[int, int]], patching: Patching) -> Bool[np.ndarray, "tiles height width"]:
    """Which pixels of tiles are in their picture, from what of each is."""
    rows, columns = np.arange(patching.height)[:, None], np.arange(patching.width)
    return np.stack([(rows < height) & (columns < width) for height, width in sizes])


def tiled(
    cells: Shaped[np.ndarray, "channels height width"], patching: Patching
) -> Shaped[np.ndarray, "tiles channels rows columns"]:
    """The tiles of a picture; what lies outside of it repeats its last pixel in the row, then its last row, so that
    reading a tile row by row those pixels follow from the ones before them.
    """
    down, across = tiles_in(cells.shape[1:], patching)
    height, width = patching.size
    margins = ((0, 0), (0, down * height - cells.shape[1]), (0, across * width - cells.shape[2]))
    whole = np.pad(cells, margins, mode="edge").reshape(len(cells), down, height, across, width)
    return np.ascontiguousarray(whole.transpose(1, 3, 0, 2, 4).reshape(-1, len(cells), height, width))


def untiled(
    tiles: Shaped[np.ndarray, "tiles channels rows columns"], size: Sequence[int]
) -> Shaped[np.ndarray, "channels height width"]:
    """The picture of such a size that tiles cover."""
    _, channels, height, width = tiles.shape
    down, across = -(-size[0] // height), -(-size[1] // width)
    whole = tiles.reshape(down, across, channels, height, width).transpose(2, 0, 3, 1, 4)
    return whole.reshape(channels, down * height, across * width)[:, : size[0], : size[1]]
