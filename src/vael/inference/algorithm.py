"""What a way to climb a bound is: `init(data) -> State`, `step(State, Batch, Moment) -> Info`, whatever the loop
around it does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.models import Model, is_likelihood
from vael.probability import Noise


@dataclass(frozen=True)
class World:
    """Where an algorithm runs."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: torch.dtype = torch.float32  # of matrix products inside networks; densities are float32 or better always
    compiled: bool = False
    rank: int = 0
    size: int = 1  # processes that train together


@dataclass(frozen=True)
class Moment:
    """When a step takes place."""

    progress: float  # share of training done, 0 to 1
    rate: float  # what the schedule makes of the learning rate, 0 to 1
    noise: Noise
    examples: int  # real examples in the global batch, over all processes


@dataclass(frozen=True)
class Info:
    """What only the reader of a step needs: sums over the real examples of the batch, in nats."""

    totals: Float[Tensor, " 4"]  # bound, distortion, divergence, number of examples
    climbed: Float[Tensor, ""] | None = (
        None  # what is climbed at the end of training, by which weights are chosen; None: the bound
    )


class State(ABC):
    """Abstract: everything that the next step needs, as named tensors that may be updated in place."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name: what a checkpoint holds."""

    def wanted(self, found: Collection[str]) -> dict[str, Tensor]:
        """Tensors of the names, shapes and types that a checkpoint must have to be loaded, where it has names such as
        `found`; their numbers mean nothing.
        """
        return self.tensors()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy a checkpoint's tensors into this state."""
        with torch.no_grad():
            for name, mine in self.tensors().items():
                mine.copy_(tensors[name])


S = TypeVar("S", bound=State)


M = TypeVar("M", bound=Model)


class Algorithm(ABC, Generic[M, S]):
    """Abstract way to climb a bound, on a model of kind `M`, by a state of kind `S`; the loop owns the state."""

    model: M
    warmup: float = 0.0  # share of training before what is climbed is what is meant to be climbed

    @property
    def learning_rate(self) -> float | None:
        """The rate that the schedule's factor multiplies; None where steps have no size that anyone chose."""
        return None

    @property
    def is_bound(self) -> bool:
        """Whether what `bound` gives is a lower bound on log p(x): not where the model has no likelihood, or the
        objective is another thing.
        """
        return is_likelihood(self.model)

    @abstractmethod
    def init(self, data: Source, world: World) -> S:
        """The state before the first step."""

    @abstractmethod
    def step(self, state: S, batch: Batch, moment: Moment) -> Info:
        """One step up; `state` is updated in place."""

    @abstractmethod
    def bound(self, state: S, batch: Batch, noise: Noise) -> Info:
        """The bound that is climbed, at the weights that are judged (averaged ones where there are any)."""

    @abstractmethod
    def weights(self, state: S) -> dict[str, Tensor]:
        """The weights that are judged, by their names in the model: what leaves the run."""

    @abstractmethod
    def skipped(self, state: S) -> int:
        """Steps so far that were not taken because a gradient was not finite or leapt."""

    def check(self, state: S) -> None:
        """Raise `StateError` when going on makes no sense; called now and then."""

    def converged(self, state: S) -> str:
        """Why the algorithm has nothing left to gain, as a sentence that ends the run; empty while it has."""
        return ""
