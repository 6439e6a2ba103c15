"""Bounds from several samples beside the importance-weighted one: other ways to share the samples out (Rainforth,
Kosiorek, Le, Maddison, Igl, Wood & Teh 2018), and Rényi's family (Li & Turner 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from vael.errors import StateError
from vael.models import Terms
from vael.objectives.bounds import log_mean_weight, log_weights
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.parts import ObjectivePart
from vael.objectives.path_gradients import along_paths, detached_log_posterior, independent_levels

SAMPLED = frozenset({"log_likelihood", "log_prior", "log_posterior"})
Groups = Annotated[int, Field(ge=1, le=2**20)]


def in_groups(log_w: Float[Tensor, "samples batch"], groups: int) -> Float[Tensor, "within groups batch"]:
    """The samples in `groups` groups of equal size. Errors: `StateError` where they cannot be."""
    samples = log_w.shape[0]
    if samples % groups:
        raise StateError(
            f"{samples} samples of each example in {groups} groups of equal size: {samples} is no "
            f"multiple of {groups}; take {groups * max(1, samples // groups)} samples or another number of groups"
        )
    return log_w.unflatten(0, (samples // groups, groups))


@dataclass(frozen=True)
class MultiplyImportanceWeighted(Objective):
    """1/M Σ_m log 1/K Σ_k w_{m,k}: the mean of M importance-weighted bounds of K samples each (MIWAE, Rainforth et al.
    2018, eq. 8).

    Of the M K samples drawn each of the M `groups` takes K. One group is `ImportanceWeighted`, as many groups as
    samples is `SampledELBO`. Errors: `StateError` where the samples are no multiple of the groups.
    """

    groups: int = 8
    requires: ClassVar[frozenset[str]] = SAMPLED
    is_bound: ClassVar[bool] = True

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        bound = log_mean_weight(in_groups(log_weights(terms), self.groups)).mean(0)
        return Value(bound=bound, surrogate=bound)


@dataclass(frozen=True)
class CombinationImportanceWeighted(Objective):
    """β 1/K Σ_k log w_k + (1 - β) log 1/K Σ_k w_k: part evidence lower bound, part importance-weighted (CIWAE,
    Rainforth et al. 2018, eq. 9). The `share` β is from 0 to 1.
    """

    share: float = 0.5
    requires: ClassVar[frozenset[str]] = SAMPLED
    is_bound: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise StateError(f"a share of {self.share} of the evidence lower bound: expected a number from 0 to 1")

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        log_w = log_weights(terms)
        bound = self.share * log_w.mean(0) + (1 - self.share) * log_mean_weight(log_w)
        return Value(bound=bound, surrogate=bound)


@dataclass(frozen=True)
class PartiallyImportanceWeighted(Objective):
    """The decoder and the prior climb the importance-weighted bound over all samples, the encoder the mean of that over
    M `groups` (PIWAE, Rainforth et al. 2018, section 6).

    The encoder's gradient keeps its size against its noise as the samples grow, the decoder climbs the tighter bound.
    Logged is the tighter bound. Takes the gradient at the latents once more than other objectives, about a third of a
    step. Errors: `StateError` as `MultiplyImportanceWeighted`, and for latents that depend on each other's draws.
    """

    groups: int = 8
    requires: ClassVar[frozenset[str]] = SAMPLED
    is_bound: ClassVar[bool] = True

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        joint, log_q = terms.log_likelihood + terms.log_prior.sum(0), terms.log_posterior.sum(0)
        independent_levels(terms, "the partially importance-weighted bound")
        fixed = (joint - log_q).detach()
        bound = log_mean_weight(joint - log_q)
        tight = fixed.softmax(0)  # what each sample counts for the decoder
        loose = in_groups(fixed, self.groups).softmax(0).flatten(0, 1) / self.groups  # and for the encoder
        climbed = (tight * joint - loose * log_q).sum(0)
        # the latents of both come along with the decoder's weights in the first term, with the encoder's in the second
        paths = along_paths(joint, terms.latent, loose - tight)
        surrogate = climbed + paths
        return Value(bound=bound, surrogate=surrogate + (bound - surrogate).detach())


@dataclass(frozen=True)
class Renyi(Objective):
    """1/(1 - α) log 1/K Σ_k w_k^(1-α): Rényi's variational bound of order α from K samples (Li & Turner 2016, eq. 7).

    α = 0 is `ImportanceWeighted`, α = 1 is `SampledELBO`; in expectation at most log p(x) for every α of at least 0.
    Errors: `StateError` for α below 0, where the estimate lies on neither side of log p(x).
    """

    alpha: float = 0.5
    requires: ClassVar[frozenset[str]] = SAMPLED
    is_bound: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < math.inf:
            raise StateError(
                f"Rényi's bound of order {self.alpha}: expected a finite order of at least 0; an order below 0 gives "
                "no bound on log p(x)"
            )

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        log_w, order = log_weights(terms), 1 - self.alpha
        bound = log_mean_weight(order * log_w) / order if order else log_w.mean(0)
        return Value(bound=bound, surrogate=bound)


@dataclass(frozen=True)
class DoublyReparameterized(Objective):
    """The importance-weighted bound, with gradients of the encoder along the paths of the draws alone (DReG, Tucker,
    Lawson, Gu & Maddison 2019, eq. 8).

    With w̃_k = w_k / Σ_i w_i the decoder and the prior climb Σ_k w̃_k ∇ log w_k, the encoder Σ_k w̃_k² ∂log w_k/∂z_k ∇z_k.
    Both are unbiased, and the encoder's gradient grows against its noise with K where that of `ImportanceWeighted`
    falls. Takes the gradient at the latents once more, about a third of a step. Errors: `StateError` for latents that
    depend on each other's draws.
    """

    requires: ClassVar[frozenset[str]] = SAMPLED
    is_bound: ClassVar[bool] = True

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        bound = log_mean_weight(log_weights(terms).detach())
        independent_levels(terms, "the doubly reparameterised gradient")
        log_w = terms.log_likelihood + terms.log_prior.sum(0) - detached_log_posterior(terms)
        share = log_w.detach().softmax(0)
        surrogate = (share * log_w).sum(0) + along_paths(log_w, terms.latent, share.square() - share)
        return Value(bound=bound, surrogate=surrogate + (bound - surrogate).detach())


class MultiplyImportanceWeightedPart(ObjectivePart):
    """The mean of several importance-weighted bounds (MIWAE)."""

    kind: Literal["multiply-importance-weighted"] = "multiply-importance-weighted"
    groups: Groups = 8
    samples: ClassVar[int] = 64

    @property
    def multiple(self) -> int:
        return self.groups

    def build(self) -> Objective:
        return MultiplyImportanceWeighted(self.groups)

    def said(self, what: str, samples: str) -> str:
        return f"mean of {self.groups} importance-weighted {what}s, {samples} in all"


class CombinationImportanceWeightedPart(ObjectivePart):
    """Part evidence lower bound, part importance-weighted (CIWAE)."""

    kind: Literal["combination-importance-weighted"] = "combination-importance-weighted"
    share: Annotated[float, Field(ge=0, le=1)] = 0.5  # of the evidence lower bound
    samples: ClassVar[int] = 5

    def build(self) -> Objective:
        return CombinationImportanceWeighted(self.share)

    def said(self, what: str, samples: str) -> str:
        return f"{1 - self.share:.0%} importance-weighted {what}, the rest the evidence lower {what}, {samples}"


class PartiallyImportanceWeightedPart(ObjectivePart):
    """Importance-weighted for the decoder, the mean of several such bounds for the encoder (PIWAE)."""

    kind: Literal["partially-importance-weighted"] = "partially-importance-weighted"
    groups: Groups = 8
    samples: ClassVar[int] = 64
    compiles: ClassVar[bool] = False  # takes a gradient inside the step

    @property
    def multiple(self) -> int:
        return self.groups

    def build(self) -> Objective:
        return PartiallyImportanceWeighted(self.groups)

    def said(self, what: str, samples: str) -> str:
        return f"importance-weighted {what} for the decoder, in {self.groups} groups for the encoder, {samples}"


class RenyiPart(ObjectivePart):
    """Rényi's bound: between the importance-weighted one (α = 0) and the evidence lower bound (α = 1), and beyond."""

    kind: Literal["renyi"] = "renyi"
    alpha: Annotated[float, Field(ge=0)] = 0.5
    samples: ClassVar[int] = 5

    def build(self) -> Objective:
        return Renyi(self.alpha)

    def said(self, what: str, samples: str) -> str:
        return f"Rényi's {what} of order {self.alpha:g}, {samples}"


class DoublyReparameterizedPart(ObjectivePart):
    """The importance-weighted bound with doubly reparameterised gradients of the encoder (DReG)."""

    kind: Literal["doubly-reparameterized"] = "doubly-reparameterized"
    samples: ClassVar[int] = 5
    compiles: ClassVar[bool] = False  # takes a gradient inside the step

    def build(self) -> Objective:
        return DoublyReparameterized()

    def said(self, what: str, samples: str) -> str:
        return f"importance-weighted {what} with doubly reparameterised gradients, {samples}"
