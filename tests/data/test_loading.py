"""From names and paths to splits: kinds, shapes, seeds, binarisation, and the real files where they are at hand."""

import numpy as np
import pytest
import torch

from vael.data import Binarize, Images, Kind, catalogue, describe, load, statistics
from vael.data.transforms import DynamicBinarization
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.probability import PerExample
from vael.probability.sampling import Stream


def grey(examples=40, shape=(6, 5), seed=0, high=256):
    return np.random.default_rng(seed).integers(0, high, (examples, *shape), dtype=np.uint8)


def saved(folder, x, name="x.npy"):
    np.save(folder / name, x)
    return folder / name


def test_digits_come_with_the_install():
    splits = load("digits")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [1437, 180, 180]
    assert (splits.train.kind, splits.train.levels, splits.train.event) == (Kind.INTEGER, 17, (1, 8, 8))
    batch = splits.train.batch(torch.arange(3))
    assert batch.x.dtype == torch.float32
    assert batch.x.max() <= 16
    assert batch.label.dtype == torch.int64


def test_splits_are_disjoint_whole_and_a_function_of_the_seed(tmp_path, random_state_untouched):
    path = saved(tmp_path, np.arange(200, dtype=np.float64)[:, None] + 0.5)
    first, again, other = load(path, seed=1), load(path, seed=1), load(path, seed=2)
    cells = [set(part.x.flatten().tolist()) for part in (first.train, first.validation, first.test)]
    assert sum(map(len, cells)) == 200 == len(set.union(*cells))
    assert first.train.fingerprint == again.train.fingerprint != other.train.fingerprint
    assert [len(c) for c in cells] == [160, 20, 20]
    assert len(load(path, validation=0.25, test=7).validation) == 50
    assert load(path, test=0).test is None


@pytest.mark.parametrize(
    ("shape", "event"),
    [
        ((9, 4), (4,)),
        ((9, 6, 5), (1, 6, 5)),
        ((9, 6, 5, 3), (3, 6, 5)),
        ((9, 3, 6, 5), (3, 6, 5)),
        ((9, 1, 8, 8), (1, 8, 8)),
        ((9, 2, 6, 7), (2, 6, 7)),
    ],
)
def test_axes_are_recognised(tmp_path, shape, event):
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    source = load(saved(tmp_path, x)).train
    assert source.event == event


def test_channels_last_are_moved_not_reshaped(tmp_path):
    x = grey(9, (6, 5, 3))
    splits = load(saved(tmp_path, x), validation=1, test=0)
    rows = {row.tobytes() for row in x.transpose(0, 3, 1, 2)}
    assert all(row.numpy().tobytes() in rows for row in splits.train.x)


@pytest.mark.parametrize("shape", [(9,), (9, 3, 5, 3), (9, 2, 2, 2, 2), (0, 4), (9, 0)])
def test_shapes_that_are_no_examples_are_refused(tmp_path, shape):
    with pytest.raises(ShapeError, match="shape"):
        load(saved(tmp_path, np.zeros(shape)))


@pytest.mark.parametrize(
    ("x", "kind", "levels"),
    [
        (grey(), Kind.INTEGER, 256),
        (grey(high=17), Kind.INTEGER, 17),
        (grey(high=2), Kind.BINARY, None),
        (grey(high=2) * np.uint8(255), Kind.BINARY, None),
        (grey(high=2).astype(bool), Kind.BINARY, None),
        (grey(high=2).astype(np.float64), Kind.BINARY, None),
        (grey().astype(np.uint16) * 4, Kind.INTEGER, 1024),
        (grey().astype(np.uint16) * 4 + 3073, Kind.INTEGER, 4096),
        (grey(high=255).astype(np.int64), Kind.INTEGER, 256),
        (grey(high=100).astype(np.uint16), Kind.INTEGER, 100),
        (grey().astype(">i4"), Kind.INTEGER, 256),
        (grey() / 255, Kind.REAL, None),
        ((grey() / 255).astype(np.float16), Kind.REAL, None),
    ],
)
def test_kinds_follow_the_cells(tmp_path, x, kind, levels):
    source = load(saved(tmp_path, x)).train
    assert (source.kind, source.levels) == (kind, levels)
    assert source.batch(torch.arange(2)).x.dtype == torch.float32


