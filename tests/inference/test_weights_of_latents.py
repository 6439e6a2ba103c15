"""Draws with their weights, which are p(x) where the proposal is the posterior; shares of draws: the weights where they
suffice, less of them where few draws would decide alone.
"""

import pytest
import torch
from torch.distributions import MultivariateNormal

from oracles import LinearGaussian, generator
from vael.data import Batch
from vael.inference import tempered
from vael.inference.weights import drawn_and_weighed
from vael.probability import draw


@pytest.mark.parametrize("whole", [True, False])
def test_draws_come_with_their_density_their_prior_and_their_weight(whole):
    """From the exact posterior of what was seen every weight is p(x_seen); draws are those of the same noise."""
    exact = LinearGaussian.of_size(4, 2)
    model, x = exact.vae(), exact.sample(5)
    kept = torch.tensor([0, 1, 2, 3] if whole else [0, 2])
    observed = torch.zeros_like(x, dtype=torch.bool).index_fill(1, kept, True)
    part = LinearGaussian(exact.weight[kept], exact.bias[kept], exact.sigma)
    q = part.posterior(x[:, kept])
    found = drawn_and_weighed(model, Batch(x, observed=None if whole else observed), q, 6, generator(3))
    (z,) = found.latent
    assert torch.equal(z, draw(q, 6, generator(3)))
    torch.testing.assert_close(found.log_weight, part.log_prob(x[:, kept]).expand(6, -1))
    cells = MultivariateNormal(z @ part.weight.T + part.bias, exact.sigma**2 * torch.eye(len(kept)).double())
    torch.testing.assert_close(found.log_likelihood, cells.log_prob(x[:, kept]))
    standard = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    torch.testing.assert_close(found.prior[0].log_prob(z), standard.log_prob(z))


def worth(shares):
    return 1 / shares.square().sum(0)


def test_weights_that_are_worth_enough_stay_what_they_are():
    log_w = 0.3 * torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(tempered(log_w, 50.0), log_w.softmax(0))


@pytest.mark.parametrize("spread", [5.0, 50.0, 1e4])
def test_of_others_only_so_much_is_taken_that_they_are_worth_what_was_asked_for(spread):
    log_w = spread * torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = tempered(log_w, 50.0)
    torch.testing.assert_close(shares.sum(0), torch.ones(5).double())
    torch.testing.assert_close(worth(shares), torch.full((5,), 50.0).double(), rtol=1e-3, atol=0)
    assert torch.equal(shares.argsort(0)[-1], log_w.argsort(0)[-1])  # the order stays


def test_few_draws_are_worth_at_least_half_of_them_and_none_is_no_number():
    log_w = torch.tensor([[0.0], [-1e3], [-torch.inf], [-torch.inf]], dtype=torch.float64)
    shares = tempered(log_w, 50.0)
    assert torch.isfinite(shares).all()
    assert float(worth(shares)) == pytest.approx(2, rel=1e-3)
    assert tempered(log_w[:1], 50.0).tolist() == [[1.0]]
