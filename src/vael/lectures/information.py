"""Information, entropy and divergence of discrete distributions, in nats; `bits` turns nats to bits."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError, SupportError

TOLERANCE = 1e-6  # by how much probabilities may miss one in sum


def probabilities(p: Tensor, name: str = "p") -> Tensor:
    """`p` in float64, laws along the last axis.

    Errors: `SupportError` unless entries are at least 0 and sum to one, `ShapeError` for none.
    """
    if p.dim() < 1 or not p.shape[-1]:
        raise ShapeError(f"{name} has shape {tuple(p.shape)}; expected [*batch, outcomes] with one outcome or more")
    exact = p.double()
    total = exact.sum(-1)
    if not bool((exact >= 0).all()) or not bool(((total - 1).abs() < TOLERANCE).all()):
        worst = float(total.flatten()[(total - 1).abs().flatten().argmax()])
        raise SupportError(
            f"{name} from {float(exact.min()):g} with sum {worst:.9g}; expected probabilities of at least 0 that sum "
            "to one"
        )
    return exact


def pair(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Two laws over the same outcomes, checked."""
    if p.shape[-1:] != q.shape[-1:]:
        raise ShapeError(
            f"p has {tuple(p.shape)} and q {tuple(q.shape)} probabilities; expected the same outcomes on the last axis"
        )
    return probabilities(p), probabilities(q, "q")


def self_information(p: Float[Tensor, " *any"]) -> Float[Tensor, " *any"]:
    """I(x) = -log P(x) in nats (Shannon 1948): 0 for what is certain, infinite for what cannot happen.

    Errors: `SupportError` outside [0, 1].
    """
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise SupportError(f"probabilities from {float(p.min()):g} to {float(p.max()):g}; expected each within [0, 1]")
    return -p.double().log()


def entropy(p: Float[Tensor, "*batch outcomes"]) -> Float[Tensor, " *batch"]:
    """H(p) = -Σ_x p(x) log p(x) in nats, with 0 log 0 = 0: from 0 to log n for n outcomes."""
    law = probabilities(p)
    return -torch.xlogy(law, law).sum(-1)


def cross_entropy(
    p: Float[Tensor, "*batch outcomes"], q: Float[Tensor, "*other support"]
) -> Float[Tensor, " *broadcast"]:
    """H(p, q) = -Σ_x p(x) log q(x) = H(p) + KL(p || q) in nats; infinite where q misses what p can give."""
    truth, law = pair(p, q)
    return -torch.xlogy(truth, law).sum(-1)


def discrete_divergence(
    p: Float[Tensor, "*batch outcomes"], q: Float[Tensor, "*other support"]
) -> Float[Tensor, " *broadcast"]:
    """KL(p || q) = Σ_x p(x) log(p(x) / q(x)) in nats (Kullback & Leibler 1951), with 0 log 0 = 0.

    Never negative (Gibbs' inequality), 0 only for p = q, not symmetric, infinite where q(x) = 0 < p(x). Differences in
    rounding are not let below 0.

    >>> fair, bent = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    >>> round(float(discrete_divergence(fair, bent)), 4), round(float(discrete_divergence(bent, fair)), 4)
    (0.5108, 0.3681)
    """
    truth, law = pair(p, q)
    ratio = torch.xlogy(truth, truth) - torch.xlogy(truth, law)
    return ratio.sum(-1).clamp_min(0.0)


def bits(nats: Float[Tensor, " *any"]) -> Float[Tensor, " *any"]:
    """Nats in bits: one bit is log 2 nats."""
    return nats / math.log(2)
