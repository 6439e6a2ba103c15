"""Integrals over grids: the lecture's worked numbers, orders of convergence, log space, bounded memory, refusals."""

import math

import pytest
import torch
from scipy import integrate as reference

from vael.errors import ShapeError, SupportError
from vael.probability import (
    Axis,
    Cost,
    Grid,
    box,
    gauss_hermite,
    gauss_legendre,
    integrate,
    log_integrate,
    midpoints,
    trapezoid,
)


def parabola(z):
    return (z**2 + 2 * z + 1)[:, 0]


def decay(z):
    return (-z.sum(1)).exp()


SQUARE = (1 - math.exp(-1)) ** 2  # ∫∫ exp(-z₁ - z₂) over the unit square


def test_five_midpoints_of_the_lecture():
    five = midpoints(0.0, 1.0, 5)
    assert five.nodes.tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert parabola(five.nodes[:, None]).tolist() == pytest.approx([1.21, 1.69, 2.25, 2.89, 3.61])
    assert float(parabola(five.nodes[:, None]).sum()) == pytest.approx(11.65)
    assert float(integrate(parabola, Grid((five,)))) == pytest.approx(2.33, abs=1e-12)
    assert float(integrate(parabola, Grid((gauss_legendre(0.0, 1.0, 2),)))) == pytest.approx(7 / 3, abs=1e-12)


def test_ten_by_ten_midpoints_of_the_lecture():
    grid = Grid.power(midpoints(0.0, 1.0, 10), 2)
    assert grid.points == 100
    found = float(integrate(decay, grid))
    assert found == pytest.approx(
        0.1**2 * sum(math.exp(-(i + j + 1) / 10) for i in range(10) for j in range(10)), abs=1e-14
    )
    assert 2e-4 < SQUARE - found < 4e-4  # 1/24 n² of the second derivatives, twice the integral: 3.3e-4


def test_eleven_points_are_not_ten():
    """0, 0.1 ... 1 are eleven: with a weight of 0.1 each they cover 1.1 of the axis; the ends count half."""
    nodes = torch.linspace(0.0, 1.0, 11, dtype=torch.float64)
    as_written = Grid.power(Axis(nodes, torch.full_like(nodes, 0.1)), 2)
    assert as_written.points == 121
    assert float(integrate(decay, as_written)) == pytest.approx(
        (0.1 * sum(math.exp(-k / 10) for k in range(11))) ** 2, abs=1e-14
    )
    assert float(integrate(decay, as_written)) / SQUARE - 1 > 0.2
    assert float(integrate(decay, Grid.power(trapezoid(0.0, 1.0, 10), 2))) == pytest.approx(SQUARE, rel=2e-3)


@pytest.mark.parametrize(
    ("rule", "features"), [(midpoints, 1), (midpoints, 2), (midpoints, 3), (trapezoid, 1), (trapezoid, 2)]
)
def test_the_error_falls_as_the_square_of_the_width(rule, features):
    exact = (1 - math.exp(-1)) ** features
    errors = [abs(float(integrate(decay, Grid.power(rule(0.0, 1.0, n), features))) - exact) for n in (8, 16, 32)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.02)
    assert math.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("points", [1, 2, 5, 9])
def test_gauss_rules_are_exact_up_to_their_degree_and_not_beyond(points):
    legendre, hermite = Grid((gauss_legendre(-1.0, 2.0, points),)), Grid((gauss_hermite(0.5, 1.5, points),))

    def times_normal(power):
        return lambda z: torch.distributions.Normal(0.5, 1.5).log_prob(z[:, 0]).exp() * ((z[:, 0] - 0.5) / 1.5) ** power

    for degree in range(2 * points):
        moment = 0.0 if degree % 2 else float(math.prod(range(1, degree, 2)))  # of N(0, 1)
        assert float(integrate(lambda z, degree=degree: z[:, 0] ** degree, legendre)) == pytest.approx(
            (2 ** (degree + 1) - (-1) ** (degree + 1)) / (degree + 1)
        )
        assert float(integrate(times_normal(degree), hermite)) == pytest.approx(moment, rel=1e-5, abs=1e-5)
    assert float(integrate(times_normal(2 * points), hermite)) != pytest.approx(
        math.prod(range(1, 2 * points, 2)), rel=1e-3
    )


