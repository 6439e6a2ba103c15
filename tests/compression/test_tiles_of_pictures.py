"""Pictures of any sizes tile by tile: the same pixels and names come back, and what is outside of a picture costs
nothing.
"""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from vael import models
from vael.compression import SafeLevel, TiledLevel, compress, decompress, from_pictures, pictures_of
from vael.compression.safe import fixed
from vael.data.pictures.patching import Patching
from vael.data.pictures.tiles import visible_sizes
from vael.errors import FormatError, ShapeError
from vael.models.likelihoods.autoregressive import AutoregressiveHead
from vael.networks import seeded
from vael.recipes import dense

PATCHING, EVENT = Patching(height=4, width=6), (3, 4, 6)
SIZES = [(4, 6), (21, 32), (3, 5), (8, 12), (1, 7)]
HEADS = {
    "each cell": lambda: models.DiscretizedLogisticHead(256),
    "coupled": lambda: models.CoupledLogisticMixtureHead(256, 2, channels=3),
    "pixels in turn": lambda: AutoregressiveHead(256, 2, 3, width=8, layers=1),
}


@pytest.fixture
def folder(tmp_path):
    """Noisy pictures of several sizes, in folders and of more than one format."""
    noise = np.random.default_rng(0)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for number, (height, width) in enumerate(SIZES):
        cells = noise.normal(128, 60, (height, width, 3)).clip(0, 255)
        name = f"sub/{number}.png" if number % 2 else f"{number}.bmp"
        Image.fromarray(cells.astype(np.uint8)).save(tmp_path / "in" / name)
    return tmp_path / "in"


def level_of(head, contents):
    with seeded(0):
        model = dense(EVENT, HEADS[head](), latent=3, hidden=(8,))
    with torch.no_grad():
        for weights in model.parameters():  # cells are not brought to unit scale here
            weights.mul_(0.02)
    sizes = [one for size in contents.layout.sizes for one in visible_sizes(size, PATCHING)]
    return TiledLevel(SafeLevel(model, EVENT, 256, batch=24), sizes)


@pytest.mark.parametrize("head", HEADS)
def test_pictures_of_any_sizes_come_back(head, folder):
    contents = from_pictures(folder, PATCHING, 3)
    level = level_of(head, contents)
    done = compress(level, contents, "model")
    assert not done.raw
    back = decompress(done.content, "file", "model", lambda header: level_of(head, contents))
    found = dict(zip(back.layout.names, pictures_of(back.array, back.layout), strict=True))
    assert sorted(found) == ["0.bmp.png", "2.bmp.png", "4.bmp.png", "sub/1.png", "sub/3.png"]
    for name, cells in found.items():
        path = folder / name.removesuffix(".bmp.png") if name.endswith(".bmp.png") else folder / name
        path = path.with_suffix(".bmp") if name.endswith(".bmp.png") else path
        assert np.array_equal(cells.transpose(1, 2, 0), np.asarray(Image.open(path)))
    cells = 3 * sum(height * width for height, width in SIZES)
    assert done.original_bytes == cells
    assert math.isclose(done.gross_bits_per_dim, 8 * len(done.content) / cells)


@pytest.mark.parametrize("head", HEADS)
def test_what_is_visible_is_coded_in_as_many_bits_as_it_is_improbable(head, folder):
    """Within 1 % of -ELBO at the latents used, in which a cell outside of a picture has no part."""
    contents = from_pictures(folder, PATCHING, 3)
    done = compress(level_of(head, contents), contents, "model")
    assert abs(done.net_bits_per_dim / done.elbo_bits_per_dim - 1) < 0.01
    level, x = level_of(head, contents), contents.array.astype(np.int32)
    z = np.zeros((5, level.latents[0]), np.int32)
    z[:, 0] = level._kind(x[:5])
    filled = torch.from_numpy(level._filled(x[:5])).view(5, *EVENT).double()
    law = level.inner.model.decode((torch.zeros(1, 5, 3, dtype=torch.float64),), None)
    whole, seen = law.log_prob(filled)[0].detach(), torch.from_numpy((x[:5] >= 0).reshape(5, *EVENT))
    seen = seen if whole.dim() == 4 else seen[:, 0]
    counted = -(whole * seen).flatten(1).sum(1).numpy()
    with fixed():
        latents = level.inner._excess(level._filled(x[:5]), (z[:, 1:],))
    kinds = -np.log(level.shares / level.shares.sum())[z[:, 0]]
    assert np.allclose(level.ideal(x[:5], (z,)), counted + latents + kinds)


def test_a_header_that_does_not_fit_its_pictures_is_refused(folder):
    contents = from_pictures(folder, PATCHING, 3)
    layout = contents.layout
    for change in ({"sizes": layout.sizes[1:]}, {"tile": (3, 4, 5)}, {"names": layout.names[1:]}, {"dtype": "<i4"}):
        with pytest.raises(ValueError, match=r"each picture|tiles that"):
            type(layout).model_validate(layout.model_dump() | change)


def test_other_pictures_are_refused(folder):
    with pytest.raises(ShapeError, match="channel"):
        from_pictures(folder, PATCHING, 1)
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(folder / "0.bmp.png")
    with pytest.raises(FormatError, match="both"):
        from_pictures(folder, PATCHING, 3)
