"""Gradients of the objectives of several samples: each equal to its formula on the same draws, unbiased where it says
so, and with the ratio of signal to noise that theory gives it.
"""

import math
from itertools import product

import pytest
import torch
from torch import nn
from torch.distributions import Categorical

from oracles import Enumerable, Given, LinearGaussian, generator
from vael.data import Batch
from vael.errors import StateError
from vael.models import VAE, BernoulliHead
from vael.objectives import (
    DoublyReparameterized,
    ImportanceWeighted,
    MultiplyImportanceWeighted,
    MultiSampleScoreFunction,
    PartiallyImportanceWeighted,
    SampledELBO,
    StickingTheLanding,
    log_weights,
)
from vael.probability import diagonal_gaussian


class Learning:
    """A linear-Gaussian model whose posterior is a wrong affine Gaussian, both with weights that learn."""

    def __init__(self, exact: bool = False):
        self.oracle = LinearGaussian.of_size(5, 3, seed=4, orthogonal=exact)
        self.encode, self.raw = nn.Linear(5, 3).double(), torch.zeros(3, dtype=torch.float64, requires_grad=True)
        with torch.no_grad():
            numbers = generator(1)
            for weights in self.encode.parameters():
                weights.copy_(0.2 * torch.randn(weights.shape, generator=numbers, dtype=torch.float64))
        self.model = self.oracle.vae(
            lambda x: diagonal_gaussian(self.encode(x), (0.3 + self.raw).exp().expand(len(x), 3))
        )
        self.encoder = [*self.encode.parameters(), self.raw]
        self.decoder = list(self.model.likelihood.network.parameters())

    def terms(self, x, samples, seed=0):
        return self.model.terms(Batch(x=x), samples=samples, generator=generator(seed))


def gradient(value, weights):
    return torch.autograd.grad(value, weights, retain_graph=True)


def flat(gradients):
    return torch.cat([g.flatten() for g in gradients])


def test_the_partially_importance_weighted_gradients_are_those_of_two_bounds():
    """The decoder's of the bound over all samples, the encoder's of the mean over groups: equal on the same draws."""
    learning = Learning()
    terms = learning.terms(learning.oracle.sample(6), 12)
    value = PartiallyImportanceWeighted(4)(terms)
    tight, loose = ImportanceWeighted()(terms), MultiplyImportanceWeighted(4)(terms)
    torch.testing.assert_close(value.bound, tight.bound)
    climbed = value.surrogate.sum()
    torch.testing.assert_close(gradient(climbed, learning.decoder), gradient(tight.surrogate.sum(), learning.decoder))
    torch.testing.assert_close(gradient(climbed, learning.encoder), gradient(loose.surrogate.sum(), learning.encoder))
    assert (
        flat(gradient(loose.bound.sum(), learning.encoder)) - flat(gradient(tight.bound.sum(), learning.encoder))
    ).abs().max() > 0.1


def test_the_doubly_reparameterised_gradient_is_written_out():
    """Decoder: Σ w̃_k ∇ log w_k. Encoder: Σ w̃_k² ∂log w_k/∂z_k ∇z_k, each draw by itself, with the density held."""
    learning = Learning()
    x, samples = learning.oracle.sample(4), 5
    terms = learning.terms(x, samples)
    climbed = DoublyReparameterized()(terms).surrogate.sum()
    torch.testing.assert_close(
        gradient(climbed, learning.decoder), gradient(ImportanceWeighted()(terms).surrogate.sum(), learning.decoder)
    )
    (z,), share = terms.latent, log_weights(terms).detach().softmax(0)
    mean, scale = learning.encode(x).detach(), (0.3 + learning.raw).exp().detach()
    expected = [torch.zeros_like(weights) for weights in learning.encoder]
    for k, b in product(range(samples), range(len(x))):
        at = z[k, b].detach().requires_grad_()
        error = x[b] - at @ learning.oracle.weight.T - learning.oracle.bias
        log_w = -error.square().sum() / (2 * learning.oracle.sigma**2) - at.square().sum() / 2
        log_w = log_w + ((at - mean[b]) / scale).square().sum() / 2
        (slope,) = torch.autograd.grad(log_w, at)
        along = torch.autograd.grad(z[k, b], learning.encoder, slope * share[k, b] ** 2, retain_graph=True)
        expected = [total + part for total, part in zip(expected, along, strict=True)]
    torch.testing.assert_close(list(gradient(climbed, learning.encoder)), expected)


def blocks(learning, objective, samples, repeats, count, weights):
    """Gradients of the mean over `repeats` copies of one example, `[count, numbers]`."""
    x = learning.oracle.sample(1).expand(repeats, -1)
    found = [
        flat(gradient(objective(learning.terms(x, samples, seed)).surrogate.mean(), weights)) for seed in range(count)
    ]
    return torch.stack(found)


