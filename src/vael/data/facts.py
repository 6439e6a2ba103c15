"""What a part needs to know of data to be built for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from vael.data.source import Kind, Source
from vael.tables.schema import Schema


@runtime_checkable
class Moments(Protocol):
    """What a likelihood in the data's own units needs to know (`vael.data.statistics` gives it)."""

    @property
    def mean(self) -> Tensor:
        """`[*event]`."""

    @property
    def std(self) -> Tensor:
        """`[*event]`."""


@dataclass(frozen=True)
class UnknownMoments:
    """Moments in name only, where weights that will be loaded hold the real ones."""

    mean: Tensor
    std: Tensor
    minimum: float = 0.0
    maximum: float = 1.0
    sample: Tensor | None = None


def unknown_moments(event: Sequence[int]) -> UnknownMoments:
    """Mean 0 and deviation 1 for every element."""
    return UnknownMoments(torch.zeros(tuple(event)), torch.ones(tuple(event)))


def scale_of(moments: Moments) -> Tensor:
    """What brings data of such moments to unit scale, `[*event]`: of tables and sequences the deviation of each column
    or channel, of images one for all pixels.
    """
    std = moments.std.float()
    if std.dim() < 2 or getattr(moments, "by_channel", False):
        return std
    return std.square().mean().sqrt().expand(std.shape)


@dataclass(frozen=True)
class Facts:
    """Shape, kind and moments of the examples that a model is for, and how many numbers it is conditioned on."""

    name: str
    event: tuple[int, ...]
    kind: Kind
    moments: Moments | None  # None: the network sees the data as they are, and starts at 0
    levels: int | None = None
    schema: Schema | None = None
    gaps: bool = False  # whether elements may be missing
    context: int = 0  # numbers of c, one vector an example
    classes: int = 0  # that the model learns from labels
    channels_last: bool = False  # whether examples are sequences [time, channels]

    @property
    def channels(self) -> int:
        """Channels of an image or a sequence, columns of a table."""
        return self.event[-1] if self.channels_last else self.event[0]

    @property
    def sample(self) -> Tensor | None:
        """Rows of a table, `[rows, columns]`, where they are known."""
        return getattr(self.moments, "sample", None)

    @property
    def values(self) -> int:
        """How many values an element can have; real ones have none, and every likelihood of levels refuses them."""
        return self.levels or (2 if self.kind is Kind.BINARY else 256)

    @property
    def top(self) -> float:
        """Where grey values end: at the highest level, or at the whole number above all real elements."""
        if self.kind is Kind.REAL:
            return float(max(1, math.ceil(getattr(self.moments, "maximum", 1.0))))
        return float(self.values - 1)


def facts_from(source: Source, moments: Moments | None) -> Facts:
    """What parts need to know of a source of examples."""
    levels, schema = source.levels, source.schema
    context = 0 if source.context is None else source.context.shape[1]
    return Facts(
        source.name,
        source.event,
        source.kind,
        moments,
        levels=levels,
        schema=schema,
        gaps=source.gaps,
        context=context,
        channels_last=source.windowing is not None,
    )
