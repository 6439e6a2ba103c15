"""What turns a model into probabilities of whole numbers: the one place that a coder asks, and that another level
of care replaces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from jaxtyping import Int32

from vael.compression.laws import CodingLaw

Symbols = Int32[np.ndarray, "examples _"]


class Level(ABC):
    """Abstract: posterior, likelihood and prior of a model over whole numbers, as laws that a stack can be coded with.

    Level 0 is the data, cells flattened; levels 1 ... `depth` are latents, each a number of its place on a grid. Every
    law is about a few examples side by side, at most `batch`, and gives the same integers whenever it is asked for the
    same symbols, in whatever company: encoder and decoder both rely on it. An encoder network is needed on both sides,
    as bits-back coding returns the bits that it took.
    """

    name: ClassVar[str]
    batch: int  # examples that a law may be asked for at once
    cells: int  # symbols of an example of the data
    levels: int  # a cell is 0 ... levels - 1
    latents: tuple[int, ...]  # symbols of an example, for each level of latents

    @property
    def depth(self) -> int:
        """Levels of latents."""
        return len(self.latents)

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, int]:
        """What a decoder must be told to build the same level: grid, size of a batch."""

    @property
    @abstractmethod
    def build(self) -> Mapping[str, str]:
        """Facts of this installation on which the integers may depend; empty where they depend on none."""

    @abstractmethod
    def posterior(self, level: int, below: Symbols) -> CodingLaw:
        """Q(z_level | z_(level - 1)), where z_0 is x."""

    @abstractmethod
    def likelihood(self, level: int, above: Symbols) -> CodingLaw:
        """P(z_(level - 1) | z_level), where z_0 is x."""

    @abstractmethod
    def prior(self, examples: int) -> CodingLaw:
        """P(z_depth) for so many examples."""

    @abstractmethod
    def ideal(self, x: Symbols, latents: tuple[Symbols, ...]) -> np.ndarray:
        """Log q(z | x) - log p(x, z) of each example in nats, as the model itself computes it: a draw of -ELBO, to
        hold the length against.
        """
