"""A Gaussian of independent latents fitted to each example by its evidence lower bound: for hundreds of latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Independent

from vael.inference.joint import LogJoint
from vael.inference.optimizers import Optimizer, Updates
from vael.probability import Noise, diagonal_gaussian

CLIMB = Optimizer(torch.optim.Adam, options={"betas": (0.9, 0.98), "maximize": True})
FIRST, LAST = 0.1, 0.01  # rates, in units of the width at the start


@dataclass(frozen=True)
class DiagonalFit:
    """N(m, diag s²) of each example with the highest E[log p(x, z)] + H, by `steps` of Adam over `draws` new draws.

    From the model's own posterior, its mean and deviations moved: what an encoder shared by all examples lacks for one
    (the amortisation gap of Cremer, Li & Duvenaud 2018).
    """

    steps: int = 60
    draws: int = 4

    @property
    def cost(self) -> int:
        """Latents of one example that could be decoded in the same time."""
        return 3 * self.steps * self.draws

    def __call__(self, about: LogJoint, noise: Noise, widen: float = 1.0) -> Independent:
        """Batch shape `[batch]`, deviations `widen` times as large; called where gradients are possible."""
        start, width = about.own.mean, about.own.stddev
        moved = torch.zeros(2, *start.shape, dtype=start.dtype, device=start.device)
        updates = Updates(CLIMB, {"moved": moved})
        for step in range(1, self.steps + 1):
            standard = noise.normal((self.draws, *start.shape), start)
            updates([_slope(about, moved, standard)], FIRST * (LAST / FIRST) ** (step / self.steps), None, None)
        return diagonal_gaussian(start + width * moved[0], widen * width * moved[1].exp())


def _slope(about: LogJoint, moved: Tensor, standard: Float[Tensor, "draws batch features"]) -> Tensor:
    """Of Σ E[log p(x, z)] + H in the means and log deviations, both in units of the start."""
    with torch.enable_grad():
        leaf = moved.detach().requires_grad_()
        z = about.own.mean + about.own.stddev * (leaf[0] + leaf[1].exp() * standard)
        bound = about.at(z).mean(0).sum() + leaf[1].sum()
        return torch.autograd.grad(bound, leaf)[0]