@pytest.mark.parametrize(
    ("one", "other", "samples"),
    [
        (DoublyReparameterized(), ImportanceWeighted(), 4),
        (StickingTheLanding(), SampledELBO(), 1),
    ],
    ids=["doubly reparameterised", "sticking the landing"],
)
def test_a_gradient_along_the_paths_alone_has_the_same_mean(one, other, samples):
    """100 blocks of 500 draws each, 21 numbers within 4.5 standard errors of each other: false-alarm rate 2e-4."""
    learning = Learning()
    found = blocks(learning, one, samples, 500, 100, learning.encoder)
    plain = blocks(learning, other, samples, 500, 100, learning.encoder)
    error = ((found.var(0) + plain.var(0)) / 100).sqrt()
    assert ((found.mean(0) - plain.mean(0)).abs() <= 4.5 * error + 1e-12).all()
    assert (found.mean(0).abs() > 10 * error).any()


def test_at_the_exact_posterior_the_gradient_without_the_score_is_zero_for_every_draw():
    learning = Learning(exact=True)
    exact = learning.oracle.diagonal_posterior(learning.oracle.sample(3))
    loc, scale = exact.mean.clone().requires_grad_(), exact.stddev.clone().requires_grad_()
    model = learning.oracle.vae(lambda x: diagonal_gaussian(loc, scale))
    terms = model.terms(Batch(x=learning.oracle.sample(3)), samples=2, generator=generator())
    still, moving = (
        flat(gradient(objective(terms).surrogate.sum(), [loc, scale]))
        for objective in (StickingTheLanding(), SampledELBO())
    )
    assert still.abs().max() < 1e-10
    assert moving.abs().max() > 0.1


def signal_to_noise(objective, samples):
    """|mean| over deviation of the gradient at a posterior near the exact one, its middle number, of one example."""
    oracle = LinearGaussian.of_size(5, 3, seed=4, orthogonal=True)
    x = oracle.sample(1)
    exact = oracle.diagonal_posterior(x)
    loc = (exact.mean + 0.3 * exact.stddev).requires_grad_()
    scale = (1.3 * exact.stddev).requires_grad_()
    model = oracle.vae(lambda x: diagonal_gaussian(loc.expand(len(x), -1), scale.expand(len(x), -1)))
    rows = Batch(x=x.expand(20, -1))
    found = []
    for seed in range(300):
        terms = model.terms(rows, samples=samples, generator=generator(seed))
        found.append(flat(gradient(objective(terms).surrogate.mean(), [loc, scale])))
    found = torch.stack(found)
    return float((found.mean(0).abs() / found.std(0)).median())


def test_more_samples_hurt_the_encoder_of_one_estimator_and_help_that_of_the_other():
    """Rainforth et al. (2018): signal to noise falls as 1/√K for the importance-weighted bound; Tucker et al. (2019):
    it grows as √K for the doubly reparameterised gradient. From K = 4 to 64 that is a factor of 4 each way; 300 blocks
    give each ratio within a fifth, a factor of 2 each way is asked for.
    """
    plain, double = (
        [signal_to_noise(objective, samples) for samples in (4, 64)]
        for objective in (ImportanceWeighted(), DoublyReparameterized())
    )
    assert plain[1] < plain[0] / 2
    assert double[1] > 2 * double[0]


def pairs(components):
    """All pairs of draws, `[2, pairs]`."""
    return torch.cartesian_prod(torch.arange(components), torch.arange(components)).T


def test_the_multi_sample_score_function_has_the_exact_gradient_in_expectation():
    """Σ over all pairs of draws of q(z₁) q(z₂) times the gradient of the surrogate is the gradient of the expected
    bound, by enumeration: no chance is involved.
    """
    oracle = Enumerable.of_size(4, 10)
    x = oracle.sample(1)
    logits = torch.tensor([0.5, -0.3, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
    cells = oracle.cells.clone().requires_grad_()
    prior = Given(lambda _: Categorical(logits=oracle.logits, validate_args=False))
    posterior = Given(lambda x: Categorical(logits=logits.expand(len(x), -1), validate_args=False))
    model = VAE(prior, Given(lambda z: BernoulliHead()(cells[z])), posterior)
    z = pairs(4)
    chance = logits.log_softmax(0)[z].sum(0).exp()
    rows = Batch(x=x.expand(z.shape[1], -1))
    terms = model.terms(rows, samples=2, generator=generator(), latent=(z,))
    value = MultiSampleScoreFunction()(terms)
    found = gradient((chance.detach() * value.surrogate).sum(), [logits, cells])
    expected = gradient((chance * ImportanceWeighted()(terms).bound).sum(), [logits, cells])
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert expected[0].abs().max() > 1e-3
    assert not value.bound.requires_grad


def test_what_an_objective_cannot_take_it_says():
    learning = Learning()
    terms = learning.terms(learning.oracle.sample(2), 6)
    with pytest.raises(StateError, match=r"6 samples of each example in 4 groups.*take 4 samples"):
        MultiplyImportanceWeighted(4)(terms)
    with pytest.raises(StateError, match="latents that carry a gradient"):
        MultiSampleScoreFunction()(terms)
    z = (torch.zeros(1, 2, 3, dtype=torch.float64),)
    alone = learning.model.terms(Batch(x=learning.oracle.sample(2)), samples=1, generator=generator(), latent=z)
    with pytest.raises(StateError, match="compares samples and got 1"):
        MultiSampleScoreFunction()(alone)
    assert math.isfinite(
        float(DoublyReparameterized()(alone).surrogate.detach().sum())
    )  # latents that carry no gradient
