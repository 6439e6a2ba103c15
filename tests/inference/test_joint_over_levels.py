"""log p(x, z) as a function of one vector: of two linear Gaussian levels a fitted Gaussian gives p(x) by every draw."""

import math

import pytest
import torch
from torch import nn

from oracles import LinearGaussian, exact_of_levels, generator, linear_levels
from vael.data import Batch, Kind, Source
from vael.errors import StateError
from vael.evaluation import evaluate, evaluate_encoder, evaluate_refined
from vael.inference import DiagonalFit, LogJoint, approximation, can_be_joint, joint_by_prior, joint_of
from vael.inference.joint import latents_of
from vael.models import BernoulliHead, GaussianMixture
from vael.models.hierarchical import HierarchicalVAE
from vael.networks.ladder import DenseLadder
from vael.probability import PerExample, as_noise, diagonal_gaussian, draw

OFF = 1.5  # deviations of the prior by which the means of both levels' posteriors are wrong


def rows(count=6):
    return 1.5 * torch.randn(count, 3, generator=generator(1), dtype=torch.float64)


def levels():
    """Three levels of two, three and four latents over twelve zeros and ones, far from where they start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = HierarchicalVAE(
            nn.Identity(), DenseLadder((12,), (12,), (2, 3, 4), 16), BernoulliHead(), nn.Identity(), sees_gaps=False
        )
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(0.1 * torch.randn(weights.shape))
    return model.double(), Batch((torch.rand(5, 12, generator=generator(2)) < 0.4).double(), index=torch.arange(5))


def test_it_is_the_joint_density_of_the_levels_by_change_of_variables():
    """log p(x, z(u)) + log |dz/du|, the determinant by automatic differentiation over all levels at once."""
    model, batch = levels()
    about, u = joint_of(model, batch), torch.randn(1, 5, 9, generator=generator(), dtype=torch.float64)
    terms = model.at_variates(batch)(u)

    def latents(one, example):
        alone = Batch(batch.x[example : example + 1])
        return torch.cat(model.at_variates(alone)(one[None, None]).latent, -1)[0, 0]

    for example in range(5):
        jacobian = torch.autograd.functional.jacobian(lambda one, e=example: latents(one, e), u[0, example])
        expected = (terms.log_likelihood + terms.log_prior.sum(0))[0, example] + torch.linalg.slogdet(jacobian)[1]
        torch.testing.assert_close(about.at(u)[0, example], expected, rtol=1e-9, atol=1e-9)
    part = about.part(torch.tensor([3, 1]))
    torch.testing.assert_close(part.at(u[:, [3, 1]]), about.at(u)[:, [3, 1]], rtol=1e-9, atol=1e-9)


def test_in_units_of_the_prior_it_is_the_joint_density_too():
    """log p(x, z(u)) + log |dz/du| where z(u) are draws of the prior for standard normal u; at the mean of `own` the
    levels are the means of the posterior, one given those above, and its deviations are theirs over the prior's.
    """
    model, batch = levels()
    about, u = joint_by_prior(model, batch), torch.randn(2, 5, 9, generator=generator(), dtype=torch.float64)
    with torch.no_grad():
        latent = about.levels(u)
        before = sum(model.prior_at(latent[:n]).log_prob(latent[n]) for n in range(3))
        told = model.decode(latent).log_prob(batch.x).flatten(2).sum(2)
        spread = sum(model.prior_at(latent[:n]).stddev.log().sum(-1) for n in range(3))  # the determinant's logarithm
        torch.testing.assert_close(about.at(u), told + before + spread, rtol=1e-9, atol=1e-9)
        mean, above = about.levels(about.own.mean[None]), ()
        for n, width in enumerate(about.own.stddev.split([level.shape[-1] for level in mean], -1)):
            q, p = model.posterior_at(above, batch), model.prior_at(above)
            torch.testing.assert_close(mean[n], q.mean.reshape(mean[n].shape))
            torch.testing.assert_close(width.expand(mean[n].shape), (q.stddev / p.stddev).reshape(mean[n].shape))
            above = (*above, mean[n])
        part = about.part(torch.tensor([3, 1]))
        torch.testing.assert_close(part.at(u[:, [3, 1]]), about.at(u)[:, [3, 1]], rtol=1e-9, atol=1e-9)


def test_in_units_of_the_prior_a_cell_that_was_not_seen_says_nothing():
    model, batch = levels()
    observed = torch.ones_like(batch.x, dtype=torch.bool)
    observed[:, 3:7] = False
    other = torch.where(observed, batch.x, 1 - batch.x)
    u = torch.randn(2, 5, 9, generator=generator(), dtype=torch.float64)
    for joint in (joint_by_prior, joint_of):
        one, two = (joint(model, Batch(x, observed=observed, index=batch.index)) for x in (batch.x, other))
        torch.testing.assert_close(one.terms(u), two.terms(u))
    about = joint_by_prior(model, Batch(other, observed=observed))
    cells = model.decode(about.levels(u)).log_prob(other)
    torch.testing.assert_close(about.terms(u)[0], torch.where(observed, cells, 0).sum(2))


def test_vectors_stand_for_the_levels_that_the_posterior_makes_of_them():
    model, batch = levels()
    u = torch.randn(2, 5, 9, generator=generator(), dtype=torch.float64)
    for one, other in zip(joint_of(model, batch).levels(u), model.at_variates(batch)(u).latent, strict=True):
        torch.testing.assert_close(one, other)
    assert latents_of(model) == joint_of(model, batch).features == 9
    single, z = LinearGaussian.of_size(3, 2).vae(), torch.randn(4, 6, 2, generator=generator(), dtype=torch.float64)
    assert latents_of(single) == joint_of(single, Batch(rows())).features == 2
    assert torch.equal(joint_of(single, Batch(rows())).levels(z)[0], z)


def test_of_one_level_units_of_the_prior_are_those_of_the_latents():
    model, batch = LinearGaussian.of_size(3, 2).vae(), Batch(rows())
    z = torch.randn(4, 6, 2, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(joint_by_prior(model, batch).at(z), joint_of(model, batch).at(z))


@pytest.mark.parametrize("joint", [joint_of, joint_by_prior])
def test_of_two_linear_levels_every_weight_is_p_of_x(joint):
    """The posterior of both levels is off by 1.5 deviations; the fitted Gaussian over both is exact, to 1e-7."""
    x = rows()
    about = joint(linear_levels(OFF), Batch(x))
    q = approximation(about, steps=60, widen=1.0)
    found = about.log_weight(draw(q, 20, generator(3)), q)
    torch.testing.assert_close(found, exact_of_levels(x).expand(20, 6), rtol=1e-7, atol=1e-7)


def source(count=40):
    return Source("made", rows(count), Kind.REAL, "m" * 64)


@pytest.mark.parametrize("how", [evaluate, evaluate_refined], ids=lambda how: how.__name__)
def test_the_estimate_of_two_linear_levels_is_exact_where_the_posterior_is_wrong(how):
    """Every example within 6 standard errors of its exact log p(x): 40 examples, false-alarm rate 1e-7.

    The posterior's own draws are off by 0.1 nats and more on average.
    """
    model, data = linear_levels(OFF), source()
    exact, found = exact_of_levels(data.x), how(model, data, importance_samples=400)
    assert found.fitted_share > 0.9
    assert found.k_hat_above_limit == 0
    assert found.warnings == ()
    error = math.sqrt(1 / found.worst_effective_sample_size - 1 / 400)
    assert (found.log_likelihood_per_example - exact).abs().max() < 6 * error < 0.25
    own = evaluate_encoder(model, data, importance_samples=400)
    assert float((exact - own.log_likelihood_per_example).mean()) > 4 * abs(found.log_likelihood - float(exact.mean()))
    assert found.elbo == pytest.approx(evaluate_encoder(model, data, importance_samples=100).elbo, abs=3)


def test_no_fitted_number_depends_on_the_batch():
    model, data = linear_levels(OFF), source(12)
    one, other = (evaluate(model, data, importance_samples=200, batch=batch) for batch in (5, 12))
    torch.testing.assert_close(one.log_likelihood_per_example, other.log_likelihood_per_example, rtol=1e-6, atol=1e-6)


class Target(LogJoint):
    """log N(z; m, diag s²) + c, seen from a start that is off."""

    def __init__(self):
        numbers = generator(4)
        self.mean = torch.randn(3, 6, generator=numbers, dtype=torch.float64)
        self.scale = 0.5 + torch.rand(3, 6, generator=numbers, dtype=torch.float64)
        self.own = diagonal_gaussian(torch.zeros_like(self.mean), torch.ones_like(self.mean))

    def terms(self, z):
        return torch.full(z.shape[:2], -7.0, dtype=z.dtype), diagonal_gaussian(self.mean, self.scale).log_prob(z)

    def levels(self, z):
        raise NotImplementedError

    def part(self, rows):
        raise NotImplementedError


def test_the_diagonal_fit_finds_a_diagonal_gaussian():
    """Means and deviations to a tenth of a deviation, by 400 steps of 8 draws; both are off by some 0.03 then."""
    target = Target()
    q = DiagonalFit(steps=400, draws=8)(target, as_noise(generator(5)))
    assert ((q.mean - target.mean) / target.scale).abs().max() < 0.1
    assert (q.stddev / target.scale - 1).abs().max() < 0.1
    wide = DiagonalFit(steps=400, draws=8)(target, as_noise(generator(5)), widen=1.5)
    torch.testing.assert_close(wide.stddev, 1.5 * q.stddev)


def test_the_diagonal_fit_raises_the_bound_of_every_example_of_a_hierarchy():
    model, batch = levels()
    with torch.no_grad():
        for level in range(3):
            model.ladder.rung(level).posterior[-1].bias.add_(0.7)  # an encoder that is off
        about = joint_of(model, batch)
        q = DiagonalFit()(about, PerExample(0, batch.rows))
        bounds = [about.log_weight(draw(law, 4000, generator(6)), law).mean(0) for law in (about.own, q)]
    assert (bounds[1] > bounds[0] + 0.1).all()


def test_what_has_no_such_vector_is_refused():
    mixture = GaussianMixture(2, 3)
    assert not can_be_joint(mixture)
    with pytest.raises(StateError, match="fitting proposals to examples needs"):
        joint_of(mixture, Batch(torch.zeros(2, 2)))
