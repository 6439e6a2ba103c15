"""Full-covariance Gaussians: the lectures' numbers, scipy and PyTorch as oracles, every step of the divergence,
refusals.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Independent, Laplace, kl_divergence

from vael.errors import ShapeError, SupportError
from vael.probability import (
    Grid,
    contained,
    diagonal_gaussian,
    divergence_from_standard,
    divergence_terms,
    ellipse,
    gauss_hermite,
    gaussian,
    gaussian_divergence,
    gaussian_entropy,
    log_density,
    sample_covariance,
    sample_mean,
    squared_mahalanobis,
)


def numbers(*rows):
    return torch.tensor(rows, dtype=torch.float64)


LECTURE = gaussian(numbers(0.0, 1.0), numbers([1.0, 0.5], [0.5, 2.0]))


def random_law(features=4, batch=(), seed=0):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(*batch, features, features + 2, generator=generator, dtype=torch.float64)
    return gaussian(
        torch.randn(*batch, features, generator=generator, dtype=torch.float64), factor @ factor.mT / features
    )


def test_variance_and_covariance_of_the_lecture():
    one, two = numbers([2.0], [4.0], [6.0]), numbers([2.0, 1.0], [4.0, 3.0], [6.0, 5.0])
    assert sample_mean(one).tolist() == [4.0]
    assert sample_covariance(one, unbiased=True).tolist() == [[4.0]]
    assert sample_covariance(one).tolist() == [[pytest.approx(8 / 3)]]
    assert sample_mean(two).tolist() == [4.0, 3.0]
    assert sample_covariance(two, unbiased=True).tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_sample_moments_against_numpy():
    x = np.random.default_rng(0).normal(size=(50, 3))
    for unbiased in (False, True):
        assert np.allclose(
            sample_covariance(torch.from_numpy(x), unbiased=unbiased), np.cov(x.T, bias=not unbiased), atol=1e-14
        )


def test_of_one_example_the_mean_is_itself_and_there_is_no_unbiased_covariance():
    one = numbers([3.0, -1.0])
    assert torch.equal(sample_mean(one), one[0])
    assert not sample_covariance(one).any()
    with pytest.raises(ShapeError, match="with 2 examples or more"):
        sample_covariance(one, unbiased=True)
    for moment in (sample_mean, sample_covariance):
        with pytest.raises(ShapeError, match="with 1 examples or more"):
            moment(one[:0])


def test_maximum_likelihood_is_a_maximum():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ numbers(
        [1, 0.5, 0], [0, 1, 2], [0, 0, 1]
    )
    best = gaussian(sample_mean(x), sample_covariance(x)).log_prob(x).sum()
    assert best > gaussian(sample_mean(x), sample_covariance(x, unbiased=True)).log_prob(x).sum()
    assert best > gaussian(sample_mean(x) + 0.05, sample_covariance(x)).log_prob(x).sum()


def test_the_bivariate_density_of_the_lecture():
    covariance = LECTURE.covariance_matrix
    assert float(torch.linalg.det(covariance)) == pytest.approx(1.75)
    assert float(log_density(LECTURE.loc, LECTURE)) == pytest.approx(-math.log(2 * math.pi * math.sqrt(1.75)))
    x = numbers(0.7, -0.4)
    right, printed = numbers([2.0, -0.5], [-0.5, 1.0]) / 1.75, numbers([1.0, -0.5], [-0.5, 2.0])
    centred = x - LECTURE.loc
    assert float(squared_mahalanobis(x, LECTURE)) == pytest.approx(float(centred @ right @ centred))
    assert torch.allclose(covariance @ right, torch.eye(2, dtype=torch.float64))
    assert (covariance @ printed).tolist() == [[0.75, 0.5], [-0.5, 3.75]]
    # as printed the "density" would have the mass sqrt(|A⁻¹| / |Σ|)
    assert math.sqrt(1 / (float(torch.linalg.det(printed)) * 1.75)) == pytest.approx(0.5714, abs=1e-4)


def test_log_density_entropy_and_distance_against_scipy():
    law = random_law()
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    oracle = stats.multivariate_normal(law.loc.numpy(), law.covariance_matrix.numpy())
    assert np.allclose(log_density(x, law), oracle.logpdf(x.numpy()), atol=1e-10)
    assert float(gaussian_entropy(law)) == pytest.approx(oracle.entropy(), abs=1e-12)
    centred = x - law.loc
    inverse = torch.linalg.inv(law.covariance_matrix)
    assert torch.allclose(squared_mahalanobis(x, law), torch.einsum("ni,ij,nj->n", centred, inverse, centred))


def test_every_step_of_the_divergence_by_quadrature():
    """Gauss-Hermite in the whitened space is exact for quadratics, so each expectation of the derivation is too."""
    p, q = random_law(2, seed=3), random_law(2, seed=4)
    white, log_weight = Grid.power(gauss_hermite(0.0, 1.0, 5), 2).nodes()
    x = p.loc + white @ p.scale_tril.mT
    weight = (log_weight + torch.distributions.Normal(0.0, 1.0).log_prob(white).sum(1)).exp()
    terms, gap = divergence_terms(p, q), p.loc - q.loc
    inverse = torch.linalg.inv(q.covariance_matrix)
    assert float(weight.sum()) == pytest.approx(1)
    assert float(weight @ squared_mahalanobis(x, p)) == pytest.approx(2)  # 2 I₂ = k
    assert float(weight @ squared_mahalanobis(x, q)) == pytest.approx(float(terms.trace + terms.shift))  # 2 I₁
    assert float(weight @ torch.einsum("ni,ij,nj->n", x - p.loc, inverse, x - p.loc)) == pytest.approx(
        float(terms.trace)
    )
    assert float(weight @ (2 * (x - p.loc) @ inverse @ gap)) == pytest.approx(0, abs=1e-12)
    assert float(terms.shift) == pytest.approx(float(gap @ inverse @ gap))
    assert float(terms.trace) == pytest.approx(float(torch.trace(inverse @ p.covariance_matrix)))
    ratio = torch.linalg.det(q.covariance_matrix) / torch.linalg.det(p.covariance_matrix)
    assert float(terms.log_determinants) == pytest.approx(float(ratio.log()))
    assert float(terms.total) == pytest.approx(float(weight @ (p.log_prob(x) - q.log_prob(x))))


def test_divergence_against_pytorch_for_full_and_diagonal():
    full, other = random_law(5, (3,), 1), random_law(5, (3,), 2)
    diagonal, standard = (
        diagonal_gaussian(other.loc, other.stddev),
        diagonal_gaussian(torch.zeros(5).double(), torch.ones(5).double()),
    )
    as_full = gaussian(other.loc, other.variance.diag_embed())
    assert torch.allclose(gaussian_divergence(full, other), kl_divergence(full, other), atol=1e-10)
    assert torch.allclose(gaussian_divergence(full, diagonal), kl_divergence(full, as_full), atol=1e-10)
    assert torch.allclose(gaussian_divergence(diagonal, full), kl_divergence(as_full, full), atol=1e-10)
    assert torch.allclose(
        gaussian_divergence(diagonal, standard), divergence_from_standard(other.loc, other.stddev), atol=1e-10
    )
    assert torch.allclose(gaussian_divergence(full, full), torch.zeros(3).double(), atol=1e-12)


def test_the_case_of_the_vae():
    """½ (-log|Σ| - k + tr Σ + |μ|²), and its diagonal form."""
    law = random_law(3)
    standard = gaussian(torch.zeros(3).double(), torch.eye(3).double())
    sigma = law.covariance_matrix
    expected = 0.5 * (-torch.logdet(sigma) - 3 + sigma.trace() + law.loc.square().sum())
    assert float(gaussian_divergence(law, standard)) == pytest.approx(float(expected), abs=1e-12)
    mean, scale = numbers(0.5, -1.0), numbers(0.3, 2.0)
    expected = 0.5 * sum(
        s * s + m * m - 1 - math.log(s * s) for m, s in zip(mean.tolist(), scale.tolist(), strict=True)
    )
    assert float(divergence_from_standard(mean, scale)) == pytest.approx(expected, abs=1e-12)


def test_the_expectations_of_the_kl_loss():
    """E[εᵀ σ² ε] = Σ σ_i², which E[εᵀ ε] = d alone does not give: that would be d σ² with one σ for all."""
    mean, scale = numbers(0.5, -1.0, 0.0), numbers(0.3, 1.0, 2.0)
    epsilon, log_weight = Grid.power(gauss_hermite(0.0, 1.0, 4), 3).nodes()
    weight = (log_weight + torch.distributions.Normal(0.0, 1.0).log_prob(epsilon).sum(1)).exp()
    z = mean + scale * epsilon
    assert float(weight @ epsilon.square().sum(1)) == pytest.approx(3)
    spread = float(weight @ (epsilon**2 * scale**2).sum(1))
    assert spread == pytest.approx(5.09)
    assert spread != pytest.approx(3 * float(scale.mean()) ** 2, rel=0.2)
    assert float(weight @ z.square().sum(1)) == pytest.approx(1.25 + 5.09)
    law = gaussian(mean, (scale**2).diag_embed())
    ratio = law.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    assert float(weight @ ratio) == pytest.approx(float(divergence_from_standard(mean, scale)), abs=1e-10)


def test_the_log_determinant_is_what_keeps_a_covariance_finite():
    x = (
        LECTURE.loc
        + torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ LECTURE.scale_tril.mT
    )
    laws = [gaussian(LECTURE.loc, scale**2 * LECTURE.covariance_matrix) for scale in (0.5, 1.0, 2.0, 20.0)]
    forms = [float(squared_mahalanobis(x, law).mean()) for law in laws]
    densities = [float(log_density(x, law).mean()) for law in laws]
    assert forms == sorted(forms, reverse=True)  # without log |Σ| the widest wins
    assert max(densities) == densities[1]


def test_gradients_of_the_divergence():
    mean = numbers(0.3, -0.2).requires_grad_()
    factor = numbers([1.0, 0.2], [0.1, 0.8]).requires_grad_()
    other = random_law(2)
    assert torch.autograd.gradcheck(lambda m, f: gaussian_divergence(gaussian(m, f @ f.mT), other), (mean, factor))


def test_what_k_deviations_contain():
    assert [contained(k, 1) for k in (1, 2, 3)] == pytest.approx([0.6826895, 0.9544997, 0.9973002], abs=1e-7)
    assert contained(3, 2) == pytest.approx(1 - math.exp(-4.5), abs=1e-12)
    assert contained(3, 5) == pytest.approx(float(stats.chi2(5).cdf(9)), abs=1e-12)
    curve = ellipse(LECTURE, 3.0, 50)
    assert torch.allclose(squared_mahalanobis(curve, LECTURE), torch.full((50,), 9.0).double())
    assert torch.allclose(curve[0], curve[-1])


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        ([[4.0, 4.0], [4.0, 4.0]], "not positive definite"),
        ([[1.0, 2.0], [2.0, 1.0]], "not positive definite"),
        ([[1.0, 0.0], [0.0, 0.0]], "variance of 0"),
        ([[1.0, 0.5], [0.2, 1.0]], "not symmetric"),
        ([[1.0, math.nan], [math.nan, 1.0]], "not finite"),
    ],
)
def test_refused_covariances(covariance, message):
    with pytest.raises(SupportError, match=message):
        gaussian(numbers(0.0, 0.0), numbers(*covariance))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: gaussian(torch.zeros(2).double(), torch.zeros(2).double().diag_embed()[:1]),
        lambda: sample_covariance(torch.zeros(1, 2), unbiased=True),
        lambda: sample_mean(torch.zeros(0, 2)),
        lambda: squared_mahalanobis(torch.zeros(3).double(), LECTURE),
        lambda: divergence_terms(LECTURE, random_law(3)),
        lambda: gaussian_divergence(LECTURE, random_law(3)),
        lambda: ellipse(random_law(3)),
    ],
)
def test_refused_sizes(wrong):
    with pytest.raises(ShapeError, match="expected"):
        wrong()


def test_refused_otherwise():
    for wrong in (
        lambda: sample_mean(torch.tensor([[math.nan]])),
        lambda: divergence_from_standard(torch.zeros(2), torch.zeros(2)),
        lambda: gaussian_divergence(
            Independent(Laplace(torch.zeros(2), 1.0), 1), diagonal_gaussian(torch.zeros(2), torch.ones(2))
        ),
        lambda: contained(-1.0, 2),
        lambda: ellipse(LECTURE, 0.0),
    ):
        with pytest.raises(SupportError):
            wrong()
