"""Maps that bring columns to one scale: there, back, and their slope, also where numbers end."""

import pytest
import torch

from vael.probability.warp import Warp


def warp(dtype=torch.float64):
    """Two columns by asinh and one by logarithm, none in units of one."""
    return Warp(
        torch.tensor([False, False, True]),
        torch.tensor([3.0, -200.0, 7.0], dtype=dtype),
        torch.tensor([0.5, 40.0, 9.0], dtype=dtype),
        torch.tensor([0.25, -0.125, 1.5], dtype=dtype),
        torch.tensor([2.0, 0.5, 0.75], dtype=dtype),
    )


VALUES = torch.tensor([[3.0, -200.0, 1.0], [2.0, 900.0, 1e-6], [-1e9, 1e12, 1e20]], dtype=torch.float64)


def test_what_comes_back_is_what_was_given():
    torch.testing.assert_close(warp().inverse(warp()(VALUES)), VALUES, rtol=1e-9, atol=1e-9)


def test_the_slope_is_that_of_the_map():
    v = VALUES.clone().requires_grad_()
    slope = torch.autograd.grad(warp()(v).sum(), v)[0]
    torch.testing.assert_close(warp().log_slope(VALUES), slope.log())


@pytest.mark.parametrize("t", [0.3, 59.5, 60.5, 61.5, 1e6])
def test_two_sides_of_a_centre_are_alike_also_where_numbers_end(t):
    """t = asinh((v - centre) / width) is odd about the centre, so what stands at -t lies as far below it as what
    stands at t above it, beyond the ends of what is told apart too; and it is finite in float32.
    """
    law = warp(torch.float32)
    up, down = (law.inverse((torch.full((3,), side * t) - law.shift) / law.scale) for side in (1, -1))
    even = ~law.logarithmic
    torch.testing.assert_close((up - law.centre)[even], (law.centre - down)[even])
    assert up.isfinite().all()
    assert down.isfinite().all()


def test_columns_chosen_and_in_float64_keep_their_maps():
    which = torch.tensor([2, 0])
    assert torch.equal(warp().at(which)(VALUES[:, which]), warp()(VALUES)[:, which])
    double = warp(torch.float32).double()
    assert double(VALUES).dtype == torch.float64
    torch.testing.assert_close(double(VALUES), warp()(VALUES))
