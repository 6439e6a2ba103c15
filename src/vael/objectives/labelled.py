"""What a model of classes climbs: its bound, and the probability that its q(y | x) gives to classes that are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from vael.data.source import Source
from vael.errors import StateError
from vael.models import Terms
from vael.models.semi_supervised import CLASSIFICATION
from vael.objectives.bounds import ELBO, Beta
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights
from vael.objectives.parts import ObjectivePart, Share, Weight, elbo_in_words

WHOLE = Beta()


@dataclass(frozen=True)
class LabelledELBO(Objective):
    """The bound is that of the model, on log p(x, y) of an example whose class is known and on log p(x) of any other;
    what is climbed has `weight` × log q(y | x) of the former besides (Kingma et al. 2014, eq. 9), so that q(y | x),
    which their bound does not contain, learns from labels too.

    Errors: `StateError` for a model that states no such term.
    """

    weight: float = 1.0
    beta: Beta = WHOLE
    requires: ClassVar[frozenset[str]] = ELBO.requires | {"penalties"}
    is_bound: ClassVar[bool] = True

    @property
    def warmup(self) -> float:
        return self.beta.warmup

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        found = ELBO(self.beta)(terms, weights, progress)
        if CLASSIFICATION not in terms.penalties:
            raise StateError(
                "the semi-supervised objective is for a model that learns classes, which this one does not; choose "
                "another objective (--objective elbo), or a model that does (--model semi-supervised)"
            )
        return replace(found, surrogate=found.surrogate - self.weight * terms.penalties[CLASSIFICATION])


class LabelledELBOPart(ObjectivePart):
    """The bound of a model of classes, and α times the log-probability of known classes under q(y | x)."""

    kind: Literal["semi-supervised"] = "semi-supervised"
    alpha: Weight = 0.1  # of the mean over labelled examples, for each example there is: α N of the paper's sum
    warmup: Share = 0.0  # of training, over which the weight of the divergence rises from 0
    share: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the training examples whose class is known

    def settled_on(self, train: Source) -> ObjectivePart:
        known = 0 if train.label is None else int((train.label >= 0).sum())
        return self.model_copy(update={"share": max(1, known) / max(1, len(train))})

    def build(self) -> Objective:
        return LabelledELBO(self.alpha / self.share, Beta(1.0, self.warmup))

    def said(self, what: str, samples: str) -> str:
        warmup = f", warmed up over the first {self.warmup:.0%}" if self.warmup else ""
        return (
            f"{elbo_in_words(what)}, classes summed out exactly, {samples}{warmup}; besides, {self.alpha:g} × log "
            "q(y | x) of known classes is climbed"
        )
