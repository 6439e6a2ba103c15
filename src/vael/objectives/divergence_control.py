"""Bounds whose divergence is held at an amount, or is free up to one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from vael.errors import StateError
from vael.models import Terms
from vael.objectives.bounds import Beta
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.parts import ObjectivePart, Share, Weight, elbo_in_words

CLOSED = frozenset({"log_likelihood", "divergence"})
Nats = Annotated[float, Field(ge=0, le=1e6)]


@dataclass(frozen=True)
class Capacity(Objective):
    """E_q[log p(x|z)] - γ |KL(q(z|x) || p(z)) - C|: the divergence is held near C nats (Burgess et al. 2018, eq. 8).

    C rises linearly from 0 over the first `warmup` share of training. Logged is the bound itself.
    """

    nats: float = 25.0
    weight: float = 10.0
    rise: float = 0.5
    requires: ClassVar[frozenset[str]] = CLOSED
    is_bound: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (0 <= self.nats < math.inf and 0 <= self.weight < math.inf and 0 <= self.rise < 1):
            raise StateError(
                f"a capacity of {self.nats} nats with weight {self.weight} that rises over {self.rise} of training: "
                "expected finite numbers of at least 0, and a share below 1"
            )

    @property
    def warmup(self) -> float:
        return self.rise

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        reconstruction = terms.log_likelihood.mean(0)
        divergence = terms.divergence.sum(0).mean(0)
        capacity = Beta(self.nats, self.rise)(progress)
        surrogate = reconstruction - self.weight * (divergence - capacity).abs()
        return Value(bound=reconstruction - divergence, surrogate=surrogate)


@dataclass(frozen=True)
class FreeBits(Objective):
    """E_q[log p(x|z)] - Σ_l max(λ, mean over the batch of KL_l): of each level of latents λ nats cost nothing (Kingma,
    Salimans, Jozefowicz, Chen, Sutskever & Welling 2016, eq. 15).

    A level whose mean divergence is below λ `nats` gets no gradient from it, so it is not given up early in training.
    The surrogate is a bound too, a looser one; logged is the bound itself.
    """

    nats: float = 0.25
    requires: ClassVar[frozenset[str]] = CLOSED
    is_bound: ClassVar[bool] = True
    couples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.nats < math.inf:
            raise StateError(f"{self.nats} free nats of each level of latents: expected a finite number of at least 0")

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        reconstruction = terms.log_likelihood.mean(0)
        each = terms.divergence.mean(1)  # of each level, by example
        cost = weights.mean(each).clamp(min=self.nats).sum()
        return Value(bound=reconstruction - each.sum(0), surrogate=reconstruction - cost)


class CapacityPart(ObjectivePart):
    """The bound with its divergence held near an amount that rises in training (annealed capacity)."""

    kind: Literal["capacity"] = "capacity"
    nats: Nats = 25.0  # that the divergence is held near
    weight: Weight = 10.0  # of how far it is from there
    warmup: Share = 0.5  # of training, over which the amount rises from 0

    def build(self) -> Objective:
        return Capacity(self.nats, self.weight, self.warmup)

    def said(self, what: str, samples: str) -> str:
        name = elbo_in_words(what)
        return f"{name}, {samples}, divergence held near {self.nats:g} nats with weight {self.weight:g}"


class FreeBitsPart(ObjectivePart):
    """The bound of which each level of latents has some nats of divergence free."""

    kind: Literal["free-bits"] = "free-bits"
    nats: Nats = 0.25  # of each level

    def build(self) -> Objective:
        return FreeBits(self.nats)

    def said(self, what: str, samples: str) -> str:
        name = elbo_in_words(what)
        return f"{name}, {samples}, {self.nats:g} nats free in each level"
