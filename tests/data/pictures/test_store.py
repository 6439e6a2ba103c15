"""Pictures beyond what memory may hold lie on the disk, and are the same."""

import numpy as np
import pytest
import torch

from vael.data.pictures.store import PictureStore


@pytest.mark.parametrize("memory", [0, 250, 10**9])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pictures_are_the_same_in_memory_and_on_the_disk(memory, kind):
    store, noise = PictureStore(memory), np.random.default_rng(0)
    given = [noise.integers(0, 255, (3, 5 + n, 7), dtype=np.uint8).astype(kind) for n in range(4)]
    for number, cells in enumerate(given):
        store.add(f"{number}", cells)
    assert (store.file is None) == (memory > 10**6)
    for found, cells in zip(store.found, given, strict=True):
        assert torch.equal(found.cells.int(), torch.from_numpy(cells.astype(np.int32)))
        part = found.region(1, 2, 3)
        assert (part.size, part.left, part.top) == ((found.size[0], 3), 2, 0)
        assert torch.equal(part.cells, found.cells[:, :, 2:5])
