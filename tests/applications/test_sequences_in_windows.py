"""Scores and fillings of windows against the joint Gaussian of a linear state space."""

import math

import pytest
import torch

from oracles import A, C, Q, R, kalman, linear_state_space
from vael.applications.sequences import all_terms
from vael.data import Kind, Source, Windowing
from vael.errors import StateError

TIME, WINDOWS, DRAWS = 6, 8, 4000
ERRORS = 5.0  # standard errors: for the 96 numbers that are compared a false alarm in 18,000 runs


@pytest.fixture(scope="module")
def source():
    """Windows of which a third of the elements was not seen."""
    random = torch.Generator().manual_seed(3)
    x = torch.randn(WINDOWS, TIME, 1, generator=random, dtype=torch.float64)
    gone = torch.rand(x.shape, generator=random) < 0.35
    x = torch.where(gone, torch.nan, x)
    return Source("linear", x, Kind.REAL, "", gaps=True, windowing=Windowing(window=TIME, stride=TIME))


def states(x):
    """Mean and variance of every z_t given the elements of one window that were seen, from their joint covariance."""
    variance = [1.0]
    for _ in range(TIME - 1):
        variance.append(A**2 * variance[-1] + Q**2)
    times = torch.arange(TIME)
    earlier = torch.minimum(times[:, None], times)
    z = torch.tensor(variance, dtype=torch.float64)[earlier] * A ** (times[:, None] - times).abs().double()
    seen = (~x[:, 0].isnan()).nonzero()[:, 0]
    gain = C * z[:, seen] @ torch.linalg.inv(C**2 * z[seen][:, seen] + R**2 * torch.eye(len(seen)).double())
    return gain @ x[seen, 0], (z - gain @ (C * z[seen])).diagonal()


def test_elements_and_gaps_are_judged_given_the_whole_window(source):
    found = all_terms(linear_state_space(), source, samples=DRAWS)
    torch.testing.assert_close(found.log_likelihood, kalman(source.x))
    torch.testing.assert_close(found.bound, kalman(source.x))  # the posterior is exact
    assert torch.equal(found.surprise.isnan(), source.x.isnan())
    for window, x in enumerate(source.x):
        mean, variance = states(x)
        spread = C**2 * variance
        error = spread.sqrt() / math.sqrt(DRAWS)
        assert ((found.mean[window, :, 0] - C * mean).abs() < ERRORS * error).all()
        seen = ~x[:, 0].isnan()
        apart = (x[:, 0] - C * mean)[seen]
        known = 0.5 * math.log(2 * math.pi * R**2) + (apart**2 + spread[seen]) / (2 * R**2)
        error = (4 * apart**2 * spread[seen] + 2 * spread[seen] ** 2).sqrt() / (2 * R**2) / math.sqrt(DRAWS)
        assert ((found.surprise[window, seen, 0] - known).abs() < ERRORS * error).all()


def test_weights_mend_a_wrong_posterior(source):
    """Filled in by self-normalised weights from a posterior that is moved by 0.2: nearer to the conditional mean than
    its own mean is, which lies off by some 0.2 × 1.3. Root mean square of 96 errors, each of a deviation of some 0.035:
    above 0.1 in far fewer than one of a million runs.
    """
    found = all_terms(linear_state_space(0.2), source, samples=DRAWS)
    known = torch.stack([C * states(x)[0] for x in source.x])
    assert float((found.mean[..., 0] - known).square().mean().sqrt()) < 0.1


def test_a_score_is_per_step_that_was_seen_and_the_window_decides_alone(source):
    found = all_terms(linear_state_space(), source, samples=50)
    steps = (~source.x.isnan()).sum((1, 2))
    torch.testing.assert_close(found.score, -found.log_likelihood / steps.clamp(min=1))
    alone = all_terms(linear_state_space(), source.subset(torch.tensor([0])), samples=50)
    torch.testing.assert_close(alone.surprise[0], found.surprise[0], equal_nan=True)


def test_what_is_no_sequence_is_refused(source):
    rows = Source("rows", torch.zeros(3, 2), Kind.REAL, "")
    with pytest.raises(StateError, match="windows of sequences"):
        all_terms(linear_state_space(), rows)
    with pytest.raises(StateError, match="0 draws"):
        all_terms(linear_state_space(), source, samples=0)
