"""The record that goes from a source of data to a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from vael.errors import StateError


@runtime_checkable
class Variates(Protocol):
    """What a stochastic transform needs of a source of noise (`vael.probability.Noise` has it)."""

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """U[0, 1) variates of shape `[samples, batch, *event]`."""


@dataclass(frozen=True)
class Batch:
    """Examples side by side; the first axis of every field is the batch.

    `x` is in the data's own units: integers as floats 0 ... levels - 1, binary cells as 0.0 and 1.0, real numbers as
    they came.
    """

    x: Float[Tensor, "batch *event"]
    context: Float[Tensor, "batch features"] | None = None
    observed: Bool[Tensor, "batch *event"] | None = None  # True where a cell was seen
    label: Int64[Tensor, " batch"] | None = None  # -1 unknown
    index: Int64[Tensor, " batch"] | None = None  # row in the data
    weight: Shaped[Tensor, " batch"] | None = None  # 0 pads

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def seen(self) -> Bool[Tensor, "batch *event"]:
        """Whether each cell was seen: `observed`, or all."""
        return torch.ones_like(self.x, dtype=torch.bool) if self.observed is None else self.observed

    @property
    def rows(self) -> Int64[Tensor, " batch"]:
        """`index`. Errors: `StateError` for a batch that does not say which rows of the data it has."""
        if self.index is None:
            raise StateError("the batch does not say which rows of the data it has; give it an index")
        return self.index


def some(given: Batch, rows: Int64[Tensor, " some"] | Bool[Tensor, " batch"]) -> Batch:
    """These examples of a batch."""
    return replace(
        given,
        **{
            f.name: value[rows.to(value.device)]
            for f in fields(given)
            if isinstance(value := getattr(given, f.name), Tensor)
        },
    )
