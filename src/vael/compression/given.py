"""Compressing with a conditional model: one level for each condition, and which example has which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from vael.compression.container import MOST_CONDITIONS
from vael.compression.level import Level
from vael.counting import counted
from vael.errors import FormatError, SupportError

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
