"""A bound that can be climbed where no gradient passes through the latents: the score-function estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from vael.errors import StateError
from vael.models import Terms
from vael.objectives.bounds import log_weights
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights


def leave_one_out(reward: Float[Tensor, "samples *rest"]) -> Float[Tensor, "samples *rest"]:
    """For each sample the mean of the other samples; with a single sample, 0.

    As a baseline it does not depend on the sample that it is taken from, so the score-function estimator stays unbiased
    (Mnih & Rezende 2016; Kool, van Hoof & Welling 2019).
    """
    samples = reward.shape[0]
    return (reward.sum(0) - reward) / (samples - 1) if samples > 1 else reward.new_zeros(reward.shape)


@dataclass(frozen=True)
class ScoreFunction(Objective):
    """E_q[log p(x, z) - log q(z|x)] for latents that cannot be reparameterised, discrete ones among them (SGVB-A in
    value).

    The gradient of the surrogate is 1/S Σ_s [∇ log p(x, z_s) + (log w_s - b_s) ∇ log q(z_s|x)], log w = log p(x, z) -
    log q(z|x): the score-function estimator, or REINFORCE (Williams 1992), with the leave-one-out mean b_s of log w as
    its baseline. Two samples are the fewest that have one; with one sample b is 0. E_q[∇ log q(z|x)] = 0 is left out.
    Errors: `StateError` for latents that carry a gradient, which would be counted twice.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "log_prior", "log_posterior"})
    is_bound: ClassVar[bool] = True

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        if any(z.requires_grad for z in terms.latent):
            raise StateError(
                "the score-function estimator got latents that carry a gradient, so their path would count twice; "
                "climb ELBO or SampledELBO, "
                "or give the latents detached (latent=)"
            )
        log_w = log_weights(terms)
        reward = log_w.detach()
        log_q = terms.log_posterior.sum(0)
        score = log_q - log_q.detach()  # 0 in value, ∇ log q in gradient
        surrogate = (
            log_w + score + (reward - leave_one_out(reward)) * score
        )  # + score: takes the -log q out of the gradient of log w
        return Value(bound=reward.mean(0), surrogate=surrogate.mean(0))
