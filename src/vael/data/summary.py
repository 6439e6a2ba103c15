"""Mean, spread and range of every cell, in model units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data.source import Kind, Source

CELLS_AT_ONCE = 2**21


@dataclass(frozen=True)
class Statistics:
    """What is known of the cells of one split, from `examples` of them."""

    mean: Float[Tensor, "*event"]
    std: Float[Tensor, "*event"]  # about the mean, divided by the number of examples; 0 where a cell is constant
    minimum: float
    maximum: float
    examples: int
    sample: Float[Tensor, "rows columns"] | None = (
        None  # rows of a table whose columns are of several kinds, NaN where missing
    )
    by_channel: bool = False  # of sequences: moments are those of each channel, the same at all times


class _Drawn:
    """Variates for a stochastic transform, from a fixed seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return torch.rand(tuple(shape), generator=self.generator, dtype=like.dtype).to(like.device)


def statistics(source: Source, *, limit: int = 10_000, seed: int = 0) -> Statistics:
    """Mean and standard deviation of each cell over at most `limit` examples, evenly spread over the split, in bounded
    memory.

    Missing cells count for nothing. A stochastic transform is drawn once for each, from `seed`. Sums are kept in
    float64 and joined block by block (Chan, Golub & LeVeque 1979).
    """
    count = min(limit, len(source))
    chosen = (torch.arange(count) * len(source)) // count
    if source.windowing is not None:
        return _of_channels(source.batch(chosen.to(source.x.device)).x)
    if source.kind is Kind.MIXED or source.gaps:
        return _of_table(source.batch(chosen.to(source.x.device)).x)
    noise, seen = _Drawn(seed), 0
    mean = squares = torch.zeros(source.event, dtype=torch.float64, device=source.x.device)
    minimum, maximum = torch.inf, -torch.inf
    for index in chosen.split(max(1, CELLS_AT_ONCE // max(1, mean.numel()))):
        x = source.batch(index.to(source.x.device), noise).x.double()
        minimum, maximum = min(minimum, float(x.min())), max(maximum, float(x.max()))
        difference, share = x.mean(0) - mean, len(x) / (seen + len(x))
        squares = squares + (x - x.mean(0)).square().sum(0) + difference.square() * seen * share
        mean, seen = mean + difference * share, seen + len(x)
    return Statistics(mean.float(), (squares / seen).sqrt().float(), minimum, maximum, seen)


def _of_channels(x: Float[Tensor, "examples time channels"]) -> Statistics:
    """Of the elements that were seen, over examples and times."""
    found, event = _of_table(x.flatten(0, 1)), x.shape[1:]
    mean, std = found.mean.expand(event).clone(), found.std.expand(event).clone()
    return Statistics(mean, std, found.minimum, found.maximum, len(x), by_channel=True)


def _of_table(x: Tensor) -> Statistics:
    """Of the cells that were seen; a column without any has mean 0 and spread 0."""
    seen = ~torch.isnan(x)
    wide, number = torch.nan_to_num(x).double(), seen.sum(0).clamp(min=1)
    mean = wide.sum(0) / number
    squares = torch.where(seen, (wide - mean).square(), torch.zeros_like(wide)).sum(0)
    known = x[seen] if seen.any() else torch.zeros(1)
    return Statistics(
        mean.float(), (squares / number).sqrt().float(), float(known.min()), float(known.max()), len(x), x
    )


def steps_of(source: Source) -> float | None:
    """Of sequences, at how many times something was seen, mean over windows."""
    if source.windowing is None:
        return None
    x = source.stored
    return float((~x.isnan()).any(-1).double().sum(1).mean()) if source.gaps else float(source.event[0])


def elements_of(source: Source) -> float:
    """How many elements of an example were seen, mean over examples."""
    if source.windowing is None or not source.gaps:
        return float(math.prod(source.event))
    x = source.stored
    return float((~x.isnan()).double().flatten(1).sum(1).mean())
