"""Bounds against exact log p(x): equal at the exact posterior, below it elsewhere, with the gap that theory says."""

import math
from itertools import pairwise

import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch.distributions import Categorical

from oracles import Conjugate, Enumerable, LinearGaussian, generator, on_grid, ppca
from vael.data import Batch
from vael.errors import StateError
from vael.models import VAE, BernoulliHead, Decoder, GaussianPosterior, StandardNormal, Terms
from vael.networks import Dense
from vael.objectives import (
    ELBO,
    Beta,
    CombinationImportanceWeighted,
    DoublyReparameterized,
    ImportanceWeighted,
    MultiplyImportanceWeighted,
    PartiallyImportanceWeighted,
    Renyi,
    SampledELBO,
    StickingTheLanding,
    log_weights,
)
from vael.probability import PerExample, diagonal_gaussian

OBJECTIVES = [ELBO(), SampledELBO(), ImportanceWeighted()]
WEIGHTED = [  # bounds from log weights
    SampledELBO(),
    ImportanceWeighted(),
    MultiplyImportanceWeighted(2),
    PartiallyImportanceWeighted(2),
    CombinationImportanceWeighted(0.5),
    Renyi(0.5),
    Renyi(3.0),
    DoublyReparameterized(),
    StickingTheLanding(),
]


def bound(model, x, objective, samples=1, seed=0):
    with torch.no_grad():
        return objective(
            model.terms(Batch(x=x), samples=samples, generator=generator(seed), requires=objective.requires)
        ).bound


@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize("objective", WEIGHTED, ids=repr)
def test_at_the_exact_posterior_bounds_of_log_weights_are_log_p_for_every_draw(objective, orthogonal):
    oracle = LinearGaussian.of_size(7, 3, orthogonal=orthogonal)
    x = oracle.sample(5)
    for seed in range(4):
        torch.testing.assert_close(
            bound(oracle.vae(), x, objective, samples=2, seed=seed), oracle.log_prob(x), rtol=0, atol=1e-10
        )


def test_at_the_exact_posterior_the_elbo_is_log_p_in_the_mean():
    """Within 4 standard errors for 5 examples: false-alarm rate 3e-4."""
    oracle = LinearGaussian.of_size(7, 3, orthogonal=True)
    x, draws = oracle.sample(5), 4000
    with torch.no_grad():
        terms = oracle.vae().terms(Batch(x=x), samples=draws, generator=generator())
    each = terms.log_likelihood - terms.divergence.sum(0)
    assert (each.std(0) > 0.1).all()  # not exact draw by draw, so the mean says something
    assert ((ELBO()(terms).bound - oracle.log_prob(x)).abs() <= 4 * each.std(0) / math.sqrt(draws)).all()


@pytest.mark.parametrize("objective", [ELBO(), *WEIGHTED], ids=repr)
def test_elsewhere_every_bound_is_below_log_p_in_expectation(objective):
    """The mean of 4000 bounds is at most log p plus 4 standard errors for 5 examples: false-alarm rate below 2e-4."""
    oracle = LinearGaussian.of_size(7, 3)
    x = oracle.sample(5)
    model = oracle.vae(
        lambda x: diagonal_gaussian(0.5 * oracle.posterior(x).mean, torch.full((len(x), 3), 0.8).double())
    )
    rows = bound(model, x.repeat(4000, 1), objective, samples=4).view(4000, 5)
    gap = oracle.log_prob(x) - rows.mean(0)
    assert (gap >= -4 * rows.std(0) / math.sqrt(4000)).all()
    assert (gap > 0.01).all()  # the posterior is wrong, and that must show


def test_the_conjugate_case():
    oracle, draws = Conjugate(), 200_000
    for objective in (ELBO(), SampledELBO()):
        each = bound(oracle.vae(), oracle.batch(draws).x, objective)
        error = float(each.std()) / math.sqrt(draws)
        assert abs(float(each.mean()) - oracle.elbo) <= 4 * error  # false-alarm rate 6e-5
        assert error < 0.003
    z, weight = (torch.from_numpy(part) for part in hermegauss(20))
    z = oracle.loc + math.sqrt(oracle.variance) * z
    with torch.no_grad():
        terms = oracle.vae().terms(oracle.batch(), samples=20, generator=generator(), latent=(z[:, None, None],))
    weight = weight / weight.sum()
    assert float((weight * log_weights(terms)[:, 0]).sum()) == pytest.approx(oracle.elbo, abs=1e-9)
    assert float((weight * (terms.log_likelihood - terms.divergence.sum(0))[:, 0]).sum()) == pytest.approx(
        oracle.elbo, abs=1e-9
    )
    assert float((weight * log_weights(terms)[:, 0].exp()).sum().log()) == pytest.approx(oracle.log_prob, abs=1e-9)


