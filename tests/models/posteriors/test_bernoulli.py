"""Binary latents: everything about them by enumeration of all their values."""

import itertools

import torch

from oracles import generator
from vael.data import Batch
from vael.models import VAE, BernoulliHead, BernoulliPosterior, BernoulliPrior, Decoder
from vael.networks import Dense
from vael.objectives import ELBO, ScoreFunction

LATENTS, CELLS = 3, 7


def model():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = VAE(
            BernoulliPrior(LATENTS),
            Decoder(Dense((LATENTS,), (CELLS,), (9,)), BernoulliHead()),
            BernoulliPosterior(Dense((CELLS,), (LATENTS,), (9,))),
        ).double()
        with torch.no_grad():
            made.prior.logits.normal_()
            made.likelihood.network.last.weight.mul_(20)
    return made


def batch():
    return Batch(x=(torch.rand(5, CELLS, generator=generator(), dtype=torch.float64) < 0.5).double())


def everything(vae, x):
    """Terms at all 2³ values of the latents, and the probability q of each, `[8, batch]`."""
    z = torch.tensor(list(itertools.product((0.0, 1.0), repeat=LATENTS)), dtype=torch.float64)[:, None].expand(
        -1, len(x.x), -1
    )
    terms = vae.terms(x, samples=8, generator=generator(), latent=(z,))
    return terms, terms.log_posterior[0].exp()


def test_the_posterior_is_a_law_over_all_values_and_its_divergence_is_their_sum():
    terms, q = everything(model(), batch())
    torch.testing.assert_close(q.sum(0), torch.ones(5).double())
    by_sum = (q * (terms.log_posterior - terms.log_prior)[0]).sum(0)
    torch.testing.assert_close(terms.divergence[0, 0], by_sum, rtol=1e-9, atol=1e-12)


def test_the_bound_is_below_log_p_by_the_divergence_from_the_exact_posterior():
    terms, q = everything(model(), batch())
    joint = terms.log_likelihood + terms.log_prior[0]
    log_p = joint.logsumexp(0)
    bound = (q * (joint - q.log())).sum(0)
    gap = (q * (q.log() - (joint - log_p))).sum(0)
    torch.testing.assert_close(bound, log_p - gap, rtol=1e-9, atol=0)
    assert (gap > 1e-3).all()
    torch.testing.assert_close((q * terms.log_likelihood).sum(0) - terms.divergence[0, 0], bound, rtol=1e-9, atol=0)


def test_the_score_function_has_the_gradient_of_the_enumerated_bound():
    """Every weight of encoder, prior and decoder; 400 gradients of 200 pairs of draws, within 5 standard errors:
    false-alarm rate 2e-4.
    """
    vae, x = model(), batch()
    weights = list(vae.parameters())
    terms, q = everything(vae, x)
    bound = (q * (terms.log_likelihood + terms.log_prior[0] - terms.log_posterior[0])).sum(0).mean()
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(bound, weights)])
    many, noise = Batch(x=x.x.repeat(40, 1)), generator(7)
    found = []
    for _ in range(400):
        terms = vae.terms(many, samples=2, generator=noise, requires=ScoreFunction.requires)
        found.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(ScoreFunction()(terms).surrogate.mean(), weights)])
        )
    draws = torch.stack(found)
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - exact).abs() <= 5 * error + 1e-12).all()
    assert (exact.abs() > 5 * error).sum() > len(exact) / 4
    assert len(exact) == 3 + 9 * 4 + 7 * 10 + 9 * 8 + 3 * 10  # one hidden layer of 9 on each side, and the prior


def test_draws_are_zeros_and_ones_and_carry_no_gradient():
    vae = model()
    terms = vae.terms(batch(), samples=4, generator=generator())
    assert set(terms.latent[0].unique().tolist()) <= {0.0, 1.0}
    assert not terms.latent[0].requires_grad
    assert ELBO()(terms).bound.shape == (5,)
    assert vae.sample(3, generator=generator()).shape == (3, CELLS)
    assert ((vae.encode(batch()) > 0) & (vae.encode(batch()) < 1)).all()
