"""Laplace's approximation: exact where the posterior is Gaussian, closer than the encoder where it is not, never
another log p(x).
"""

import copy
import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from oracles import LinearGaussian
from vael.data import Batch, Kind, Source, Splits
from vael.errors import StateError
from vael.evaluation import evaluate, evaluate_encoder, evaluate_refined
from vael.inference import GradientAscent, LaplacePosterior, refined
from vael.inference.joint import LatentJoint
from vael.inference.laplace import climbed
from vael.models import (
    VAE,
    BernoulliHead,
    Decoder,
    FixedScale,
    GaussianHead,
    GaussianMixture,
    GaussianPosterior,
    StandardNormal,
)
from vael.networks import Dense
from vael.objectives import log_weights
from vael.probability import diagonal_gaussian
from vael.training import Settings, run


def correlated():
    """A linear-Gaussian model whose posterior has strong correlations, with an encoder that knows nothing; and its
    exact log p(x).
    """
    oracle = LinearGaussian.of_size(7, 3, sigma=0.4)
    decode = nn.Linear(3, 7).double()
    with torch.no_grad():
        decode.weight.copy_(oracle.weight)
        decode.bias.copy_(oracle.bias)

    class Ignorant(nn.Module):
        def forward(self, x):
            return x.new_zeros(len(x), 6)

    model = VAE(
        StandardNormal(3).double(), Decoder(decode, GaussianHead(spread=FixedScale(0.4))), GaussianPosterior(Ignorant())
    ).double()
    x = oracle.bias + torch.randn(11, 7, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return model, oracle, x


def test_the_exact_posterior_of_a_linear_gaussian_model():
    """Mean and covariance to 1e-8; every single importance weight is p(x)."""
    model, oracle, x = correlated()
    better = refined(model, widen=1.0)
    q = better.posterior(x)
    precision = torch.eye(3).double() + oracle.weight.T @ oracle.weight / 0.4**2
    mean = torch.linalg.solve(precision, oracle.weight.T @ (x - oracle.bias).T / 0.4**2).T
    torch.testing.assert_close(q.mean, mean, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(q.covariance_matrix, torch.linalg.inv(precision).expand(11, 3, 3), rtol=1e-8, atol=1e-8)
    terms = better(Batch(x=x), samples=50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(log_weights(terms), oracle.log_prob(x).expand(50, 11), rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def trained():
    """Two latents, binary stripes, a linear encoder: log p(x) on a grid is exact."""
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(600, 4, 4, dtype=torch.uint8)
    for i, k in enumerate(torch.randint(0, 8, (600,), generator=generator).tolist()):
        if k < 4:
            images[i, k] = 1
        else:
            images[i, :, k - 4] = 1
    images = (images ^ (torch.rand(images.shape, generator=generator) < 0.08).to(torch.uint8)).flatten(1)
    source = Source("stripes", images, Kind.BINARY, "stripes")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VAE(
            StandardNormal(2),
            Decoder(Dense((2,), (16,), (24,), nn.Tanh), BernoulliHead()),
            GaussianPosterior(nn.Linear(16, 4)),
        )
    splits = Splits(source.subset(torch.arange(500)), source.subset(torch.arange(500, 600)), None)
    return run(GradientAscent(model), splits, Settings(epochs=40, batch=50, compiled=False)).model, splits.validation


def on_a_grid(model, source, side=400, reach=7.0):
    """log ∫ p(x | z) p(z) dz by the midpoint rule: exact to 1e-6 for densities as smooth as these."""
    edge = (torch.arange(side) + 0.5) * 2 * reach / side - reach
    z = torch.cartesian_prod(edge, edge)
    x = source.batch(torch.arange(len(source))).x
    with torch.no_grad():
        logits = model.likelihood.network(z)
        prior = diagonal_gaussian(torch.zeros(2), torch.ones(2)).log_prob(z)[:, None]
        log_p = logits @ x.T - nn.functional.softplus(logits).sum(1, keepdim=True) + prior
    return log_p.double().logsumexp(0) + 2 * math.log(2 * reach / side)


def test_it_lacks_less_of_the_evidence_than_the_encoder(trained):
    """Against the grid: within 4 standard errors of the weights' mean (false-alarm rate 6e-5), nearer than the
    encoder with as many draws.
    """
    model, source = trained
    exact = on_a_grid(model, source)
    plain = evaluate_encoder(model, source, importance_samples=200)
    better = evaluate_encoder(refined(model), source, importance_samples=200)
    corrected = evaluate_refined(model, source, importance_samples=200)
    assert 200 - better.effective_sample_size < 0.6 * (200 - plain.effective_sample_size)
    gaps = [exact - found.log_likelihood_per_example.double() for found in (plain, better, corrected)]
    assert gaps[1].abs().mean() < 0.75 * gaps[0].abs().mean()  # noise goes with the root of what draws are worth: 0.58
    for found, gap in ((better, gaps[1]), (corrected, gaps[2])):
        relative = 1 / found.effective_sample_size - 1 / 200  # variance of the mean weight over its square, on average
        assert abs(float(gap.mean())) < 4 * math.sqrt(relative / len(source)) + relative
    assert corrected.k_hat_above_limit <= plain.k_hat_above_limit
    assert corrected.elbo == evaluate(model, source, importance_samples=100).elbo
    assert "Laplace" in corrected.estimator
    assert corrected.active_units == plain.active_units


def test_the_bound_at_it_is_tighter(trained):
    model, source = trained
    bounds = [evaluate_encoder(one, source, importance_samples=200).elbo for one in (model, refined(model, widen=1.0))]
    assert bounds[0] + 0.05 < bounds[1] < float(on_a_grid(model, source).mean())


def test_the_climb_is_pytorchs_adam_in_units_of_the_width(trained):
    """30 steps at rates 0.3 · 0.1^(t/30), β = (0.9, 0.98), from the encoder's mean; in float64, where both agree to
    rounding.
    """
    model, source = trained
    x = source.batch(torch.arange(6)).x.double()
    exact = LaplacePosterior(copy.deepcopy(model).double())
    q = exact.posterior(x, None)
    about = LatentJoint(exact.prior, exact.likelihood, Batch(x), q)
    start, width = q.mean.detach(), q.stddev.detach()
    u = torch.zeros_like(start, requires_grad=True)
    adam = torch.optim.Adam([u], betas=(0.9, 0.98))
    for step in range(1, 31):
        adam.param_groups[0]["lr"] = 0.3 * 0.1 ** (step / 30)
        adam.zero_grad()
        (-about(start + width * u).sum()).backward()
        adam.step()
    assert (about(start + width * u) > about(start)).all()
    reached = climbed(about, start, width, exact.steps)
    torch.testing.assert_close(reached, (start + width * u).detach(), rtol=1e-9, atol=1e-9)


def test_what_it_costs_is_reckoned_for_as_many_steps_as_it_takes(trained):
    """Three decodings a step of Adam and eleven an axis of the curvature."""
    steps = LaplacePosterior(trained[0]).steps
    assert LaplacePosterior.cost(7) == LaplacePosterior.cost(7, steps) == 3 * steps + 77
    assert LaplacePosterior.cost(2, 10) == 52


def test_it_depends_neither_on_the_batch_nor_on_inference_mode(trained):
    model, source = trained
    x = source.batch(torch.arange(20)).x
    posterior = LaplacePosterior(model)
    whole = posterior(x)
    for part in (slice(0, 1), slice(5, 12)):
        torch.testing.assert_close(posterior(x[part]).mean, whole.mean[part], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(posterior(x[part]).scale_tril, whole.scale_tril[part], rtol=1e-3, atol=1e-3)
    with torch.inference_mode():
        torch.testing.assert_close(posterior(x).mean, whole.mean)
    assert isinstance(whole, MultivariateNormal)
    found = [evaluate_refined(model, source, importance_samples=50, batch=batch).log_likelihood for batch in (7, 100)]
    assert found[0] == pytest.approx(found[1], abs=1e-3)


def test_what_it_cannot_do_is_refused(trained):
    model, _ = trained
    for wrong in ({"steps": 0}, {"widen": 0.0}, {"widen": math.inf}):
        with pytest.raises(StateError, match="at least one step"):
            LaplacePosterior(model, **wrong)
    mixture = GaussianMixture(2, 3)
    with pytest.raises(StateError, match="a prior, a likelihood and a posterior"):
        evaluate_refined(mixture, Source("x", torch.zeros(2, 3), Kind.REAL, "x"))
