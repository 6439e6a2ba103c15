"""The state-space VAE against the Kalman likelihood, and against copying the last frame."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from vael.data import Batch, load, moving_digits
from vael.errors import ShapeError, StateError
from vael.inference import AdamW, GradientAscent
from vael.models import (
    BackwardSummary,
    BernoulliHead,
    Conditional,
    FixedScale,
    GaussianHead,
    StandardNormal,
    StateSpace,
    state_space,
)
from vael.objectives import ELBO, SampledELBO
from vael.probability import PerExample, diagonal_gaussian
from vael.training import Settings, run

A, Q, C, R, TIME = 0.9, 0.5, 1.3, 0.6, 6  # z' = A z + N(0, Q²), x = C z + N(0, R²), z_1 ~ N(0, 1)


class LinearTransition(Conditional):
    def forward(self, z, context=None):
        return diagonal_gaussian(A * z, torch.full_like(z, Q))


class Scale(nn.Module):
    def forward(self, z):
        return (C * z)[:, :, None][:, :1]


class Beliefs(nn.Module):
    """p(x_t ... x_T | z_t) ∝ exp(-½ a_t z² + b_t z), from the end: exact; the last number says whether this is the
    first step.
    """

    def forward(self, x):
        a = b = torch.zeros(len(x), dtype=x.dtype)
        found = []
        for t in reversed(range(x.shape[1])):
            if found:  # the next state integrated out
                total = a + 1 / Q**2
                a, b = (A / Q) ** 2 - (A / Q**2) ** 2 / total, A / Q**2 * b / total
            a, b = a + (C / R) ** 2, b + C / R**2 * x[:, t, 0]
            found.append(torch.stack([a, b, torch.full_like(a, float(t == 0))], 1))
        return torch.stack(found[::-1], 1)


class ExactUpdate(Conditional):
    def __init__(self, shift=0.0):
        super().__init__()
        self.shift = shift

    def forward(self, z, summary):
        a, b, first = summary.unbind(-1)
        prior = torch.where(first > 0, 1.0, 1 / Q**2)
        mean = (torch.where(first > 0, 0.0, A) * z[..., 0] * prior + b) / (prior + a)
        return diagonal_gaussian((mean + self.shift)[..., None], (prior + a).rsqrt().expand(mean.shape)[..., None])


def linear(shift=0.0):
    return StateSpace(
        StandardNormal(1).double(),
        LinearTransition(),
        Scale(),
        GaussianHead(spread=FixedScale(R)),
        Beliefs(),
        ExactUpdate(shift),
    )


def kalman(x):
    """log p(x) by the Kalman filter, `[batch]`."""
    mean, variance, total = torch.zeros(len(x), dtype=x.dtype), 1.0, 0.0
    for t in range(x.shape[1]):
        spread = C**2 * variance + R**2
        error = x[:, t, 0] - C * mean
        total = total - 0.5 * (math.log(2 * math.pi * spread) + error**2 / spread)
        gain = C * variance / spread
        mean, variance = A * (mean + gain * error), A**2 * (1 - gain * C) * variance + Q**2
    return total


def sequences(rows=5):
    return Batch(x=torch.randn(rows, TIME, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64))


def test_the_kalman_filter_of_this_test_is_the_joint_gaussian():
    times = torch.arange(TIME)
    variance = [1.0]
    for _ in range(TIME - 1):
        variance.append(A**2 * variance[-1] + Q**2)
    earlier = torch.minimum(times[:, None], times)
    covariance = (
        C**2 * torch.tensor(variance)[earlier].double() * A ** (times[:, None] - times).abs().double()
        + R**2 * torch.eye(TIME).double()
    )
    x = sequences().x
    known = torch.distributions.MultivariateNormal(torch.zeros(TIME).double(), covariance).log_prob(x[..., 0])
    torch.testing.assert_close(kalman(x), known, rtol=1e-6, atol=1e-6)


def test_at_the_exact_posterior_every_draw_gives_the_kalman_likelihood():
    terms = linear()(sequences(), samples=3, generator=torch.Generator().manual_seed(0))
    bound = terms.log_likelihood + (terms.log_prior - terms.log_posterior).sum(0)
    torch.testing.assert_close(bound, kalman(sequences().x).expand(3, -1))
    assert terms.divergence.shape == (TIME, 3, 5)


def test_a_wrong_posterior_gives_a_bound_below():
    """Mean over 2000 draws of the closed-form ELBO; the gap is many standard errors wide."""
    terms = linear(0.3)(sequences(), samples=2000, generator=torch.Generator().manual_seed(0))
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


def test_a_backward_summary_sees_no_past_and_a_prediction_no_future():
    model = small()
    assert isinstance(model.summary, BackwardSummary)
    x = torch.rand(1, 6, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(model.summary(x)[0, 3].sum(), x)
    assert float(gradient[0, :3].abs().max()) == 0 < float(gradient[0, 3:].abs().min(0).values.max())


def test_what_makes_no_sense_is_refused():
    model, given = small(), digits(20).train.batch(torch.arange(2))
    with pytest.raises(StateError, match="own posterior"):
        model(replace(given, observed=given.x > 0), generator=torch.Generator())
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
