"""Gradients along the paths of the draws alone: the density of the posterior is held, its draws move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import StateError
from vael.models import Terms
from vael.models.core import Levels
from vael.objectives.bounds import log_weights
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.parts import ObjectivePart, elbo_in_words
from vael.probability import detached


def independent_levels(terms: Terms, what: str) -> None:
    """Errors: `StateError` where a posterior is not stated, or depends on the draw of another level."""
    if not terms.latent or len(terms.posterior) != len(terms.latent):
        raise StateError(f"{what} follows the draws of a posterior, which this model does not state; climb another")
    shape = next((tuple(q.batch_shape) for q in terms.posterior if q.batch_shape[1:] or not q.batch_shape), None)
    if shape is not None:
        raise StateError(
            f"{what} takes one posterior for each example, but here one has batch shape {shape}: it depends on the "
            "draw of another level; climb another objective"
        )


def detached_log_posterior(terms: Terms) -> Float[Tensor, "samples batch"]:
    """Log q(z|x) over all levels, of whose density no gradient is taken but along the draws."""
    levels = [detached(q).log_prob(z) for q, z in zip(terms.posterior, terms.latent, strict=True)]
    return torch.stack(levels).sum(0)


def along_paths(
    value: Float[Tensor, "samples batch"], latent: Levels, share: Float[Tensor, "samples batch"]
) -> Float[Tensor, " batch"]:
    """0 in value; in gradient Σ_k `share`_k ∂value_k/∂z_k ∇z_k, the path through each draw alone.

    `share` is a constant. Latents that carry no gradient give 0: they were not drawn from what is trained.
    """
    moving = tuple(z for z in latent if z.requires_grad)
    if not moving or not value.requires_grad:
        return torch.zeros_like(value[0])
    slopes = torch.autograd.grad(value.sum(), moving, retain_graph=True, materialize_grads=True)
    total = torch.zeros_like(value)
    for z, slope in zip(moving, slopes, strict=True):
        along = (slope * (z - z.detach())).flatten(2).sum(2)
        total = total + share * along
    return total.sum(0)


@dataclass(frozen=True)
class StickingTheLanding(Objective):
    """E_q[log p(x, z) - log q(z|x)] without the score ∇ log q(z|x) in its gradient (Roeder, Wu & Duvenaud 2017).

    The score has mean zero, so the gradient stays unbiased; where q(z|x) = p(z|x) it is zero for every draw. Errors:
    `StateError` for latents that depend on each other's draws.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "log_prior", "log_posterior"})
    is_bound: ClassVar[bool] = True

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        bound = log_weights(terms).mean(0).detach()
        independent_levels(terms, "the gradient without the score")
        surrogate = (terms.log_likelihood + terms.log_prior.sum(0) - detached_log_posterior(terms)).mean(0)
        return Value(bound=bound, surrogate=surrogate + (bound - surrogate).detach())


class StickingTheLandingPart(ObjectivePart):
    """All three log terms sampled, without the score of the posterior in the gradient."""

    kind: Literal["sticking-the-landing"] = "sticking-the-landing"

    def build(self) -> Objective:
        return StickingTheLanding()

    def said(self, what: str, samples: str) -> str:
        name = elbo_in_words(what)
        return f"{name}, gradient without the score of the posterior, {samples}"
