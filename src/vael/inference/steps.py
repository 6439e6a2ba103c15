"""One step of gradient ascent and the state that it changes; gradients come eagerly, data-parallel, or compiled
(see `compiled`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vael.data import Batch
from vael.inference.algorithm import Moment, State, World
from vael.inference.bound import Bound
from vael.inference.guard import Guard
from vael.inference.optimizers import PREFIX, Updates


@dataclass
class AscentState(State):
    """Live parameters, the state of their optimiser, their running average, and the guard's memory."""

    names: tuple[str, ...]
    parameters: tuple[Tensor, ...]
    updates: Updates
    averaged: tuple[Tensor, ...]  # empty where weights are not averaged
    steps: Tensor  # updates made
    calls: Tensor  # steps asked for, skipped ones too
    guard: Tensor  # see Guard
    apply: Callable[[Batch, Moment], Tensor]  # the step as the world wants it: eager, data-parallel or compiled
    moving: dict[str, Tensor] = field(default_factory=dict)  # live buffers that steps move, such as a code book
    moving_averaged: dict[str, Tensor] = field(default_factory=dict)  # those of them that can be averaged

    def tensors(self) -> dict[str, Tensor]:
        return {**self._own(), **self.updates.tensors()}

    def wanted(self, found: Collection[str]) -> dict[str, Tensor]:
        started = any(name.startswith(f"{PREFIX}.") for name in found)
        return {**self._own(), **(self.updates.wanted() if started else {})}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, mine in self._own().items():
                mine.copy_(tensors[name])
        self.updates.load(tensors)

    def _own(self) -> dict[str, Tensor]:
        named = {f"parameter.{name}": p for name, p in zip(self.names, self.parameters, strict=True)}
        named |= {f"averaged.{name}": average for name, average in zip(self.names, self.averaged, strict=False)}
        named |= {f"moving.{name}": tensor for name, tensor in self.moving.items()}
        named |= {f"moving_averaged.{name}": tensor for name, tensor in self.moving_averaged.items()}
        return {**named, "steps": self.steps, "calls": self.calls, "guard": self.guard}


@dataclass(frozen=True)
class Climb:
    """Which way is up from here."""

    surrogate: Tensor  # sum over this process's examples
    totals: Tensor  # [bound, distortion, divergence, examples], sums
    gradients: Sequence[Tensor]
    norm: Tensor | None = None  # of the gradients together, where it came with them


class Gradients(ABC):
    """Abstract: what a batch gives (see `Bound`), with the gradient of the mean negative surrogate over the global
    batch.
    """

    @abstractmethod
    def __call__(self, batch: Batch, moment: Moment) -> Climb:
        """One gradient for each parameter of the state."""


class EagerGradients(Gradients):
    """Forward and backward, one operation after another."""

    def __init__(self, bound: Bound, parameters: Sequence[Tensor]) -> None:
        self.bound, self.parameters = bound, parameters

    def __call__(self, batch: Batch, moment: Moment) -> Climb:
        surrogate, totals = self.bound(batch, moment.progress, moment.noise)
        return Climb(
            surrogate.detach(), totals, torch.autograd.grad(surrogate * (-1 / moment.examples), self.parameters)
        )


class DataParallelGradients(Gradients):
    """Averaged over processes, so that norm, clipping and skipping are decided alike by all."""

    def __init__(self, bound: Bound, parameters: Sequence[Tensor], world: World) -> None:
        self.parameters, self.world = parameters, world
        self.parallel = nn.parallel.DistributedDataParallel(
            bound, device_ids=None if world.device.type == "cpu" else [world.device]
        )

    def __call__(self, batch: Batch, moment: Moment) -> Climb:
        surrogate, totals = self.parallel(batch, moment.progress, moment.noise)
        for p in self.parameters:
            p.grad = None
        # the average over processes of (their sum × processes / all examples) is the mean over all examples
        (-surrogate * self.world.size / moment.examples).backward()
        return Climb(surrogate.detach(), totals, [p.grad for p in self.parameters if p.grad is not None])


def length(gradients: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all gradients together; a processor takes inner products, a third less work than its norms."""
    if gradients[0].device.type != "cpu":
        return torch.nn.utils.get_total_norm(gradients)
    return torch.stack([torch.dot(flat, flat) for flat in (g.flatten() for g in gradients)]).sum().sqrt()


@dataclass(frozen=True)
class Step:
    """One step: gradients, the guard's decision, the update."""

    gradients: Gradients
    state: AscentState
    learning_rate: float
    guard: Guard

    @torch.no_grad()
    def __call__(self, batch: Batch, moment: Moment) -> Tensor:
        """Sums of bound, distortion, divergence and examples; zeros where the step was skipped."""
        with torch.enable_grad():
            climb = self.gradients(batch, moment)
        norm = length(climb.gradients) if climb.norm is None else climb.norm
        updates = self.state.updates
        ahead = norm.device.type != "cpu" and updates.fused and updates.started
        return (self._ahead if ahead else self._in_step)(climb, norm, moment)

    def _in_step(self, climb: Climb, norm: Tensor, moment: Moment) -> Tensor:
        """With the norm at hand: on a processor, and on a device for the first step and for an optimiser that is not
        fused, which then wait for it.
        """
        state = self.state
        scale, skip, memory = self.guard.decide(float(norm), state.guard.tolist())
        state.guard.copy_(torch.tensor(memory))
        if skip:
            return torch.zeros_like(climb.totals)
        state.steps += 1
        self._update(climb, moment, None if scale == 1 else norm.new_tensor(scale), None)
        return climb.totals

    def _ahead(self, climb: Climb, norm: Tensor, moment: Moment) -> Tensor:
        """Without waiting for the device: what is decided there stays there."""
        scale, skip = self.guard(norm, self.state.guard)
        self.state.steps += 1 - skip
        self._update(climb, moment, scale, skip)
        return torch.where(skip > 0, torch.zeros_like(climb.totals), climb.totals)

    def _update(self, climb: Climb, moment: Moment, scale: Tensor | None, skip: Tensor | None) -> None:
        self.state.updates(climb.gradients, self.learning_rate * moment.rate, scale, skip)
