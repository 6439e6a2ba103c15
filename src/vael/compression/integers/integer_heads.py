"""From the last integers of a decoder to the law of the cells, for each head that has one in whole numbers.

The numbers of a head arrive in units of 2^-12. What a head computes of them with exponentials is tabulated when it is
made, from the head's own formulas in float64; the tables travel with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vael.compression.integers.integer_laws import (
    RATE,
    RAW,
    TOP,
    Curve,
    IntegerCoupling,
    IntegerGrid,
    IntegerHalvings,
    LogisticMixture,
    SharedMixture,
    WeighedLaw,
    Whole,
    exponential,
    function_grid,
    integer_bits,
    logistic_curve,
    raw_numbers,
    to_whole,
)
from vael.compression.laws import CodingLaw, Parts
from vael.errors import SupportError
from vael.models import (
    BernoulliHead,
    CategoricalHead,
    CoupledLogisticMixtureHead,
    DiscretizedLogisticHead,
    DiscretizedLogisticMixtureHead,
    Head,
)
from vael.models.likelihoods.heads import LevelUnits
from vael.models.likelihoods.tabulated import TabulatedMixtureHead

FINE = 5  # log-scales and logits are read at multiples of 2^(5 - 12) = 1/128
LOW, HIGH = -12, 14  # raw log-scales that are told apart

Tables = Mapping[str, Whole]
Facts = Mapping[str, int]


class IntegerHead(ABC):
    """Abstract: a head in whole numbers, made of tables and facts that a file can hold."""

    kind: ClassVar[str]

    def __init__(self, facts: Facts, tables: Tables) -> None:
        self.facts, self.tables = dict(facts), dict(tables)

    @abstractmethod
    def law(self, raw: Whole) -> CodingLaw:
        """The law of the cells of examples, from raw numbers `[examples, channels_per_cell * channels, *space]`."""

    @property
    def levels(self) -> int:
        """A cell is 0 ... levels - 1."""
        return self.facts["levels"]

    def softmax(self, logits: Whole) -> Whole:
        """Weights of components on the last axis, the largest 2^18; none is 0."""
        nearest = IntegerGrid(self.tables["exponential"], -16 << (RAW - 4), 4)
        return np.maximum(nearest(logits - logits.max(-1, keepdims=True)), 1)


def cells_last(raw: Whole, components: int) -> Whole:
    """`[examples, components * channels, *space]` as `[examples, cells, components]`."""
    return raw.reshape(len(raw), components, -1).swapaxes(1, 2)


class IntegerBernoulli(IntegerHead):
    """P(1) from a logit."""

    kind = "bernoulli"

    def law(self, raw: Whole) -> CodingLaw:
        return integer_bits(
            IntegerGrid(self.tables["probability"], -20 << (RAW - FINE), FINE)(raw.reshape(len(raw), -1))
        )


class IntegerCategorical(IntegerHead):
    """Codes by their logits."""

    kind = "categorical"

    def law(self, raw: Whole) -> CodingLaw:
        weight = self.softmax(cells_last(raw, self.levels))
        return IntegerHalvings(WeighedLaw(weight), (weight.shape[0], weight.shape[1]), self.levels)


class IntegerTabulated(IntegerHead):
    """Mixtures of laws that all cells share."""

    kind = "tabulated"

    def law(self, raw: Whole) -> CodingLaw:
        weight = self.softmax(cells_last(raw, self.facts["components"]))
        return IntegerHalvings(
            SharedMixture(weight, self.tables["shared"]), (weight.shape[0], weight.shape[1]), self.levels
        )


class IntegerLogistics(IntegerHead):
    """Logistics cut into levels: one for each cell (components = 1, without logits), or mixtures, whose channels
    may be coupled.
    """

    kind = "logistics"

    @property
    def curve(self) -> Curve:
        """The logistic function."""
        return Curve(self.tables["logistic"])

    def loc(self, raw: Whole) -> Whole:
        """Half + half (raw + place) in units of 2^-12 levels."""
        return ((self.levels - 1) * ((1 << RAW) + raw + self.tables["places"])) >> 1

    def rate(self, raw: Whole) -> Whole:
        """1 / s in units of 2^-24."""
        return IntegerGrid(self.tables["rate"], LOW << (RAW - FINE), FINE)(raw)

    def law(self, raw: Whole) -> CodingLaw:
        """Logistics over levels, one or a mixture, in integers."""
        components = self.facts["components"]
        if components == 1:
            loc, log_scale = (part[..., None] for part in np.split(raw.reshape(len(raw), -1), 2, axis=1))
            weight = np.ones_like(loc)
        else:
            logits, loc, log_scale = (cells_last(part, components) for part in np.split(raw, 3, axis=1))
            weight = self.softmax(logits)
        mixture = LogisticMixture(self.curve, weight, self.loc(loc), self.rate(log_scale), self.levels)
        return IntegerHalvings(mixture, (weight.shape[0], weight.shape[1]), self.levels)


class IntegerCoupledLogistics(IntegerLogistics):
    """A mixture for each pixel, whose channels depend on each other within a component."""

    kind = "coupled logistics"

    def law(self, raw: Whole) -> CodingLaw:
        components, channels = self.facts["components"], self.facts["channels"]
        sizes = np.cumsum([components * n for n in (1, channels, channels, channels * (channels - 1) // 2)])
        logits, loc, log_scale, coupling = (self._pixels(part, components) for part in np.split(raw, sizes, axis=1)[:4])
        tanh = IntegerGrid(self.tables["tanh"], -8 << (RAW - FINE), FINE)
        parts = (
            [self.loc(part) for part in loc],
            [self.rate(part) for part in log_scale],
            [tanh(part) for part in coupling],
        )
        return Parts(IntegerCoupling(self.curve, self.softmax(logits[0]), parts, self.levels), channels)

    @staticmethod
    def _pixels(part: Whole, components: int) -> list[Whole]:
        """`[examples, n * components, *space]` as n times `[examples, pixels, components]`."""
        split = part.reshape(len(part), -1, components, int(np.prod(part.shape[2:])))
        return [split[:, n].swapaxes(1, 2) for n in range(split.shape[1])]


HEADS: dict[str, type[IntegerHead]] = {
    head.kind: head
    for head in (IntegerBernoulli, IntegerCategorical, IntegerTabulated, IntegerLogistics, IntegerCoupledLogistics)
}


def rates(units: LevelUnits) -> Whole:
    """1 / s of every raw log-scale."""
    return function_grid(torch.exp(-units.log_scale(raw_numbers(LOW, HIGH, FINE))) * 2.0**RATE, LOW, FINE).values


def logistics(kind: type[IntegerLogistics], facts: Facts, places: Tensor, units: LevelUnits) -> IntegerHead:
    """A head of logistics with its tables."""
    more = (
        {"tanh": function_grid(torch.tanh(raw_numbers(-8, 8, FINE)) * 2.0**RAW, -8, FINE).values}
        if kind is IntegerCoupledLogistics
        else {}
    )
    softmax = {} if facts["components"] == 1 and not more else {"exponential": exponential().values}
    spots = to_whole(places.double() * 2.0**RAW)
    return kind(facts, {"logistic": logistic_curve().values, "rate": rates(units), "places": spots, **softmax, **more})


def tabulated(head: TabulatedMixtureHead) -> IntegerHead:
    """Tables of a head of shared laws."""
    below = torch.nn.functional.pad(head.laws.detach().double().softmax(1).cumsum(1), (1, 0)).mT
    shared = to_whole(below * 2.0**TOP)
    shared[-1] = 1 << TOP
    return IntegerTabulated(
        facts_of(head, "levels", "components"), {"exponential": exponential().values, "shared": shared}
    )


def facts_of(head: Head, *names: str) -> dict[str, int]:
    """Sizes of a head."""
    return {name: getattr(head, name) for name in names}


MADE: dict[type, Callable[..., IntegerHead]] = {
    BernoulliHead: lambda head: IntegerBernoulli(
        {"levels": 2},
        {"probability": to_whole((torch.sigmoid(raw_numbers(-20, 20, FINE)) * 2.0**24).clamp(1, 2.0**24 - 1))},
    ),
    CategoricalHead: lambda head: IntegerCategorical(facts_of(head, "levels"), {"exponential": exponential().values}),
    TabulatedMixtureHead: tabulated,
    DiscretizedLogisticHead: lambda head: logistics(
        IntegerLogistics, {"levels": head.levels, "components": 1}, torch.zeros(1), head.units
    ),
    DiscretizedLogisticMixtureHead: lambda head: logistics(
        IntegerLogistics, facts_of(head, "levels", "components"), head.places, head.units
    ),
    CoupledLogisticMixtureHead: lambda head: logistics(
        IntegerCoupledLogistics, facts_of(head, "levels", "components", "channels"), head.places, head.units
    ),
}


def quantise_head(head: object) -> IntegerHead:
    """The head in whole numbers. Errors: `SupportError` for one that has none."""
    if type(head) not in MADE:
        names = ", ".join(kind.__name__ for kind in MADE)
        raise SupportError(
            f"{type(head).__name__} has no form in whole numbers; the portable level takes {names}: train with one of "
            "those likelihoods"
        )
    return MADE[type(head)](head)
