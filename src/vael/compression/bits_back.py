"""Bits-back coding of a block of examples (Townsend, Bird & Barber 2019), with a chain of latents where there is one
(Kingma, Abbeel & Ho 2019).

To encode x: pop z from Q(z | x), push x under P(x | z), push z under P(z). The pop takes log₂ 1/Q(z | x) bits off the
stack, which were put there by examples before, so that an example adds -log₂ P(x, z) + log₂ Q(z | x) bits: -ELBO in
expectation. Decoding goes the same way backwards and puts those bits back. With levels z_1 ... z_L each x or z_l is
pushed as soon as the level above it is popped (Bit-Swap), so that only one level's bits are taken at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vael.compression.level import Level, Symbols
from vael.compression.stack import WORD, Stack
from vael.errors import StateError

DEEPEST = 24  # bits that one symbol can take off the stack


@dataclass(frozen=True)
class CodedExamples:
    """A block of examples as words, and what a decoder needs beside them."""

    words: np.ndarray  # uint32
    kept: int  # known words that were never touched, below those
    groups: tuple[int, ...]  # examples that were coded at once, in order
    net: int  # bits that the examples added to the stack
    ideal: float  # nats: log q(z | x) - log p(x, z) at the latents that were used


def bottom_of(level: Level) -> int:
    """Known words that a block starts on: enough for the latents of one example, several times over."""
    return 8 + -(-4 * DEEPEST * sum(level.latents) // WORD)


def encode(level: Level, x: Symbols) -> CodedExamples:
    """The examples as words. Groups grow with the bits on the stack, so that few of the known words are used up.

    Errors: `StateError` where the stack runs empty, `SupportError` where the model gives no probabilities: the block
    does not fit.
    """
    stack, done, groups, ideal, need = Stack(bottom_of(level)), 0, [], 0.0, 0.0
    start = stack.bits
    while done < len(x):
        size = 1 if not need else int(min(level.batch, len(x) - done, max(1, (stack.bits - 2 * WORD) // (1.1 * need))))
        taken, nats = _encode_group(level, stack, x[done : done + size])
        need, ideal = max(need, taken / size), ideal + nats
        groups.append(size)
        done += size
    words, kept = stack.stored()
    return CodedExamples(words, kept, tuple(groups), stack.bits - start, ideal)


def _encode_group(level: Level, stack: Stack, x: Symbols) -> tuple[int, float]:
    """Bits that were taken for the latents, and the ideal length in nats."""
    before, lowest, below, latents = stack.bits, stack.bits, x, []
    for number in range(1, level.depth + 1):
        z = level.posterior(number, below).pop(stack)
        lowest = min(lowest, stack.bits)
        if stack.bits < 2 * WORD:
            raise StateError(
                "the stack of bits ran empty under the latents: the model needs more bits for them than the data have"
            )
        level.likelihood(number, z).push(stack, below)
        below = z
        latents.append(z)
    level.prior(len(x)).push(stack, below)
    return before - lowest, float(level.ideal(x, tuple(latents)).sum())


def decode(level: Level, words: np.ndarray, kept: int, groups: tuple[int, ...]) -> Symbols:
    """The examples that `encode` was given. Errors: `FormatError` where the known words do not come back."""
    stack = Stack(bottom_of(level), words, kept)
    found = [_decode_group(level, stack, size) for size in reversed(groups)]
    stack.finished()
    return np.concatenate(found[::-1])


def _decode_group(level: Level, stack: Stack, size: int) -> Symbols:
    above = level.prior(size).pop(stack)
    for number in range(level.depth, 0, -1):
        below = level.likelihood(number, above).pop(stack)
        level.posterior(number, below).push(stack, above)
        above = below
    return above
