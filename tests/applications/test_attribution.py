"""Reasons against the exact surprise of a cell given the others, and against the cells that were planted."""

import pytest
import torch

from oracles import LinearGaussian
from vael.applications.attribution import conditional_surprise
from vael.data import Kind, Source
from vael.errors import ShapeError, StateError


def exact(model, x):
    """-log p(x_j | x_-j) of N(b, Λ⁻¹): mean x_j - (Λ (x - b))_j / Λ_jj, variance 1 / Λ_jj."""
    precision = torch.linalg.inv(model.marginal.covariance_matrix)
    residual = (x - model.bias) @ precision / precision.diag()
    return -torch.distributions.Normal(0.0, precision.diag().rsqrt()).log_prob(residual)


@pytest.fixture(scope="module")
def linear():
    return LinearGaussian.of_size(6, 2)


def rows(linear, gaps=False):
    x = linear.sample(40)
    x[:20, 3] += 4.0
    if gaps:
        x[:, 5] = torch.nan
    return Source("rows", x, Kind.REAL, "", gaps=gaps)


def test_the_surprise_of_a_cell_is_the_exact_conditional_one(linear):
    """To rounding: for a linear Gaussian model the fitted proposals are p(z | x_-j), and all weights are equal."""
    source = rows(linear)
    found = torch.cat(list(conditional_surprise(linear.vae(), source, samples=4)))
    torch.testing.assert_close(found, exact(linear, source.x), rtol=1e-9, atol=1e-9)
    assert float((found[:20].argmax(1) == 3).double().mean()) >= 0.9


def test_cells_that_are_missing_are_no_reason(linear):
    source = rows(linear, gaps=True)
    found = torch.cat(list(conditional_surprise(linear.vae(), source, samples=4)))
    assert bool((found[:, 5] == 0).all())
    without = LinearGaussian(linear.weight[:5], linear.bias[:5], linear.sigma)
    torch.testing.assert_close(found[:, :5], exact(without, source.x[:, :5]), rtol=1e-9, atol=1e-9)


def test_images_and_no_samples_are_refused(linear):
    with pytest.raises(ShapeError, match="rows of a table"):
        next(conditional_surprise(linear.vae(), Source("grey", torch.zeros(2, 1, 2, 3), Kind.REAL, "")))
    with pytest.raises(StateError, match="samples=0"):
        next(conditional_surprise(linear.vae(), rows(linear), samples=0))
