"""The simplest ways: lines through gaps, the last value, a first-order autoregression; and models beside them."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta, binomtest
from torch.distributions import MultivariateNormal

from oracles import linear_state_space
from vael.applications.comparing import autoregression, chain_log_prob, comparisons, is_clear, lines
from vael.data import Kind, Source, Windowing


def test_lines_are_those_of_numpy():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(5, 12, 2, generator=random, dtype=torch.float64)
    x[torch.rand(x.shape, generator=random) < 0.5] = torch.nan
    x[0, :, 1] = torch.nan
    found = lines(x, torch.tensor([7.0, 8.0]).double()).numpy()
    for window, channel in np.ndindex(5, 2):
        values = x[window, :, channel].numpy()
        seen = np.flatnonzero(~np.isnan(values))
        known = np.interp(np.arange(12), seen, values[seen]) if len(seen) else np.full(12, 7.0 + channel)
        np.testing.assert_allclose(found[window, :, channel], known)


@pytest.mark.parametrize("slope", [0.8, -0.6, 0.0])
def test_an_autoregression_with_gaps_is_the_joint_gaussian_of_what_was_seen(slope):
    noise, times = 0.5, torch.arange(9)
    level = noise / (1 - slope**2)
    apart = (times[:, None] - times).abs().double()
    joint = level * torch.where(apart == 0, 1.0, torch.tensor(slope).double().abs() ** apart)
    joint = (
        joint * torch.where(apart % 2 > 0, math.copysign(1.0, slope), 1.0) if slope else level * torch.eye(9).double()
    )
    x = torch.randn(4, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x[1, 3:6] = x[2, 0] = x[2, 8] = torch.nan
    for row in x:
        seen = (~row.isnan()).nonzero()[:, 0]
        known = MultivariateNormal(torch.zeros(len(seen)).double(), joint[seen][:, seen]).log_prob(row[seen])
        torch.testing.assert_close(chain_log_prob(row[None], slope, noise, level)[0], known)


def test_the_fit_finds_the_process():
    """Of 400 windows: the log-density of others is within 0.05 nats a step of that at the true numbers."""
    random, slope = torch.Generator().manual_seed(0), 0.9
    x = [torch.randn(600, generator=random, dtype=torch.float64) / math.sqrt(1 - slope**2)]
    for _ in range(19):
        x.append(slope * x[-1] + torch.randn(600, generator=random, dtype=torch.float64))
    windows = torch.stack(x, 1)[..., None] + 3
    found = autoregression(windows[:400], windows[400:]).mean()
    known = chain_log_prob(windows[400:, :, 0] - 3, slope, 1.0, 1 / (1 - slope**2)).mean()
    assert abs(float(found - known)) < 0.05 * 20


def test_a_constant_channel_and_one_that_is_never_seen_twice_have_finite_numbers():
    x = torch.zeros(3, 6, 2)
    x[..., 1] = torch.nan
    x[:, 2, 1] = 1.0
    assert torch.isfinite(autoregression(x, x)).all()


def source(rows=40, kind=Kind.REAL):
    model, time = linear_state_space(), 12
    with torch.no_grad():
        x = model.sample(rows, generator=torch.Generator().manual_seed(0), frames=time)
    x = x if kind is Kind.REAL else (x > 0).to(torch.uint8)
    return Source(
        "linear", x.double() if kind is Kind.REAL else x, kind, "", windowing=Windowing(window=time, stride=time)
    )


def test_the_exact_model_is_better_and_a_wrong_one_is_said_to_be_worse():
    exact = comparisons(linear_state_space(), source(), source())
    assert [one.task for one in exact] == ["gaps", "future"]
    assert all(one.is_better and "better than" in str(one) for one in exact)
    assert exact[1].elements == 40 * 3
    wrong = linear_state_space()
    wrong.emission.forward = lambda z: (-5 * z)[:, :, None][:, :1]
    worse = comparisons(wrong, source(), source())
    assert not worse[1].is_better
    assert "WORSE than the last value" in str(worse[1])
    assert worse[1].clear


@pytest.mark.parametrize("rows", [1, 3, 40, 120])
def test_few_windows_have_every_element_hidden_once_and_no_window_decides_alone(rows):
    """A tenth of 12 elements is one, of which nothing follows; 120 windows have a tenth of theirs hidden."""
    gaps, future = comparisons(linear_state_space(), source(), source(rows))
    assert gaps.elements == (rows * 12 if rows < 120 else pytest.approx(rows * 1.2, abs=4 * math.sqrt(rows)))
    assert future.elements == rows * 3
    assert future.clear or rows < 120
    assert not ((gaps.clear or future.clear) and rows == 1)
    assert all(("by less than two standard errors" in str(one)) != one.clear for one in (gaps, future))


@pytest.mark.parametrize("windows", [4, 5, 10, 200])
def test_a_difference_is_clear_by_chance_as_often_as_is_said(windows):
    """Of 4,000 pairs of ways that are equal; false-alarm rate 1e-4 (Binomial)."""
    expected = beta.sf(4 / windows, 0.5, (windows - 1) / 2)
    random = torch.Generator().manual_seed(0)
    said = sum(is_clear(torch.randn(windows, generator=random)) for _ in range(4000))
    assert binomtest(said, 4000, expected).pvalue > 1e-4
    assert expected < 0.047


def test_whole_numbers_have_no_elements_to_hide():
    assert comparisons(linear_state_space(), source(kind=Kind.BINARY), source(kind=Kind.BINARY)) == ()
