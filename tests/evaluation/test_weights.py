"""Importance weights in a stream, and the fit to their tail."""

import math

import numpy as np
import pytest
import torch

from vael.errors import StateError
from vael.evaluation import ImportanceWeights, pareto_shape, tail_size


def reference_shape(excess):
    """Zhang & Stephens (2009) with the weak prior of PSIS, for one sample, step by step in NumPy."""
    n = len(excess)
    m = 30 + int(n**0.5)
    b = np.array(
        [1 / excess[-1] + (1 - math.sqrt(m / (j - 0.5))) / (3 * excess[int(n / 4 + 0.5) - 1]) for j in range(1, m + 1)]
    )
    k = np.array([np.mean(np.log1p(-value * excess)) for value in b])
    level = n * (np.log(-b / k) - k - 1)
    weight = np.array([1 / np.exp(level - value).sum() for value in level])
    best = (b * weight).sum() / weight.sum()
    return (n * np.mean(np.log1p(-best * excess)) + 5) / (n + 10)


def pareto(k, count, columns=1, seed=0):
    """Sorted excesses of a generalised Pareto law of shape k and scale 1."""
    uniform = torch.rand((count, columns), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return ((uniform.pow(-k) - 1) / k).sort(0).values


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.7, 1.3])
def test_known_shape_is_found(k):
    # the standard error of k is about (1 + k) / √n: 4 of them, false alarm below 1e-4
    found = float(pareto_shape(pareto(k, 4000))[0])
    assert abs(found - k) < 4 * (1 + max(k, 0)) / math.sqrt(4000) + 10 / 4000


@pytest.mark.parametrize("count", [5, 20, 212])
def test_vectorised_fit_equals_the_reference(count):
    excess = pareto(0.6, count, columns=4)
    expected = [reference_shape(column.numpy()) for column in excess.T]
    np.testing.assert_allclose(pareto_shape(excess).numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(pareto_shape(1e-9 * excess).numpy(), expected, rtol=1e-6)  # of no scale


def test_stream_equals_all_at_once():
    log_w = 3 * torch.randn(1000, 6, dtype=torch.float64) - 800  # far below what a float can hold unlogged
    whole, parts = (ImportanceWeights(1000, 6, log_w) for _ in range(2))
    whole.add(log_w)
    for part in log_w.split([1, 499, 7, 493]):
        parts.add(part)
    torch.testing.assert_close(whole.log_mean(), log_w.logsumexp(0) - math.log(1000))
    weight = log_w.softmax(0)
    torch.testing.assert_close(whole.effective_samples(), 1 / weight.square().sum(0))
    for name in ("log_mean", "effective_samples", "k_hat"):
        torch.testing.assert_close(getattr(parts, name)(), getattr(whole, name)(), rtol=1e-10, atol=1e-10)
    assert len(parts.largest) == tail_size(1000) + 1
    order = (log_w - log_w.max(0).values).sort(0).values.exp()
    expected = [reference_shape((c[-95:] - c[-96]).numpy() / float(c[-1])) for c in order.T]
    assert tail_size(1000) == 95
    np.testing.assert_allclose(whole.k_hat().numpy(), expected, rtol=1e-6)


def test_equal_weights_have_no_tail_and_full_size():
    weights = ImportanceWeights(100, 3, torch.zeros(()))
    weights.add(torch.full((100, 3), -90.0))
    assert weights.k_hat().tolist() == [0, 0, 0]
    torch.testing.assert_close(weights.effective_samples(), torch.full((3,), 100.0, dtype=torch.float64))


def test_ties_at_the_threshold_give_a_number():
    weights = ImportanceWeights(100, 1, torch.zeros(()))
    weights.add(torch.cat([torch.zeros(98, 1), torch.tensor([[1.0], [2.0]])]))
    assert weights.k_hat().isfinite().all()


def test_few_weights_have_no_k_hat_and_missing_ones_are_noticed():
    weights = ImportanceWeights(10, 1, torch.zeros(()))
    weights.add(torch.zeros(4, 1))
    with pytest.raises(StateError, match="4 of 10"):
        weights.log_mean()
    weights.add(torch.zeros(6, 1))
    assert weights.k_hat() is None
