"""A joint density on a grid against the closed forms of a bivariate Gaussian; refusals."""

import math

import pytest
import torch

from vael.errors import ShapeError, SupportError
from vael.lectures import JointDensity
from vael.probability import gaussian, midpoints

MEAN, COVARIANCE = (
    torch.tensor([0.0, 1.0], dtype=torch.float64),
    torch.tensor([[1.0, 0.5], [0.5, 2.0]], dtype=torch.float64),
)
X, Z = midpoints(-8.0, 8.0, 160), midpoints(-9.0, 11.0, 200)  # z = 2.05 is a node


def joint(covariance=COVARIANCE):
    return JointDensity.of(gaussian(MEAN, covariance).log_prob, X, Z)


def test_marginals_of_the_lectures_bivariate_gaussian():
    density = joint()
    assert density.mass == pytest.approx(1, abs=1e-9)
    for found, mean, variance in ((density.marginal_x(), 0, 1), (density.marginal_z(), 1, 2)):
        exact = torch.distributions.Normal(torch.tensor(float(mean), dtype=torch.float64), math.sqrt(variance))
        assert torch.allclose(found.density, exact.log_prob(found.axis.nodes).exp(), atol=1e-9)
        assert (found.mean, found.variance) == (pytest.approx(mean, abs=1e-8), pytest.approx(variance, abs=1e-7))


def test_a_slice_is_the_conditional_once_it_is_normalised():
    density, z = joint(), 2.05
    cut, conditional = density.slice_at_z(z), density.given_z(z)
    assert cut.mass == pytest.approx(math.exp(-((z - 1) ** 2) / 4) / math.sqrt(4 * math.pi), abs=1e-9)
    assert conditional.mass == pytest.approx(1, abs=1e-12)
    assert conditional.mean == pytest.approx(0.5 / 2 * (z - 1), abs=1e-8)
    assert conditional.variance == pytest.approx(1 - 0.5**2 / 2, abs=1e-7)


def test_the_mixture_of_conditionals_is_the_marginal():
    density = joint()
    mixed = sum(
        density.given_z(float(z)).density * p * w
        for z, p, w in zip(Z.nodes, density.marginal_z().density, Z.weights, strict=True)
    )
    assert torch.allclose(mixed, density.marginal_x().density, atol=1e-12)


def test_independence():
    assert not joint().is_independent()
    assert joint(torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))).is_independent()


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: JointDensity(X, Z, torch.ones(3, 3)), ShapeError, "one for each pair"),
        (lambda: JointDensity(X, Z, torch.ones(len(X), len(Z))), SupportError, "integral of one"),
        (lambda: JointDensity(X, Z, joint().density - 1e-6), SupportError, "0 or more"),
        (lambda: joint().slice_at_z(30.0), SupportError, "beyond the axis"),
        (lambda: joint().slice_at_z(math.nan), SupportError, "beyond the axis"),
    ],
)
def test_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


def test_a_condition_that_cannot_happen_is_refused():
    square = midpoints(0.0, 1.0, 4)
    half = torch.tensor([2.0, 2.0, 0.0, 0.0], dtype=torch.float64).expand(4, 4).clone()
    with pytest.raises(SupportError, match="can happen"):
        JointDensity(square, square, half).given_z(0.9)
