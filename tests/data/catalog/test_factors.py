"""Discs: where they are and how large is what the factors say."""

import math

import pytest
import torch

from vael.data.catalog.factors import discs
from vael.errors import ShapeError


def test_place_and_size_are_those_of_the_factors():
    made = discs(1000, side=24, generator=torch.Generator().manual_seed(0))
    x = made.splits.test.batch(torch.arange(len(made.splits.test))).x[:, 0]
    area = x.sum((1, 2))
    radius = 24 * (0.1 + 0.12 * made.test[:, 2])
    assert ((area - math.pi * radius**2).abs() <= 2.5 * radius).all()  # cells cut by the edge
    cells = torch.arange(24) + 0.5
    across, down = (x.sum(1) @ cells) / area, (x.sum(2) @ cells) / area
    for found, place in ((across, 0), (down, 1)):
        assert ((found - radius - made.test[:, place] * (24 - 2 * radius)).abs() < 0.5).all()
    assert [len(split) for split in (made.splits.train, made.splits.validation, made.splits.test)] == [800, 100, 100]
    assert made.train.shape == (800, 3)


def test_equal_seeds_make_equal_discs():
    one, two, other = (discs(50, generator=torch.Generator().manual_seed(seed)).splits.train for seed in (1, 1, 2))
    assert torch.equal(one.x, two.x)
    assert one.fingerprint == two.fingerprint != other.fingerprint


def test_too_small_is_refused():
    with pytest.raises(ShapeError, match="at least 10"):
        discs(5, generator=torch.Generator().manual_seed(0))
