"""Mixtures against the formula written out cell by cell."""

import pytest
import torch

from vael.errors import ShapeError
from vael.probability import CoupledLogisticMixture, DiscretizedLogistic, DiscretizedLogisticMixture, draw

LEVELS, COMPONENTS, CHANNELS = 16, 2, 4


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def coupled(space=()):
    loc, log_scale = (
        8 + 3 * numbers(5, CHANNELS, *space, COMPONENTS),
        0.5 * numbers(5, CHANNELS, *space, COMPONENTS, seed=1),
    )
    coupling = numbers(5, CHANNELS * (CHANNELS - 1) // 2, *space, COMPONENTS, seed=2).tanh()
    return CoupledLogisticMixture(
        numbers(5, *space, COMPONENTS, seed=3), loc, log_scale, coupling, LEVELS, space=len(space)
    )


def test_a_mixture_is_the_weighted_sum_of_its_components():
    logits, loc, log_scale = (
        numbers(5, COMPONENTS),
        8 + 3 * numbers(5, COMPONENTS, seed=1),
        numbers(5, COMPONENTS, seed=2),
    )
    x = torch.arange(LEVELS).double()[:, None]
    parts = [
        DiscretizedLogistic(loc[:, k], log_scale[:, k], LEVELS).log_prob(x).exp() * logits.softmax(1)[:, k]
        for k in range(COMPONENTS)
    ]
    torch.testing.assert_close(DiscretizedLogisticMixture(logits, loc, log_scale, LEVELS).log_prob(x), sum(parts).log())


def test_coupling_is_the_autoregression_of_the_means():
    """Row (c, j) of the weights in the order (1,0), (2,0), (2,1), (3,0) ...; x_j is counted from the middle of the
    range.
    """
    law = coupled()
    x = draw(law, 1, torch.Generator().manual_seed(4))[0]
    total = law.logits
    for k in range(COMPONENTS):
        row, log_prob = 0, torch.zeros(5).double()
        for c in range(CHANNELS):
            loc = law.loc[:, c, k]
            for j in range(c):
                loc, row = loc + law.coupling[:, row, k] * (x[:, j] - 7.5), row + 1
            log_prob = log_prob + DiscretizedLogistic(loc, law.log_scale[:, c, k], LEVELS).log_prob(x[:, c])
        total = total.index_add(1, torch.tensor([k]), log_prob[:, None])
    torch.testing.assert_close(law.log_prob(x), total.logsumexp(1))


def test_space_stands_after_the_channels():
    law = coupled((2, 3))
    x = draw(law, 1, torch.Generator().manual_seed(4))[0]
    assert x.shape == law.mean.shape == (5, CHANNELS, 2, 3)
    one = CoupledLogisticMixture(
        law.logits[:, 1, 2], *(p[:, :, 1, 2] for p in (law.loc, law.log_scale, law.coupling)), LEVELS, space=0
    )
    torch.testing.assert_close(law.log_prob(x)[:, 1, 2], one.log_prob(x[:, :, 1, 2]))
    torch.testing.assert_close(law.mean[:, :, 1, 2], one.mean)


def test_draws_are_coupled_as_the_law_says():
    """One component, weight 0.9: the correlation of 4000 draws is near the law's own; 0 without coupling."""
    loc, log_scale = torch.full((2, 1), 7.5).double(), torch.tensor([[0.3], [-1.0]]).double()
    found = []
    for weight in (0.9, 0.0, -0.9):
        law = CoupledLogisticMixture(
            torch.zeros(1).double(), loc, log_scale, torch.full((1, 1), weight).double(), LEVELS, space=0
        )
        found.append(float(torch.corrcoef(draw(law, 4000, torch.Generator().manual_seed(0)).T)[0, 1]))
    assert found[0] > 0.8
    assert abs(found[1]) < 0.08  # 5 standard errors
    assert found[2] < -0.8


def test_as_many_weights_as_pairs_of_channels():
    with pytest.raises(ShapeError, match="expected 3 numbers"):
        CoupledLogisticMixture(torch.zeros(2), torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(2, 2), LEVELS, space=0)