@pytest.mark.parametrize(("samples", "draws"), [(5, 40_000), (20, 40_000), (50, 20_000)])
def test_the_bias_of_importance_weighting_is_chi_square_over_two_k(samples, draws):
    """Within 4 standard errors (false-alarm rate 6e-5) and the next order in 1/K, which at K = 5 is 10 %."""
    oracle = Conjugate()
    each = bound(oracle.vae(), oracle.batch(draws).x, ImportanceWeighted(), samples)
    bias, error = oracle.log_prob - float(each.mean()), float(each.std()) / math.sqrt(draws)
    expected = oracle.chi_square / (2 * samples)
    assert error < 0.35 * expected
    assert abs(bias - expected) <= 4 * error + expected * 0.8 / samples


def test_with_one_sample_importance_weighting_is_the_sampled_elbo():
    oracle = Conjugate()
    assert torch.equal(
        bound(oracle.vae(), oracle.batch(50).x, ImportanceWeighted()),
        bound(oracle.vae(), oracle.batch(50).x, SampledELBO()),
    )


def test_averages_of_importance_weighted_bounds_over_disjoint_groups_never_fall_with_k():
    """Of one set of weights, by Jensen for every such set: no chance is involved."""
    oracle = Conjugate()
    with torch.no_grad():
        terms = oracle.vae().terms(oracle.batch(40), samples=240, generator=generator())
    log_w = log_weights(terms)
    averages = [(log_w.view(-1, k, 40).logsumexp(1) - math.log(k)).mean(0) for k in (1, 2, 4, 8, 16, 48, 240)]
    assert all((later >= earlier - 1e-12).all() for earlier, later in pairwise(averages))
    torch.testing.assert_close(averages[-1], ImportanceWeighted()(terms).bound)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_enumerable_latents_at_the_exact_posterior(objective):
    oracle = Enumerable.of_size(6, 10)
    x, exact = oracle.sample(8), None
    exact = oracle.log_prob(x)
    if isinstance(objective, ELBO):  # sum over all z instead of drawing
        model = oracle.vae(BernoulliHead())
        z = torch.arange(6)[:, None].expand(6, 8)
        terms = model.terms(Batch(x=x), samples=6, generator=generator(), latent=(z,))
        weight = model.posterior(x).probs.T
        value = (weight * (terms.log_likelihood - terms.divergence.sum(0))).sum(0)
    else:
        value = bound(oracle.vae(BernoulliHead()), x, objective, samples=3)
    torch.testing.assert_close(value, exact, rtol=0, atol=1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_enumerable_latents_elsewhere(objective):
    """E over all z of the bound with one sample is log p(x) - KL(q || p(z | x))."""
    oracle = Enumerable.of_size(6, 10)
    x = oracle.sample(8)

    def uniform(x):
        return Categorical(logits=torch.zeros(len(x), 6).double(), validate_args=False)

    z = torch.arange(6)[:, None].expand(6, 8)
    terms = oracle.vae(BernoulliHead(), uniform).terms(Batch(x=x), samples=6, generator=generator(), latent=(z,))
    rows = [
        Terms(
            *(
                t[..., i : i + 1, :]
                for t in (terms.log_likelihood, terms.log_prior, terms.log_posterior, terms.divergence)
            )
        )
        for i in range(6)
    ]
    mean = torch.stack([objective(row).bound for row in rows]).mean(0)
    gap = (-(oracle.joint(x).log_softmax(1)) - math.log(6)).mean(1)
    torch.testing.assert_close(mean, oracle.log_prob(x) - gap, rtol=0, atol=1e-10)


def small_vae(features, dtype=torch.float64):
    torch.manual_seed(3)
    decoder = Decoder(Dense((features,), (12,), (16,), torch.nn.Tanh), BernoulliHead())
    model = VAE(StandardNormal(features), decoder, GaussianPosterior(Dense((12,), (2 * features,), (16,))))
    with torch.no_grad():
        model.likelihood.network.last.weight.mul_(20)  # far from linear
    return model.to(dtype)


@pytest.mark.parametrize("features", [1, 2])
def test_log_p_on_a_grid_is_the_limit_of_importance_weighting(features):
    """20 000 samples, within 4 delta-method standard errors for 6 examples: false-alarm rate 4e-4."""
    model, x = small_vae(features), (torch.rand(6, 12, generator=generator()) < 0.4).double()
    exact = on_grid(model, x)
    torch.testing.assert_close(exact, on_grid(model, x, points=141, reach=7.0), rtol=0, atol=1e-6)
    with torch.no_grad():
        terms = model.terms(Batch(x=x), samples=20_000, generator=generator())
    weight = log_weights(terms).softmax(0) * 20_000
    error = weight.std(0) / math.sqrt(20_000)
    assert (error < 0.05).all()
    assert ((ImportanceWeighted()(terms).bound - exact).abs() <= 4 * error).all()


@pytest.mark.parametrize(("dtype", "exact"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_the_bound_of_given_latents_does_not_depend_on_the_batch_size(objective, dtype, exact):
    model, x = small_vae(2, dtype), (torch.rand(128, 12, generator=generator()) < 0.4).to(dtype)
    z = torch.randn(3, 128, 2, generator=generator(1), dtype=dtype)

    def by(size):
        parts = [
            objective(
                model.terms(Batch(x=x[i : i + size]), samples=3, generator=generator(), latent=(z[:, i : i + size],))
            ).bound
            for i in range(0, 128, size)
        ]
        return torch.cat(parts)

    whole = by(128)
    for size in (1, 7):
        torch.testing.assert_close(by(size), whole, rtol=exact, atol=0)


def test_noise_of_examples_makes_the_bound_independent_of_the_batch():
    model, x, index = small_vae(2), (torch.rand(20, 12, generator=generator()) < 0.4).double(), torch.arange(100, 120)

    def by(rows):
        with torch.no_grad():
            return SampledELBO()(model.terms(Batch(x=x[rows]), samples=3, generator=PerExample(5, index[rows]))).bound

    whole = by(torch.arange(20))
    order = torch.randperm(20, generator=generator())
    shuffled = torch.cat([by(part) for part in order.split(7)])
    torch.testing.assert_close(shuffled, whole[order], rtol=1e-9, atol=0)


def test_the_weight_of_the_divergence_ends_where_it_is_meant_to():
    beta = Beta(final=2.0, warmup=0.5)
    assert [beta(p) for p in (0.0, 0.25, 0.5, 1.0)] == [0.0, 1.0, 2.0, 2.0]
    assert float(beta(torch.tensor(0.25))) == 1.0
    assert Beta()(0.0) == 1.0
    for wrong in ({"warmup": 1.0}, {"warmup": -0.1}, {"final": -1.0}, {"final": math.nan}):
        with pytest.raises(StateError):
            Beta(**wrong)


def test_beta_weighs_the_surrogate_and_leaves_the_bound():
    model, x = small_vae(2), (torch.rand(5, 12, generator=generator()) < 0.4).double()
    terms = model.terms(Batch(x=x), generator=generator())
    plain, weighed = ELBO()(terms), ELBO(Beta(3.0))(terms)
    torch.testing.assert_close(weighed.bound, plain.bound)
    torch.testing.assert_close(weighed.surrogate, plain.bound - 2 * terms.divergence[0, 0])


def test_ppca_reaches_what_its_own_parameters_reach():
    """The maximum in closed form is the log-likelihood at the parameters that attain it, and no other parameters do
    better.
    """
    x = LinearGaussian.of_size(6, 2).sample(300)
    centred = x - x.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / 300)
    variance = float(values[:4].mean())
    best = LinearGaussian(vectors[:, 4:] * (values[4:] - variance).sqrt(), x.mean(0), math.sqrt(variance))
    assert float(best.log_prob(x).mean()) == pytest.approx(ppca(x, 2), abs=1e-10)
    assert float(LinearGaussian.of_size(6, 2).log_prob(x).mean()) < ppca(x, 2)  # the parameters that made the data
    assert ppca(x, 3) > ppca(x, 2)
