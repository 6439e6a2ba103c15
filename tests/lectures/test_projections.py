"""Forward and reverse KL projections against closed forms, scipy's quadrature and each other."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate as scipy_integrate
from scipy import optimize, stats

from vael.errors import ShapeError, SupportError
from vael.lectures.projections import (
    factorized_projection,
    forward_divergence,
    forward_gaussian,
    forward_projection,
    reverse_divergence,
    reverse_gaussian,
    reverse_projection,
)
from vael.probability.quadrature import Grid, midpoints

LINE = Grid((midpoints(-12.0, 12.0, 2400),))


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


def bimodal(z):
    """0.6 N(-3, 0.7²) + 0.4 N(3, 0.9²)."""
    modes = torch.distributions.Normal(f64(-3.0, 3.0), f64(0.7, 0.9)).log_prob(z)
    return (modes + f64(0.6, 0.4).log()).logsumexp(1)


def correlated(rho):
    return torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)


def test_worked_number_of_the_correlated_target():
    mean, covariance = f64(0.0, 0.0), correlated(0.9)
    forward, reverse = forward_gaussian(mean, covariance), reverse_gaussian(mean, covariance)
    torch.testing.assert_close(forward.variance, f64(1.0, 1.0))
    torch.testing.assert_close(reverse.variance, f64(0.19, 0.19))
    assert forward.divergence == pytest.approx(0.8303656, abs=1e-7)
    assert reverse.divergence == pytest.approx(0.8303656, abs=1e-7)
    assert forward.divergence == pytest.approx(-0.5 * math.log(1 - 0.9**2), abs=1e-12)


def test_closed_forms_are_the_library_divergence_of_torch():
    root = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mean, covariance = f64(1.0, -1.0, 0.5, 3.0), root @ root.mT + torch.eye(4)
    p = torch.distributions.MultivariateNormal(mean, covariance)
    for found, kl in ((forward_gaussian(mean, covariance), "forward"), (reverse_gaussian(mean, covariance), "reverse")):
        q = torch.distributions.MultivariateNormal(found.mean, found.variance.diag())
        ends = (p, q) if kl == "forward" else (q, p)
        assert found.divergence == pytest.approx(float(torch.distributions.kl_divergence(*ends)), rel=1e-10)


def test_numerical_fits_of_the_correlated_target_reach_the_closed_forms():
    p = torch.distributions.MultivariateNormal(f64(0.5, -0.3), correlated(0.9))
    grid = Grid.power(midpoints(-6.5, 6.5, 200), 2)
    forward = forward_projection(p.log_prob, grid)
    reverse = reverse_projection(p.log_prob, grid, f64(-1.0, 1.0), f64(1.0, 0.5))
    torch.testing.assert_close(forward.variance, f64(1.0, 1.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(reverse.variance, f64(0.19, 0.19), atol=1e-6, rtol=0)
    torch.testing.assert_close(reverse.mean, p.mean, atol=1e-6, rtol=0)
    assert forward.divergence == pytest.approx(0.8303656, abs=1e-6)
    assert reverse.divergence == pytest.approx(0.8303656, abs=1e-6)


def test_the_forward_fit_of_a_bimodal_target_covers_both_modes():
    found = forward_projection(bimodal, LINE)
    mean = 0.6 * -3 + 0.4 * 3
    variance = 0.6 * (0.7**2 + 9) + 0.4 * (0.9**2 + 9) - mean**2
    assert float(found.mean) == pytest.approx(mean, abs=1e-9)
    assert float(found.variance) == pytest.approx(variance, abs=1e-8)
    assert float(found.mean) - float(found.variance.sqrt()) < -2
    assert float(found.mean) + float(found.variance.sqrt()) > 2
    m, v = (
        torch.stack([start + step for step in (0.01, 0.0, -0.01)])[:, None]
        for start in (found.mean[0], found.variance[0])
    )
    around = forward_divergence(bimodal, LINE, m.repeat(3, 1), v.repeat_interleave(3, 0))
    assert float(around.min()) == pytest.approx(found.divergence, abs=1e-12)


def test_the_reverse_fit_has_a_local_minimum_at_each_mode():
    left = reverse_projection(bimodal, LINE, f64(-3.5), f64(1.0))
    right = reverse_projection(bimodal, LINE, f64(3.5), f64(1.0))
    assert float(left.mean) == pytest.approx(-3, abs=0.02)
    assert float(right.mean) == pytest.approx(3, abs=0.02)
    assert float(left.variance.sqrt()) == pytest.approx(0.7, abs=0.02)
    assert float(right.variance.sqrt()) == pytest.approx(0.9, abs=0.02)
    assert left.divergence == pytest.approx(-math.log(0.6), abs=0.02)
    assert right.divergence == pytest.approx(-math.log(0.4), abs=0.02)
    assert left.divergence < right.divergence


def test_the_reverse_fit_against_scipy():
    z = np.linspace(-12, 12, 6001)
    log_p = np.log(0.6 * stats.norm.pdf(z, -3, 0.7) + 0.4 * stats.norm.pdf(z, 3, 0.9))

    def divergence(theta):
        log_q = stats.norm.logpdf(z, theta[0], math.exp(theta[1]))
        return scipy_integrate.simpson(np.exp(log_q) * (log_q - log_p), x=z)

    theirs = optimize.minimize(divergence, [-3.5, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
    mine = reverse_projection(bimodal, LINE, f64(-3.0), f64(1.0))
    assert mine.divergence == pytest.approx(theirs.fun, abs=1e-8)
    assert float(mine.mean) == pytest.approx(theirs.x[0], abs=1e-5)
    assert float(mine.variance.sqrt()) == pytest.approx(math.exp(theirs.x[1]), abs=1e-5)


def test_divergences_of_a_batch_do_not_depend_on_the_scale_of_the_density():
    mean, variance = f64(-2.0, 0.0, 2.0)[:, None], f64(0.5, 4.0, 1.0)[:, None]
    for kind in (forward_divergence, reverse_divergence):
        all_three = kind(bimodal, LINE, mean, variance)
        one = kind(lambda z: bimodal(z) + 700.0, LINE, mean[1], variance[1])
        assert float(one) == pytest.approx(float(all_three[1]), rel=1e-9)
        assert bool((all_three > 0).all())


def test_any_factorised_density_finds_the_mean_field_of_a_gaussian():
    axis = midpoints(-6.0, 6.0, 240)
    z = torch.stack(torch.meshgrid(axis.nodes, axis.nodes, indexing="ij"), -1)
    log_p = torch.distributions.MultivariateNormal(f64(0.0, 0.0), correlated(0.9)).log_prob(z) + 3
    found = factorized_projection(log_p, (axis, axis), torch.exp(-(axis.nodes - 2).square()), 60)
    expected = torch.distributions.Normal(0.0, math.sqrt(0.19)).log_prob(axis.nodes).exp()
    torch.testing.assert_close(found.first, expected, atol=1e-4, rtol=0)
    assert float(found.divergences[-1]) == pytest.approx(0.8303656, abs=1e-6)
    assert bool((found.divergences.diff() <= 1e-12).all())
    assert float(found.divergences[0] - found.divergences[-1]) > 0.1


def test_bad_input_is_refused():
    with pytest.raises(SupportError, match="positive-definite"):
        reverse_gaussian(f64(0.0, 0.0), correlated(1.2))
    with pytest.raises(ShapeError, match="covariance of shape"):
        forward_gaussian(f64(0.0), correlated(0.5))
    with pytest.raises(SupportError, match="variances from"):
        reverse_divergence(bimodal, LINE, f64(0.0), f64(0.0))
    with pytest.raises(ShapeError, match="one per axis"):
        forward_divergence(bimodal, LINE, f64(0.0, 1.0), f64(1.0, 1.0))
    with pytest.raises(SupportError, match="holds"):
        reverse_projection(bimodal, Grid((midpoints(-3.0, -1.0, 100),)), f64(-2.0), f64(1.0))
    with pytest.raises(SupportError, match="no density"):
        factorized_projection(correlated(0.5), (midpoints(0.0, 1.0, 2), midpoints(0.0, 1.0, 2)), f64(-1.0, 2.0), 1)
    with pytest.raises(ShapeError, match="expected"):
        factorized_projection(correlated(0.5), (midpoints(0.0, 1.0, 3), midpoints(0.0, 1.0, 2)), f64(1.0, 2.0), 1)
    with pytest.raises(SupportError, match="log mass"):
        forward_projection(lambda z: torch.full_like(z[:, 0], -math.inf), LINE)


def test_the_two_minima_agree_in_two_dimensions_and_not_in_three():
    for features in (2, 3, 10):
        covariance = 0.1 * torch.eye(features, dtype=torch.float64) + 0.9
        ends = [
            fit(torch.zeros(features, dtype=torch.float64), covariance).divergence
            for fit in (forward_gaussian, reverse_gaussian)
        ]
        log_det = (features - 1) * math.log(0.1) + math.log(
            0.1 + 0.9 * features
        )  # eigenvalues 0.1 (n - 1 times) and 0.1 + 0.9 n
        diagonal = 10 * (1 - 0.9 / (0.1 + 0.9 * features))  # of the precision, by Sherman and Morrison
        assert ends[0] == pytest.approx(-0.5 * log_det, rel=1e-10)
        assert ends[1] == pytest.approx(0.5 * (features * math.log(diagonal) + log_det), rel=1e-10)
        assert (abs(ends[0] - ends[1]) < 1e-10) == (features == 2)


def test_coordinate_ascent_shrinks_errors_by_the_squared_correlation_a_sweep():
    from vael.inference.mean_field import GaussianMeanField

    for rho in (0.5, 0.9, 0.99):
        field = GaussianMeanField(f64(0.0, 0.0), torch.linalg.inv(correlated(rho)))
        path = field.path(f64(-0.5, 2.5), 5)
        torch.testing.assert_close(path[4::2] / path[2:-2:2], torch.full((4, 2), rho**2, dtype=torch.float64))


def test_a_factor_without_its_own_latent_loses_the_bound():
    axis = midpoints(-6.0, 6.0, 120)
    z = torch.stack(torch.meshgrid(axis.nodes, axis.nodes, indexing="ij"), -1)
    log_p = torch.distributions.MultivariateNormal(f64(0.0, 0.0), correlated(0.9)).log_prob(z)
    found = factorized_projection(log_p, (axis, axis), torch.exp(-0.5 * axis.nodes.square()), 40)
    own = log_p @ (found.second * axis.weights)  # E_{-1}[log P(z_1, z_2)], which varies with z_1
    other = (log_p + axis.weights.log()[:, None]).logsumexp(0) @ (
        found.second * axis.weights
    )  # E_{-1}[log P(z_2)]: one number, so q_1 would be flat
    assert other.dim() == 0
    assert float(own.max() - own.min()) > 10
    entropy = lambda q: -float(torch.xlogy(q, q) @ axis.weights)  # noqa: E731
    flat = torch.full_like(own, 1 / 12)
    best, worse = (float((q * axis.weights) @ own) + entropy(q) + entropy(found.second) for q in (found.first, flat))
    assert best == pytest.approx(-0.8303656, abs=1e-5)
    assert worse < best - 10