@pytest.mark.parametrize("levels", [256, 4096])
@pytest.mark.parametrize("high", [2, 17, 200])
def test_as_many_levels_as_were_asked_for(tmp_path, high, levels):
    source = load(saved(tmp_path, grey(high=high)), images=Images(levels=levels)).train
    assert (source.kind, source.levels) == (Kind.INTEGER, levels)
    assert int(source.x.max()) == high - 1


@pytest.mark.parametrize(
    ("x", "levels"), [(grey(high=256), 255), (grey(), 1), (grey(), 2**16 + 1), (grey() / 255, 256)]
)
def test_levels_that_the_cells_do_not_have_are_refused(tmp_path, x, levels):
    with pytest.raises(SupportError, match=r"levels"):
        load(saved(tmp_path, x), images=Images(levels=levels))


def test_whole_numbers_out_of_range_are_refused_unless_dequantised(tmp_path):
    path = saved(tmp_path, grey().astype(np.int32) - 3)
    with pytest.raises(SupportError, match="dequantize"):
        load(path)
    source = load(path, dequantize=True).train
    assert source.kind is Kind.REAL
    assert "discrete log-likelihood" in source.notes[0]
    x, stored = source.batch(torch.arange(10), PerExample(0, torch.arange(10))).x, source.x[:10]
    assert torch.equal(x.floor(), stored.float())
    assert (x != stored).any()


def test_dequantisation_of_real_numbers_or_with_binarisation_is_refused(tmp_path):
    path = saved(tmp_path, grey() / 255)
    with pytest.raises(SupportError, match="dequantised"):
        load(path, dequantize=True)
    with pytest.raises(StateError, match="at once"):
        load(path, dequantize=True, binarize=Binarize.DYNAMIC)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_cells_that_are_not_finite_are_refused(tmp_path, value):
    x = np.ones((20, 3))
    x[4, 1] = value
    with pytest.raises(SupportError, match="not finite"):
        load(saved(tmp_path, x))


def test_numbers_beyond_float32_are_refused(tmp_path):
    with pytest.raises(SupportError, match="float32"):
        load(saved(tmp_path, np.full((9, 2), 1e300)))


@pytest.mark.parametrize("examples", [1, 2])
def test_too_few_examples_are_refused(tmp_path, examples):
    with pytest.raises(StateError, match="more data"):
        load(saved(tmp_path, np.random.default_rng(0).normal(size=(examples, 3))))


@pytest.mark.parametrize(
    "sizes",
    [{"validation": 0}, {"validation": -1}, {"validation": 2.5}, {"validation": 39, "test": 1}, {"test": 0.999}],
)
def test_sizes_that_leave_nothing_are_refused(tmp_path, sizes):
    with pytest.raises(StateError):
        load(saved(tmp_path, grey()), **sizes)


# binarisation


def binarised(path, how, **given):
    return load(path, binarize=how, **given).train


def test_threshold_is_above_half(tmp_path):
    path = saved(tmp_path, np.arange(240, dtype=np.uint8).reshape(40, 6))
    source = binarised(path, Binarize.THRESHOLD)
    index = torch.arange(len(source))
    assert torch.equal(source.batch(index).x, (source.x.float() / 255 > 0.5).float())
    assert source.kind is Kind.BINARY
    assert "binarised" in source.notes[0]


def test_static_binarisation_is_one_data_set_whatever_the_seed(tmp_path):
    path = saved(tmp_path, grey())
    first, second = load(path, binarize=Binarize.STATIC, seed=1), load(path, binarize=Binarize.STATIC, seed=2)

    def rows(splits):
        return sorted(
            row.numpy().tobytes() for part in (splits.train, splits.validation, splits.test) for row in part.x
        )

    assert rows(first) == rows(second)
    assert set(first.train.x.unique().tolist()) == {0, 1}
    assert first.train.kind is Kind.BINARY


