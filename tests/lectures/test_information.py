"""Information of discrete laws: hand values, scipy, Gibbs' inequality, support, refusals."""

import math

import pytest
import torch
from scipy import stats

from vael.errors import ShapeError, SupportError
from vael.lectures import bits, cross_entropy, discrete_divergence, entropy, self_information

FAIR, BENT = torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([0.9, 0.1], dtype=torch.float64)


def laws(count, outcomes, seed=0):
    p = torch.rand(count, outcomes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 3
    return p / p.sum(-1, keepdim=True)


def test_hand_values():
    assert float(bits(self_information(torch.tensor(1 / 8)))) == pytest.approx(3.0)
    assert float(bits(entropy(FAIR))) == pytest.approx(1.0)
    assert float(entropy(torch.full((6,), 1 / 6))) == pytest.approx(math.log(6), abs=1e-7)
    assert float(entropy(torch.tensor([1.0, 0.0]))) == 0.0
    assert float(discrete_divergence(FAIR, BENT)) == pytest.approx(math.log(5 / 3))
    assert float(discrete_divergence(BENT, FAIR)) == pytest.approx(
        math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)
    )
    assert float(self_information(torch.tensor(0.0))) == math.inf


def test_against_scipy():
    p, q = laws(50, 7), laws(50, 7, seed=1)
    assert entropy(p).tolist() == pytest.approx(stats.entropy(p.numpy(), axis=-1).tolist(), abs=1e-12)
    assert discrete_divergence(p, q).tolist() == pytest.approx(
        stats.entropy(p.numpy(), q.numpy(), axis=-1).tolist(), abs=1e-12
    )
    assert torch.allclose(cross_entropy(p, q), entropy(p) + discrete_divergence(p, q), atol=1e-12)


def test_gibbs_inequality():
    p, q = laws(1000, 5), laws(1000, 5, seed=1)
    there, back = discrete_divergence(p, q), discrete_divergence(q, p)
    assert bool((there > 0).all())
    assert bool(((there - back).abs() > 1e-9).all())
    assert bool((discrete_divergence(p, p) < 1e-15).all())
    assert bool((cross_entropy(p, q) > entropy(p)).all())
    p = 0.5 * p + 0.1  # away from zero
    near = p + 1e-4 * (q - p)
    chi = 0.5 * ((near - p).square() / p).sum(-1)  # the divergence of neighbours is half of chi-squared
    assert torch.allclose(discrete_divergence(near, p), chi, rtol=0.01, atol=1e-14)


def test_missing_support_is_infinite_and_missing_mass_is_not():
    part, whole = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.25, 0.5])
    assert float(discrete_divergence(part, whole)) == pytest.approx(math.log(2))
    assert float(discrete_divergence(whole, part)) == math.inf
    assert float(cross_entropy(whole, part)) == math.inf


def test_one_law_against_many():
    assert discrete_divergence(laws(4, 3), laws(1, 3)[0]).shape == (4,)


@pytest.mark.parametrize("p", [[0.5, 0.6], [1.5, -0.5], [float("nan"), 1.0]])
def test_refused(p):
    with pytest.raises(SupportError, match="sum to one"):
        entropy(torch.tensor(p))


def test_refused_otherwise():
    with pytest.raises(SupportError, match=r"within \[0, 1\]"):
        self_information(torch.tensor(1.5))
    with pytest.raises(ShapeError, match="same outcomes"):
        discrete_divergence(FAIR, torch.ones(3) / 3)
    with pytest.raises(ShapeError, match="one outcome"):
        entropy(torch.zeros(0))
