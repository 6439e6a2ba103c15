"""Distributions of counts: whole numbers from 0 up, without an upper end."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import constraints

from vael.probability.observation import LARGEST_RATE, Law
from vael.probability.sampling import Noise, register_draw

HALVINGS = 24  # of the range within 12 deviations of the rate: enough for rates up to 10^11
REACH, ROOM = 12.0, 40.0  # deviations, and counts besides, within which all but 1e-16 of a Poisson distribution lies


class ZeroInflatedPoisson(Law):
    """P(0) = π + (1 - π) e^-λ, P(k) = (1 - π) e^-λ λ^k / k! for k > 0 (Lambert 1992): counts with more zeros than a
    Poisson distribution has.

    `logits` are those of π, `log_rate` is log λ, any real numbers (log λ beyond ±60 counts as ±60). Computed in
    float64, since k log λ and log k! are far larger than their difference.
    """

    of_arguments: ClassVar[dict[str, constraints.Constraint]] = {
        "logits": constraints.real,
        "log_rate": constraints.real,
    }

    def __init__(self, logits: Tensor, log_rate: Tensor) -> None:
        self.logits, self.log_rate = torch.broadcast_tensors(logits, log_rate)
        super().__init__(self.logits.shape)

    @property
    def _log_rate(self) -> Tensor:
        return self.log_rate.double().clamp(-LARGEST_RATE, LARGEST_RATE)

    @property
    def mean(self) -> Tensor:
        """(1 - π) λ."""
        return (torch.sigmoid(-self.logits.double()) * self._log_rate.exp()).to(self.logits.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        logits, log_rate, count = self.logits.double(), self._log_rate, value.double()
        rate, of_poisson = log_rate.exp(), F.logsigmoid(-logits)
        zero = torch.logaddexp(F.logsigmoid(logits), of_poisson - rate)
        more = of_poisson + count * log_rate - rate - torch.lgamma(count + 1)
        return torch.where(count == 0, zero, more).to(self.logits.dtype)


@register_draw(ZeroInflatedPoisson)
def _zero_inflated_poisson(law: ZeroInflatedPoisson, shape: torch.Size, noise: Noise) -> Tensor:
    """A uniform variate below π is a zero, the others go through the inverse of the cumulative probability, found by
    halving; no gradient.
    """
    uniform = noise.uniform(shape, law.logits).double()
    inflated, rate = torch.sigmoid(law.logits.detach().double()), law._log_rate.detach().exp()
    left = ((uniform - inflated) / (1 - inflated).clamp(min=torch.finfo(torch.float64).tiny)).clamp(0, 1 - 1e-16)
    spread = REACH * rate.sqrt() + ROOM
    low = (rate - spread).floor().clamp(min=-1).expand(shape)  # at most the greatest count that is too small
    high = (rate + spread).ceil().expand(shape)
    for _ in range(HALVINGS):
        middle = ((low + high) / 2).floor()
        below = torch.special.gammaincc(middle + 1, rate.expand(shape)) <= left  # P(count <= middle)
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(uniform < inflated, torch.zeros_like(high), high).to(law.logits.dtype)
