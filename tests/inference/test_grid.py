"""Evidence, exact posterior and its divergence from q on an adaptive grid, against closed forms, SciPy, a dense
grid and importance weights.
"""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn
from torch.distributions import (
    AffineTransform,
    Independent,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
    kl_divergence,
)

from oracles import Conjugate, Enumerable, Given, LinearGaussian, on_grid
from vael.data import Batch, Binarize, load, statistics
from vael.errors import StateError, SupportError
from vael.evaluation.likelihood import Draws, under_posterior
from vael.inference import AdamW, GradientAscent, posterior_on_grid
from vael.models import (
    VAE,
    Autoencoder,
    BernoulliHead,
    Decoder,
    FixedScale,
    GaussianHead,
    GaussianPosterior,
    SquaredErrorHead,
    StandardNormal,
)
from vael.networks import Dense
from vael.objectives import ELBO
from vael.probability import diagonal_gaussian
from vael.recipes import dense
from vael.training import Settings, run


def shifted(exact: LinearGaussian):
    """A diagonal q that is not quite the posterior."""
    return lambda x: diagonal_gaussian(exact.posterior(x).mean + 0.1, 0.8 * exact.posterior(x).variance.sqrt())


def test_the_conjugate_case_to_all_its_digits():
    case = Conjugate()
    (found,) = posterior_on_grid(case.vae(), case.batch(), tolerance=1e-10)
    assert found.converged
    assert found.log_evidence == pytest.approx(case.log_prob, abs=1e-10)
    assert found.elbo == pytest.approx(case.elbo, abs=1e-10)
    assert found.divergence == pytest.approx(case.log_prob - case.elbo, abs=1e-9)
    assert abs(found.residual) < 1e-9


@pytest.mark.parametrize(("features", "examples"), [(1, 5), (2, 4), (3, 1)])
def test_linear_gaussian(features, examples):
    exact = LinearGaussian.of_size(5, features)
    x = exact.sample(examples)
    posterior, q = exact.posterior(x), shifted(exact)(x)
    divergence = kl_divergence(MultivariateNormal(q.mean, torch.diag_embed(q.variance)), posterior)
    for k, found in enumerate(posterior_on_grid(exact.vae(shifted(exact)), Batch(x=x))):
        assert found.converged
        assert found.error < 1e-5
        assert found.log_evidence == pytest.approx(float(exact.log_prob(x)[k]), abs=found.error)
        assert found.divergence == pytest.approx(float(divergence[k]), abs=found.error)
        assert found.elbo == pytest.approx(float(exact.log_prob(x)[k] - divergence[k]), abs=found.error)
        assert abs(found.residual) < 1e-5
        assert float(found.probability.sum()) == pytest.approx(1.0, abs=1e-6)
        assert torch.allclose(found.mean, posterior.mean[k], atol=1e-5)
        assert torch.allclose(found.covariance, posterior.covariance_matrix, atol=1e-4)


def test_nothing_is_left_where_q_is_the_posterior():
    exact = LinearGaussian.of_size(4, 2)  # correlated, so q has a full covariance
    for found in posterior_on_grid(exact.vae(), Batch(x=exact.sample(3)), tolerance=1e-7):
        assert found.divergence == pytest.approx(0.0, abs=1e-7)
        assert found.elbo == pytest.approx(found.log_evidence, abs=1e-7)


class SquaredLength(nn.Module):
    """x = |z|² + noise: its posterior has as many modes as there are directions, two in one dimension."""

    def forward(self, z):
        return z.square().sum(-1, keepdim=True)


def around(features: int, sigma: float) -> VAE:
    """q sits on one point of the sphere |z| = 2 and sees nothing of the rest."""
    loc = torch.tensor([[2.0, *[0.0] * (features - 1)]], dtype=torch.float64)
    decoder = Decoder(SquaredLength(), GaussianHead(spread=FixedScale(sigma)))
    return VAE(StandardNormal(features), decoder, Given(lambda _: diagonal_gaussian(loc, torch.full_like(loc, 0.1))))


@pytest.mark.parametrize(("features", "sigma"), [(1, 0.5), (1, 0.1), (1, 0.001), (2, 0.5), (2, 0.1)])
def test_modes_that_q_does_not_see_are_found(features, sigma):
    """With u = |z|² ~ χ²: p(x) = ∫ N(x; u, σ²) χ²(u) du."""
    (found,) = posterior_on_grid(around(features, sigma), Batch(x=torch.tensor([[4.0]])))
    u = np.linspace(max(1e-9, 4 - 12 * sigma), 4 + 12 * sigma, 200_001)
    expected = math.log(integrate.simpson(stats.chi2.pdf(u, features) * stats.norm.pdf(4, u, sigma), x=u))
    assert found.converged
    assert found.log_evidence == pytest.approx(expected, abs=1e-5)
    assert torch.allclose(
        found.mean, torch.zeros(features, dtype=torch.float64), atol=1e-4
    )  # half of the mass is on the other side
    assert float(found.probability[found.latent[:, 0] < 0].sum()) == pytest.approx(0.5, abs=1e-4)


