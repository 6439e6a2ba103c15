"""What an objective is: terms to a bound that is logged and a surrogate that is climbed, both to be maximised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from vael.models import Terms


@dataclass(frozen=True)
class Value:
    """Nats per example."""

    bound: Float[Tensor, " batch"]
    surrogate: Float[Tensor, " batch"]


@dataclass(frozen=True)
class Weights:
    """How much each row of a batch counts: 1 an example, 0 a row that only fills the batch up; None: all are examples.

    An objective that couples the examples of a batch takes its sums and means over examples by these.
    """

    rows: Float[Tensor, " batch"] | None = None

    def sum(self, values: Float[Tensor, "*more batch"]) -> Float[Tensor, "*more"]:
        """Over the examples, which are last; whatever stands in a row that fills up counts for nothing, NaN too."""
        if self.rows is None:
            return values.sum(-1)
        return torch.where(self.rows > 0, values * self.rows.to(values.dtype), 0.0).sum(-1)

    def mean(self, values: Float[Tensor, "*more batch"]) -> Float[Tensor, "*more"]:
        """Over the examples, which are last."""
        return values.mean(-1) if self.rows is None else self.sum(values) / self.rows.sum()


ALL_EXAMPLES = Weights()


class Objective(ABC):
    """Abstract: `(Terms, Weights, progress) -> Value`; progress is the share of training done, 0 to 1."""

    requires: ClassVar[frozenset[str]]  # the fields of Terms that it reads; any other raises
    is_bound: ClassVar[bool]  # whether `bound` is a lower bound on log p(x) in expectation
    couples: ClassVar[bool] = False  # whether examples of a batch influence each other; weights say which rows are some

    @property
    def warmup(self) -> float:
        """Share of training during which the surrogate is not yet the one that is meant."""
        return 0.0

    @abstractmethod
    def __call__(self, terms: Terms, weights: Weights = ALL_EXAMPLES, progress: Tensor | float = 1.0) -> Value:
        """What is logged and what is climbed; as it stands at the end of training, unless another share is given."""