def test_against_scipy_where_no_closed_form_is():
    found = integrate(lambda z: (z[:, 0] * z[:, 1]).cos().exp(), box((0.0, -1.0), (2.0, 3.0), 400))
    expected, _ = reference.dblquad(lambda y, x: math.exp(math.cos(x * y)), 0.0, 2.0, -1.0, 3.0)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_log_space_holds_what_numbers_cannot():
    grid = box((-8.0, -8.0), (8.0, 8.0), 60)

    def log_normal(z):
        return -0.5 * (z**2).sum(1) - 5000.0

    assert float(integrate(lambda z: log_normal(z).exp(), grid)) == 0.0
    assert float(log_integrate(log_normal, grid)) == pytest.approx(math.log(2 * math.pi) - 5000.0, abs=1e-9)


def test_rows_of_integrands_at_once_and_blocks_do_not_matter():
    grid = box((0.0, 0.0), (1.0, 2.0), 23)
    rates = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    whole = integrate(lambda z: (-z.sum(1, keepdim=True) * rates).exp(), grid)
    assert whole.shape == (3,)
    assert torch.allclose(
        whole, integrate(lambda z: (-z.sum(1, keepdim=True) * rates).exp(), grid, block=7), atol=1e-14
    )
    in_logs = log_integrate(lambda z: -z.sum(1, keepdim=True) * rates, grid, block=100)
    assert torch.allclose(in_logs.exp(), whole, atol=1e-12)


def test_an_integrand_never_sees_more_than_a_block():
    sizes = []

    def watched(z):
        sizes.append(len(z))
        return z[:, 0]

    integrate(watched, Grid.power(midpoints(0.0, 1.0, 20), 4), block=5000)
    assert max(sizes) == 5000
    assert sum(sizes) == 20**4


def test_the_cost_of_a_grid():
    cost = Cost(points_per_axis=10, seconds_per_point=1e-6)
    assert [cost.evaluations(d) for d in (1, 2, 10, 100)] == [10, 100, 10**10, 10**100]
    assert cost.seconds(10) == pytest.approx(1e4)
    assert cost.largest(3600.0) == 9
    assert Cost(10, 1.0).largest(5.0) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: midpoints(1.0, 1.0, 5), "from 1.0 to 1.0"),
        (lambda: midpoints(0.0, math.inf, 5), "finite bounds"),
        (lambda: midpoints(0.0, 1.0, 0), "0 points on an axis"),
        (lambda: trapezoid(math.nan, 1.0, 5), "from nan"),
        (lambda: gauss_hermite(0.0, 0.0, 5), "scale above 0"),
        (lambda: gauss_hermite(0.0, 1.0, 400), "1 to 150"),
        (lambda: Grid.power(midpoints(0.0, 1.0, 10), 10), "10,000,000,000 points in 10 dimensions"),
        (lambda: Axis(torch.zeros(2), torch.tensor([1.0, 0.0])), "above 0"),
        (lambda: Cost(0, 1.0), "0 points"),
        (lambda: Cost(10, 1.0).evaluations(0), "0 dimensions"),
        (lambda: Cost(1, 1.0).largest(1.0), "expected 2 or more"),
        (lambda: Cost(10, 0.0).largest(1.0), "seconds above 0"),
        (lambda: list(Grid.power(midpoints(0.0, 1.0, 2), 1).blocks(0)), "blocks of 0"),
    ],
)
def test_refused(wrong, message):
    with pytest.raises(SupportError, match=message):
        wrong()


def test_refused_shapes():
    for wrong in (
        lambda: Grid(()),
        lambda: Axis(torch.zeros(2), torch.ones(3)),
        lambda: box((0.0,), (1.0, 2.0), 3),
        lambda: integrate(lambda z: z.sum(), box((0.0,), (1.0,), 3)),
    ):
        with pytest.raises(ShapeError):
            wrong()
