"""Shares of draws: the weights where they suffice, less of them where few draws would decide alone."""

import pytest
import torch

from vael.inference import tempered


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
