"""Laws of whole numbers by distribution functions in whole numbers: every question is a ratio of integers, cut to
24 bits.

Functions of real numbers are tables of integers, computed once, where a network is quantised, and carried along under
its fingerprint. Nothing is computed where a file is read, so no other machine's logarithm or exponential has a say.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

from vael.compression.laws import BERNOULLI, CodingLaw, OneQuestion, Question, Questions, Symbols

Whole = Int64[np.ndarray, "..."]

FRACTION = 20  # arguments of a distribution function are in units of 2^-20
STEP = 14  # tabulated every 2^14 units, 1/64; straight lines in between
TOP = 32  # its values are in units of 2^-32
RAW = 12  # raw numbers of a network are in units of 2^-12
WEIGHT = 18  # mixture weights are in units of 2^-18 of the largest
RATE = 24  # reciprocal scales are in units of 2^-24


@dataclass(frozen=True, eq=False)
class Curve:
    """A rising function over all integers: straight lines between the values at -n 2^step ... n 2^step, its end
    values beyond.
    """

    values: Whole  # 2 n + 1

    def __call__(self, t: Whole) -> Whole:
        half = len(self.values) // 2
        t = np.clip(t, -(half << STEP), (half << STEP) - 1)
        place = (t >> STEP) + half
        low = self.values[place]
        return low + (((self.values[place + 1] - low) * (t & ((1 << STEP) - 1))) >> STEP)


@dataclass(frozen=True, eq=False)
class IntegerGrid:
    """A function on multiples of 2^step from `first` on, by its values there; its end values beyond."""

    values: Whole
    first: int
    step: int

    def __call__(self, raw: Whole) -> Whole:
        place = ((raw + (1 << (self.step - 1))) >> self.step) - self.first
        return self.values[np.clip(place, 0, len(self.values) - 1)]


def to_whole(values: torch.Tensor) -> Whole:
    """The nearest integers."""
    return values.double().round().long().numpy()


def arguments(reach: int) -> torch.Tensor:
    """-reach ... reach in steps of 1/64."""
    return torch.arange(-64 * reach, 64 * reach + 1).double() / 64


def normal_curve() -> Curve:
    """Φ(t), 0 and 1 at the ends."""
    return Curve(to_whole(torch.special.ndtr(arguments(8)) * 2.0**TOP))


def logistic_curve() -> Curve:
    """1 / (1 + e^-t), 0 and 1 at the ends."""
    values = to_whole(torch.sigmoid(arguments(24)) * 2.0**TOP)
    values[0], values[-1] = 0, 1 << TOP
    return Curve(values)


def raw_numbers(low: int, high: int, step: int) -> torch.Tensor:
    """Raw numbers from `low` to `high` at every multiple of 2^step units."""
    return torch.arange(low << (RAW - step), (high << (RAW - step)) + 1).double() * 2.0 ** (step - RAW)


def function_grid(values: torch.Tensor, low: int, step: int) -> IntegerGrid:
    """A function by its values at `raw_numbers(low, ..., step)`."""
    return IntegerGrid(to_whole(values), low << (RAW - step), step)


def exponential() -> IntegerGrid:
    """e^x for x ≤ 0, 2^18 at 0; nothing is so rare that it is 0 above e^-13."""
    return function_grid(torch.exp(raw_numbers(-16, 0, 4)) * 2.0**WEIGHT, -16, 4)


PRECISION = 24  # bits of a probability

Cumulative = Callable[
    [Whole], Whole
]  # mass below an edge, for edges 0 ... levels, in units that each symbol has for itself


def ratio(part: Whole, total: Whole) -> Whole:
    """Part / total in units of 2^-24, strictly between 0 and 1; a half where there is no mass at all."""
    excess = np.maximum(
        np.frexp(total.astype(np.float64))[1].astype(np.int64) - 38, 0
    )  # bits that would not leave room for 24 more
    part, whole = part >> excess, total >> excess
    found = (part << PRECISION) // np.maximum(whole, 1)
    return np.where(whole > 0, np.clip(found, 1, (1 << PRECISION) - 1), 1 << (PRECISION - 1))


def bits(probability: Whole) -> Question:
    """Bits that are 1 with so many parts in 2^24: an exact number in float64, whose only use is to be cut back to
    24 bits.
    """
    return Question(BERNOULLI, (probability.ravel() / float(1 << PRECISION),))


def integer_bits(probability: Whole) -> CodingLaw:
    """0 or 1, with P(1) in units of 2^-24."""
    return OneQuestion(bits(probability), probability.shape)


class IntegerHalvings(CodingLaw):
    """0 ... levels - 1 by a distribution function in integers: is the symbol in the upper half of what is left,
    until one is left.
    """

    def __init__(self, cumulative: Cumulative, shape: tuple[int, int], levels: int) -> None:
        self.cumulative, self.shape, self.levels, self.depth = cumulative, shape, levels, (levels - 1).bit_length()

    def questions(self) -> Questions:
        """Halvings of the range of every symbol at once, by shares in integers."""
        low = np.zeros(self.shape, np.int64)
        under, over = self.cumulative(low), self.cumulative(np.full(self.shape, self.levels))
        for digit in reversed(range(self.depth)):
            middle = np.minimum(low + (1 << digit), self.levels)
            split = self.cumulative(middle)
            answer = yield bits(ratio(over - split, over - under))
            upper = answer.reshape(self.shape) == 1
            low = np.where(upper, middle, low)
            under, over = np.where(upper, split, under), np.where(upper, over, split)
        return np.minimum(low, self.levels - 1).astype(np.int32)

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        for digit in reversed(range(self.depth)):
            yield ((symbols >> digit) & 1).ravel()


class Normals(CodingLaw, ABC):
    """Abstract: Gaussian latents on the grid k / 2^bins, k from -reach to reach - 1, the outer bins open."""

    def __init__(self, curve: Curve, bins: int, reach: int) -> None:
        self.curve, self.bins, self.reach = curve, bins, reach

    def halvings(self, loc: Whole, rate: Whole) -> IntegerHalvings:
        """The law for means in units of 2^-12 and reciprocal deviations in units of 2^-24, symbols counted from 0."""

        def cumulative(edge: Whole) -> Whole:
            place = ((2 * (edge - self.reach) - 1) << (RAW - self.bins - 1)) - loc
            inside = self.curve((place * rate) >> (RAW + RATE - FRACTION))
            return np.where(edge <= 0, 0, np.where(edge >= 2 * self.reach, 1 << TOP, inside))

        return IntegerHalvings(cumulative, (loc.shape[0], loc.shape[1]), 2 * self.reach)


class IndependentNormals(Normals):
    """N(loc, σ²) for each symbol."""

    def __init__(self, curve: Curve, bins: int, reach: int, loc: Whole, rate: Whole) -> None:
        super().__init__(curve, bins, reach)
        self.loc, self.rate, self.law = loc, rate, self.halvings(loc, rate)

    def questions(self) -> Questions:
        found = yield from self.law.questions()
        return found - np.int32(self.reach)

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        return self.law.answers(symbols + np.int32(self.reach))


class ShearedNormals(Normals):
    """N(loc, L Lᵀ), L = shear diag(σ) with a unit diagonal: latent i is Gaussian about loc_i + Σ_(j<i) shear_ij (z_j -
    m_j), m the same of j.

    `shear` `[examples, latents, latents]` in units of 2^-12.
    """

    def __init__(self, normals: Normals, loc: Whole, rate: Whole, shear: Whole) -> None:
        super().__init__(normals.curve, normals.bins, normals.reach)
        self.loc, self.rate, self.shear = loc, rate, shear

    def questions(self) -> Questions:
        """Latent after latent, as each shifts the mean of those behind it."""
        found, off = np.empty(self.loc.shape, np.int32), np.zeros(self.loc.shape, np.int64)
        furthest = 4 * self.reach << (RAW - self.bins)
        for i in range(self.loc.shape[1]):
            mean = self.loc[:, i] + ((self.shear[:, i, :i] * off[:, :i]).sum(1) >> RAW)
            mean = np.clip(mean, -furthest, furthest)
            symbol = yield from self.halvings(mean[:, None], self.rate[:, i : i + 1]).questions()
            found[:, i] = symbol[:, 0] - self.reach
            off[:, i] = (found[:, i].astype(np.int64) << (RAW - self.bins)) - mean
        return found

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        for i in range(symbols.shape[1]):
            yield from self.halvings(self.loc[:, :1], self.rate[:, :1]).answers(
                symbols[:, i : i + 1] + np.int32(self.reach)
            )


class LogisticMixture:
    """Σ_k w_k σ((edge - ½ - loc_k) / s_k), the outer edges at ± ∞: integers `[examples, cells, components]`.

    `weight` in units of 2^-18, `loc` of 2^-12 levels, `rate` (1 / s) of 2^-24.
    """

    def __init__(self, curve: Curve, weight: Whole, loc: Whole, rate: Whole, levels: int) -> None:
        self.curve, self.weight, self.rate, self.levels = curve, weight, rate, levels
        self.loc = np.clip(loc, -(16 * levels << RAW), 16 * levels << RAW)

    def parts(self, edge: Whole) -> Whole:
        """Each component's distribution function."""
        wide = edge[..., None]
        place = ((2 * wide - 1) << (RAW - 1)) - self.loc
        inside = self.curve((place * self.rate) >> (RAW + RATE - FRACTION))
        return np.where(wide <= 0, 0, np.where(wide >= self.levels, 1 << TOP, inside))

    def __call__(self, edge: Whole) -> Whole:
        return (self.weight * (self.parts(edge) >> WEIGHTED)).sum(-1)


