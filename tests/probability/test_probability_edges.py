"""Closed forms between Gaussians of unlike kinds against PyTorch's own, and laws at the first sizes and values that
are allowed or not.
"""

import pytest
import torch
from torch.distributions import MultivariateNormal
from torch.distributions.kl import kl_divergence

from vael.errors import ShapeError, SupportError
from vael.probability import (
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    ZeroInflatedPoisson,
    diagonal_gaussian,
    draw,
)
from vael.probability.joint_gaussian import JointGaussian
from vael.probability.multivariate import ellipse
from vael.probability.observation import CodeChoice
from vael.probability.tabulated import TabulatedMixture

BATCH, FEATURES = 4, 3


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def full() -> MultivariateNormal:
    tril = torch.tril(numbers(BATCH, FEATURES, FEATURES), -1) + torch.diag_embed(numbers(BATCH, FEATURES).exp())
    return MultivariateNormal(numbers(BATCH, FEATURES), scale_tril=tril)


def test_the_divergence_of_a_diagonal_from_a_full_gaussian_and_back_is_that_of_two_full_ones():
    p, q = full(), diagonal_gaussian(numbers(BATCH, FEATURES) + 1, numbers(BATCH, FEATURES).abs() + 0.1)
    same = MultivariateNormal(q.base_dist.loc, covariance_matrix=torch.diag_embed(q.base_dist.scale**2))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(same, p))
    torch.testing.assert_close(kl_divergence(p, q), kl_divergence(p, same))


def test_a_joint_gaussian_of_events_is_the_one_of_their_flat_cells():
    """Density, log |Σ|, distance, mean, variance and covariance of events of shape 3 by 1 and 1 by 3 in a batch of
    4.
    """
    flat = full()
    x = numbers(5, BATCH, FEATURES)
    for event in ((3, 1), (1, 3), (3,)):
        law = JointGaussian(flat.loc, flat.scale_tril, event)
        torch.testing.assert_close(law.log_prob(x.unflatten(-1, event)), flat.log_prob(x))
        torch.testing.assert_close(law.log_determinant(), torch.logdet(flat.covariance_matrix))
        torch.testing.assert_close(law.covariance, flat.covariance_matrix)
        torch.testing.assert_close(law.variance.flatten(1), flat.variance)
        assert torch.equal(law.mean.flatten(1), flat.loc)
        offset = x - flat.loc
        distance = torch.einsum("sbi,bij,sbj->sb", offset, torch.linalg.inv(flat.covariance_matrix), offset)
        torch.testing.assert_close(law.squared_mahalanobis(x.unflatten(-1, event)), distance)


def test_an_ellipse_has_two_points_or_more():
    law = MultivariateNormal(torch.zeros(2), torch.eye(2))
    torch.testing.assert_close(ellipse(law, 3.0, 2), torch.tensor([[3.0, 0.0], [3.0, 0.0]]))
    for wrong in ((0.0, 5), (-1.0, 5), (1.0, 1)):
        with pytest.raises(SupportError):
            ellipse(law, *wrong)


def test_levels_are_counted_on_the_last_axis():
    """Two levels are a law, one is none, whatever the batch."""
    assert CodeChoice(torch.zeros(1, 1, 2)).log_prob(torch.ones(1, 1)).item() == pytest.approx(-0.6931472)
    with pytest.raises(ShapeError):
        CodeChoice(torch.zeros(5, 5, 1))


def test_values_beside_the_levels_of_a_table_count_as_the_nearest():
    law = TabulatedMixture(numbers(FEATURES, 2), numbers(2, 5))
    inside = law.log_prob(torch.tensor([0.0, 2.0, 4.0]).double())
    assert torch.equal(law.log_prob(torch.tensor([-3.0, 2.4, 9.0]).double()), inside)
    every = torch.arange(5.0).double()
    torch.testing.assert_close(law.log_prob(every[:, None]).exp().sum(0), torch.ones(FEATURES).double())


SCALED = {
    "discretized-logistic": lambda s: DiscretizedLogistic(torch.tensor([2.3, 0.0]), s, 8),
    "mixture": lambda s: DiscretizedLogisticMixture(
        torch.zeros(2, 3), torch.tensor([1.0, 2.0, 5.5]).expand(2, 3), s[:, None].expand(2, 3), 8
    ),
    "zero-inflated-poisson": lambda s: ZeroInflatedPoisson(torch.tensor([0.3, -1.0]), s),
}


@pytest.mark.parametrize("make", SCALED.values(), ids=SCALED)
@pytest.mark.parametrize("end", [-60.0, 60.0])
def test_scales_and_rates_count_as_the_last_ones_that_float32_bears(make, end):
    """Logarithms beyond ±60 as ±60, in the density, the mean and the draws; within, they differ."""
    value = torch.tensor([2.0, 7.0])

    def numbers(s):
        law = make(torch.full((2,), s))
        return law.log_prob(value), law.mean, draw(law, 50, torch.Generator().manual_seed(0))

    last = numbers(end)
    assert all(bool(part.isfinite().all()) for part in last)
    for beyond in (1.02 * end, 2 * end, 1e6 * end):
        assert all(torch.equal(one, other) for one, other in zip(numbers(beyond), last, strict=True))
    assert any(not torch.equal(one, other) for one, other in zip(numbers(0.9 * end), last, strict=True))
