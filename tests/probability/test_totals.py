"""Sums of log-densities by a short way against the definition, cell by cell."""

import pytest
import torch
from torch.distributions import Bernoulli, Laplace, Normal

from vael.probability import Common, total_log_prob
from vael.probability.totals import log_product, shared_out, summed


@pytest.mark.parametrize("event", [(1,), (3,), (7, 9), (1, 28, 28), (785,), (131,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bernoulli_equals_the_sum_over_cells(event, dtype):
    generator = torch.Generator().manual_seed(1)
    logits = 30 * torch.randn(
        2, 5, *event, dtype=torch.float64, generator=generator
    )  # many beyond ±50, some beyond ±100
    x = (torch.rand(5, *event, generator=generator) < 0.3).double()
    exact = Bernoulli(logits=logits).log_prob(x.expand_as(logits)).flatten(2).sum(2)
    with torch.no_grad():
        found = total_log_prob(Bernoulli(logits=logits.to(dtype), validate_args=False), x.to(dtype))
    torch.testing.assert_close(
        found.double(),
        exact,
        rtol=1e-12 if dtype == torch.float64 else 1e-6,
        atol=1e-9 if dtype == torch.float64 else 1e-5,
    )


def test_the_worst_product_does_not_underflow():
    cells = torch.full((3, 4099), 0.5)
    torch.testing.assert_close(
        log_product(cells), torch.full((3,), -4099 * torch.log(torch.tensor(2.0)).item()), rtol=1e-6, atol=0
    )


def test_a_gradient_takes_the_way_over_cells():
    logits = torch.randn(1, 2, 6, dtype=torch.float64, requires_grad=True)
    x = torch.ones(2, 6, dtype=torch.float64)
    total_log_prob(Bernoulli(logits=logits), x).sum().backward()
    torch.testing.assert_close(logits.grad, 1 - logits.detach().sigmoid()[0][None])


@pytest.mark.parametrize("scale", [(), (4,), (5, 4), (2, 5, 4), (2, 5, 1), (1, 1, 4), (2, 1, 4)])
def test_normal_with_scales_shared_in_any_way(scale):
    generator = torch.Generator().manual_seed(0)
    loc, x = (
        torch.randn(2, 5, 4, dtype=torch.float64, generator=generator),
        torch.randn(5, 4, dtype=torch.float64, generator=generator),
    )
    law = Normal(loc, torch.rand(scale, dtype=torch.float64, generator=generator) + 0.01)
    with torch.no_grad():
        torch.testing.assert_close(total_log_prob(law, x), law.log_prob(x).sum(-1), rtol=1e-12, atol=1e-12)


def test_other_laws_are_summed():
    law = Laplace(torch.zeros(3, 2, 4), torch.ones(3, 2, 4))
    x = torch.arange(8.0).view(2, 4)
    with torch.no_grad():
        torch.testing.assert_close(total_log_prob(law, x), law.log_prob(x).sum(-1))


def test_common_noise_is_one_draw_for_all_examples_in_opposite_pairs():
    few, many = (Common(3).normal((4, size, 2), torch.zeros(0)) for size in (1, 50))
    torch.testing.assert_close(few.expand_as(many), many, rtol=0, atol=0)
    torch.testing.assert_close(many[0::2], -many[1::2], rtol=0, atol=0)
    noise = Common(3)
    first, second = noise.normal((2, 1, 2), torch.zeros(0)), noise.normal((2, 1, 2), torch.zeros(0))
    assert not torch.equal(first, second)
    assert not torch.equal(first, Common(4).normal((2, 1, 2), torch.zeros(0)))
    uniform = Common(0).uniform((1001, 3, 5), torch.zeros(0))
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1
    assert abs(float(uniform[:1000, 0].mean()) - 0.5) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sum_over_samples_has_the_same_bits_wherever_a_cell_stands(dtype):
    values = torch.randn(200, 5_000, generator=torch.Generator().manual_seed(0)).to(dtype)
    whole = summed(values)
    torch.testing.assert_close(whole, values.sum(0))
    for start, stop in ((0, 1), (7, 8), (3, 70), (4_931, 5_000), (0, 4_999)):
        assert torch.equal(summed(values[:, start:stop]), whole[start:stop])
    assert torch.equal(summed(values.unflatten(1, (50, 100))), whole.unflatten(0, (50, 100)))
    assert summed(values[:, :0]).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shares_of_samples_have_the_same_bits_wherever_a_cell_stands(dtype):
    values = torch.randn(200, 5_000, generator=torch.Generator().manual_seed(0)).to(dtype)
    whole = shared_out(values)
    torch.testing.assert_close(whole, values.softmax(0))
    for start, stop in ((0, 1), (7, 8), (3, 70), (0, 52), (4_931, 5_000), (0, 4_999)):
        assert torch.equal(shared_out(values[:, start:stop]), whole[:, start:stop])
