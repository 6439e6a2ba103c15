"""What an objective is: terms to a bound that is logged and a surrogate that is climbed, both to be maximised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from vael.models import Terms


@dataclass(frozen=True)
class Value:
    """Nats per example."""

    bound: Float[Tensor, " batch"]
    surrogate: Float[Tensor, " batch"]


@runtime_checkable
class Objective(Protocol):
    """Abstract: `(Terms, progress) -> Value`; progress is the share of training done, 0 to 1."""

    @property
    def reads(self) -> frozenset[str]:
        """The fields of Terms that it needs."""
        ...

    @property
    def is_bound(self) -> bool:
        """Whether `bound` is a lower bound on log p(x) in expectation."""
        ...

    @property
    def couples(self) -> bool:
        """Whether examples of a batch influence each other."""
        ...

    @property
    def warmup(self) -> float:
        """Share of training during which the surrogate is not yet the one that is meant."""
        ...

    def __call__(self, terms: Terms, progress: Tensor | float) -> Value: ...
