"""Zeros and ones as latents."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent
from torch.distributions.kl import register_kl
from torch.nn.functional import softplus

from vael.probability.sampling import Noise, register_draw


class Bit(Bernoulli):
    """0 or 1 under logits; its divergence broadcasts, which PyTorch's for Bernoulli does not, so that a prior
    serves a whole batch.
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)


@register_kl(Bit, Bit)
def _divergence(q: Bit, p: Bit) -> Tensor:
    """KL = q (l_q - l_p) + log(1 + e^l_p) - log(1 + e^l_q), with q the probability of a 1 and l the logits."""
    return q.probs * (q.logits - p.logits) + softplus(p.logits) - softplus(q.logits)


@register_draw(Bit)
def _draw(law: Bit, shape: torch.Size, noise: Noise) -> Tensor:
    return (noise.uniform(shape, law.logits) < law.probs).to(law.logits.dtype)


def independent_bits(logits: Tensor) -> Independent:
    """Zeros and ones over the last axis, independent of each other: batch shape `[*batch]`, event shape
    `[features]`.
    """
    return Independent(Bit(logits), 1, validate_args=False)
