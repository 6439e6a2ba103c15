"""The whole step, forward, backward, guard and update, as one compiled graph.

The same formulas as the eager step with the same noise, drawn outside the graph and handed in; rounding may differ.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value

from vael.data import Batch
from vael.inference.algorithm import Moment, World
from vael.inference.bound import Bound
from vael.inference.guard import Guard
from vael.inference.optimizers import Optimizer, Slots, update
from vael.inference.steps import AscentState
from vael.probability import Recorded, Replayed


class CompiledStep:
    """A step compiled for one shape of batch; what noise it takes is learnt by running the forward pass once."""

    def __init__(self, bound: Bound, state: AscentState, optimizer: Optimizer, guard: Guard, world: World) -> None:
        self.bound, self.state, self.optimizer, self.guard, self.world = bound, state, optimizer, guard, world
        self.slots = Slots(state.parameters, state.first, state.second, state.steps)
        self.requests: list[tuple[str, tuple[int, ...]]] | None = None
        self.compiled = torch.compile(self._step, fullgraph=True, dynamic=False)

    def _learn_requests(self, batch: Batch) -> None:
        recorder = Recorded(_Zeros())
        with torch.no_grad():
            self.bound(batch, 0.0, recorder)
        self.requests = recorder.requests

    def __call__(self, batch: Batch, moment: Moment) -> Tensor:
        if self.requests is None:
            self._learn_requests(batch)
        like = batch.x
        noise = [moment.noise.normal(shape, like) if kind == "normal" else moment.noise.uniform(shape, like) for kind, shape in self.requests]
        weight = batch.weight if batch.weight is not None else torch.ones(len(batch), device=like.device)
        scalars = torch.tensor([moment.progress, moment.rate * self.optimizer.learning_rate, 1.0 / moment.examples], device=like.device)
        with torch.no_grad():
            return self.compiled(replace(batch, weight=weight, index=None), noise, scalars)

    def _step(self, batch: Batch, noise: list[Tensor], scalars: Tensor) -> Tensor:
        state = self.state
        progress, rate, share = scalars.unbind()

        def loss(parameters: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            sums = functional_call(self.bound, parameters, (batch, progress, Replayed(noise)))
            return -sums[0] * share, sums

        parameters = {f"model.{name}": p for name, p in zip(state.names, state.parameters, strict=True)}
        gradients, (_, sums) = grad_and_value(loss, has_aux=True)(parameters)
        gradients = list(gradients.values())
        norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        scale, skip = self.guard(norm, sums[0], state.guard)
        state.steps.add_(1 - skip)
        update(self.optimizer, self.slots, gradients, rate, scale, skip)
        return torch.where(skip > 0, torch.zeros_like(sums), sums)[1:]


class _Zeros(Recorded):
    """A source that gives zeros, to learn what is asked for."""

    def __init__(self) -> None:
        pass

    def normal(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.zeros(tuple(shape), dtype=like.dtype, device=like.device)

    uniform = normal