@pytest.mark.parametrize(
    "noise", [lambda index: Stream(torch.Generator().manual_seed(3)), lambda index: PerExample(3, index)]
)
@pytest.mark.parametrize("largest", [255, 16])
def test_dynamic_binarisation_has_the_mean_of_the_grey_value(noise, largest):
    """4,000 draws of each grey value; false alarm below 1e-7 a value at 5.5 standard errors, so below 3e-5 in all."""
    values = torch.arange(largest + 1, dtype=torch.uint8)
    x = values.expand(4000, -1).contiguous()
    drawn = DynamicBinarization(largest)(x, noise(torch.arange(4000)))
    p = values.double() / largest
    error = (drawn.double().mean(0) - p).abs()
    assert (error <= 5.5 * (p * (1 - p) / 4000).sqrt()).all()
    assert drawn[:, 0].sum() == 0
    assert drawn[:, -1].min() == 1
    assert set(drawn.unique().tolist()) == {0.0, 1.0}


def test_draws_of_an_evaluation_do_not_depend_on_the_batch(tmp_path):
    source = binarised(saved(tmp_path, grey()), Binarize.DYNAMIC)
    index = torch.arange(12)
    whole = source.batch(index, PerExample(5, index)).x
    parts = [source.batch(some, PerExample(5, some)).x for some in index.split(5)]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, source.batch(index, PerExample(6, index)).x)


def test_dynamic_binarisation_needs_noise(tmp_path):
    with pytest.raises(StateError, match="no noise"):
        binarised(saved(tmp_path, grey()), Binarize.DYNAMIC).batch(torch.arange(2))


def test_real_numbers_beyond_one_are_not_binarised(tmp_path):
    with pytest.raises(SupportError, match="rescale"):
        binarised(saved(tmp_path, grey() / 100), Binarize.STATIC)
    assert binarised(saved(tmp_path, grey() / 255), Binarize.DYNAMIC).kind is Kind.BINARY


def test_random_bytes_are_uniform_and_repeatable():
    """Chi-squared over 255 values: 254 degrees of freedom, false alarm about 1e-6 above 370."""

    def draws():
        return Stream(torch.Generator().manual_seed(1)).bytes_below(255, (1_000_003,), torch.device("cpu"))

    counts = torch.bincount(draws().long(), minlength=256).double()
    assert counts[255] == 0
    expected = 1_000_003 / 255
    assert ((counts[:255] - expected) ** 2 / expected).sum() < 370
    assert torch.equal(draws(), draws())


# fingerprints, statistics, description


def test_fingerprints_follow_cells_and_not_files(tmp_path):
    x = grey()
    first = load(saved(tmp_path, x)).train.fingerprint
    np.savez_compressed(tmp_path / "y.npz", x=x)
    assert load(tmp_path / "y.npz").train.fingerprint == first
    changed = x.copy()
    changed[:, 0, 0] ^= 1
    assert load(saved(tmp_path, changed, "z.npy")).train.fingerprint != first


def test_statistics_are_those_of_the_cells(tmp_path):
    x = np.random.default_rng(0).normal(1e4, 2.0, (500, 3))
    x[:, 2] = 7.0
    source = load(saved(tmp_path, x)).train
    found, cells = statistics(source), source.x.double()
    torch.testing.assert_close(found.mean, cells.mean(0).float())
    torch.testing.assert_close(found.std, cells.std(0, correction=0).float())
    assert found.std[2] == 0
    assert (found.minimum, found.maximum) == (float(cells.min()), float(cells.max()))
    assert statistics(source, limit=50).examples == 50


def test_statistics_join_blocks(tmp_path, monkeypatch):
    source = load(saved(tmp_path, grey())).train
    whole = statistics(source)
    monkeypatch.setattr("vael.data.summary.CELLS_AT_ONCE", 70)
    parts = statistics(source)
    torch.testing.assert_close(parts.mean, whole.mean)
    torch.testing.assert_close(parts.std, whole.std)


