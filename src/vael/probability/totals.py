"""Sums: log-densities over the cells of an example, by a shorter way than cell by cell where there is one; numbers
over samples, rounded alike wherever a cell stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal

Total = Callable[[Any, Tensor], Tensor]
_short: dict[type[Distribution], Total] = {}
LANES = 64  # a multiple of the numbers that a loop over vectors takes at once
MOST_HALVINGS = 6  # products of some 64 numbers of at least a half: 2⁻⁷⁰ at worst, far above what float32 loses


def total_log_prob(law: Distribution, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "samples batch"]:
    """Σ over cells of log p(x), in nats, for a law of batch shape `[samples, batch, *event]`.

    Where no gradient is wanted, a law may have a shorter way than `log_prob`; it agrees to rounding.
    """
    if type(law) in _short and not torch.is_grad_enabled():
        return _short[type(law)](law, x)
    cells = law.log_prob(x)
    return cells.flatten(2).sum(2) if cells.dim() > 2 else cells


def _bernoulli(law: Bernoulli, x: Tensor) -> Tensor:
    """With s = (1 - 2x) l for logits l: log p = log σ(-s) = log σ(|s|) - max(s, 0), and Σ log σ(|s|) is one logarithm
    of a product.

    One exponential a cell and one logarithm for many: half the time of a softplus for each. Cells are 0 or 1.
    """
    signed = torch.addcmul(law.logits, law.logits, x, value=-2).flatten(
        2
    )  # in one pass over memory; exact, as x is 0 or 1
    return log_product(signed.abs().sigmoid_()) - signed.relu_().sum(2)


def log_product(factors: Float[Tensor, "*batch cells"]) -> Float[Tensor, "*batch"]:
    """Σ log of numbers between 1/2 and 1, which are overwritten: neighbours multiplied by halves first, then few
    logarithms.
    """
    for _ in range(MOST_HALVINGS):
        half, odd = divmod(factors.shape[-1], 2)
        if not half:
            break
        if odd:
            factors[..., 0] *= factors[..., -1]
        factors = factors[..., :half].mul_(factors[..., half : 2 * half])
    return factors.log().sum(-1)


def _normal(law: Normal, x: Tensor) -> Tensor:
    """-Σ (u²/2 + log σ + log(2π)/2), u = (x - μ)/σ, with log σ computed once where σ is the same for many examples."""
    u = ((x - law.loc) / law.scale).flatten(2)
    own = law.scale[
        tuple(slice(1) if stride == 0 else slice(None) for stride in law.scale.stride())
    ]  # without repetitions
    log_scale = own.log() + math.log(2 * math.pi) / 2
    shared = log_scale.expand(*log_scale.shape[:2], *law.scale.shape[2:]).flatten(2).sum(2)
    return -shared - u.square_().sum(2) / 2


_short[Bernoulli] = _bernoulli
_short[Normal] = _normal


def summed(values: Float[Tensor, "samples cells *more"]) -> Float[Tensor, "cells *more"]:
    """Σ over the first axis, `[cells, *more]`: of a cell the same bits alone and among others.

    PyTorch adds up many cells at once, and the last few, too few for that, in another order; so zeros stand behind
    them.
    """
    flat = values.flatten(1)
    return F.pad(flat, (0, -flat.shape[1] % LANES)).sum(0)[: flat.shape[1]].reshape(values.shape[1:])


def shared_out(log_weights: Float[Tensor, "samples cells"]) -> Float[Tensor, "samples cells"]:
    """Weights that sum to one over the first axis, their softmax: of a cell the same bits alone and among others, in
    the way of `summed`.
    """
    cells = log_weights.shape[1]
    return F.pad(log_weights, (0, -cells % LANES)).softmax(0)[:, :cells]
