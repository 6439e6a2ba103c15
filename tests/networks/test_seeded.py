"""Weights from a seed of their own: the numbers of the global generator, without it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from vael.networks import seeded

MAKERS = [
    lambda: nn.Linear(7, 9),
    lambda: nn.Conv2d(3, 4, 3),
    lambda: nn.ConvTranspose2d(3, 4, 3),
    lambda: nn.Embedding(5, 6),
    lambda: nn.LSTM(4, 5),
    lambda: nn.MultiheadAttention(8, 2),
    lambda: nn.Bilinear(2, 3, 4),
    lambda: nn.TransformerEncoderLayer(8, 2, 16),
    lambda: nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)),
]
DRAWS = [
    lambda: torch.randn(4),
    lambda: torch.rand(5),
    lambda: torch.randint(0, 9, (8,)),
    lambda: torch.randint(9, (8,)),
    lambda: torch.randperm(7),
    lambda: torch.normal(torch.zeros(3), torch.ones(3)),
    lambda: torch.bernoulli(torch.full((9,), 0.5)),
    lambda: torch.multinomial(torch.ones(5), 3),
    lambda: torch.randn_like(torch.ones(4)),
    lambda: torch.rand_like(torch.ones(4)),
    lambda: torch.randint_like(torch.ones(4), 9),
    lambda: nn.init.trunc_normal_(torch.empty(4)),
    lambda: torch.empty(4).exponential_(),
    lambda: torch.empty(4).random_(),
]


def drawn(make):
    """What a maker gives, as tensors."""
    made = make()
    return list(made.state_dict().values()) if isinstance(made, nn.Module) else [made]


def below(make, seed):
    """The same under a generator of its own."""
    with seeded(seed):
        return drawn(make)


def same(some, others):
    """Whether tensors are equal bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("make", [*MAKERS, *DRAWS])
def test_draws_are_those_of_the_global_generator_which_does_not_move(make):
    torch.manual_seed(3)
    expected = drawn(make)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert same(below(make, 3), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_that_is_given_is_used():
    with seeded(0):
        given = torch.randn(3, generator=torch.Generator().manual_seed(5))
    assert torch.equal(given, torch.randn(3, generator=torch.Generator().manual_seed(5)))


def test_threads_do_not_disturb_each_other():
    """Each seed gives its weights in eight threads that draw from the global generator besides."""
    expected = {seed: below(MAKERS[0], seed) for seed in range(16)}

    def wrong(first):
        torch.randn(8)
        return [
            seed for seed in (first, first + 8) for _ in range(20) if not same(below(MAKERS[0], seed), expected[seed])
        ]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(wrong, range(8))) == [[]] * 8
