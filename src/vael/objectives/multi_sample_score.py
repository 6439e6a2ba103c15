"""The importance-weighted bound where no gradient passes through the latents (VIMCO)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import StateError
from vael.models import Terms
from vael.objectives.bounds import log_mean_weight, log_weights
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.parts import ObjectivePart
from vael.objectives.score_function import leave_one_out


def without_each(log_w: Float[Tensor, "samples batch"]) -> Float[Tensor, "samples batch"]:
    """Log 1/K Σ_i w_i with w_k replaced by the geometric mean of the others, for each sample k (Mnih & Rezende 2016,
    eq. 10).
    """
    samples = log_w.shape[0]
    own = torch.eye(samples, dtype=torch.bool, device=log_w.device)[:, :, None]
    replaced = torch.where(own, leave_one_out(log_w)[:, None], log_w[None])
    return log_mean_weight(replaced.transpose(0, 1))


@dataclass(frozen=True)
class MultiSampleScoreFunction(Objective):
    """log 1/K Σ_k w_k for latents that cannot be reparameterised (VIMCO, Mnih & Rezende 2016, algorithm 1).

    Gradient: Σ_k (L - L_{-k}) ∇ log q(z_k|x) + Σ_k w̃_k ∇ log w_k, where L_{-k} is the bound with w_k replaced by the
    geometric mean of the other weights: a baseline of each sample that does not depend on it, so the gradient is
    unbiased. Errors: `StateError` for fewer than two samples, and for latents that carry a gradient.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "log_prior", "log_posterior"})
    is_bound: ClassVar[bool] = True

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        if any(z.requires_grad for z in terms.latent):
            raise StateError(
                "the multi-sample score function got latents that carry a gradient, so their path would count twice; "
                "climb ImportanceWeighted, or give the latents detached (latent=)"
            )
        log_w = log_weights(terms)
        if len(log_w) < 2:
            raise StateError("the multi-sample score function compares samples and got 1 of each example; take several")
        bound = log_mean_weight(log_w)
        log_q = terms.log_posterior.sum(0)
        signal = (bound - without_each(log_w)).detach()
        score = (signal * (log_q - log_q.detach())).sum(0)  # 0 in value
        return Value(bound=bound.detach(), surrogate=bound + score)


class MultiSampleScoreFunctionPart(ObjectivePart):
    """The importance-weighted bound with a score-function gradient, for discrete latents (VIMCO)."""

    kind: Literal["multi-sample-score-function"] = "multi-sample-score-function"
    samples: ClassVar[int] = 5
    least_samples: ClassVar[int] = 2
    pathwise: ClassVar[bool] = False

    def build(self) -> Objective:
        return MultiSampleScoreFunction()

    def said(self, what: str, samples: str) -> str:
        return f"importance-weighted {what}, score-function gradient, {samples}"
