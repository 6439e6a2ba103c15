"""Corruptions of what an encoder is given, x̃ ~ M(x̃ | x), for denoising (Vincent, Larochelle, Bengio & Manzagol
2008).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from vael.data.source import Source
from vael.errors import SupportError


@runtime_checkable
class StandardVariates(Protocol):
    """What a corruption needs of a source of noise (`vael.probability.Noise` has it)."""

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """N(0, 1) variates of shape `[samples, batch, *event]`."""

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """U[0, 1) variates of shape `[samples, batch, *event]`."""


class Corruption(ABC):
    """Abstract: a law M(x̃ | x) over damaged examples, cell by cell, in the units of the data.

    Every number that is drawn comes from `noise`: noise that belongs to examples damages each the same way whatever the
    batch.
    """

    def __call__(
        self, x: Shaped[Tensor, "batch *event"], noise: StandardVariates, samples: int = 1
    ) -> Float[Tensor, "samples batch *event"]:
        """`samples` damaged copies of every example.

        Errors: `SupportError` for cells of an integer type, which cannot hold noise.
        """
        if not x.is_floating_point():
            raise SupportError(
                f"cells of type {x.dtype} were to be corrupted; expected floating point: take x from a Batch, or call "
                "x.float()"
            )
        return self.corrupt(x.expand(samples, *x.shape), noise)

    @abstractmethod
    def corrupt(self, x: Tensor, noise: StandardVariates) -> Tensor:
        """Damaged `x`, both `[samples, batch, *event]`."""

    def check(self, source: Source) -> None:  # noqa: B027 (most corruptions suit any data)
        """Refuse data that the corruption was not made for. Errors: `SupportError`."""


def share(probability: float | int, what: str) -> None:
    """Refuse what is no probability."""
    if not 0 <= probability <= 1:
        raise SupportError(f"{what} has probability {probability}; expected a number from 0 to 1")


@dataclass(frozen=True)
class Masking(Corruption):
    """Each cell is replaced by 0 with the given probability, the others stay."""

    probability: float | int

    def __post_init__(self) -> None:
        share(self.probability, "masking")

    def corrupt(self, x: Tensor, noise: StandardVariates) -> Tensor:
        return torch.where(noise.uniform(x.shape, x) < self.probability, torch.zeros_like(x), x)


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """x̃ = x + σ ε, ε ~ N(0, 1) for each cell; `sigma` is in the units of the data."""

    sigma: float | int

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < math.inf:
            raise SupportError(
                f"Gaussian noise has σ = {self.sigma}; expected a finite number of at least 0, in the units of the data"
            )

    def corrupt(self, x: Tensor, noise: StandardVariates) -> Tensor:
        return x + self.sigma * noise.normal(x.shape, x)


@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """With the given probability a cell becomes `low` or `high`, each as often; the others stay."""

    probability: float | int
    low: float | int = 0
    high: float | int = 1

    def __post_init__(self) -> None:
        share(self.probability, "salt-and-pepper noise")
        if not self.low < self.high:
            raise SupportError(
                f"salt-and-pepper noise sets cells to {self.low} or {self.high}; expected the lower one first, and two "
                "of them"
            )

    def corrupt(self, x: Tensor, noise: StandardVariates) -> Tensor:
        u = noise.uniform(x.shape, x)
        damaged = torch.where(u < self.probability / 2, torch.full_like(x, self.low), torch.full_like(x, self.high))
        return torch.where(u < self.probability, damaged, x)

    def check(self, source: Source) -> None:
        """Refuse integers of another range: a salt of 1 among grey values up to 255 is pepper."""
        if source.levels is not None and (self.low, self.high) != (0, source.levels - 1):
            raise SupportError(
                f"{source.name}: salt-and-pepper noise sets cells to {self.low:g} or {self.high:g}, but they are "
                f"integers 0 ... {source.levels - 1}; "
                f"make it with low=0 and high={source.levels - 1}"
            )
