"""Objectives by name."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from vael.data.source import Source
from vael.objectives.bounds import ELBO, Beta, ImportanceWeighted, SampledELBO
from vael.objectives.core import Objective
from vael.objectives.reconstruction import Reconstruction
from vael.objectives.score_function import ScoreFunction
from vael.parts import Part

Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]
CLIMBED = {
    "both": 1.0,
    "reconstruction": 0.0,
    "divergence": math.inf,
}  # terms of the bound, as a weight of the divergence


class ObjectivePart(Part):
    """Abstract: from a model's terms to what is climbed."""

    family: ClassVar[str] = "objective"
    home: ClassVar[str] = "vael.objectives"
    samples: ClassVar[int] = 1  # latent samples for each example, unless something else is asked for
    least_samples: ClassVar[int] = 1
    pathwise: ClassVar[bool] = True  # whether its gradient passes through the draws of the posterior
    bounds: ClassVar[bool] = True  # whether it is a bound on log p(x), where the likelihood is one
    compiles: ClassVar[bool] = True  # whether a step that climbs it can be compiled

    @property
    def multiple(self) -> int:
        """What the number of samples of each example must be a multiple of."""
        return 1

    def settled(self, examples: int) -> ObjectivePart:
        """With what follows from the number of training examples filled in; for most nothing does."""
        return self

    def settled_on(self, train: Source) -> ObjectivePart:
        """With what follows from the training examples filled in; for most only their number matters."""
        return self.settled(len(train))

    @abstractmethod
    def build(self) -> Objective:
        """The objective."""

    @abstractmethod
    def said(self, what: str, samples: str) -> str:
        """In words: `what` is "bound" or, where it is none, "objective"; `samples` says how many."""


def elbo_in_words(what: str) -> str:
    """The name of E_q[log p(x|z)] - KL: `what` is "bound" or, where it is none, "objective"."""
    return "evidence lower bound" if what == "bound" else "reconstruction less divergence"


class ELBOPart(ObjectivePart):
    """Expected log-likelihood sampled, divergence in closed form (SGVB-B)."""

    kind: Literal["elbo"] = "elbo"
    beta: Weight = 1.0
    warmup: Share = 0.0  # of training, over which beta rises from 0
    terms: Literal["both", "reconstruction", "divergence"] = "both"  # that are climbed
    sampled: ClassVar[bool] = False

    @model_validator(mode="after")
    def _weighs_what_there_is(self) -> ELBOPart:
        if self.terms != "both" and self.beta != 1:
            raise ValueError(
                f"beta {self.beta:g} weighs two terms against each other, but of the two only the {self.terms} is to "
                "be climbed; leave one out"
            )
        return self

    def build(self) -> Objective:
        weight = self.beta if self.terms == "both" else CLIMBED[self.terms]
        beta = Beta(weight, self.warmup if self.terms == "both" else 0.0)
        return SampledELBO(beta) if self.sampled else ELBO(beta)

    def said(self, what: str, samples: str) -> str:
        if self.terms != "both":
            return f"the {self.terms} alone, {samples}: no bound is climbed"
        how = "all terms sampled" if self.sampled else "divergence in closed form"
        weight = f", weight {self.beta:g} on the divergence" if self.beta != 1 else ""
        warmup = f", warmed up over the first {self.warmup:.0%}" if self.warmup else ""
        name = elbo_in_words(what)
        return f"{name}, {how}, {samples}{weight}{warmup}"


class SampledELBOPart(ELBOPart):
    """All three log terms sampled (SGVB-A)."""

    kind: Literal["sampled-elbo"] = "sampled-elbo"  # type: ignore[bad-override]
    sampled: ClassVar[bool] = True


class ImportanceWeightedPart(ObjectivePart):
    """Logarithm of the mean importance weight of several samples (IWAE)."""

    kind: Literal["importance-weighted"] = "importance-weighted"
    samples: ClassVar[int] = 5

    def build(self) -> Objective:
        return ImportanceWeighted()

    def said(self, what: str, samples: str) -> str:
        return f"importance-weighted {what}, {samples}"


class ScoreFunctionPart(ObjectivePart):
    """The sampled bound with the score-function gradient, for discrete latents (REINFORCE, leave-one-out baseline)."""

    kind: Literal["score-function"] = "score-function"
    samples: ClassVar[int] = 4
    least_samples: ClassVar[int] = 2
    pathwise: ClassVar[bool] = False

    def build(self) -> Objective:
        return ScoreFunction()

    def said(self, what: str, samples: str) -> str:
        return f"sampled {what}, score-function gradient, {samples}"


class ReconstructionPart(ObjectivePart):
    """Minus what an error costs, minus weighted penalties: no bound."""

    kind: Literal["reconstruction"] = "reconstruction"
    weights: dict[str, Weight] = Field(
        default_factory=dict
    )  # of the penalties that the model states; 1 where none is given
    bounds: ClassVar[bool] = False

    def build(self) -> Objective:
        return Reconstruction(self.weights)

    def said(self, what: str, samples: str) -> str:
        penalties = f" and {', '.join(f'{name} × {weight:g}' for name, weight in self.weights.items())}"
        return f"least cost of an error{penalties if self.weights else ''}"
