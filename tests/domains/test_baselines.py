"""What a model must beat, against its definition."""

import pytest
import torch

from vael.domains.baselines import bernoulli, gaussian, histogram


def test_bernoulli_baseline_is_the_marginal_likelihood():
    fitted = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    share = torch.tensor([2.5 / 4, 0.5 / 4])
    assert bernoulli(fitted, torch.tensor([[1.0, 1.0]])) == pytest.approx(float(share.log().sum()))


def test_histogram_baseline_sums_to_one_over_levels():
    fitted = torch.randint(0, 5, (40, 1, 1, 1), generator=torch.Generator().manual_seed(0)).float()
    every = torch.arange(5.0).view(5, 1, 1, 1, 1)
    total = sum(torch.tensor(histogram(fitted, level, 5), dtype=torch.float64).exp() for level in every)
    assert float(total) == pytest.approx(1.0, abs=1e-12)


def test_histogram_baseline_keeps_cells_and_channels_apart():
    fitted = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 2, 1, 2).expand(400, 2, 1, 2)
    right = histogram(fitted, fitted[:3], 4)
    assert -0.2 < right < 0
    assert histogram(fitted, fitted[:3].flip(3), 4) < -15


def test_gaussian_baseline_is_scipy_s():
    stats = pytest.importorskip("scipy.stats")
    fitted = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = stats.norm(fitted.mean(0), fitted.std(0, correction=0)).logpdf(fitted[:7]).sum(1).mean()
    assert gaussian(fitted, fitted[:7]) == pytest.approx(expected, rel=1e-12)
