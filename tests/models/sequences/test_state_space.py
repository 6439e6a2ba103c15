"""The state-space VAE against the Kalman likelihood, and against copying the last frame."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from oracles import A, C, Q, R, kalman, linear_state_space
from vael.data import Batch, Kind, Source, Windowing, load, moving_digits
from vael.errors import ShapeError, StateError
from vael.evaluation import evaluate
from vael.inference import AdamW, GradientAscent, weighed
from vael.models import (
    BackwardSummary,
    BernoulliHead,
    GaussianHead,
    posterior_levels,
    posterior_means,
    state_space,
)
from vael.objectives import ELBO, SampledELBO
from vael.probability import PerExample, divergence
from vael.training import Settings, run

TIME = 6


def sequences(rows=5):
    return Batch(x=torch.randn(rows, TIME, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64))


def joint_covariance():
    times = torch.arange(TIME)
    variance = [1.0]
    for _ in range(TIME - 1):
        variance.append(A**2 * variance[-1] + Q**2)
    earlier = torch.minimum(times[:, None], times)
    return (
        C**2 * torch.tensor(variance)[earlier].double() * A ** (times[:, None] - times).abs().double()
        + R**2 * torch.eye(TIME).double()
    )


def test_the_kalman_filter_is_the_joint_gaussian():
    x = sequences().x
    known = MultivariateNormal(torch.zeros(TIME).double(), joint_covariance()).log_prob(x[..., 0])
    torch.testing.assert_close(kalman(x), known, rtol=1e-6, atol=1e-6)


def test_at_the_exact_posterior_every_draw_gives_the_kalman_likelihood():
    terms = linear_state_space()(sequences(), samples=3, generator=torch.Generator().manual_seed(0))
    bound = terms.log_likelihood + (terms.log_prior - terms.log_posterior).sum(0)
    torch.testing.assert_close(bound, kalman(sequences().x).expand(3, -1))
    assert terms.divergence.shape == (TIME, 3, 5)


def with_gaps(rows=5):
    """Sequences of which a third was not seen; one of them not at all."""
    x = sequences(rows).x
    gone = torch.rand(x.shape, generator=torch.Generator().manual_seed(7)) < 0.35
    gone[0] = True
    return Batch(x=torch.where(gone, torch.nan, x), observed=~gone, index=torch.arange(rows))


def test_elements_that_were_not_seen_are_integrated_out():
    given = with_gaps()
    terms = linear_state_space()(given, samples=3, generator=torch.Generator().manual_seed(0))
    bound = terms.log_likelihood + (terms.log_prior - terms.log_posterior).sum(0)
    torch.testing.assert_close(bound, kalman(given.x).expand(3, -1))
    assert kalman(given.x)[0] == 0


def test_the_marginal_of_the_oracle_is_that_of_the_joint_gaussian():
    """The Kalman filter that leaves steps out, against the covariance without these rows and columns."""
    given = with_gaps()
    for x in given.x[1:]:
        kept = (~x[:, 0].isnan()).nonzero()[:, 0]
        known = MultivariateNormal(torch.zeros(len(kept)).double(), joint_covariance()[kept][:, kept])
        torch.testing.assert_close(kalman(x[None])[0], known.log_prob(x[kept, 0]))


def test_what_stands_in_a_gap_reaches_no_number_and_no_gradient():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = state_space((6, 2), GaussianHead(), latent=3, hidden=8, sees_gaps=True)
    x = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(1))
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.6
    found = []
    for wrong in (torch.nan, 1e6):
        model.zero_grad()
        given = Batch(x=torch.where(observed, x, wrong), observed=observed, index=torch.arange(4))
        bound = ELBO()(model(given, generator=PerExample(0, given.index))).bound.sum()
        bound.backward()
        found.append((bound.detach(), [w.grad.clone() for w in model.parameters()]))
    assert torch.isfinite(found[0][0])
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(one, other) for one, other in zip(found[0][1], found[1][1], strict=True))


@pytest.mark.parametrize("gaps", [False, True])
def test_evaluation_gives_the_kalman_likelihood(gaps):
    """At the exact posterior every weight is p(x); at one that is moved by 0.1 the mean over K = 400 is within five of
    its standard errors, √(1/n - 1/K) with n the effective sample size (for five examples a false alarm in 300,000
    runs), and the bound lies below.
    """
    given = with_gaps() if gaps else sequences()
    source = Source("linear", given.x, Kind.REAL, "", gaps=gaps, windowing=Windowing(window=TIME, stride=TIME))
    exact, moved = (evaluate(linear_state_space(shift), source, importance_samples=400) for shift in (0.0, 0.1))
    known = kalman(given.x)
    torch.testing.assert_close(exact.log_likelihood_per_example, known)
    error = (1 / moved.worst_effective_sample_size - 1 / 400) ** 0.5
    assert error < 0.1
    torch.testing.assert_close(moved.log_likelihood_per_example, known, rtol=0, atol=5 * error)
    assert moved.elbo < float(known.mean()) - 0.01
    steps = float(given.observed.sum()) / 5 if gaps else TIME
    assert exact.steps == pytest.approx(steps)
    assert exact.log_likelihood_per_step == pytest.approx(float(known.mean()) / steps)
    again = evaluate(linear_state_space(0.1), source, importance_samples=400, batch=2, memory=1 << 14)
    torch.testing.assert_close(again.log_likelihood_per_example, moved.log_likelihood_per_example)


@pytest.mark.parametrize("told", [False, True])
def test_all_steps_at_once_are_the_steps_one_by_one(told):
    """The terms, of latents that the model draws or that it is told, against p and q of every level by itself."""
    given = with_gaps()
    model = linear_state_space(0.1)
    noise = torch.randn(3, 5, TIME, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    latent = tuple(noise.unbind(2)) if told else None
    terms = model(given, samples=3, generator=PerExample(0, given.index), latent=latent)
    for t, z in enumerate(terms.latent):
        q, p = model.posterior_at(terms.latent[:t], given), model.prior_at(terms.latent[:t])
        torch.testing.assert_close(terms.log_posterior[t], q.log_prob(z).expand(3, 5))
        torch.testing.assert_close(terms.log_prior[t], p.log_prob(z))
        torch.testing.assert_close(terms.divergence[t], divergence(q, p, z[None])[0].expand(3, 5))
        for stated, known in ((terms.posterior[t], q), (terms.prior[t], p)):
            torch.testing.assert_close(stated.mean.expand(3, 5, 1), known.mean.expand(3, 5, 1))
            torch.testing.assert_close(stated.variance.expand(3, 5, 1), known.variance.expand(3, 5, 1))


def test_a_window_of_any_length_is_read_once():
    """A walk through the levels costs steps, not steps squared: what the posterior reads of x it reads once."""
    model, calls = linear_state_space(), []
    model.summary.register_forward_hook(lambda *_: calls.append(1))
    x = torch.randn(2, 40, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    given = Batch(x=x, index=torch.arange(2))
    z = posterior_levels(model, given, 5, PerExample(0, given.index))
    assert len(calls) == 1
    means = posterior_means(model, given)
    assert len(calls) == 2
    for t in (0, 1, 39):  # the slow definition reads it for every step
        torch.testing.assert_close(model.posterior_at(means[:t], given).mean.expand(1, 2, 1), means[t])
    known = kalman(x)
    terms = weighed(model, given, z)
    torch.testing.assert_close(terms.log_weight, known.expand(5, 2))


def test_a_wrong_posterior_gives_a_bound_below():
    """Mean over 2000 draws of the closed-form ELBO; the gap is many standard errors wide."""
    terms = linear_state_space(0.3)(sequences(), samples=2000, generator=torch.Generator().manual_seed(0))
    for objective in (ELBO(), SampledELBO()):
        bound = objective(terms).bound
        assert (bound < kalman(sequences().x) - 0.1).all()


def digits(examples=300):
    return moving_digits(load("digits"), examples=examples, frames=10, generator=torch.Generator().manual_seed(0))


def small():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return state_space((10, 16, 16), BernoulliHead(), latent=8, hidden=32)


def test_training_raises_the_bound_and_repeats_itself():
    data = digits(150)
    fits = [
        run(
            GradientAscent(small(), ELBO(), optimizer=AdamW(3e-3), ema=0.9),
            data,
            Settings(epochs=4, batch=32, compiled=False),
        )
        for _ in "12"
    ]
    bounds = [row.elbo for row in fits[0].history if row.split == "validation"]
    assert bounds[-1] > bounds[0] + 100
    assert all(torch.equal(w, fits[1].model.state_dict()[name]) for name, w in fits[0].model.state_dict().items())


def test_shapes_and_independence_of_the_batch():
    model, data = small(), digits(20)
    given = data.train.batch(torch.arange(6))
    assert model.sample(2, generator=torch.Generator().manual_seed(0), frames=5).shape == (2, 5, 16, 16)
    assert model.predict(given.x[:, :4], 3).shape == (6, 3, 16, 16)
    assert model.reconstruct(given).shape == given.x.shape
    assert model.encode(given).shape == (6, 80)
    whole = ELBO()(model(given, generator=PerExample(0, given.index))).bound
    parts = [
        ELBO()(model(part, generator=PerExample(0, part.index))).bound
        for part in (data.train.batch(i) for i in torch.arange(6).split(4))
    ]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=1e-5, atol=1e-3)


def test_predictions_are_means_of_what_the_latents_may_become():
    """Of the linear model C A^k E[z_T | x], where nothing is drawn by the means alone, else by the mean of so many
    draws within 5 standard errors: 6 rows, 3 steps; false-alarm rate 1e-5. Equal seeds give equal draws, others do not.
    """
    model, x = linear_state_space(), sequences(6).x
    exact = posterior_means(model, Batch(x=x))[-1][0, :, 0]
    expected = torch.stack([C * A**k * exact for k in (1, 2, 3)], 1)
    torch.testing.assert_close(model.predict(x, 3)[..., 0], expected)
    numbers = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    one, same, other = (model.predict(x, 3, samples=4000, generator=g)[..., 0] for g in numbers)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    spread = C * (1 + 3 * Q**2) ** 0.5  # at most: a posterior no wider than the prior, and three steps
    apart = (one - expected).abs()
    assert 0 < float(apart.min()) <= float(apart.max()) < 5 * abs(spread) / 4000**0.5


def test_a_backward_summary_sees_no_past_and_a_prediction_no_future():
    model = small()
    assert isinstance(model.summary, BackwardSummary)
    x = torch.rand(1, 6, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(model.summary(x)[0, 3].sum(), x)
    assert float(gradient[0, :3].abs().max()) == 0 < float(gradient[0, 3:].abs().min(0).values.max())


def test_what_makes_no_sense_is_refused():
    model, given = small(), digits(20).train.batch(torch.arange(2))
    with pytest.raises(StateError, match="own posterior"):
        model(given, generator=torch.Generator(), posterior=(model.initial(None),))
    with pytest.raises(ShapeError, match="one for each"):
        model(given, generator=torch.Generator(), latent=(torch.zeros(1, 2, 8),))


@pytest.mark.slow
def test_predicted_frames_are_nearer_than_copies_of_the_last_one():
    data = digits(1000)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = state_space((10, 16, 16), BernoulliHead(), latent=16, hidden=96)
    run(
        GradientAscent(model, ELBO(), optimizer=AdamW(4e-3), ema=0.98),
        data,
        Settings(epochs=30, batch=64, compiled=False),
    )
    x = data.test.batch(torch.arange(100)).x
    with torch.no_grad():
        predicted = model.predict(x[:, :6], 4, samples=20, generator=torch.Generator().manual_seed(0))
    error, copied = ((guess - x[:, 6:]).square().mean((0, 2, 3)) for guess in (predicted, x[:, 5:6]))
    assert (error < 0.8 * copied).all()
