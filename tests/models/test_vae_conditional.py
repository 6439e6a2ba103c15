"""log p(x | c) and its bound against the exact conditional linear-Gaussian model; that c is obeyed and asked for."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from oracles import ConditionalLinearGaussian, Given, generator
from vael.data import Batch, Kind, Source
from vael.errors import ShapeError, StateError
from vael.evaluation import evaluate, evaluate_encoder
from vael.models import VAE, Conditional
from vael.models.priors.gaussian import ConditionalGaussianPrior
from vael.probability import PerExample

EXAMPLES, CONDITIONS, WIDE = 64, 2, 1.3


@pytest.fixture(scope="module")
def exact():
    return ConditionalLinearGaussian.of_size(5, 2, CONDITIONS)


@pytest.fixture(scope="module")
def source(exact):
    context = torch.randn(EXAMPLES, CONDITIONS, generator=generator(8))
    cells = exact.sample(context)
    return Source("linear", cells, Kind.REAL, "", context=context, conditions=("c1", "c2"))


def test_the_estimate_of_log_p_is_exact_where_the_posterior_is(exact, source):
    found = evaluate_encoder(exact.vae(), source, importance_samples=10)
    expected = exact.log_prob(source.x, source.context)
    assert torch.allclose(found.log_likelihood_per_example, expected, atol=1e-9)
    assert found.conditioned_on == ("c1", "c2")
    assert "log p(x) given c1, c2" in str(found)


def test_bound_and_estimate_are_those_of_log_p_given_c(exact, source):
    """z-test at 4.5 standard errors: false alarms 7e-6. The gap of the bound is KL(q || p(z | x, c)) = 2 (a² - 1 - ln
    a²) / 2 for a posterior a times as wide in two latents. The weights' relative variance is about 0.2, so that of
    4,000 leaves 0.007 nats an example and 0.001 on the mean: both tolerances are above 10 standard errors.
    """
    model = exact.vae(WIDE)
    found = evaluate_encoder(model, source, importance_samples=4000, seed=3)
    expected = exact.log_prob(source.x, source.context)
    gap = WIDE**2 - 1 - math.log(WIDE**2)
    bound = found.elbo_per_example - (expected - gap)
    assert abs(float(bound.mean())) < 4.5 * float(bound.std() / math.sqrt(EXAMPLES))
    assert abs(found.log_likelihood - float(expected.mean())) < 0.01
    assert float((found.log_likelihood_per_example - expected).abs().max()) < 0.15


def test_a_shuffled_condition_has_a_lower_density(exact, source):
    order = torch.arange(EXAMPLES).roll(1)
    shuffled = replace(source, context=source.context[order])
    own, other = (evaluate(exact.vae(WIDE), one, importance_samples=200) for one in (source, shuffled))
    assert own.log_likelihood > other.log_likelihood + 1


def test_batch_size_and_order_change_nothing(exact, source):
    one, other = (evaluate(exact.vae(WIDE), source, importance_samples=100, batch=size) for size in (64, 7))
    assert torch.allclose(one.log_likelihood_per_example, other.log_likelihood_per_example, atol=1e-9)
    model, index = exact.vae(WIDE), torch.tensor([4, 9, 2])
    whole = model.terms(source.batch(torch.arange(EXAMPLES)), generator=PerExample(0, torch.arange(EXAMPLES)))
    some = model.terms(source.subset(index).batch(torch.arange(3)), generator=PerExample(0, index))
    assert torch.allclose(whole.log_likelihood[:, index], some.log_likelihood, atol=1e-12)


def test_draws_have_the_moments_of_the_condition(exact):
    """z-test at 5 standard errors over five columns: false alarms 3e-6."""
    context, count = torch.tensor([[1.5, -2.0]]), 20_000
    with torch.no_grad():
        drawn = exact.vae().sample(count, generator=generator(4), context=context.expand(count, -1))
    mean = exact.base.bias + (context.double() @ exact.slope.T)[0]
    error = exact.base.marginal.covariance_matrix.diagonal().sqrt() / math.sqrt(count)
    assert ((drawn.mean(0) - mean).abs() < 5 * error).all()


def test_a_missing_condition_is_refused_and_one_of_another_size(exact, source):
    batch = source.batch(torch.arange(4))
    for used in (
        lambda c: exact.vae().terms(replace(batch, context=c), generator=generator()),
        lambda c: exact.vae().encode(replace(batch, context=c)),
        lambda c: exact.vae().reconstruct(replace(batch, context=c)),
        lambda c: exact.vae().sample(4, generator=generator(), context=c),
        lambda c: exact.vae().decode((torch.zeros(1, 4, 2, dtype=torch.float64),), c),
    ):
        with pytest.raises(StateError, match="conditioned on 2 numbers"):
            used(None)
        with pytest.raises(ShapeError, match="conditioned on 2"):
            used(torch.zeros(4, 3))


def test_a_condition_that_a_model_has_no_use_for_is_refused(exact):
    plain = exact.base.vae()
    with pytest.raises(ShapeError, match="leave it out"):
        plain.encode(Batch(x=torch.zeros(2, 5, dtype=torch.float64), context=torch.zeros(2, 3)))


class ExactAboveConditional(Conditional):
    """p(z | x, c) where p(z | c) = N(μ(c), diag σ²), by the algebra of Gaussians."""

    def __init__(self, base, prior):
        super().__init__()
        self.base, self.prior = base, prior

    def forward(self, x, context):
        p = self.prior(context)
        precision = self.base.weight.T @ self.base.weight / self.base.sigma**2 + p.variance[0].reciprocal().diag()
        seen = (x - self.base.bias) @ self.base.weight / self.base.sigma**2 + p.mean / p.variance
        return MultivariateNormal(seen @ precision.inverse(), precision.inverse(), validate_args=False)


def above_conditional(exact):
    """A model whose only condition is that of its prior, and log p(x | c) of some data."""
    network = nn.Linear(CONDITIONS, 2 * 2).double()
    with torch.no_grad():
        network.weight.copy_(torch.randn(4, CONDITIONS, generator=generator(3)))
        network.weight[2:] = 0  # σ is the same for all conditions, so that the marginal is one Gaussian moved about
        network.bias.copy_(torch.tensor([0.3, -0.4, -0.5, 0.2]))
    prior = ConditionalGaussianPrior(network)
    decode = exact.base.decoder()
    alone = Given(lambda z: decode(z))
    return VAE(prior, alone, ExactAboveConditional(exact.base, prior), context=CONDITIONS)


def test_a_prior_given_the_condition_is_exact_where_the_posterior_is(exact):
    """p(x | c) = N(W μ(c) + b, W diag σ² Wᵀ + s² I)."""
    model = above_conditional(exact)
    context = torch.randn(EXAMPLES, CONDITIONS, generator=generator(8))
    x = exact.base.sample(EXAMPLES)
    with torch.no_grad():
        p = model.prior(context)
        covariance = (
            exact.base.weight * p.variance[0] @ exact.base.weight.T + exact.base.sigma**2 * torch.eye(5).double()
        )
        expected = MultivariateNormal(exact.base.bias + p.mean @ exact.base.weight.T, covariance).log_prob(x)
    source = Source("linear", x, Kind.REAL, "", context=context, conditions=("c1", "c2"))
    found = evaluate_encoder(model, source, importance_samples=10)
    assert torch.allclose(found.log_likelihood_per_example, expected, atol=1e-9)


def test_draws_of_a_prior_given_the_condition_follow_it(exact):
    """By conditions of each example and at one condition alike: z-test at 5 standard errors over ten columns: false
    alarms 6e-6.
    """
    model, count = above_conditional(exact), 20_000
    context = torch.tensor([1.5, -2.0])
    with torch.no_grad():
        p = model.prior(context)
        mean = exact.base.bias + p.mean @ exact.base.weight.T
        spread = (exact.base.weight * p.variance @ exact.base.weight.T).diagonal() + exact.base.sigma**2
        each = model.sample(count, generator=generator(4), context=context.expand(count, -1))
        once = model.at(context).sample(count, generator=generator(5))
    for drawn in (each, once):
        assert drawn.shape == (count, 5)
        assert ((drawn.mean(0) - mean).abs() < 5 * (spread / count).sqrt()).all()
        torch.testing.assert_close(drawn.var(0), spread, rtol=0.06, atol=0)
