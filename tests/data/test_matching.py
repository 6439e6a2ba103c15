"""What a trained model is used on is read as its own data were, whatever the cells alone would suggest."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vael.data import Binarize, Kind, Source, Splits, load
from vael.data.matching import Trained, joined, matching
from vael.data.splitting import STREAM
from vael.errors import ShapeError, SupportError

GREY = Trained((1, 6, 6), Kind.INTEGER, 256)


def cells(examples=20, high=256, seed=0):
    return np.random.default_rng(seed).integers(0, high, (examples, 6, 6), dtype=np.uint8)


def saved(path, x, **more):
    np.savez(path, x=x, **more)
    return str(path)


def test_black_and_white_images_stay_0_and_255_for_a_model_of_grey_values(tmp_path):
    x = (cells() > 128).astype(np.uint8) * 255
    found = matching(saved(tmp_path / "a.npz", x), GREY)
    assert (found.kind, found.levels, set(found.x.unique().tolist())) == (Kind.INTEGER, 256, {0, 255})
    for number, one in enumerate(x[:3]):
        Image.fromarray(one).save(tmp_path / f"{number}.png")
    np.testing.assert_array_equal(matching(str(tmp_path), GREY).x[:, 0].numpy(), x[:3])


def test_black_and_white_images_are_zeros_and_ones_for_a_model_of_such(tmp_path):
    x = (cells() > 128).astype(np.uint8)
    for values in (x, x * 255):
        np.testing.assert_array_equal(
            matching(saved(tmp_path / "a.npz", values), Trained((1, 6, 6), Kind.BINARY)).x[:, 0].numpy(), x
        )
    with pytest.raises(SupportError, match="row 1, cell 0, 0, 0: 2 came"):
        matching(saved(tmp_path / "a.npz", x + 2), Trained((1, 6, 6), Kind.BINARY))


@pytest.mark.parametrize("count", [1, 2])
def test_a_single_image_is_enough(tmp_path, count):
    assert len(matching(saved(tmp_path / "a.npz", cells(count)), GREY)) == count


@pytest.mark.parametrize("x", [cells() / 255, cells().astype(np.uint16) * 100, cells().astype(np.int16) - 300])
def test_cells_on_another_scale_are_refused_with_the_row(tmp_path, x):
    with pytest.raises(
        SupportError,
        match=r"a.npz, row 1, cell 0, 0, \d: .* came, but the model was trained on whole numbers 0 \.\.\. 255",
    ):
        matching(saved(tmp_path / "a.npz", x), GREY)


def test_examples_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ShapeError, match=r"shape \(1, 6, 6\), but the run was trained on \(3, 6, 6\)"):
        matching(saved(tmp_path / "a.npz", cells()), Trained((3, 6, 6), Kind.INTEGER, 256))


@pytest.mark.parametrize("layout", [(20, 3, 2, 2), (20, 2, 2, 3)])
def test_the_model_says_which_axis_is_the_channels(tmp_path, layout):
    x = np.random.default_rng(1).integers(0, 256, layout, dtype=np.uint8)
    found = matching(saved(tmp_path / "a.npz", x), Trained((3, 2, 2), Kind.INTEGER, 256)).x.numpy()
    np.testing.assert_array_equal(found, x if layout[1] == 3 else x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("how", list(Binarize))
def test_grey_values_are_shares_of_the_largest_that_was_trained_on(tmp_path, how):
    """Dim images must not be brightened: P(1) = x / 255 though no cell here is above 63."""
    path = saved(tmp_path / "bright.npz", cells(200))
    own = load(path, binarize=how).train
    dim = np.full((2000, 6, 6), 51, np.uint8)
    trained = Trained((1, 6, 6), own.kind, own.levels, how, largest=own.largest)
    found = matching(saved(tmp_path / "dim.npz", dim), trained)
    generator = torch.Generator().manual_seed(0)

    class Noise:
        def uniform(self, shape, like):
            return torch.rand(tuple(shape), generator=generator)

    x = found.batch(torch.arange(2000), Noise()).x
    assert set(x.unique().tolist()) <= {0.0, 1.0}
    expected = 0.0 if how is Binarize.THRESHOLD else 0.2
    assert float(x.mean()) == pytest.approx(
        expected, abs=0.0075
    )  # 5 standard errors of 72,000 draws: false alarms below 1e-6


def test_the_same_file_comes_back_whole_in_its_order_drawn_as_in_training(tmp_path):
    path = saved(tmp_path / "a.npz", cells(40), y=np.arange(40))
    trained = Trained((1, 6, 6), Kind.BINARY, None, Binarize.STATIC, largest=255.0)
    found, before = matching(path, trained), joined(load(path, binarize=Binarize.STATIC))
    assert torch.equal(found.x.float(), before.x.float())
    assert found.label is not None
    assert found.label.tolist() == list(range(40))


def test_whole_numbers_of_any_sign_are_dequantised(tmp_path):
    trained = Trained((1, 6, 6), Kind.REAL, dequantize=True)
    assert matching(saved(tmp_path / "a.npz", cells().astype(np.int16) - 300), trained).transform.stochastic
    with pytest.raises(SupportError, match="trained on whole numbers"):
        matching(saved(tmp_path / "a.npz", cells() / 255), trained)
    grey = Trained((1, 6, 6), Kind.BINARY, None, Binarize.DYNAMIC, largest=1.0)
    with pytest.raises(SupportError, match="grey values from 0 to 1"):
        matching(saved(tmp_path / "a.npz", cells()), grey)


def test_a_brighter_cell_than_any_level_is_the_brightest_where_that_is_asked_for(tmp_path):
    x = cells(high=100)
    x[3, 1, 2] = 120
    trained = Trained((1, 6, 6), Kind.INTEGER, 100)
    with pytest.raises(SupportError, match="row 4"):
        matching(saved(tmp_path / "a.npz", x), trained)
    found = matching(saved(tmp_path / "a.npz", x), trained, clip=True)
    np.testing.assert_array_equal(found.x[:, 0].numpy(), np.minimum(x, 99))
    assert "above 99" in found.notes[-1]
    assert matching(saved(tmp_path / "a.npz", cells(high=100)), trained, clip=True).notes == ()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shared", [False, True])
def test_splits_are_put_together_again_whether_they_hold_their_cells_or_rows_of_one_array(seed, shared):
    """As rows were set aside from a whole, so they come back, each with its label and its name."""
    x, label = torch.arange(50.0)[:, None] + torch.zeros(50, 3), torch.arange(50)
    whole = Source("x", x, Kind.REAL, "", label=label)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(STREAM))
    parts = [whole.subset(one.sort().values) for one in order.split([5, 5, 40])]
    if not shared:
        parts = [replace(part, x=part.x[part.rows], rows=None) for part in parts]
    back = joined(Splits(train=parts[2], validation=parts[1], test=parts[0]))
    index = torch.arange(50)
    torch.testing.assert_close(back.batch(index).x, x)
    assert torch.equal(back.batch(index).label, label)
    assert back.named.rows.tolist() == list(range(1, 51))
