"""Validation of a run, and which weights it hands over."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.inference import Algorithm
from vael.inference.algorithm import M, S
from vael.probability import PerExample
from vael.training import distributed
from vael.training.clock import Stopwatch
from vael.training.settings import Keep, Resolved

ELEMENTS_AT_ONCE = 4_000_000  # of data in one batch


@dataclass(frozen=True)
class Validated:
    """What a validation found."""

    totals: Float[Tensor, " 4"]  # bound, distortion, divergence, examples
    climbed: float  # mean of what is climbed, by which weights are chosen
    seconds: float

    @property
    def bound(self) -> float:
        """Mean over the examples, in nats."""
        return float(self.totals[0] / self.totals[3])


class Validation(Generic[M, S]):
    """The bound on the validation split, with the same noise each time."""

    def __init__(self, algorithm: Algorithm[M, S], data: Source, resolved: Resolved) -> None:
        self.algorithm, self.data, self.world, self.seed = algorithm, data, resolved.world, resolved.settings.seed
        self.step = 0  # of the last validation
        self.watch = Stopwatch()  # since then
        self._cache: list[Batch] | None = None

    def _batches(self) -> Iterator[Batch]:
        """This process's share of the split, in model units; kept in memory when small, since its noise is the same
        each time.
        """
        if self._cache is not None:
            yield from self._cache
            return
        elements = math.prod(self.data.event)
        mine = torch.arange(self.world.rank, len(self.data), self.world.size)
        kept: list[Batch] | None = [] if elements * len(mine) < 16 * ELEMENTS_AT_ONCE else None
        for index in mine.split(max(1, min(512, ELEMENTS_AT_ONCE // elements))):
            batch = self.data.batch(index.to(self.data.x.device), PerExample(self.seed, index))
            if kept is not None:
                kept.append(batch)
            yield batch
        self._cache = kept

    def judge(self, state: S, step: int) -> Validated:
        """The bound at the weights that are judged, after `step` steps; over all processes."""
        watch = Stopwatch()
        totals = torch.zeros(5, dtype=torch.float64, device=self.world.device)
        for batch in self._batches():
            info = self.algorithm.bound(state, batch, PerExample(self.seed + 1, batch.rows))
            totals[:4] += info.totals
            totals[4] += info.totals[0] if info.climbed is None else info.climbed
        totals = distributed.summed(totals)
        seconds = watch.seconds
        self.step = step
        return Validated(totals[:4], float(totals[4] / totals[3]), seconds)


class Selection:
    """The weights that a run hands over: of the best validation so far, or of the last step."""

    def __init__(self, keep: Keep, weights: Mapping[str, Tensor]) -> None:
        self.keep = keep
        self.best = self.best_elbo = -math.inf  # what is climbed, and the bound, where the former is highest
        self.best_step = 0
        self.take(weights, 0)

    def take(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Keep a copy of these."""
        self.kept_step = step
        self.weights = {name: weight.detach().clone() for name, weight in weights.items()}

    def take_last(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Keep a copy of these where the last are wanted."""
        if self.keep is Keep.LAST:
            self.take(weights, step)

    def consider(self, found: Validated, weights: Mapping[str, Tensor], step: int) -> None:
        """Remember a validation that is better than all before, and its weights where the best are wanted."""
        if found.climbed > self.best:
            self.best, self.best_elbo, self.best_step = found.climbed, found.bound, step
            if self.keep is Keep.BEST:
                self.take(weights, step)
