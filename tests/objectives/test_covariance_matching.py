"""The covariance that DIP-VAE draws to the identity, against draws and against the mistakes that are made in it."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from vael.errors import StateError
from vael.models import Terms
from vael.objectives import CovarianceMatching, Weights
from vael.objectives.covariance_matching import covariance_of_means, mean_covariance
from vael.probability import diagonal_gaussian, draw


def correlated(batch):
    noise = torch.Generator().manual_seed(0)
    tril = torch.randn(batch, 3, 3, generator=noise).double().tril(-1) + torch.eye(3)
    return MultivariateNormal(2 * torch.randn(batch, 3, generator=noise).double(), scale_tril=tril)


def independent(batch):
    noise = torch.Generator().manual_seed(1)
    return diagonal_gaussian(
        torch.randn(batch, 3, generator=noise).double(), torch.rand(batch, 3, generator=noise).double() + 0.5
    )


@pytest.mark.parametrize("make", [independent, correlated])
def test_the_two_parts_are_the_covariance_of_draws(make):
    """The law of total covariance: of 40,000 draws of each of 7 examples, every entry within 6 standard errors of the
    estimate (its batch means over 40 batches of draws; 18 entries, false-alarm rate below 1e-6 for normal errors, with
    39 degrees of freedom below 1e-5).
    """
    q = make(7)
    z = draw(q, 40_000, torch.Generator().manual_seed(2))
    batches = torch.stack([torch.cov(part.flatten(0, 1).T, correction=0) for part in z.chunk(40)])
    error = batches.std(0) / math.sqrt(40)
    assert ((covariance_of_means(q) + mean_covariance(q) - batches.mean(0)).abs() <= 6 * error).all()


def test_means_are_taken_over_examples_and_not_over_latents():
    """Latents that differ from each other by constants alone do not covary; an example alone has no covariance."""
    shifted = diagonal_gaussian(torch.tensor([[1.0, 5.0, -3.0]]).repeat(6, 1), torch.ones(6, 3))
    assert covariance_of_means(shifted).abs().max() == 0
    cost = CovarianceMatching(spread=True).cost(shifted)
    assert float(cost) == 0  # the latents have variance 1 and no covariance: nothing is to pay


def test_the_size_of_a_batch_does_not_change_the_cost():
    """Not a sum over examples: the same examples twice, and rows that fill up, cost the same."""
    q, objective = independent(5), CovarianceMatching(3.0, 2.0)
    twice = diagonal_gaussian(q.mean.repeat(2, 1), q.stddev.repeat(2, 1))
    torch.testing.assert_close(objective.cost(twice), objective.cost(q))
    filled = diagonal_gaussian(torch.cat((q.mean, q.mean * 1e3)), torch.cat((q.stddev, q.stddev)))
    torch.testing.assert_close(
        objective.cost(filled, Weights(torch.ones(10).double() * (torch.arange(10) < 5))), objective.cost(q)
    )


def test_it_costs_nothing_where_the_aggregate_is_standard():
    """q(z|x) = N(x, (1 - v) I) of points x with covariance v I: Cov[z] = I, and DIP-VAE-I wants v = 1."""
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)
    for v in (0.25, 0.81):
        q = diagonal_gaussian(math.sqrt(v) * corners, torch.full_like(corners, math.sqrt(1 - v)))
        assert float(CovarianceMatching(spread=True).cost(q)) == pytest.approx(0, abs=1e-12)
        assert float(CovarianceMatching(diagonal=2.0, spread=False).cost(q)) == pytest.approx(2 * 3 * (1 - v) ** 2)


def test_negative_weights_and_posteriors_of_levels_are_refused():
    with pytest.raises(StateError, match="at least 0"):
        CovarianceMatching(off_diagonal=-1.0)
    below = diagonal_gaussian(torch.zeros(4, 3, 2), torch.ones(4, 3, 2))
    nothing = torch.zeros(4, 3)
    with pytest.raises(StateError, match="depends on the draw of another level"):
        CovarianceMatching()(Terms(nothing, divergence=nothing[None], latent=(below.mean,), posterior=(below,)))
