"""Draws of all levels of latents, block by block."""

import math

import torch
from torch import nn

from vael.data import Batch
from vael.evaluation.likelihood import NOISE_BLOCK, Draws, level_blocks
from vael.models import BernoulliHead
from vael.models.hierarchical import HierarchicalVAE
from vael.networks import seeded
from vael.networks.ladder import DenseLadder


def test_draws_of_levels_begin_at_their_block_and_no_level_shares_its_noise():
    """Blocks of 500 draws: those from the second on are what a record that begins there draws; given what stands above
    each level, the variates of every level and block are others.
    """
    with seeded(3):
        ladder = DenseLadder((12,), (12,), (2, 3, 4), 16)
        model = HierarchicalVAE(nn.Identity(), ladder, BernoulliHead(), nn.Identity(), sees_gaps=False).double()
        for weights in model.requires_grad_(False).parameters():
            weights.add_(0.1 * torch.randn(weights.shape))
    x = (torch.rand(5, 12, generator=torch.Generator().manual_seed(2)) < 0.4).double()
    batch, size = Batch(x, index=torch.arange(5)), NOISE_BLOCK
    one = list(level_blocks(model, batch, None, Draws(2 * size + 3, seed=4, rows=4000)))
    later = list(level_blocks(model, batch, None, Draws(size + 3, seed=4, rows=4000, first=1)))
    assert [[len(level) for level in block] for block in one] == [[size] * 3, [size] * 3, [3] * 3]
    for first, second in zip(one[1:], later, strict=True):
        for a, b in zip(first, second, strict=True):
            torch.testing.assert_close(a, b)
    above = [(block[:n], block[n]) for block in one[:2] for n in range(3)]
    laws = [(model.posterior_at(before, batch), z) for before, z in above]
    first = [((z - law.mean) / law.stddev)[..., 0].flatten() for law, z in laws]
    together = torch.corrcoef(torch.stack(first)) - torch.eye(6).double()
    assert float(together.abs().max()) < 5 / math.sqrt(5 * size)  # 15 pairs of 2,500 independent numbers
