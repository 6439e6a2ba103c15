"""Latents of categories: bounds and gradients by enumeration of all their values."""

import itertools

import pytest
import torch

from oracles import generator
from vael.data import Batch
from vael.models import VAE, BernoulliHead, Decoder
from vael.models.posteriors.categorical import CategoricalPosterior, GumbelSoftmaxPosterior
from vael.models.priors.categorical import CategoricalPrior
from vael.networks import Dense
from vael.objectives import ELBO, MultiSampleScoreFunction, ScoreFunction
from vael.probability import draw

CATEGORIES, LEVELS, CELLS = 2, 3, 4


def model(posterior=None):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        width = CATEGORIES * LEVELS
        encoder = Dense((CELLS,), (width,), (5,))
        made = VAE(
            CategoricalPrior(CATEGORIES, LEVELS),
            Decoder(Dense((width,), (CELLS,), (5,)), BernoulliHead()),
            CategoricalPosterior(encoder, LEVELS) if posterior is None else posterior(encoder),
        ).double()
        with torch.no_grad():
            made.prior.logits.normal_()
            made.likelihood.network.last.weight.mul_(20)
            made.posterior.network.last.weight.mul_(10)
    return made


def batch():
    return Batch(x=(torch.rand(1, CELLS, generator=generator(), dtype=torch.float64) < 0.5).double())


def values():
    """All 3² values, `[9, 1, 6]`."""
    return torch.stack([torch.cat(each) for each in itertools.product(torch.eye(LEVELS).double(), repeat=2)])[:, None]


def bound(vae, x):
    """The bound of the discrete model, by enumeration."""
    terms = vae.terms(x, samples=9, generator=generator(), latent=(values(),))
    q = terms.log_posterior[0].exp()
    return (q * (terms.log_likelihood + (terms.log_prior - terms.log_posterior)[0])).sum()


def climbed(objective, vae, x, samples):
    """The expectation of an objective's surrogate over all draws: each set of draws once, with its probability held."""
    every = values()
    log_q = vae.infer(x).log_prob(every)[:, 0]
    total = torch.zeros((), dtype=torch.float64)
    for chosen in itertools.product(range(9), repeat=samples):
        terms = vae.terms(x, samples=samples, generator=generator(), latent=(every[list(chosen)],))
        total = total + log_q[list(chosen)].sum().exp().detach() * objective(terms).surrogate.sum()
    return total


def gradients(value, vae):
    return torch.autograd.grad(value, list(vae.parameters()))


def test_the_divergence_is_the_sum_over_all_values_and_the_law_sums_to_one():
    vae, x = model(), batch()
    terms = vae.terms(x, samples=9, generator=generator(), latent=(values(),))
    q = terms.log_posterior[0].exp()
    torch.testing.assert_close(q.sum(), torch.ones((), dtype=torch.float64))
    torch.testing.assert_close(terms.divergence[0, 0, 0], (q * (terms.log_posterior - terms.log_prior)[0]).sum())


def test_the_score_function_has_the_exact_gradient_over_all_draws():
    """All 81 pairs of draws, with their probabilities: the gradient of the bound itself, to rounding."""
    vae, x = model(), batch()
    found, exact = gradients(climbed(ScoreFunction(), vae, x, 2), vae), gradients(bound(vae, x), vae)
    assert max(float(one.abs().max()) for one in exact) > 0.1
    for one, right in zip(found, exact, strict=True):
        torch.testing.assert_close(one, right, rtol=1e-8, atol=1e-10)


def test_the_multi_sample_score_function_has_the_exact_gradient_over_all_draws():
    """Of E[log 1/2 (w_1 + w_2)], all 81 pairs enumerated."""
    vae, x = model(), batch()
    terms = vae.terms(x, samples=9, generator=generator(), latent=(values(),))
    log_q = terms.log_posterior[0, :, 0]
    log_w = terms.log_likelihood[:, 0] + terms.log_prior[0, :, 0] - log_q
    pairs = (log_q[:, None] + log_q[None]).exp()
    exact = gradients((pairs * (torch.logaddexp(log_w[:, None], log_w[None]) - torch.tensor(2.0).log())).sum(), vae)
    found = gradients(climbed(MultiSampleScoreFunction(), vae, x, 2), vae)
    for one, right in zip(found, exact, strict=True):
        torch.testing.assert_close(one, right, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("relaxed", [False, True])
def test_a_softmax_posterior_draws_one_hot_vectors_but_for_relaxed_training(relaxed):
    """The share of each level is its probability within 5 standard errors (6 numbers: false-alarm rate 4e-6), the bound
    of what is judged that of the discrete model.
    """
    vae = model(lambda encoder: GumbelSoftmaxPosterior(encoder, LEVELS, temperature=0.5, relaxed=relaxed))
    x, plain = batch(), model()
    z = draw(vae.train().infer(x), 20_000, generator())
    assert z.requires_grad
    largest = z.detach().unflatten(-1, (CATEGORIES, LEVELS))
    assert bool((largest.sum(-1) - 1).abs().max() < 1e-9)
    assert bool(((largest == 0) | (largest == 1)).all()) is not relaxed
    share = (largest == largest.max(-1, keepdim=True).values).double().flatten(-2)[:, 0]
    p = plain.infer(x).mean[0]
    assert ((share.mean(0) - p).abs() <= 5 * (p * (1 - p) / 20_000).sqrt()).all()
    judged = draw(vae.eval().infer(x), 100, generator())
    assert bool(((judged == 0) | (judged == 1)).all())
    torch.testing.assert_close(bound(vae, x), bound(plain, x))


def test_straight_through_climbs_in_value_the_bound_of_the_discrete_model():
    """The value at a draw is that of the same one-hot vector; only the gradient is another."""
    vae = model(lambda encoder: GumbelSoftmaxPosterior(encoder, LEVELS, temperature=0.5, relaxed=False)).train()
    terms = vae.terms(batch(), samples=5, generator=generator(), requires=ELBO.requires)
    (z,) = terms.latent
    again = model().terms(batch(), samples=5, generator=generator(), latent=(z.detach().round(),))
    torch.testing.assert_close(ELBO()(terms).bound, ELBO()(again).bound)
    assert vae.posterior.trains_on_its_draws
