"""Functions of real numbers as tables of integers: computed once, where a network is quantised, and carried along from
then on.

Nothing here is computed where a file is read: the tables travel with the network, under its fingerprint, so no other
machine's logarithm or exponential function has a say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

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
