"""A posterior that is made better on every example: never worse than the encoder's, and near the exact one."""

import torch

from oracles import LinearGaussian, generator
from vael.data import Batch
from vael.models import VAE, StandardNormal
from vael.models.posteriors.gaussian import GaussianPosterior
from vael.models.posteriors.refined import RefinedPosterior, Refinement
from vael.networks import Dense
from vael.objectives import ELBO


def model(steps, in_training=False):
    """The exact posterior is a diagonal Gaussian, of which the encoder knows nothing."""
    oracle = LinearGaussian.of_size(4, 2, seed=1, orthogonal=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = GaussianPosterior(Dense((4,), (4,), ())).double()
    prior, decoder = StandardNormal(2).double(), oracle.decoder()
    how = Refinement(steps=steps, samples=16, in_training=in_training)
    return oracle, VAE(prior, decoder, RefinedPosterior(encoder, 2, prior, decoder, how).double())


def test_many_steps_reach_the_exact_posterior():
    """Of a Gaussian the means are reached whatever the variates, deviations up to the variates' second moments."""
    oracle, vae = model(200)
    x = oracle.sample(5)
    q, exact = vae.eval().infer(Batch(x=x)), oracle.diagonal_posterior(x)
    torch.testing.assert_close(q.mean, exact.mean, rtol=0, atol=1e-4)
    torch.testing.assert_close(q.stddev, exact.stddev, rtol=0.5, atol=0)


def test_a_step_is_clipped_to_its_rate_on_both_sides_and_is_its_formula_within():
    """Of a decoder that is nearly exact slopes are enormous: one step moves each mean by the rate in deviations,
    towards the exact one, and each logarithm of a deviation down by the rate. Of one that says little a mean moves by
    rate σ² (Wᵀ (x - b - W μ) / s² - μ): variates stand beside their opposites, so they cancel.
    """
    for sigma, clipped in ((1e-3, True), (50.0, False)):
        oracle = LinearGaussian.of_size(4, 2, sigma, seed=1, orthogonal=True)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            start = GaussianPosterior(Dense((4,), (4,), ())).double()
        prior, decoder = StandardNormal(2).double(), oracle.decoder()
        how = Refinement(steps=1, samples=16)
        refined = RefinedPosterior(start, 2, prior, decoder, how).double().eval()
        x = LinearGaussian.of_size(4, 2, seed=1, orthogonal=True).sample(12)
        before, after = start(x, None), refined(x, None)
        slope = (x - oracle.bias - before.mean @ oracle.weight.T) @ oracle.weight / sigma**2 - before.mean
        moved = before.stddev * slope
        assert (moved.abs() > 1).all() if clipped else (moved.abs() < 1).all()
        assert {-1.0, 1.0} == set(moved.sign().unique().tolist())
        torch.testing.assert_close(after.mean - before.mean, how.rate * before.stddev * moved.clamp(-1, 1))
        if clipped:
            narrower = torch.full_like(before.stddev, -how.rate)
            torch.testing.assert_close(after.stddev.log() - before.stddev.log(), narrower)


def test_no_example_gets_worse_and_the_bound_stays_one():
    """By 4,000 draws that the steps did not see: nearly every example gains, and none is above log p(x) by 5
    standard errors (false-alarm rate 2e-6).
    """
    oracle, vae = model(8)
    batch = Batch(x=oracle.sample(8))

    def bound(vae):
        with torch.no_grad():
            terms = vae.terms(batch, samples=4000, generator=generator(5))
            w = terms.log_likelihood + terms.log_prior[0] - terms.log_posterior[0]
        return w.mean(0), w.std(0) / 4000**0.5

    (found, error), (before, _) = bound(vae.eval()), bound(VAE(vae.prior, vae.likelihood, vae.posterior.start))
    assert (found - before > -5 * error).all()
    assert float((found - before).mean()) > 1
    assert (found <= oracle.log_prob(batch.x) + 5 * error).all()


def test_training_takes_the_encoder_as_it_is_unless_it_is_asked_for():
    oracle, plain = model(4)
    _, through = model(4, in_training=True)
    batch = Batch(x=oracle.sample(3))
    assert torch.equal(plain.train().infer(batch).mean, plain.posterior.start(batch.x, None).mean)
    assert not torch.equal(plain.eval().infer(batch).mean, plain.posterior.start(batch.x, None).mean)
    assert not torch.equal(through.train().infer(batch).mean, plain.train().infer(batch).mean)


def test_the_gradient_through_the_steps_is_that_of_finite_differences():
    """Of the whole: encoder, steps, bound, at float64."""
    oracle, vae = model(2, in_training=True)
    batch, weight = Batch(x=oracle.sample(3)), vae.train().posterior.start.network.last.weight

    def bound():
        terms = vae.terms(batch, samples=2, generator=generator(), requires=ELBO.requires)
        return ELBO()(terms).surrogate.sum()

    (found,) = torch.autograd.grad(bound(), weight)
    for row, column in ((0, 0), (3, 2)):
        ends = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[row, column] += step
                ends.append(float(bound()))
                weight[row, column] -= step
        assert abs((ends[0] - ends[1]) / 2e-5 - float(found[row, column])) < 1e-5 * max(
            1, abs(float(found[row, column]))
        )
