"""In which order examples are seen and which noise a step takes: pure functions of the seed, so that a run can stop
and go on anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def mixed(*numbers: int) -> int:
    """A 63-bit seed from several numbers (splitmix64), so that streams for neighbouring steps have nothing in
    common.
    """
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ number) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


def permutation(seed: int, epoch: int, examples: int) -> Int64[Tensor, " examples"]:
    """The order of the examples in an epoch: a pure function of (seed, epoch)."""
    return torch.randperm(examples, generator=torch.Generator().manual_seed(mixed(seed, 1, epoch)))


@dataclass(frozen=True)
class Share:
    """One process's part of a global batch."""

    index: Int64[Tensor, " rows"]
    weight: Float[Tensor, " rows"] | None  # 0 for rows that pad the last batch of an epoch; None: all 1
    real: int  # examples of the global batch that do not pad, over all processes


class Order:
    """Global batches of `batch` examples, dealt out to `size` processes: the same batches whatever the number of
    processes.

    An epoch's last batch is filled up with rows of weight 0, so that every example counts once and every batch has one
    shape.
    """

    def __init__(self, examples: int, batch: int, seed: int, rank: int = 0, size: int = 1) -> None:
        self.examples, self.seed, self.rank, self.size = examples, seed, rank, size
        self.batch = math.ceil(min(batch, examples) / size) * size
        self.steps_per_epoch = math.ceil(examples / self.batch)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def share(self, step: int) -> Share:
        """This process's rows of the global batch number `step`, counted over all epochs."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, permutation(self.seed, epoch, self.examples)
        index = self._order[position * self.batch : (position + 1) * self.batch]
        real = len(index)
        if real == self.batch:
            return Share(index[self.rank :: self.size], None, real)
        padded = torch.cat((index, self._order[:1].expand(self.batch - real)))
        weight = (torch.arange(self.batch) < real).float()
        return Share(padded[self.rank :: self.size], weight[self.rank :: self.size], real)

    def noise_seed(self, step: int) -> int:
        """The seed of this process's noise at a step: a function of (seed, step, rank)."""
        return mixed(self.seed, 2, step, self.rank)
