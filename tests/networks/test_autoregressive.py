"""What a masked network may see."""

import torch

from vael.networks import GatedPixelCNN


def network(context=0):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GatedPixelCNN(2, 3, channels=24, layers=4, context=context).double()


def test_the_output_at_a_position_depends_on_all_positions_before_it_and_on_none_after():
    x = torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    y = network()(x)
    for place in range(20):
        (gradient,) = torch.autograd.grad(y[0, :, place // 4, place % 4].sum(), x, retain_graph=True)
        depends = gradient[0].abs().sum(0).flatten() > 0
        assert not depends[place:].any()
        assert depends[:place].all(), "a blind spot"


def test_the_context_of_a_position_itself_is_known():
    context = torch.randn(
        1, 2, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True
    )
    x = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = network(context=2)(x, context)
    (gradient,) = torch.autograd.grad(y.sum(), context)
    assert (gradient[0].abs().sum(0) > 0).all()
