"""The shortest path is straight, and a hanging chain is a catenary."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize

from vael.errors import ShapeError, StateError, SupportError
from vael.lectures.variations import Functional, arc_length, factor_bound, normalized_optimum, stationary_density
from vael.probability.quadrature import midpoints

X = torch.linspace(0, 1, 41, dtype=torch.float64)


def test_the_shortest_path_is_a_straight_line():
    length = Functional(arc_length, X)
    straight = 1 + 2 * X
    start = straight + 0.5 * torch.sin(3 * math.pi * X)
    found = length.minimize(start)
    torch.testing.assert_close(found, straight, atol=1e-6, rtol=0)
    assert float(length(found)) == pytest.approx(math.sqrt(5), abs=1e-10)
    assert float(length.residual(straight).abs().max()) < 1e-10
    assert float(length.residual(start).abs().max()) > 1


def test_the_surface_of_revolution_is_a_catenary():
    x = 2 * X - 1
    area = Functional(lambda x, y, slope: y * (1 + slope.square()).sqrt(), x)
    a = 1.0  # below 0.8336 a catenary over [-1, 1] is stationary, but no minimum
    truth = a * torch.cosh(x / a)
    found = area.minimize(truth + 0.05 * torch.cos(math.pi * x / 2))
    torch.testing.assert_close(found, truth, atol=2e-3, rtol=0)


def test_bad_input_is_refused():
    with pytest.raises(ShapeError, match="increase"):
        Functional(arc_length, X.flip(0))
    with pytest.raises(ShapeError, match="path of shape"):
        Functional(arc_length, X)(X[:5])
    with pytest.raises(StateError, match="residual"):
        Functional(arc_length, X).minimize(torch.sin(9 * X), steps=1)


AXIS = midpoints(-6.0, 6.0, 240)
F = -0.25 * AXIS.nodes**2 + torch.sin(2 * AXIS.nodes) + 1.5


def test_the_normalised_optimum_is_a_product_with_the_inverse_normaliser():
    found, log_normalizer = normalized_optimum(F, AXIS), float((F + AXIS.weights.log()).logsumexp(0))
    torch.testing.assert_close(found.density, (F - log_normalizer).exp(), atol=1e-11, rtol=1e-10)
    assert float(found.multipliers[-1]) == pytest.approx(log_normalizer - 1, abs=1e-11)
    assert float(AXIS.weights @ found.density) == pytest.approx(1, abs=1e-10)
    assert float(factor_bound(found.density, F, AXIS)) == pytest.approx(log_normalizer, abs=1e-10)
    assert bool((found.multipliers.diff() > 0).all())


def test_the_optimum_against_a_general_constrained_optimiser():
    axis = midpoints(-3.0, 3.0, 16)
    f, w = -0.5 * axis.nodes**2 + 0.8 * axis.nodes + 3, axis.weights.numpy()
    slope = lambda q: -w * (f.numpy() - np.log(q) - 1)  # noqa: E731
    theirs = optimize.minimize(
        lambda q: -float(factor_bound(torch.from_numpy(q), f, axis)),
        np.full(16, 1 / 6),
        jac=slope,
        bounds=[(1e-9, None)] * 16,
        method="SLSQP",
        constraints={"type": "eq", "fun": lambda q: w @ q - 1, "jac": lambda q: w},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    np.testing.assert_allclose(normalized_optimum(f, axis).density, theirs.x, atol=1e-5)


def test_no_sum_of_exp_f_and_a_constant_is_the_optimum():
    best = normalized_optimum(F, AXIS).density
    constant = (1 - float(AXIS.weights @ F.exp())) / 12  # the only one for which the sum has mass 1
    assert constant < 0  # exp(λ) cannot be
    assert float((F.exp() + constant).min()) < 0
    small = (
        F - 6
    )  # ∫ exp f < 1, so that a constant above 0 exists: it is a density, yet neither proportional to exp f nor as good
    constant = (1 - float(AXIS.weights @ small.exp())) / 12
    additive = small.exp() + constant
    assert float(AXIS.weights @ additive) == pytest.approx(1, abs=1e-12)
    assert float((additive / small.exp()).max() / (additive / small.exp()).min()) > 10
    assert float(factor_bound(additive, small, AXIS)) < float(factor_bound(best, small, AXIS)) - 1


def test_without_the_constraint_the_optimum_has_another_mass():
    free, best = stationary_density(F, 0.0), normalized_optimum(F, AXIS).density
    assert float(AXIS.weights @ free) == pytest.approx(
        math.exp(float((F + AXIS.weights.log()).logsumexp(0)) - 1), rel=1e-12
    )
    assert float(factor_bound(free, F, AXIS)) > float(factor_bound(best, F, AXIS))
    assert float(factor_bound(free, F, AXIS)) > float(factor_bound(F.exp(), F, AXIS))  # the lecture's, without the 1


def test_bad_functions_are_refused():
    with pytest.raises(ShapeError, match="every point"):
        normalized_optimum(F[:5], AXIS)
    with pytest.raises(SupportError, match="finite"):
        normalized_optimum(F.log(), AXIS)
    with pytest.raises(StateError, match="steps"):
        normalized_optimum(F, AXIS, steps=1)
