"""Adagrad against PyTorch's, over many steps, from the eager and the skipping update; and what makes it indifferent
to N/M.
"""

import pytest
import torch

from vael.inference import Adagrad
from vael.inference.optimizers import Slots, update


def walk(optimizer, gradients, scale=1.0, skip=None):
    """Parameters and slots after all gradients."""
    p = [torch.linspace(-1, 1, 7, dtype=torch.float64)]
    slots = Slots(p, [torch.zeros_like(p[0])], [torch.zeros_like(p[0])], torch.tensor(0.0))
    for g in gradients:
        update(optimizer, slots, [scale * g], optimizer.learning_rate, None, skip)
    return slots


def gradients(steps=500):
    generator = torch.Generator().manual_seed(0)
    spread = 10.0 ** torch.arange(-3, 4, dtype=torch.float64)
    return [spread * torch.randn(7, generator=generator, dtype=torch.float64) for _ in range(steps)]


def test_adagrad_is_pytorchs_over_500_steps():
    mine = walk(Adagrad(learning_rate=0.05), gradients())
    theirs = torch.linspace(-1, 1, 7, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adagrad([theirs], lr=0.05, eps=1e-10)
    for g in gradients():
        theirs.grad = g
        optimizer.step()
    torch.testing.assert_close(mine.parameters[0], theirs.detach(), rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(mine.second[0], optimizer.state[theirs]["sum"], rtol=1e-12, atol=0)
    assert not mine.first[0].any()


def test_a_skipped_step_of_adagrad_changes_nothing():
    mine = walk(Adagrad(), gradients(3), skip=torch.tensor(1.0))
    torch.testing.assert_close(mine.parameters[0], torch.linspace(-1, 1, 7, dtype=torch.float64), rtol=0, atol=0)
    assert not mine.second[0].any()


def test_a_zero_gradient_moves_nothing():
    mine = walk(Adagrad(), [torch.zeros(7, dtype=torch.float64)])
    assert torch.isfinite(mine.parameters[0]).all()
    torch.testing.assert_close(mine.parameters[0], torch.linspace(-1, 1, 7, dtype=torch.float64), rtol=0, atol=0)


@pytest.mark.parametrize("factor", [600.0, 1 / 600])
def test_the_factor_of_a_minibatch_leaves_adagrads_steps_as_they_are(factor):
    plain, scaled = walk(Adagrad(), gradients(50)), walk(Adagrad(), gradients(50), scale=factor)
    torch.testing.assert_close(plain.parameters[0], scaled.parameters[0], rtol=1e-5, atol=1e-9)
