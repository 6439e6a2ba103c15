"""The losses that the lectures write out, against what the library's terms give: every number that their pages show."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Independent, Normal, StudentT

from oracles import generator
from vael.data import Batch
from vael.models import BernoulliHead, CrossEntropyHead, FixedScale, GaussianHead
from vael.objectives import ELBO, Beta
from vael.probability import Recorded, Stream, diagonal_gaussian, divergence, draw, has_closed_form
from vael.recipes import dense, lecture

CELLS = 16


def network(head, make=lecture):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make((1, 4, 4), head, latent=2).double()


def grey(examples=20):
    return Batch(x=torch.rand(examples, 1, 4, 4, generator=generator(), dtype=torch.float64))


@pytest.mark.parametrize(("sigma", "expected"), [(0.1, -1.9654), (0.2, 0.8870), (0.5, -1.2032), (1.0, -3.7508)])
def test_the_gaussian_likelihood_of_the_worked_example(sigma, expected):
    """-½ (d log 2πσ² + 0.15/σ²) at d = 4."""
    x, x_hat = torch.tensor([0.0, 0.2, 0.9, 1.0]).double(), torch.tensor([0.1, 0.0, 0.8, 0.7]).double()
    found = float(GaussianHead(spread=FixedScale(sigma)).double()(x_hat[None, None]).log_prob(x).sum())
    assert found == pytest.approx(-0.5 * (4 * math.log(2 * math.pi * sigma**2) + 0.15 / sigma**2), abs=1e-6)
    assert found == pytest.approx(expected, abs=5e-5)


def test_the_best_sigma_is_the_root_of_the_squared_error_per_cell():
    """The derivative of log p(x|z) by σ is -d/σ + error/σ³: zero at √(0.15/4) = 0.194, so the "constant" term is
    none.
    """
    sigma = torch.tensor(math.sqrt(0.15 / 4), dtype=torch.float64, requires_grad=True)
    error = torch.tensor([0.1, 0.2, 0.1, 0.3], dtype=torch.float64)
    whole = Normal(torch.zeros(4).double(), sigma).log_prob(error).sum()
    assert float(torch.autograd.grad(whole, sigma)[0]) == pytest.approx(0.0, abs=1e-9)
    assert float(sigma.detach()) == pytest.approx(0.194, abs=5e-4)
    constant = -0.5 * 4 * torch.log(2 * math.pi * sigma**2)
    assert float(torch.autograd.grad(constant, sigma)[0]) == pytest.approx(-4 / float(sigma.detach()))


def test_the_expected_squared_error_is_a_positive_average():
    """E‖x - Wz - b‖² = ‖x - Wμ - b‖² + Σ σ² ‖w‖²; 200,000 draws within 4.5 standard errors, false-alarm rate 7e-6."""
    w, b, x = (
        torch.tensor([[1.0, 0.5], [0.0, 1.0], [-1.0, 0.3]]),
        torch.tensor([0.1, 0.0, -0.2]),
        torch.tensor([1.0, 0.0, -1.0]),
    )
    q = diagonal_gaussian(torch.tensor([0.4, -0.3]), torch.tensor([0.5, 0.8]))
    exact = float((x - w @ q.mean - b).square().sum() + (q.variance * w.square().sum(0)).sum())
    each = (x - draw(q, 200_000, generator()) @ w.T - b).square().sum(1)
    assert exact == pytest.approx(1.9662, abs=1e-4)
    assert abs(float(each.mean()) - exact) < 4.5 * float(each.std()) / math.sqrt(200_000)


def test_the_total_loss_is_a_negative_bound_at_a_variance_of_one_half():
    """‖x - x̂‖² + KL = -bound(σ² = ½) - d/2 log π for each example; at 784 cells the constant is 448.734."""
    model, batch = network(GaussianHead(spread=FixedScale(math.sqrt(0.5)))), grey()
    terms = model.terms(batch, generator=generator())
    (z,), (q,) = terms.latent, terms.posterior
    loss = (batch.x - model.decode((z,)).mean[0]).square().flatten(1).sum(1)
    loss = loss + 0.5 * (q.mean.square() + q.variance - q.variance.log() - 1).sum(1)
    torch.testing.assert_close(
        -ELBO()(terms).bound - loss, torch.full_like(loss, CELLS / 2 * math.log(math.pi)), rtol=0, atol=1e-9
    )
    assert 784 / 2 * math.log(math.pi) == pytest.approx(448.7341, abs=1e-4)


@pytest.mark.parametrize(("sigma", "beta"), [(0.1, 50.0), (0.2, 12.5), (1.0, 0.5)])
def test_pairs_of_equal_variance_times_weight_have_proportional_gradients(sigma, beta):
    """2σ² times the surrogate is -(‖x - x̂‖² + 2σ²β KL) + constant, so gradients are in the ratio of 1/σ²."""

    def gradient(sigma, beta):
        model = network(GaussianHead(spread=FixedScale(sigma)))
        surrogate = ELBO(Beta(beta))(model.terms(grey(), generator=generator())).surrogate.mean()
        return torch.cat([g.flatten() for g in torch.autograd.grad(surrogate, list(model.parameters()))])

    reference, found = gradient(math.sqrt(0.5), 1.0), gradient(sigma, beta)
    torch.testing.assert_close(found * sigma**2 / 0.5, reference, rtol=1e-9, atol=1e-12)
    other = gradient(sigma, 2 * beta)
    assert float(other @ reference / other.norm() / reference.norm()) < 0.999999


@pytest.mark.parametrize(
    ("variance", "weight"), [(0.5, 22.222), (1.0, 44.444), (392.0, 17422.2), (0.5 / 255**2, 0.00034175)]
)
def test_the_table_of_weights(variance, weight):
    assert variance / 0.15**2 == pytest.approx(weight, rel=1e-4)


def test_the_two_integrals_of_the_gaussian_example():
    """∫ q log q = -J/2 log 2π - ½ Σ (1 + log σ²) = -1.95423 and -KL = ½ Σ (1 + log σ² - μ² - σ²) = -4.07259, and by
    quadrature.
    """
    mu, sigma = torch.tensor([0.5, -1.0, 2.0]).double(), torch.tensor([1.0, 0.5, 0.2]).double()
    q, p = diagonal_gaussian(mu, sigma), diagonal_gaussian(torch.zeros(3).double(), torch.ones(3).double())
    first = float(-1.5 * math.log(2 * math.pi) - 0.5 * (1 + (sigma**2).log()).sum())
    second = float(0.5 * (1 + (sigma**2).log() - mu**2 - sigma**2).sum())
    assert first == pytest.approx(-1.95423, abs=1e-5)
    assert second == pytest.approx(-4.07259, abs=1e-5)
    assert float(-q.entropy()) == pytest.approx(first, abs=1e-12)
    assert float(-divergence(q, p, mu[None])[0]) == pytest.approx(second, abs=1e-12)
    z = torch.linspace(-12, 12, 40_001, dtype=torch.float64)[:, None]
    each = Normal(mu, sigma).log_prob(z)
    assert float(torch.trapezoid(each.exp() * each, z, dim=0).sum()) == pytest.approx(first, abs=1e-8)
    gap = Normal(0.0, 1.0).log_prob(z) - each
    assert float(torch.trapezoid(each.exp() * gap, z, dim=0).sum()) == pytest.approx(second, abs=1e-8)


def test_the_lectures_program_gives_the_same_loss_line_by_line():
    """Keras's lines in PyTorch, with the same ε; binary_crossentropy is a mean over pixels, and `original_dim *`
    makes it the sum.
    """
    model, batch = network(CrossEntropyHead()), grey()
    noise = Recorded(Stream(generator()))
    terms = model.terms(batch, generator=noise)
    z_mean, z_log_var = model.posterior(batch.x).mean, 2 * model.posterior(batch.x).stddev.log()
    z = z_mean + torch.exp(0.5 * z_log_var) * noise.variates[0][0]
    x_decoded_mean = model.likelihood.network(z).flatten(1).sigmoid()
    xent_loss = CELLS * F.binary_cross_entropy(x_decoded_mean, batch.x.flatten(1), reduction="none").mean(-1)
    kl_loss = -0.5 * (1 + z_log_var - z_mean.square() - z_log_var.exp()).sum(-1)
    torch.testing.assert_close(-terms.log_likelihood[0], xent_loss, rtol=1e-9, atol=0)
    torch.testing.assert_close(terms.divergence[0, 0], kl_loss, rtol=1e-9, atol=1e-12)
    assert float(-ELBO()(terms).bound.mean().detach()) == pytest.approx(
        float((xent_loss + kl_loss).mean().detach()), rel=1e-9
    )


def test_a_divergence_without_a_closed_form_is_estimated():
    """Gaussian q, Student prior: 0.9074 nats by quadrature; 400,000 draws within 4.5 standard errors, false-alarm
    rate 7e-6.
    """
    q, p = (
        diagonal_gaussian(torch.tensor([0.5, -1.0]), torch.tensor([0.6, 0.9])),
        Independent(StudentT(torch.full((2,), 3.0)), 1),
    )
    assert not has_closed_form(q, p)
    grid, exact = torch.linspace(-9, 9, 20_001, dtype=torch.float64), 0.0
    for loc, scale in ((0.5, 0.6), (-1.0, 0.9)):
        log_q, log_p = Normal(loc, scale).log_prob(grid), StudentT(3.0).log_prob(grid)
        exact += float(torch.trapezoid(log_q.exp() * (log_q - log_p), grid))
    assert exact == pytest.approx(0.9074, abs=1e-4)
    each = divergence(q, p, draw(q, 400_000, generator()))
    assert abs(float(each.mean()) - exact) < 4.5 * float(each.std()) / math.sqrt(400_000)


def test_the_smallest_gap_of_a_diagonal_posterior_is_that_of_its_correlation():
    """KL of the best diagonal Gaussian from a correlated one is -½ log(1 - ρ²): 0.2730 nats for the lecture's
    linear model, ρ = -0.649.
    """
    w, sigma = torch.tensor([[1.0, 0.8], [0.6, 0.8], [-0.5, 0.2]]).double(), 0.6
    precision = (w.T @ w + sigma**2 * torch.eye(2)) / sigma**2
    covariance = torch.linalg.inv(precision)
    rho = float(covariance[0, 1] / (covariance[0, 0] * covariance[1, 1]).sqrt())
    best = torch.diag(1 / precision.diag())  # the minimiser of KL(q || p) has the precisions of p
    gap = 0.5 * (torch.trace(precision @ best) - 2 + torch.logdet(covariance) - torch.logdet(best))
    assert rho == pytest.approx(-0.649, abs=1e-3)
    assert float(gap) == pytest.approx(-0.5 * math.log(1 - rho**2), abs=1e-12)
    assert float(gap) == pytest.approx(0.2730, abs=1e-4)


def test_a_cut_path_leaves_the_encoder_without_a_gradient():
    model, batch = network(BernoulliHead(), dense), Batch(x=grey().x.round())
    whole = model.terms(batch, generator=generator())
    cut = model.terms(batch, generator=generator(), latent=(whole.latent[0].detach(),))
    torch.testing.assert_close(whole.log_likelihood, cut.log_likelihood)
    weights = list(model.posterior.parameters())
    flows = torch.autograd.grad(whole.log_likelihood.mean(), weights, retain_graph=True)
    stops = torch.autograd.grad(cut.log_likelihood.mean(), weights, allow_unused=True)
    assert any(bool(g.any()) for g in flows)
    assert stops == (None,) * len(weights)