def test_divergence_from_a_posterior_of_two_modes():
    """q on one of two equal modes, as wide as it: about log 2 nats away, by SciPy to six digits."""
    sigma = 0.1
    (found,) = posterior_on_grid(around(1, sigma), Batch(x=torch.tensor([[4.0]])), tolerance=1e-8)
    z = np.linspace(2 - 1.2, 2 + 1.2, 400_001)  # q's mean ± 12 deviations
    q = stats.norm(2, 0.1)
    log_joint = stats.norm.logpdf(z) + stats.norm.logpdf(4, z**2, sigma)
    expected = integrate.simpson(q.pdf(z) * (q.logpdf(z) - log_joint), x=z) + found.log_evidence
    assert found.divergence == pytest.approx(expected, abs=1e-6)


def test_the_scan_is_widened_where_the_posterior_is_beyond_the_prior():
    exact = LinearGaussian(torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64), 0.1)
    x = torch.full((1, 1), 40.0, dtype=torch.float64)  # the posterior is N(39.6, 0.0995²), q is N(0, 1)
    (found,) = posterior_on_grid(
        exact.vae(lambda x: diagonal_gaussian(torch.zeros_like(x), torch.ones_like(x))), Batch(x=x)
    )
    assert found.converged
    assert found.log_evidence == pytest.approx(float(exact.log_prob(x)), abs=1e-5)
    assert float(found.mean) == pytest.approx(float(exact.posterior(x).mean), abs=1e-4)


@pytest.mark.parametrize("x", [0.5, 60.0])
def test_as_many_latents_as_it_says_were_decoded(x):
    """Also where the first scan is too narrow, as p(z | x) lies 30 deviations of the prior away from it and from q."""
    exact = LinearGaussian(torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64), 1.0)
    model = exact.vae(lambda x: diagonal_gaussian(torch.zeros_like(x), torch.ones_like(x)))
    decoded = []
    model.likelihood.register_forward_pre_hook(lambda decoder, given: decoded.append(given[0][..., 0].numel()))
    given = torch.tensor([[x]], dtype=torch.float64)
    (found,) = posterior_on_grid(model, Batch(x=given))
    assert found.converged
    assert found.log_evidence == pytest.approx(float(exact.log_prob(given)), abs=1e-5)
    assert found.evaluations == sum(decoded)


def test_it_says_when_it_has_not_converged():
    (found,) = posterior_on_grid(around(2, 0.01), Batch(x=torch.tensor([[4.0]])), most=20_000)
    assert not found.converged
    assert found.error > 1e-5
    assert found.evaluations <= 20_000


