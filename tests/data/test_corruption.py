"""Corruptions: right in law, the same for an example whatever its batch, refused where they make no sense."""

import math

import pytest
import torch
from scipy import stats

from vael.data import AsFloat, GaussianNoise, Kind, Masking, SaltAndPepper, Source, Splits, unit_interval
from vael.errors import SupportError
from vael.probability import PerExample, Stream

EACH = pytest.mark.parametrize(
    "corruption", [Masking(0.3), GaussianNoise(0.5), SaltAndPepper(0.4)], ids=lambda c: type(c).__name__
)
CELLS = (200, 1, 10, 10)
ALARM = 1e-6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def middling():
    """Cells away from 0 and 1."""
    return 0.2 + 0.5 * torch.rand(CELLS, generator=generator(7))


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_masking_damages_the_share_that_it_says(probability):
    """Binomial test, false-alarm rate 1e-6 for each of three."""
    x = middling()
    damaged = Masking(probability)(x, Stream(generator()))[0]
    masked = damaged == 0
    assert stats.binomtest(int(masked.sum()), x.numel(), probability).pvalue > ALARM
    assert torch.equal(damaged[~masked], x[~masked])


@pytest.mark.parametrize("probability", [0.1, 0.6])
def test_salt_and_pepper_are_as_frequent_as_each_other(probability):
    """Two binomial tests each, false-alarm rate 1e-6."""
    x = middling()
    damaged = SaltAndPepper(probability)(x, Stream(generator()))[0]
    for value in (0.0, 1.0):
        assert stats.binomtest(int((damaged == value).sum()), x.numel(), probability / 2).pvalue > ALARM
    kept = (damaged != 0) & (damaged != 1)
    assert torch.equal(damaged[kept], x[kept])


def test_gaussian_noise_is_gaussian_of_the_given_size():
    """Kolmogorov-Smirnov, false-alarm rate 1e-6."""
    x = middling().double()
    noise = GaussianNoise(0.3)(x, Stream(generator()))[0] - x
    assert stats.kstest(noise.flatten().numpy(), stats.norm(0, 0.3).cdf).pvalue > ALARM


@EACH
def test_an_example_is_damaged_the_same_way_in_any_batch(corruption):
    x, index = middling(), torch.arange(len(middling()))
    whole = corruption(x, PerExample(3, index))[0]
    parts = [corruption(x[rows], PerExample(3, rows))[0] for rows in index.split(37)]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, corruption(x, PerExample(4, index))[0])


@EACH
def test_copies_differ_and_have_the_shape_and_type_of_the_data(corruption):
    x = middling().double()
    damaged = corruption(x, PerExample(0, torch.arange(len(x))), 3)
    assert damaged.shape == (3, *x.shape)
    assert damaged.dtype == torch.float64
    assert not torch.equal(damaged[0], damaged[1])


@pytest.mark.parametrize("corruption", [Masking(0.0), GaussianNoise(0.0), SaltAndPepper(0.0)])
def test_no_damage_leaves_everything(corruption):
    x = middling()
    assert torch.equal(corruption(x, Stream(generator()))[0], x)


@pytest.mark.parametrize("corruption", [Masking(1.0), SaltAndPepper(1.0)])
def test_full_damage_leaves_nothing(corruption):
    damaged = corruption(middling(), Stream(generator()))
    assert bool(((damaged == 0) | (damaged == 1)).all())


@EACH
def test_cells_of_an_integer_type_are_refused(corruption):
    with pytest.raises(SupportError, match="uint8 were to be corrupted"):
        corruption(torch.zeros(2, 3, dtype=torch.uint8), Stream(generator()))


@pytest.mark.parametrize("make", [lambda p: Masking(p), lambda p: SaltAndPepper(p)])
@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused(make, probability):
    with pytest.raises(SupportError, match="expected a number from 0 to 1"):
        make(probability)


@pytest.mark.parametrize("sigma", [-0.1, math.inf, math.nan])
def test_a_sigma_that_is_none_is_refused(sigma):
    with pytest.raises(SupportError, match="σ"):
        GaussianNoise(sigma)


def test_salt_below_pepper_and_salt_of_another_range_are_refused():
    with pytest.raises(SupportError, match="lower one first"):
        SaltAndPepper(0.5, low=1, high=1)
    grey = Source("grey", torch.zeros(4, 1, 2, 2, dtype=torch.uint8), Kind.INTEGER, "f", levels=256)
    with pytest.raises(SupportError, match="high=255"):
        SaltAndPepper(0.5).check(grey)
    SaltAndPepper(0.5, high=255).check(grey)


def test_grey_values_come_into_the_unit_interval():
    grey = Source("grey", torch.tensor([[0], [51], [255]], dtype=torch.uint8), Kind.INTEGER, "f", levels=256)
    splits = unit_interval(Splits(grey, grey, None))
    assert splits.test is None
    assert splits.train.kind is Kind.REAL
    torch.testing.assert_close(splits.train.batch(torch.arange(3)).x, torch.tensor([[0.0], [0.2], [1.0]]))
    with pytest.raises(SupportError, match="made of integers"):
        unit_interval(Splits(Source("real", torch.zeros(2, 1), Kind.REAL, "f", transform=AsFloat()), grey, None))
