"""Digits that move."""

import pytest
import torch

from vael.data import load, moving_digits
from vael.data.catalog.synthetic import bounced
from vael.errors import ShapeError


def made(seed=0, **how):
    return moving_digits(
        load("digits"), generator=torch.Generator().manual_seed(seed), **{"examples": 40, "frames": 12, **how}
    )


def test_a_way_is_folded_at_the_edges():
    assert bounced(torch.tensor([0.0, 3.0, 4.0, 5.0, 8.0, 9.0, -1.0]), 4.0).tolist() == [
        0.0,
        3.0,
        4.0,
        3.0,
        0.0,
        1.0,
        1.0,
    ]


def test_a_digit_keeps_its_shape_and_moves_little_from_frame_to_frame():
    x = made().train.x.float()
    assert x.shape == (40, 12, 16, 16)
    mass = x.sum((2, 3))
    assert torch.equal(mass, mass[:, :1].expand_as(mass)), "never cut off"
    cells = torch.arange(16.0)
    centre = torch.stack([(x.sum(3) * cells).sum(2), (x.sum(2) * cells).sum(2)], -1) / mass[..., None]
    moved = (centre[:, 1:] - centre[:, :-1]).abs()
    assert float(moved.max()) <= 2.5  # 1.5 cells and the rounding of two places
    assert float(moved.amax((1, 2)).min()) > 0


def test_equal_seeds_make_equal_sequences_and_splits_have_digits_of_their_own():
    first, second, other = made(), made(), made(1)
    assert torch.equal(first.train.x, second.train.x)
    assert first.train.fingerprint == second.train.fingerprint != other.train.fingerprint
    assert (len(first.validation), len(first.test)) == (4, 4)


@pytest.mark.parametrize("bad", [{"side": 8}, {"examples": 5}, {"frames": 1}])
def test_what_makes_no_sense_is_refused(bad):
    with pytest.raises(ShapeError, match="expected at least 10"):
        made(**bad)