def test_a_decoder_with_kinks_against_a_dense_grid():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VAE(
            StandardNormal(2),
            Decoder(Dense((2,), (12,), (16,), nn.ReLU), BernoulliHead()),
            GaussianPosterior(Dense((12,), (4,), (8,))),
        ).double()
        for weight in model.likelihood.parameters():
            weight.data *= 3
    x = (torch.rand(2, 12, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    expected = on_grid(model, x, points=401)
    for found, log_prob in zip(posterior_on_grid(model, Batch(x=x), tolerance=1e-4), expected.tolist(), strict=True):
        assert found.converged
        assert found.log_evidence == pytest.approx(log_prob, abs=1e-4)
        assert abs(found.residual) < 1e-4


def test_cells_that_were_not_seen_do_not_count():
    exact = LinearGaussian.of_size(4, 1)
    kept = torch.tensor([True, False, True, True])
    fewer = LinearGaussian(exact.weight[kept], exact.bias[kept], exact.sigma)
    x = exact.sample(2)
    x[:, ~kept] = math.nan
    model = exact.vae(lambda x: shifted(fewer)(x[:, kept]))
    found = posterior_on_grid(model, Batch(x=x, observed=kept.expand(2, 4)))
    assert [one.log_evidence for one in found] == pytest.approx(fewer.log_prob(x[:, kept]).tolist(), abs=1e-5)


@pytest.fixture(scope="module")
def digits():
    return load("digits", binarize=Binarize.THRESHOLD)


def trained(digits, latent: int, epochs: int = 6) -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = dense(
            digits.train.event, BernoulliHead(), latent=latent, hidden=(48,), statistics=statistics(digits.train)
        )
    return run(
        GradientAscent(model, ELBO(), optimizer=AdamW(3e-3)), digits, Settings(epochs=epochs, batch=100, compiled=False)
    ).model


@pytest.mark.parametrize(("latent", "examples"), [(1, 4), (2, 4), (3, 1)])
def test_a_trained_model_against_importance_weights(digits, latent, examples):
    """log p(x) = ELBO + KL to four digits, and within 6 standard errors of 4,000 importance weights: a false alarm
    in 1e8 under normality.
    """
    model = trained(digits, latent)
    batch = digits.test.batch(torch.arange(examples))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = posterior_on_grid(model, batch)
    with torch.no_grad():
        weighed = under_posterior(model, batch, model.posterior(batch.x), Draws(4_000, seed=0, rows=20_000))
    for k, one in enumerate(found):
        assert one.converged
        assert round(one.log_evidence, 4) == pytest.approx(one.elbo + one.divergence, abs=1e-4)
        assert one.divergence > 0
        deviation = math.sqrt(1 / float(weighed.effective_samples[k]) - 1 / 4_000)
        assert one.log_evidence == pytest.approx(float(weighed.log_likelihood[k]), abs=6 * deviation + 1e-4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_single_terms_of_a_trained_model(digits):
    """Reconstruction and rate, each by 20,000 draws or closed form."""
    model = trained(digits, 2, epochs=5)
    batch = digits.test.batch(torch.arange(3))
    with torch.no_grad():
        terms = model.terms(batch, samples=20_000, generator=torch.Generator().manual_seed(0))
    for k, one in enumerate(posterior_on_grid(model, batch)):
        error = float(terms.log_likelihood[:, k].std()) / math.sqrt(20_000)
        assert one.reconstruction == pytest.approx(
            float(terms.log_likelihood[:, k].mean()), abs=6 * error
        )  # false alarm in 1e8
        assert one.rate == pytest.approx(float(terms.divergence[0, 0, k]), abs=1e-4)


def test_refused():
    exact = LinearGaussian.of_size(6, 4)
    with pytest.raises(SupportError, match=r"4 latents.*importance weights"):
        posterior_on_grid(exact.vae(exact.diagonal_posterior), Batch(x=exact.sample(1)))
    discrete = Enumerable.of_size(3, 5)
    with pytest.raises(SupportError, match="continuous latents"):
        posterior_on_grid(discrete.vae(lambda logits: BernoulliHead()(logits)), Batch(x=discrete.sample(1)))
    case = Conjugate()
    with pytest.raises(SupportError, match="tolerance 0"):
        posterior_on_grid(case.vae(), case.batch(), tolerance=0.0)
    with pytest.raises(SupportError, match="at most 0 points"):
        posterior_on_grid(case.vae(), case.batch(), most=0)
    unknown = Given(
        lambda _: Independent(
            TransformedDistribution(Normal(torch.zeros(1).double(), 1.0), [AffineTransform(0.0, 2.0)]), 1
        )
    )
    with pytest.raises(StateError, match="does not know its mean"):
        posterior_on_grid(VAE(unknown, case.vae().likelihood, case.vae().posterior), case.batch())
    plain = Autoencoder(Dense((3,), (2,), (4,)), Decoder(Dense((2,), (3,), (4,)), SquaredErrorHead()))
    with pytest.raises(StateError, match="LatentVector"):
        posterior_on_grid(plain, Batch(x=torch.zeros(1, 3)))


def test_a_bound_with_a_restricted_posterior_is_highest_elsewhere():
    """x = θ z + noise at x = 2.5: log p(x) is highest at θ = √(x² - 1); with the variance of q kept at 0.8, the
    bound is highest at a smaller θ.
    """
    x, q = 2.5, torch.linspace(-1, 4, 501, dtype=torch.float64)
    thetas = torch.linspace(0.05, 4, 80, dtype=torch.float64)
    bounds, evidences = [], []
    for theta in thetas:
        exact = LinearGaussian(theta.reshape(1, 1), torch.zeros(1, dtype=torch.float64), 1.0)
        posterior = exact.posterior(torch.full((1, 1), x, dtype=torch.float64))
        law = Normal(posterior.mean[0, 0], posterior.variance.flatten()[0].sqrt())
        evidences.append(float(exact.log_prob(torch.full((1, 1), x, dtype=torch.float64))))
        bounds.append(evidences[-1] - float(kl_divergence(Normal(q, math.sqrt(0.8)), law).min()))
    assert float(thetas[int(np.argmax(evidences))]) == pytest.approx(math.sqrt(x**2 - 1), abs=0.05)
    best = thetas[int(np.argmax(bounds))]
    assert float(best) == pytest.approx(1.34, abs=0.05)
    exact = LinearGaussian(best.reshape(1, 1), torch.zeros(1, dtype=torch.float64), 1.0)
    mean = float(exact.posterior(torch.full((1, 1), x, dtype=torch.float64)).mean)
    model = exact.vae(lambda x: diagonal_gaussian(torch.full_like(x, mean), torch.full_like(x, math.sqrt(0.8))))
    (found,) = posterior_on_grid(model, Batch(x=torch.full((1, 1), x, dtype=torch.float64)))
    assert found.elbo == pytest.approx(max(bounds), abs=1e-4)
