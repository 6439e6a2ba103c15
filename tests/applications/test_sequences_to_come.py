"""Forecasts against the Kalman forecast: where a linear state is after its last observation, and how sure that is."""

import math

import pytest
import torch

from oracles import A, C, Q, R, linear_state_space
from vael.applications.sequences import future
from vael.data import Kind, Source, Windowing
from vael.errors import StateError

TIME, WINDOWS, DRAWS, STEPS = 6, 5, 4000, 4
ERRORS = 5.0  # standard errors: for the 40 numbers that are compared a false alarm in 40,000 runs


def windows(rows=WINDOWS, channels=1):
    x = torch.randn(rows, TIME, channels, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x[0, -2:] = torch.nan  # a gap at the end
    x[1] = torch.nan
    windowing = Windowing(window=TIME, stride=TIME)
    return Source("linear", x, Kind.REAL, "", gaps=True, windowing=windowing)


def kalman_forecast(x, steps):
    """Mean and variance of x_{T+1} ... x_{T+h} given what was seen of one window."""
    mean, variance = 0.0, 1.0
    found = []
    for t in range(len(x) + steps):
        if t:
            mean, variance = A * mean, A**2 * variance + Q**2
        if t < len(x) and not math.isnan(float(x[t])):
            gain = C * variance / (C**2 * variance + R**2)
            mean, variance = mean + gain * (float(x[t]) - C * mean), (1 - gain * C) * variance
        if t >= len(x):
            found.append((C * mean, C**2 * variance + R**2))
    return found


def test_means_spreads_and_quantiles_are_those_of_the_kalman_forecast():
    source = windows()
    found = future(linear_state_space(), source, STEPS, samples=DRAWS, seed=1)
    assert found.draws.shape == (DRAWS, WINDOWS, STEPS, 1)
    low, high = found.quantiles((0.05, 0.95))
    for window in range(WINDOWS):
        for step, (mean, variance) in enumerate(kalman_forecast(source.x[window, :, 0], STEPS)):
            drawn, at = found.draws[:, window, step, 0], (window, step, 0)
            assert abs(float(found.mean[at]) - mean) < ERRORS * math.sqrt(variance / DRAWS)
            assert abs(float(drawn.mean()) - mean) < ERRORS * math.sqrt(variance / DRAWS)
            assert abs(float(drawn.var()) / variance - 1) < ERRORS * math.sqrt(2 / DRAWS)
            for end, score in ((low, -1.6449), (high, 1.6449)):
                # √(p (1 - p) / n) over the density of a standard normal at its quantile, 0.1031
                error = math.sqrt(0.05 * 0.95 / DRAWS) / 0.1031 * math.sqrt(variance)
                assert abs(float(end[at]) - mean - score * math.sqrt(variance)) < ERRORS * error


@pytest.mark.parametrize("shift", [0.0, 0.4])  # of the means of the posterior: weights are equal, and far from it
def test_every_draw_is_one_of_its_own_and_the_first_ones_are_like_all(shift):
    found = future(linear_state_space(shift), windows(), STEPS, samples=DRAWS, seed=1).draws[..., 0]
    first = found[:100]
    for window in range(WINDOWS):
        assert len(found[:, window].unique(dim=0)) == DRAWS
    error = found.std(0) / math.sqrt(len(first))
    assert bool(((first.mean(0) - found.mean(0)).abs() < ERRORS * error).all())


def test_a_window_has_the_same_future_alone_and_among_others():
    source = windows()
    all_of_them = future(linear_state_space(), source, 2, samples=50)
    alone = future(linear_state_space(), source.subset(torch.tensor([0])), 2, samples=50)
    torch.testing.assert_close(alone.mean[0], all_of_them.mean[0])
    assert not torch.equal(future(linear_state_space(), source, 2, samples=50, seed=1).draws, all_of_them.draws)


def test_what_makes_no_sense_is_refused():
    rows = Source("rows", torch.zeros(3, 2), Kind.REAL, "")
    for source, steps, samples, words in (
        (rows, 1, 10, "windows of sequences"),
        (windows(), 0, 10, "0 steps"),
        (windows(), 1, 0, "0 draws"),
    ):
        with pytest.raises(StateError, match=words):
            future(linear_state_space(), source, steps, samples=samples)
