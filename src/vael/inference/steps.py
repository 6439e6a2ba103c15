"""One step of gradient ascent, eager or data-parallel, and the state that it changes; see `compiled` for the third kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vael.data import Batch
from vael.inference.algorithm import Moment, State, World
from vael.inference.bound import Bound
from vael.inference.guard import Guard
from vael.inference.optimizers import AdamW, Optimizer, Slots, fused_update, update


@dataclass
class AscentState(State):
    """Live parameters, the moments of their gradient, their running average, and the guard's memory."""

    names: tuple[str, ...]
    parameters: tuple[Tensor, ...]
    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]
    averaged: tuple[Tensor, ...]
    steps: Tensor  # updates made
    calls: Tensor  # steps asked for, skipped ones too
    guard: Tensor  # see Guard
    apply: Callable[[Batch, Moment], Tensor]  # the step as the world wants it: eager, data-parallel or compiled

    def tensors(self) -> dict[str, Tensor]:
        groups = {"parameter": self.parameters, "first": self.first, "second": self.second, "averaged": self.averaged}
        named = {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in zip(self.names, tensors, strict=True)}
        return {**named, "steps": self.steps, "calls": self.calls, "guard": self.guard}


class EagerStep:
    """Forward, backward, update, one operation after another."""

    def __init__(self, bound: Bound, state: AscentState, optimizer: Optimizer, guard: Guard, world: World) -> None:
        self.bound, self.state, self.optimizer, self.guard, self.world = bound, state, optimizer, guard, world
        self.slots = Slots(state.parameters, state.first, state.second, state.steps)

    def gradients(self, batch: Batch, moment: Moment) -> tuple[Tensor, Sequence[Tensor]]:
        sums = self.bound(batch, moment.progress, moment.noise)
        return sums, torch.autograd.grad(-sums[0] / moment.examples, self.state.parameters)

    def __call__(self, batch: Batch, moment: Moment) -> Tensor:
        state, optimizer = self.state, self.optimizer
        sums, gradients = self.gradients(batch, moment)
        with torch.no_grad():
            sums = sums.detach()
            norm = torch.nn.utils.get_total_norm(gradients)
            scale, skip = self.guard(norm, sums[0], state.guard)
            state.steps += 1 - skip
            step = fused_update if isinstance(optimizer, AdamW) else update
            step(optimizer, self.slots, gradients, optimizer.learning_rate * moment.rate, scale, skip)
            return torch.where(skip > 0, torch.zeros_like(sums), sums)[1:]


class DataParallelStep(EagerStep):
    """The eager step with gradients averaged over processes, so that norm, clipping and skipping are decided alike by all."""

    def __init__(self, bound: Bound, state: AscentState, optimizer: Optimizer, guard: Guard, world: World) -> None:
        super().__init__(bound, state, optimizer, guard, world)
        self.parallel = nn.parallel.DistributedDataParallel(bound, device_ids=None if world.device.type == "cpu" else [world.device])

    def gradients(self, batch: Batch, moment: Moment) -> tuple[Tensor, Sequence[Tensor]]:
        sums = self.parallel(batch, moment.progress, moment.noise)
        for p in self.state.parameters:
            p.grad = None
        # the average over processes of (their sum × processes / all examples) is the mean over all examples
        (-sums[0] * self.world.size / moment.examples).backward()
        return sums, [p.grad for p in self.state.parameters]
