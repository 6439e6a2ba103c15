"""What turns a model into probabilities of whole numbers: the one place that a coder asks, and that another level
of care replaces; of a conditional model one level for each condition, and which example has which.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int32, Int64

from vael.compression.container import MOST_CONDITIONS
from vael.compression.laws import CodingLaw
from vael.counting import counted
from vael.errors import FormatError, SupportError

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


OneCondition = tuple[float, ...]  # c, as float32 has it


@dataclass(frozen=True)
class GivenLevels:
    """The levels of a conditional model. Examples are coded condition by condition, in their order within each, so that
    a block has one condition; `given` stands in the file, and brings them back in order.
    """

    conditions: tuple[OneCondition, ...]  # those that there are
    given: tuple[int, ...]  # of each example the number of its condition; empty where all have the first
    at: Callable[[OneCondition], Level]

    def numbers(self, examples: int) -> Int64[np.ndarray, " examples"]:
        """Of each example the number of its condition."""
        return np.array(self.given, np.int64) if self.given else np.zeros(examples, np.int64)

    def order(self, examples: int) -> Int64[np.ndarray, " examples"]:
        """The examples in the order in which they are coded."""
        return np.argsort(self.numbers(examples), kind="stable")

    def parts(self, examples: int) -> Iterator[tuple[Level, Int64[np.ndarray, " some"]]]:
        """The level of each condition, with the examples that have it."""
        numbers = self.numbers(examples)
        for number in np.unique(numbers).tolist():
            yield self.at(self.conditions[number]), np.flatnonzero(numbers == number)

    def of_blocks(self, sizes: Sequence[int]) -> Iterator[Level]:
        """The level of each block of so many examples. Errors: `FormatError` for a block of several conditions."""
        numbers, first, known = np.sort(self.numbers(sum(sizes))), 0, None
        for size in sizes:
            some = np.unique(numbers[first : first + size])
            if len(some) != 1:
                raise FormatError("a block of the file holds examples of several conditions; vael did not write it")
            known = known if known and known[0] == some[0] else (some[0], self.at(self.conditions[some[0]]))
            yield known[1]
            first += size


def given_levels(
    context: Float[np.ndarray, "examples features"], examples: int, at: Callable[[OneCondition], Level]
) -> GivenLevels:
    """The levels of examples with these conditions; one row stands for all of them.

    Errors: `SupportError` for more different conditions than blocks are worth.
    """
    distinct, numbers = np.unique(context.astype(np.float32), axis=0, return_inverse=True)
    if len(distinct) > MOST_CONDITIONS:
        raise SupportError(
            f"{counted(examples, 'example')} have {len(distinct):,} different conditions, but each is coded in a block "
            f"of its own, so at most {MOST_CONDITIONS:,} are; train on a condition of few levels, or on none"
        )
    conditions = tuple(tuple(map(float, row)) for row in distinct)
    return GivenLevels(conditions, tuple(numbers.ravel().tolist()) if len(distinct) > 1 else (), at)
