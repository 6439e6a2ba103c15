"""The VAE's terms against their definitions, missing cells, other posteriors, given latents; samples and
reconstructions.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Independent, Laplace, MultivariateNormal

from oracles import Conjugate, Given, LinearGaussian, generator
from vael.data import Batch
from vael.errors import ShapeError, StateError
from vael.models import VAE, Decoder, GaussianPosterior, StandardNormal
from vael.models.likelihoods import heads
from vael.networks import Dense
from vael.probability import diagonal_gaussian

HEADS = {
    "Bernoulli": heads.BernoulliHead(),
    "continuous Bernoulli": heads.ContinuousBernoulliHead(),
    "Gaussian": heads.GaussianHead(),
    "Gaussian, predicted": heads.GaussianHead(spread=heads.PredictedScale()),
    "Laplace": heads.LaplaceHead(),
    "categorical": heads.CategoricalHead(2),
    "discretised logistic": heads.DiscretizedLogisticHead(2),
    "mixture": heads.DiscretizedLogisticMixtureHead(2, 3),
}
CELLS = 6


def vae(head, event=(CELLS,)):
    decoder = Decoder(Dense((2,), (head.channels_per_cell * event[0], *event[1:]), (8,)), head)
    return VAE(StandardNormal(2), decoder, GaussianPosterior(Dense(event, (4,), (8,)))).double()


def zeros_and_ones(batch=5, event=(CELLS,)):
    return (torch.rand(batch, *event, generator=generator()) < 0.5).double()


def test_the_terms_are_the_logarithms_of_their_names():
    oracle = LinearGaussian.of_size(4, 2)
    q = diagonal_gaussian(torch.zeros(3, 2).double(), torch.full((3, 2), 0.5).double())
    x = oracle.sample(3)
    terms = oracle.vae().terms(Batch(x=x), samples=5, generator=generator(), posterior=(q,))
    z = terms.latent[0]
    mean = z @ oracle.weight.T + oracle.bias
    expected = (-0.5 * ((x - mean) / oracle.sigma) ** 2 - math.log(oracle.sigma) - 0.5 * math.log(2 * math.pi)).sum(-1)
    torch.testing.assert_close(terms.log_likelihood, expected)
    torch.testing.assert_close(terms.log_prior[0], (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(-1))
    torch.testing.assert_close(
        terms.log_posterior[0], (-0.5 * (z / 0.5) ** 2 - math.log(0.5) - 0.5 * math.log(2 * math.pi)).sum(-1)
    )
    torch.testing.assert_close(
        terms.divergence[0], torch.full((5, 3), 2 * 0.5 * (0.25 - 1 - 2 * math.log(0.5))).double()
    )
    assert terms.log_prior.shape == terms.log_posterior.shape == terms.divergence.shape == (1, 5, 3)


def test_only_what_is_read_is_computed():
    terms = vae(heads.BernoulliHead()).terms(
        Batch(x=zeros_and_ones()), generator=generator(), requires=frozenset({"log_likelihood", "divergence"})
    )
    for name in ("log_prior", "log_posterior"):
        assert not terms.states(name)
        with pytest.raises(StateError, match=f"{name}.*requires"):
            getattr(terms, name)


def test_a_posterior_of_another_kind_falls_back_to_monte_carlo():
    """Mean of 20 000 log-ratios against a numerical integral, 4 standard errors: false-alarm rate 6e-5."""
    model = Conjugate().vae()
    q = Independent(Laplace(torch.full((1, 1), 0.2).double(), torch.full((1, 1), 0.5).double()), 1)
    model.prior.forward = lambda context=None: Independent(Laplace(torch.zeros(1).double(), torch.ones(1).double()), 1)
    with torch.no_grad():
        exact = model.terms(Conjugate().batch(), samples=2, generator=generator(), posterior=(q,)).divergence
    grid = torch.linspace(-30, 30, 600_001).double()[:, None, None]
    p = model.prior(None)
    integral = float((q.log_prob(grid).exp() * (q.log_prob(grid) - p.log_prob(grid))).sum() * 1e-4)
    torch.testing.assert_close(
        exact, torch.full_like(exact, integral), rtol=0, atol=1e-6
    )  # closed form for two Laplace laws
    normal = MultivariateNormal(torch.full((1, 1), 0.2).double(), 0.25 * torch.eye(1).double())
    with torch.no_grad():
        sampled = model.terms(
            Conjugate().batch(), samples=20_000, generator=generator(), posterior=(normal,)
        ).divergence[0, :, 0]
    integral = float((normal.log_prob(grid).exp() * (normal.log_prob(grid) - p.log_prob(grid))).sum() * 1e-4)
    assert float(sampled.std()) > 0.1
    assert abs(float(sampled.mean()) - integral) <= 4 * float(sampled.std()) / math.sqrt(20_000)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_cells_that_were_not_seen_count_for_nothing_whatever_stands_there(head):
    model, x = vae(head), zeros_and_ones()
    observed = torch.rand(x.shape, generator=generator(3)) < 0.6
    z = torch.randn(2, 5, 2, generator=generator(4), dtype=torch.float64)
    totals, gradients = [], []
    for hole in (math.nan, 0.0, 1.0):
        batch = Batch(x=torch.where(observed, x, hole), observed=observed)
        model.zero_grad()
        terms = model.terms(batch, samples=2, generator=generator(), latent=(z,))
        (terms.log_likelihood.sum() - terms.divergence.sum()).backward()
        totals.append(torch.cat([terms.log_likelihood, terms.divergence[0]]))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
        assert model.encode(batch).isfinite().all()
        assert model.reconstruct(batch).isfinite().all()
    for part in (totals, gradients):
        assert part[0].isfinite().all()
        assert torch.equal(part[0], part[1])
        assert torch.equal(part[0], part[2])
    cells = model.decode((z,)).log_prob(x)
    torch.testing.assert_close(totals[0][:2], (cells * observed).flatten(2).sum(2))


def test_a_mask_on_coupled_channels_is_refused():
    head = heads.CoupledLogisticMixtureHead(2, 2, channels=3)
    model, x = vae(head, (3, 2, 2)), zeros_and_ones(4, (3, 2, 2))
    assert model.terms(Batch(x=x), generator=generator()).log_likelihood.shape == (1, 4)
    with pytest.raises(ShapeError, match="without coupling"):
        model.terms(Batch(x=x, observed=x > 0), generator=generator())


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_samples_and_reconstructions_are_data(head):
    model, x = vae(head), zeros_and_ones()
    assert model.sample(4, generator=generator()).shape == (4, CELLS)
    assert torch.equal(model.sample(4, generator=generator(1)), model.sample(4, generator=generator(1)))
    assert model.reconstruct(Batch(x=x)).shape == x.shape
    assert torch.equal(model.encode(Batch(x=x)), model.encode(Batch(x=x)))
    if head.discrete:
        assert set(model.sample(40, generator=generator()).unique().tolist()) <= {0.0, 1.0}


def test_the_joint_at_a_given_latent_is_differentiable_in_it():
    model, x = vae(heads.GaussianHead()), zeros_and_ones()
    z = torch.randn(1, 5, 2, generator=generator(), dtype=torch.float64, requires_grad=True)

    def joint(z):
        terms = model.terms(Batch(x=x), generator=generator(), latent=(z,))
        return terms.log_likelihood + terms.log_prior.sum(0)

    assert torch.autograd.gradcheck(joint, (z,))


def test_samples_of_a_linear_model_have_its_moments():
    """Mean of 20 000 samples within 5 standard errors of b (false-alarm rate 3e-6), covariance within 8 % of its
    largest entry.
    """
    oracle = LinearGaussian.of_size(4, 2)
    with torch.no_grad():
        x = oracle.vae().sample(20_000, generator=generator())
    covariance = oracle.marginal.covariance_matrix
    assert ((x.mean(0) - oracle.bias).abs() <= 5 * (covariance.diag() / 20_000).sqrt()).all()
    torch.testing.assert_close(torch.cov(x.T), covariance, rtol=0, atol=0.08 * float(covariance.max()))


def test_the_posterior_scale_is_bounded():
    q = GaussianPosterior(torch.nn.Identity())(torch.tensor([[0.0, 0.0, -1e4, 1e4]]))
    torch.testing.assert_close(q.base_dist.scale.log(), torch.tensor([[-7.0, 3.0]]), rtol=0, atol=1e-3)


def test_padding_leaves_the_terms_of_the_others_alone():
    model, x = vae(heads.BernoulliHead()), zeros_and_ones()
    z = torch.randn(1, 5, 2, generator=generator(), dtype=torch.float64)
    batch = Batch(x=x)
    padded = replace(batch, weight=torch.tensor([1.0, 1, 1, 1, 0]))
    terms = [model.terms(b, generator=generator(), latent=(z,)).log_likelihood for b in (batch, padded)]
    assert torch.equal(*terms)


def test_the_bound_with_gaps_is_the_exact_marginal_of_the_cells_that_were_seen():
    """A linear Gaussian model with the exact p(z | x of the seen cells): ELBO = log N(x_seen; b_seen, (W Wᵀ + σ²
    I)_seen), any gaps, none too.
    """
    oracle = LinearGaussian.of_size(5, 2)
    x = oracle.sample(6)
    observed = torch.rand(x.shape, generator=generator(4)) < 0.6
    observed[0], observed[1] = True, False

    def exact(given):
        seen = (~torch.isnan(given)).double()
        precision = (
            torch.eye(2).double() + torch.einsum("ck,bc,cl->bkl", oracle.weight, seen, oracle.weight) / oracle.sigma**2
        )
        known = (torch.nan_to_num(given) - oracle.bias) * seen @ oracle.weight / oracle.sigma**2
        return MultivariateNormal(torch.linalg.solve(precision, known), torch.linalg.inv(precision))

    posterior = Given(exact)
    posterior.sees_gaps = True
    model = VAE(StandardNormal(2).double(), oracle.decoder(), posterior)
    terms = model.terms(
        Batch(x=x.masked_fill(~observed, torch.nan), observed=observed), samples=3, generator=generator(5)
    )
    weights = terms.log_likelihood + terms.log_prior.sum(0) - terms.log_posterior.sum(0)
    joint = oracle.marginal
    for row, seen in enumerate(observed):
        covariance = joint.covariance_matrix[seen][:, seen]
        law = MultivariateNormal(joint.mean[seen], covariance) if seen.any() else None
        known = law.log_prob(x[row, seen]) if law else torch.zeros(()).double()
        torch.testing.assert_close(weights[:, row], known.expand(3), rtol=1e-9, atol=1e-9)
