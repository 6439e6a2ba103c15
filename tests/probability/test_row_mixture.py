"""Rows with gaps under a mixture of Gaussians, against integrals, draws, and the density of the whole row."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from vael.probability.row_mixture import RowMixture


@pytest.fixture
def mixture():
    g = torch.Generator().manual_seed(0)
    root = torch.randn(3, 4, 4, generator=g, dtype=torch.float64)
    return RowMixture(
        torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64),
        2 * torch.randn(3, 4, generator=g, dtype=torch.float64),
        root @ root.mT + 0.3 * torch.eye(4, dtype=torch.float64),
    )


def density(mixture, x):
    law = MultivariateNormal(mixture.mean, mixture.covariance)
    return (law.log_prob(x[:, None]) + mixture.weight.log()).logsumexp(1)


ROW = torch.tensor([[0.3, -1.0, 0.8, 0.1]], dtype=torch.float64)
SEEN = torch.tensor([[True, True, False, True]])
LINE = torch.linspace(-40, 40, 160_001, dtype=torch.float64)


@pytest.fixture
def line(mixture):
    """p(x_3, x_seen) along the one element that is missing."""
    rows = ROW.repeat(len(LINE), 1)
    rows[:, 2] = LINE
    return density(mixture, rows).exp()


def test_one_missing_element_against_a_sum_over_its_line(mixture, line):
    step = float(LINE[1] - LINE[0])
    found = mixture.given(ROW.masked_fill(~SEEN, math.nan).nan_to_num(), SEEN)
    total = line.sum() * step
    assert float(found.log_prob) == pytest.approx(float(total.log()), abs=1e-9)
    mean = float((line * LINE).sum() * step / total)
    assert float(found.mean[0, 2]) == pytest.approx(mean, abs=1e-8)
    spread = float(((line * (LINE - mean).square()).sum() * step / total).sqrt())
    assert float(found.deviation[0, 2]) == pytest.approx(spread, abs=1e-7)
    for level in (0.05, 0.5, 0.9):
        below = line[found.quantile(level)[0, 2] >= LINE].sum() * step / total
        assert float(below) == pytest.approx(level, abs=1e-4)


def test_what_was_seen_stays_and_what_stands_in_a_gap_is_not_looked_at(mixture):
    found, other = (mixture.given(torch.where(SEEN, ROW, value), SEEN) for value in (0.0, 1e6))
    for name in ("mean", "deviation", "log_prob"):
        assert torch.equal(getattr(found, name), getattr(other, name))
    assert torch.equal(found.mean[SEEN], ROW[SEEN])
    assert not found.deviation[SEEN].any()
    assert torch.equal(found.quantile(0.9)[SEEN], ROW[SEEN])


def test_rows_in_float32_are_worked_on_in_float64(mixture):
    narrow, known = (mixture.given(x, SEEN) for x in (ROW.float(), ROW.float().double()))
    for name in ("mean", "deviation", "log_prob", "weight"):
        assert getattr(narrow, name).dtype == torch.float64
        assert torch.equal(getattr(narrow, name), getattr(known, name))


def test_rows_of_different_gaps_are_what_they_are_alone(mixture):
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    seen = torch.rand(40, 4, generator=torch.Generator().manual_seed(2)) > 0.4
    found = mixture.given(x, seen)
    for row in range(40):
        alone = mixture.given(x[row : row + 1], seen[row : row + 1])
        for name in ("mean", "deviation", "log_prob", "weight"):
            torch.testing.assert_close(getattr(found, name)[row : row + 1], getattr(alone, name))


def test_draws_have_the_mean_and_the_covariance_of_the_distribution(mixture):
    """Two elements missing together, against Σ_k r_k (Σ_k + (μ_k - m)(μ_k - m)ᵀ) by definition: 50,000 draws err by
    1/225 of a deviation, six of which are allowed for each of five numbers (a false alarm in 10⁸).
    """
    seen = torch.tensor([[True, False, True, False]])
    found, count = mixture.given(ROW, seen), 50_000
    g = torch.Generator().manual_seed(3)
    drawn = found.draws(
        torch.rand(count, 1, generator=g, dtype=torch.float64),
        torch.randn(count, 1, 4, generator=g, dtype=torch.float64),
    )[:, 0]
    gone = ~seen[0]
    assert (drawn[:, seen[0]] == ROW[0, seen[0]]).all()
    spread = found.deviation[0, gone]
    assert ((drawn.mean(0)[gone] - found.mean[0, gone]).abs() < 6 * spread / math.sqrt(count)).all()
    lower, off = found.factor[0], found.means[0] - found.mean[0]
    covariance = (found.weight[0, :, None, None] * (lower @ lower.mT + off[:, :, None] * off[:, None, :])).sum(0)
    scale = spread[:, None] * spread[None, :]
    apart = (drawn[:, gone].mT.cov() - covariance[gone][:, gone]) / scale
    assert apart.abs().max() < 6 * math.sqrt(3 / count) * 2


def test_each_element_given_the_others_is_the_density_of_the_row_without_it(mixture):
    """-log p(x_j | x_-j) = log p(x_-j) - log p(x): of rows with gaps, of one with a single element and of one with
    none, and beside an element so far off that its own square has no digit left for the others.
    """
    g = torch.Generator().manual_seed(1)
    x, seen = torch.randn(12, 4, generator=g, dtype=torch.float64), torch.rand(12, 4, generator=g) < 0.7
    seen[:3] = torch.tensor([[False] * 4, [False, True, False, False], [True] * 4])
    x[2, 0] = 1e9
    whole = mixture.given(x, seen).log_prob
    without = [mixture.given(x, seen & (torch.arange(4) != column)).log_prob for column in range(4)]
    expected = (torch.stack(without, 1) - whole[:, None]).masked_fill(~seen, 0.0)
    torch.testing.assert_close(mixture.surprise_given_the_others(x, seen), expected, rtol=1e-12, atol=1e-12)
