"""Two estimators of one gradient: equal means, and the variances that algebra gives.

Averages that converge as they should.
"""

import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, Laplace, MultivariateNormal, Normal

from oracles import Conjugate, LinearGaussian, generator
from vael.data import Batch
from vael.errors import ShapeError, StateError
from vael.lectures import (
    Estimate,
    LeaveOneOut,
    NoBaseline,
    OptimalBaseline,
    dataset_total,
    reparameterized,
    score_function,
    spread,
)
from vael.lectures.estimators import GaussianSquare, Running, errors_by_samples, slope
from vael.objectives import ELBO, SampledELBO
from vael.probability import PerExample, Stream, diagonal_gaussian

DRAWS = 200_000
BASELINES = {"none": NoBaseline(), "leave-one-out": LeaveOneOut(), "optimal": OptimalBaseline()}


def gaussian(phi):
    """φ = (μ, σ)."""
    return Normal(phi[0], phi[1], validate_args=False)


def square(z):
    return z * z


def within(found: Estimate, exact, errors=4.5):
    """Every coordinate of the mean within so many standard errors of what is exact."""
    return bool(((found.mean - torch.as_tensor(exact)).abs() <= errors * found.standard_error).all())


@pytest.mark.parametrize(("loc", "scale"), [(1.0, 0.5), (0.0, 1.0), (-2.0, 1.5)])
def test_all_estimators_have_the_exact_mean_and_the_variance_of_the_closed_form(loc, scale):
    """Means within 4.5 standard errors: 8 comparisons, false-alarm rate 6e-5.

    Variances to 8 %: their own relative error is below 1.5 %.
    """
    phi, known = torch.tensor([loc, scale], dtype=torch.float64), GaussianSquare(loc, scale)
    path = Estimate.of(reparameterized(gaussian, phi, square, samples=DRAWS, generator=generator(1)))
    assert within(path, known.mean)
    torch.testing.assert_close(path.variance, torch.tensor(known.reparameterized).double(), rtol=0.08, atol=0)
    for (name, baseline), expected in zip(
        BASELINES.items(), (known.score_function, known.leave_one_out, known.optimal), strict=True
    ):
        score = Estimate.of(
            score_function(gaussian, phi, square, samples=DRAWS, generator=generator(2), baseline=baseline)
        )
        assert within(score, known.mean), name
        torch.testing.assert_close(
            score.variance,
            torch.tensor(expected).double(),
            rtol=0.08,
            atol=0,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_the_variances_of_the_example_are_ordered():
    """At μ = 1, σ = 1/2: 1 and 6 with a path; 21.75 and 86.5 by the score function, and 10.5 and 54 with its mean
    as a baseline.
    """
    known = GaussianSquare(1.0, 0.5)
    assert known.reparameterized == (1.0, 6.0)
    assert known.score_function == (21.75, 86.5)
    assert known.leave_one_out == (10.5, 54.0)
    assert known.optimal == (9.5, 46.0)
    for better, worse in itertools.pairwise(
        (known.reparameterized, known.optimal, known.leave_one_out, known.score_function)
    ):
        assert all(a < b for a, b in zip(better, worse, strict=True))


def test_no_constant_baseline_does_better_than_the_optimal_one():
    known = GaussianSquare(1.3, 0.7)
    for b in torch.linspace(-5, 10, 61).tolist():
        assert known._with(b, b)[0] >= known.optimal[0] - 1e-9
        assert known._with(b, b)[1] >= known.optimal[1] - 1e-9


FAMILIES = {
    "diagonal Gaussian": (lambda p: diagonal_gaussian(p[:2], p[2:].exp()), torch.tensor([0.3, -1.0, 0.2, -0.5])),
    "full Gaussian": (
        lambda p: MultivariateNormal(
            p[:2], scale_tril=torch.stack((torch.stack((p[2], p[3] * 0)), p[3:])), validate_args=False
        ),
        torch.tensor([0.3, -1.0, 0.8, 0.4, 0.6]),
    ),
    "Laplace": (
        lambda p: Independent(Laplace(p[:2], p[2:].exp(), validate_args=False), 1),
        torch.tensor([0.3, -1.0, -0.2, -0.5]),
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_any_family_has_equal_means(name):
    """Each parameter's two means differ by less than 4.5 combined standard errors: 13 comparisons, false-alarm rate
    9e-5.
    """
    family, phi = FAMILIES[name]
    phi = phi.double()

    def f(z):
        return (z[:, 0] * z[:, 1]).sin() + z.square().sum(1)

    path = Estimate.of(reparameterized(family, phi, f, samples=50_000, generator=generator(3)))
    score = Estimate.of(score_function(family, phi, f, samples=50_000, generator=generator(4), baseline=LeaveOneOut()))
    error = (path.variance / path.samples + score.variance / score.samples).sqrt()
    assert ((path.mean - score.mean).abs() <= 4.5 * error).all()
    assert (path.mean.abs() > 5 * path.standard_error).any()  # there is something to agree on


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_discrete_latents_have_the_gradient_of_the_sum_over_all_of_them(baseline):
    """Within 4.5 standard errors for 4 logits, three baselines: false-alarm rate 8e-5."""
    phi, f = (
        torch.tensor([0.2, -0.5, 1.0, 0.0], dtype=torch.float64),
        torch.tensor([3.0, -1.0, 0.5, 2.0], dtype=torch.float64),
    )
    p = phi.softmax(0)
    exact = p * (f - (p * f).sum())
    draws = score_function(
        lambda p: Categorical(logits=p, validate_args=False),
        phi,
        lambda z: f[z],
        samples=100_000,
        generator=generator(),
        baseline=baseline,
    )
    assert within(Estimate.of(draws), exact)


def test_leave_one_out_is_unbiased_even_with_two_samples():
    """300 groups of two draws; the mean within 4.5 standard errors of groups: false-alarm rate 1.4e-5."""
    phi = torch.tensor([1.0, 0.5], dtype=torch.float64)
    groups = torch.stack(
        [
            score_function(
                gaussian, phi, square, samples=2, generator=generator(5 + seed), baseline=LeaveOneOut()
            ).mean(0)
            for seed in range(300)
        ]
    )
    assert within(Estimate.of(groups), GaussianSquare(1.0, 0.5).mean)


def test_what_cannot_be_reparameterised_is_refused():
    phi = torch.zeros(3)
    for family in (
        lambda p: Bernoulli(logits=p[0]),
        lambda p: Categorical(logits=p),
        lambda p: Independent(Bernoulli(logits=p), 1),
    ):
        with pytest.raises(StateError, match="score_function"):
            reparameterized(family, phi, lambda z: z.float(), samples=3, generator=generator())


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="one for each"):
        score_function(gaussian, torch.ones(2), lambda z: z.sum(), samples=3, generator=generator())
    for estimator in (score_function, reparameterized):
        with pytest.raises(ShapeError, match="vector"):
            estimator(gaussian, torch.ones(2, 2), square, samples=3, generator=generator())
    with pytest.raises(ShapeError, match="at least 2"):
        Estimate.of(torch.ones(1, 3))
    with pytest.raises(ShapeError, match="at least 2"):
        Running().estimate()


def test_noise_may_be_replayed_and_belong_to_examples():
    phi = torch.tensor([1.0, 0.5])
    a = reparameterized(gaussian, phi, square, samples=5, generator=generator(7))
    b = reparameterized(gaussian, phi, square, samples=5, generator=Stream(generator(7)))
    assert torch.equal(a, b)
    z = 1.0 + 0.5 * torch.randn(5, generator=generator(7))
    torch.testing.assert_close(a, torch.stack((2 * z, 2 * z * (z - 1) / 0.5), 1))


def test_running_moments_are_those_of_all_draws_together():
    x = torch.randn(50, 4, generator=generator(), dtype=torch.float64) + 100
    running = Running()
    for row in x:
        running.add(row)
    torch.testing.assert_close(running.estimate().mean, x.mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(running.estimate().variance, x.var(0), rtol=1e-9, atol=0)


def test_at_the_exact_posterior_all_terms_sampled_scatter_not_at_all_and_a_closed_form_does():
    """SGVB-A is log p(x) for every draw there; SGVB-B is so in the mean only. No chance is involved in the first."""
    oracle = LinearGaussian.of_size(7, 3, orthogonal=True)
    model, batch = oracle.vae(), Batch(x=oracle.sample(4))
    sampled = spread(model, SampledELBO(), batch, draws=20, generator=generator())
    closed = spread(model, ELBO(), batch, draws=20, generator=generator())
    assert float(sampled.bound.variance) < 1e-20
    assert float(closed.bound.variance) > 0.1
    assert float(sampled.bound.mean) == pytest.approx(float(oracle.log_prob(batch.x).mean()), abs=1e-9)


def test_the_spread_of_the_bound_is_that_of_algebra():
    """p(z) = N(0, 1), p(x|z) = N(z, 1), x = 1, q = N(0.2, 0.8). With u = z - 0.2:

    SGVB-B: log p(x|z) = c + 0.8u - u²/2, variance 0.64·0.8 + 0.8²/2. SGVB-A adds -0.2u - u²/2 + u²/1.6: 0.6u - 0.375u².
    1,200 draws; the relative standard error of a variance is below 6 %, the tolerance 25 %.
    """
    oracle = Conjugate()
    batch = oracle.batch()
    by = {
        type(o): spread(oracle.vae(), o, batch, draws=1200, generator=generator()).bound
        for o in (ELBO(), SampledELBO())
    }
    assert float(by[ELBO].variance) == pytest.approx(0.64 * 0.8 + 0.5 * 0.8**2, rel=0.25)
    assert float(by[SampledELBO].variance) == pytest.approx(0.36 * 0.8 + 2 * 0.375**2 * 0.8**2, rel=0.25)
    for found in by.values():
        assert abs(float(found.mean) - oracle.elbo) < 4.5 * float(found.standard_error)  # false-alarm rate 1.4e-5


def test_the_error_of_an_average_falls_with_the_root_of_the_number_of_draws():
    """f = z², z ~ N(0, 1), variance 2: errors √(2/L) to 6 % (their relative error is at most √(14/80,000) = 1.3 %,
    at L = 1), slope -1/2 to 0.02.
    """
    sizes = [1, 4, 16, 64, 256]
    found = errors_by_samples(
        square, Normal(torch.tensor(0.0), torch.tensor(1.0)), 1.0, sizes, repeats=20_000, generator=generator()
    )
    torch.testing.assert_close(found, torch.tensor([math.sqrt(2 / size) for size in sizes]), rtol=0.06, atol=0)
    assert slope(sizes, found.tolist()) == pytest.approx(-0.5, abs=0.02)


def test_a_slope_is_the_exponent_of_a_power_law_and_nonsense_is_refused():
    x = [1.0, 3.0, 10.0]
    assert slope(x, [5 * value**-1.7 for value in x]) == pytest.approx(-1.7)
    for bad in (([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([2.0, 2.0], [1.0, 2.0])):
        with pytest.raises(ShapeError):
            slope(*bad)
    with pytest.raises(StateError):
        slope([1.0, 2.0], [0.0, 1.0])
    with pytest.raises(StateError):
        errors_by_samples(
            square, Normal(torch.tensor(0.0), torch.tensor(1.0)), 1.0, [0, 2], repeats=3, generator=generator()
        )


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_the_minibatch_estimate_averages_to_the_total_over_all_minibatches(size):
    """By enumeration of all C(6, M); exact."""
    bounds = torch.tensor([-3.0, 1.5, 0.25, -7.0, 2.0, -11.0], dtype=torch.float64)
    each = torch.stack([dataset_total(bounds[list(rows)], 6) for rows in itertools.combinations(range(6), size)])
    assert float(each.mean()) == pytest.approx(float(bounds.sum()), abs=1e-12)
    assert size == 6 or float(each.std()) > 1  # single minibatches are off


def test_a_minibatch_larger_than_the_data_is_refused():
    for rows in (0, 7):
        with pytest.raises(ShapeError):
            dataset_total(torch.zeros(rows), 6)


def test_the_gradient_of_the_bound_does_not_depend_on_how_noise_is_drawn():
    """The same variates given by example or by stream give the same spread record: noise is the only source of
    chance.
    """
    oracle = Conjugate()
    batch = oracle.batch(3)
    a, b = (spread(oracle.vae(), ELBO(), batch, draws=4, generator=PerExample(1, torch.arange(3))) for _ in "ab")
    assert torch.equal(a.bound.mean, b.bound.mean)