WEIGHTED = (
    4  # bits of a distribution function that are dropped before it is weighted, so that sums of 2^7 components fit
)


class SharedMixture:
    """Σ_k w_k C_k(edge) of distribution functions C `[levels + 1, components]` that all cells share, in units of
    2^-32.
    """

    def __init__(self, weight: Whole, shared: Whole) -> None:
        self.weight, self.shared = weight, shared >> WEIGHTED

    def __call__(self, edge: Whole) -> Whole:
        return (self.weight * self.shared[edge]).sum(-1)


class WeighedLaw:
    """The distribution function of codes with weights of their own, `[examples, cells, levels]`."""

    def __init__(self, weight: Whole) -> None:
        start = np.zeros((*weight.shape[:2], 1), np.int64)
        self.below = np.concatenate([start, weight.cumsum(-1)], axis=-1)

    def __call__(self, edge: Whole) -> Whole:
        return np.take_along_axis(self.below, edge[..., None], axis=-1)[..., 0]


class IntegerCoupling:
    """The channels of a pixel under a coupled mixture, one after another.

    `loc`, `rate`: a `[examples, pixels, components]` for each channel; `coupling` likewise for c = 1, 2 ... of j < c,
    in units of 2^-12.
    """

    def __init__(
        self, curve: Curve, weight: Whole, parts: tuple[list[Whole], list[Whole], list[Whole]], levels: int
    ) -> None:
        self.curve, self.weight, self.levels = curve, weight, levels
        self.loc, self.rate, self.coupling = parts

    def __call__(self, before: list[np.ndarray]) -> CodingLaw:
        weight = self.weight
        for channel, x in enumerate(before):
            mixture = self._mixture(weight, channel, before)
            symbol = x.astype(np.int64)
            mass = np.maximum(mixture.parts(symbol + 1) - mixture.parts(symbol), 1)
            weight = scaled(weight * mass)
        return IntegerHalvings(
            self._mixture(weight, len(before), before), (weight.shape[0], weight.shape[1]), self.levels
        )

    def _mixture(self, weight: Whole, channel: int, before: list[np.ndarray]) -> LogisticMixture:
        loc, row = self.loc[channel], channel * (channel - 1) // 2
        for j, x in enumerate(before[:channel]):
            loc = loc + ((self.coupling[row + j] * (2 * x.astype(np.int64)[..., None] - (self.levels - 1))) >> 1)
        return LogisticMixture(self.curve, weight, loc, self.rate[channel], self.levels)


def scaled(weight: Whole) -> Whole:
    """Weights whose largest has 18 bits again; none becomes 0."""
    most = np.frexp(weight.max(-1, keepdims=True).astype(np.float64))[1].astype(np.int64) - 18
    return np.maximum(np.where(most >= 0, weight >> np.maximum(most, 0), weight << np.maximum(-most, 0)), 1)
