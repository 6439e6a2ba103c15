"""log p(x | c) and its bound against the exact conditional linear-Gaussian model; that c is obeyed and asked for."""

import math
from dataclasses import replace

import pytest
import torch

from oracles import ConditionalLinearGaussian, generator
from vael.data import Batch, Kind, Source
from vael.errors import ShapeError, StateError
from vael.evaluation import evaluate, evaluate_encoder
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
