"""The steps of a run: which examples, which noise and which rate each has, all of it a function of the seed."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import Generic

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Source
from vael.inference import Algorithm, Moment
from vael.inference.algorithm import M, S
from vael.probability import Stream
from vael.training.clock import Stopwatch
from vael.training.order import Order
from vael.training.settings import Resolved

REHEARSALS = 5  # steps at most, all but the first timed; in a short run a tenth of its steps, and no fewer than two
REHEARSAL_SECONDS = 5.0  # after which no further one is begun


class Stepping(Generic[M, S]):
    """An algorithm, its state, and the batches that move it."""

    def __init__(self, algorithm: Algorithm[M, S], data: Source, order: Order, resolved: Resolved) -> None:
        self.algorithm, self.data, self.order, self.world = algorithm, data, order, resolved.world
        self.schedule = resolved.settings.schedule
        self.factor = self.schedule(0.0)  # of the learning rate, at the last step
        self.state = algorithm.init(data, self.world)
        last_step = (resolved.settings.epochs or math.inf) * order.steps_per_epoch
        self._rehearsals = int(min(REHEARSALS, max(2, last_step / 10)))
        self._generator = torch.Generator(self.world.device)

    def take(self, step: int, progress: float) -> Float[Tensor, " 4"]:
        """Take step number `step`, counted over all epochs; its sums of bound, distortion, divergence and examples."""
        share = self.order.share(step)
        noise = Stream(self._generator.manual_seed(self.order.noise_seed(step)))
        batch = self.data.batch(share.index.to(self.data.x.device), noise)
        if share.weight is not None:
            batch = replace(batch, weight=share.weight.to(self.world.device))
        self.factor = self.schedule(progress)
        return self.algorithm.step(self.state, batch, Moment(progress, self.factor, noise, share.real)).totals

    def rehearse(self) -> float:
        """Seconds of a step, from a few that are undone; a compiled step is compiled here, in the first, which does not
        count.
        """
        kept = {name: tensor.clone() for name, tensor in self.state.tensors().items()}
        seconds: list[float] = []
        for step in range(self._rehearsals):
            watch = Stopwatch()
            self.take(step % self.order.steps_per_epoch, 0.0)
            seconds.append(watch.seconds)
            if sum(seconds[1:]) > REHEARSAL_SECONDS:
                break
        self.state.load(kept)
        return statistics.median_low(seconds[1:])

    @property
    def learning_rate(self) -> float | None:
        """Of the last step, the schedule's factor in it; None for an algorithm that has none."""
        whole = self.algorithm.learning_rate
        return None if whole is None else whole * self.factor

    @property
    def skipped(self) -> int:
        """Steps so far that were not taken."""
        return self.algorithm.skipped(self.state)

    def weights(self) -> dict[str, Tensor]:
        """The weights that are judged."""
        return self.algorithm.weights(self.state)


class EpochSums:
    """What the steps of the epoch so far add up to."""

    def __init__(self, device: torch.device) -> None:
        self.totals = torch.zeros(4, dtype=torch.float64, device=device)
        self.examples = 0  # since the watch was started, those that pad among them
        self.watch = Stopwatch()

    def add(self, totals: Float[Tensor, " 4"], examples: int) -> None:
        """The sums of one step."""
        self.totals += totals
        self.examples += examples

    def restart(self) -> None:
        """A new epoch begins."""
        self.totals.zero_()
        self.examples = 0
        self.watch.restart()

    @property
    def speed(self) -> float:
        """Examples per second."""
        return self.examples / max(self.watch.seconds, 1e-9)
