"""Zeros and ones: their divergence by enumeration, their draws by their probabilities."""

import math
from itertools import product

import pytest
import torch
from torch.distributions import Bernoulli
from torch.distributions.kl import kl_divergence

from vael.probability import draw
from vael.probability.binary import Bit, independent_bits
from vael.probability.divergence import divergence, has_closed_form

Q = torch.tensor([[0.3, -1.2, 4.0], [0.0, 2.0, -30.0]], dtype=torch.float64)
P = torch.tensor([-0.5, 0.7, 0.1], dtype=torch.float64)


def test_the_divergence_is_the_sum_over_zero_and_one():
    """Σ_x q(x) log q(x) / p(x), of a batch from one prior; what is almost sure costs what it should."""
    q = Q.sigmoid()
    expected = q * (q.log() - P.sigmoid().log()) + (1 - q) * ((1 - q).log() - (1 - P.sigmoid()).log())
    torch.testing.assert_close(kl_divergence(Bit(Q), Bit(P)), expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        kl_divergence(Bit(Q), Bit(P.expand(2, 3))), kl_divergence(Bernoulli(logits=Q), Bernoulli(logits=P.expand(2, 3)))
    )
    assert torch.equal(kl_divergence(Bit(Q), Bit(Q)), torch.zeros_like(Q))


def test_several_bits_are_summed_and_their_densities_sum_to_one():
    q, p = independent_bits(Q), independent_bits(P)
    assert has_closed_form(q, p)
    torch.testing.assert_close(divergence(q, p, torch.zeros(4, 2, 3))[0], kl_divergence(Bit(Q), Bit(P)).sum(-1))
    every = torch.tensor(list(product((0.0, 1.0), repeat=3)), dtype=torch.float64)
    log_q, log_p = q.log_prob(every[:, None]), p.log_prob(every[:, None])
    torch.testing.assert_close(log_q.exp().sum(0), torch.ones(2).double())
    torch.testing.assert_close((log_q.exp() * (log_q - log_p)).sum(0), divergence(q, p, torch.zeros(1, 2, 3))[0])


@pytest.mark.parametrize("logit", [-2.0, 0.0, 1.5])
def test_draws_are_ones_as_often_as_their_probability(logit):
    """20,000 draws within 5 standard errors: false-alarm rate 6e-7 for each of three."""
    drawn = draw(Bit(torch.tensor([logit])), 20_000, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    p = 1 / (1 + math.exp(-logit))
    assert abs(float(drawn.mean()) - p) < 5 * math.sqrt(p * (1 - p) / 20_000)