def test_description_says_what_is_there(tmp_path):
    said = describe(load(saved(tmp_path, grey()), binarize=Binarize.DYNAMIC))
    assert said.examples == (("train", 32), ("validation", 4), ("test", 4))
    assert (said.transform, said.notes) == ("DynamicBinarization", ("dynamically binarised",))
    assert len(dict(said.fingerprints)["test"]) == 64
    assert {entry.name for entry in catalogue()} >= {
        "digits",
        "mnist",
        "fashion-mnist",
        "cifar10",
        "binarized-mnist",
        "omniglot",
        "frey-faces",
    }


# names


@pytest.mark.parametrize(
    ("wrong", "meant"), [("mnits", "mnist"), ("cifar", "cifar10"), ("fashion_mnst", "fashion-mnist")]
)
def test_the_nearest_name_is_suggested(wrong, meant):
    with pytest.raises(FormatError, match=f"did you mean {meant}"):
        load(wrong)


def test_a_missing_path_is_said_to_be_missing(tmp_path):
    with pytest.raises(FormatError, match="neither the name"):
        load(tmp_path / "nothing.npy")


# memory-mapped arrays


def test_large_arrays_stay_on_disk_and_give_the_same_batches(tmp_path, monkeypatch):
    path = saved(tmp_path, grey(200, (6, 5, 3)))
    small = load(path)
    monkeypatch.setattr("vael.data.files.arrays.LARGE", 1)
    large = load(path)
    assert large.train.rows is not None
    assert len(large.train) == len(small.train) == 160
    index = torch.tensor([5, 0, 159])
    assert torch.equal(large.train.batch(index).x, small.train.batch(index).x)
    assert large.train.fingerprint == small.train.fingerprint
    assert torch.equal(statistics(large.test).mean, statistics(small.test).mean)


# real files


def test_mnist(vael_data):
    vael_data("mnist")
    splits = load("MNIST", binarize=Binarize.DYNAMIC)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [55_000, 5_000, 10_000]
    counts = torch.bincount(splits.train.label) + torch.bincount(splits.validation.label)
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert abs(float(splits.test.x.double().mean()) / 255 - 0.13251) < 1e-5
    index = torch.arange(500)
    assert (
        abs(float(splits.test.batch(index, PerExample(0, index)).x.mean() - splits.test.x[:500].float().mean() / 255))
        < 0.01
    )


def test_binarized_mnist(vael_data):
    vael_data("binarized_mnist")
    splits = load("binarized-mnist")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [50_000, 10_000, 10_000]
    assert (splits.train.kind, splits.train.event) == (Kind.BINARY, (1, 28, 28))
    assert abs(float(splits.train.x.double().mean()) - 0.13056) < 1e-5


def test_frey_faces(vael_data):
    vael_data("frey_faces")
    splits = load("frey_faces")
    assert splits.train.event == (1, 28, 20)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 1965
    with pytest.raises(StateError, match="smaller shares"):
        load("frey-faces", validation=1965)


def test_images_is_the_record_of_how_folders_are_read():
    assert Images().size is None


def test_a_subset_is_those_rows_with_a_fingerprint_of_its_own():
    digits = load("digits").train
    chosen = torch.tensor([5, 3, 900])
    part = digits.subset(chosen)
    assert len(part) == 3
    assert torch.equal(part.batch(torch.tensor([1, 2])).x, digits.batch(torch.tensor([3, 900])).x)
    assert torch.equal(part.batch(torch.tensor([1, 2])).label, digits.batch(torch.tensor([3, 900])).label)
    assert torch.equal(part.subset(torch.tensor([2])).batch(torch.tensor([0])).x, digits.batch(torch.tensor([900])).x)
    assert len({digits.fingerprint, part.fingerprint, digits.subset(torch.arange(3)).fingerprint}) == 3
    for wrong in ([-1], [len(digits)], []):
        with pytest.raises(ShapeError, match="examples"):
            digits.subset(torch.tensor(wrong, dtype=torch.int64))


def test_what_is_changed_in_the_digits_is_not_there_the_next_time():
    first = load("digits")
    first.train.x.zero_()
    first.train.label.zero_()
    again = load("digits")
    assert again.train.x.any()
    assert again.train.label.unique().tolist() == list(range(10))
    assert again.train.fingerprint == first.train.fingerprint
