"""What an autoencoder climbs: no bound on anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from vael.models import Terms
from vael.objectives.core import ALL_EXAMPLES, Objective, Value, Weights


@dataclass(frozen=True)
class Reconstruction(Objective):
    """log p(x|z) - Σ weight × penalty, over the penalties that the model states; a penalty without a weight here has
    weight 1.

    It is a bound on nothing: a reconstruction is rewarded and the code costs nothing.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    requires: ClassVar[frozenset[str]] = frozenset({"log_likelihood", "penalties"})
    is_bound: ClassVar[bool] = False

    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        reconstruction = terms.log_likelihood.mean(0)
        penalty = sum(
            (self.weights.get(name, 1.0) * value for name, value in terms.penalties.items()),
            start=reconstruction.new_zeros(()),
        )
        return Value(bound=reconstruction, surrogate=reconstruction - penalty)
