"""Tiles cover a picture of any size, each pixel once, and give it back."""

import numpy as np
import pytest

from vael.data.pictures.patching import Patching
from vael.data.pictures.tiles import corners, tiled, tiles_in, untiled, visible, visible_sizes

PATCHING = Patching(height=4, width=6)


@pytest.mark.parametrize("size", [(4, 6), (8, 12), (5, 7), (1, 1), (3, 20), (9, 6), (11, 17)])
def test_every_pixel_is_in_one_tile_and_comes_back(size):
    cells = np.arange(2 * size[0] * size[1]).reshape(2, *size)
    tiles, seen = tiled(cells, PATCHING), visible(visible_sizes(size, PATCHING), PATCHING)
    assert len(tiles) == np.prod(tiles_in(size, PATCHING)) == len(seen)
    assert sorted(tiles.transpose(0, 2, 3, 1)[seen].ravel().tolist()) == list(range(cells.size))
    assert np.array_equal(untiled(tiles, size), cells)
    assert [int(tile[0, 0, 0]) for tile in tiles] == [int(cells[0, top, left]) for top, left in corners(size, PATCHING)]


@pytest.mark.parametrize("size", [(5, 7), (3, 20), (11, 17)])
def test_pixels_outside_follow_from_those_before_them(size):
    """Row by row, a pixel outside is the one to its left, or in rows below the picture the one above."""
    cells = np.random.default_rng(0).integers(0, 256, (1, *size))
    tiles, sizes = tiled(cells, PATCHING), visible_sizes(size, PATCHING)
    for tile, (height, width) in zip(tiles[:, 0], sizes, strict=True):
        assert (tile[:height, width:] == tile[:height, width - 1 : width]).all()
        assert (tile[height:] == tile[height - 1]).all()
