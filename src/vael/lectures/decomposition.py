"""log p(X) taken apart: bound and divergence, and the H + I form by which EM is seen to rise (discrete latents, all
sums exact).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch
from vael.errors import ShapeError, SupportError
from vael.inference.starts import copied
from vael.models import GaussianMixture


@dataclass(frozen=True)
class Decomposition:
    """Of log p(x|θ) under some q(z), per example in nats. With q = p(z|x, θ_t), H is H(θ|θ_t) and I is I(θ|θ_t).

    log p = ELBO + KL = H + I, ELBO = H + S and KL = I - S.
    """

    log_prob: Float[Tensor, " batch"]  # log p(x|θ) = log Σ_z p(x, z|θ)
    elbo: Float[Tensor, " batch"]  # E_q[log p(x, z|θ) - log q(z)]
    divergence: Float[Tensor, " batch"]  # KL(q(z) || p(z|x, θ))
    expected_joint: Float[Tensor, " batch"]  # H = E_q[log p(x, z|θ)]
    cross_entropy: Float[Tensor, " batch"]  # I = -E_q[log p(z|x, θ)]
    entropy: Float[Tensor, " batch"]  # S = -E_q[log q(z)]


def expectation(q: Float[Tensor, "batch states"], values: Float[Tensor, "batch states"]) -> Float[Tensor, " batch"]:
    """E_q[values]; a state that q rules out counts for nothing, whatever its value."""
    return torch.where(q > 0, q * values, torch.zeros_like(q)).sum(1)


def decompose(log_joint: Float[Tensor, "batch states"], q: Float[Tensor, "batch states"]) -> Decomposition:
    """From log p(x, z|θ) for every state z of a discrete latent, and any q(z), to all that the lecture makes of them.

    Each quantity is computed from its own definition, so that the identities between them are there to be checked.

    Errors: `ShapeError` for other sizes, `SupportError` where a row of q is no distribution.
    """
    if log_joint.shape != q.shape:
        raise ShapeError(
            f"log p(x, z) of shape {tuple(log_joint.shape)} under q(z) of shape {tuple(q.shape)}; expected equal "
            "shapes [batch, states]"
        )
    if bool((q < 0).any()) or not bool(((q.sum(1) - 1).abs() < 1e-6).all()):
        raise SupportError(
            f"q(z) has rows that sum to {float(q.sum(1).min()):g} ... {float(q.sum(1).max()):g}; expected "
            "probabilities, sum 1"
        )
    log_prob = log_joint.logsumexp(1)
    log_posterior, log_q = log_joint - log_prob[:, None], q.log()
    return Decomposition(
        log_prob=log_prob,
        elbo=expectation(q, log_joint - log_q),
        divergence=expectation(q, log_q - log_posterior),
        expected_joint=expectation(q, log_joint),
        cross_entropy=-expectation(q, log_posterior),
        entropy=-expectation(q, log_q),
    )


@dataclass(frozen=True)
class Iteration:
    """One E-step and one M-step, seen after each: q is p(z|x, θ_t) in both."""

    number: int
    after_e: Decomposition  # at θ_t: the divergence is zero
    after_m: Decomposition  # at θ_{t+1}: the divergence is what q lags behind


def half_steps(model: GaussianMixture, x: Float[Tensor, "batch features"], iterations: int) -> tuple[Iteration, ...]:
    """Full-batch EM on `x`, taken apart after every half-step; the model is left at the last θ.

    It is the definition that `ExpectationMaximization` is tested against: no rescue, no floor. Errors: `SupportError`
    where a component collapses.
    """
    found = []
    for number in range(iterations):
        q = model.encode(Batch(x=x))
        after_e = decompose(model.log_joint(x), q)
        model.assign(copied(model.maximizer(model.statistics(x, q))))
        found.append(Iteration(number, after_e, decompose(model.log_joint(x), q)))
    return tuple(found)
