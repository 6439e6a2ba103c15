"""Mean-field coordinate ascent against scikit-learn, the exact Normal-Wishart posterior and the closed form of a
Gaussian target.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.mixture import BayesianGaussianMixture as Theirs

from oracles import generator
from vael.data import Batch, Kind, Source, Splits
from vael.errors import ShapeError, StateError, SupportError
from vael.inference.mean_field import CoordinateAscent, GaussianMeanField
from vael.models.mixtures.bayesian_mixture import BayesianGaussianMixture, MixturePrior
from vael.training import Settings, run

IRIS = torch.from_numpy(load_iris().data)


def prior(x, concentration=0.3):
    return MixturePrior(x.mean(0), torch.cov(x.mT), x.shape[1] + 1.5, concentration, 0.7)


def fitted(x, r, epochs, batch=None):
    model = BayesianGaussianMixture(r.shape[1], prior(x))
    source = Source("points", x, Kind.REAL, "points")
    return model, run(
        CoordinateAscent(model, r), Splits(source, source, None), Settings(epochs=epochs, batch=batch or len(x))
    )


def start(components):
    return torch.rand(len(IRIS), components, generator=generator(3), dtype=torch.float64).softmax(1)


def climbed(fit):
    return [row.elbo * len(IRIS) for row in fit.history if row.split == "train"]


def theirs(x, r, iterations):
    h = prior(x)
    sk = Theirs(
        n_components=r.shape[1],
        reg_covar=0,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=h.concentration,
        mean_precision_prior=h.precision,
        mean_prior=h.mean.numpy(),
        degrees_of_freedom_prior=h.degrees,
        covariance_prior=h.inverse_scale.numpy(),
    )
    sk._check_parameters(x.numpy(), np) if "xp" in sk._check_parameters.__code__.co_varnames else sk._check_parameters(
        x.numpy()
    )
    sk._initialize(x.numpy(), r.numpy())
    bounds = []
    for _ in range(iterations):
        log_prob, log_r = sk._e_step(x.numpy())
        sk._m_step(x.numpy(), log_r)
        bounds.append(sk._compute_lower_bound(log_r, log_prob))
    return sk, np.array(bounds)


def test_matches_scikit_learn_and_the_bounds_differ_by_a_constant():
    r = start(3)
    model, fit = fitted(IRIS, r, 25)
    sk, bounds = theirs(IRIS, r, 25)
    covariance = model.inverse_scale / model.degrees[:, None, None]
    for mine, other in (
        (model.concentration, sk.weight_concentration_),
        (model.precision, sk.mean_precision_),
        (model.mean, sk.means_),
        (model.degrees, sk.degrees_of_freedom_),
        (covariance, sk.covariances_),
    ):
        np.testing.assert_allclose(mine.numpy(), other, rtol=1e-6, atol=1e-6)
    gap = np.array(climbed(fit)) - bounds
    assert np.ptp(gap) < 1e-6


def test_the_bound_never_falls():
    _, fit = fitted(IRIS, start(5), 60)
    bounds = climbed(fit)
    assert len(bounds) == 60
    assert all(b >= a - 1e-10 * abs(a) for a, b in itertools.pairwise(bounds))
    assert bounds[-1] > bounds[0] + 10


def test_one_component_is_the_exact_posterior_and_the_bound_is_the_evidence():
    model, fit = fitted(IRIS, torch.ones(len(IRIS), 1, dtype=torch.float64), 2)
    h, n, d = prior(IRIS), len(IRIS), 4
    # the evidence by the chain rule: each example under the Student t that the ones before it predict
    m, beta, nu, inverse, evidence = h.mean.numpy(), h.precision, h.degrees, h.inverse_scale.numpy(), 0.0
    from scipy import stats

    for x in IRIS.numpy():
        df = nu - d + 1
        evidence += stats.multivariate_t(m, inverse * (beta + 1) / (beta * df), df).logpdf(x)
        inverse = inverse + beta / (beta + 1) * np.outer(x - m, x - m)
        m, beta, nu = (beta * m + x) / (beta + 1), beta + 1, nu + 1
    np.testing.assert_allclose(model.mean[0], m, rtol=1e-10)
    np.testing.assert_allclose(model.inverse_scale[0], inverse, rtol=1e-9)
    assert float(model.degrees[0]) == pytest.approx(h.degrees + n)
    assert climbed(fit)[-1] == pytest.approx(evidence, rel=1e-10)


def test_terms_of_the_model_less_the_global_divergence_are_the_bound():
    model, fit = fitted(IRIS, start(3), 40)
    terms = model(Batch(IRIS), generator=generator(0))
    total = float((terms.log_likelihood - terms.divergence[0]).sum() - model.global_divergence())
    judged = [row.elbo * len(IRIS) for row in fit.history if row.split == "validation"]
    assert total == pytest.approx(max(judged), rel=1e-10)


def test_the_bound_is_what_is_explained_less_what_is_paid():
    """Every row of the history; and the distortion is minus the responsibilities' mean of E_q[log p(x | z, μ, Λ)]."""
    model, fit = fitted(IRIS, start(3), 10)
    for row in fit.history:
        assert row.elbo == pytest.approx(-row.distortion - row.divergence, rel=1e-12)
    terms = model(Batch(IRIS), generator=generator(0))
    assert fit.history[-1].distortion == pytest.approx(-float(terms.log_likelihood.mean()), rel=1e-10)


def test_correlated_gaussian_target():
    covariance = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    field = GaussianMeanField(torch.tensor([1.0, -2.0], dtype=torch.float64), torch.linalg.inv(covariance))
    path = field.path(torch.tensor([4.0, 4.0], dtype=torch.float64), 120)
    torch.testing.assert_close(path[-1], field.mean)
    torch.testing.assert_close(field.variance, torch.full((2,), 0.19, dtype=torch.float64))
    values = [float(field.divergence(m)) for m in path]
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(values))
    assert values[-1] == pytest.approx(0.8303656, abs=1e-7)
    assert values[-1] == pytest.approx(-0.5 * math.log(0.19))


def test_bad_input_is_refused():
    good, eye = prior(IRIS), torch.eye(2, dtype=torch.float64)
    model = BayesianGaussianMixture(2, good)
    with pytest.raises(SupportError, match="positive-definite"):
        MixturePrior(IRIS.mean(0), -torch.cov(IRIS.mT), 5.0)
    with pytest.raises(SupportError, match="degrees"):
        MixturePrior(IRIS.mean(0), torch.cov(IRIS.mT), 3.0)
    with pytest.raises(ShapeError, match="inverse scale"):
        MixturePrior(IRIS.mean(0), eye, 5.0)
    with pytest.raises(ShapeError, match="responsibilities"):
        CoordinateAscent(model, start(3))
    with pytest.raises(SupportError, match="no probabilities"):
        CoordinateAscent(model, 2 * start(2))
    with pytest.raises(StateError, match="all at once"):
        fitted(IRIS, start(2), 1, batch=50)
    with pytest.raises(SupportError, match="positive-definite"):
        GaussianMeanField(torch.zeros(2, dtype=torch.float64), eye - 2)
