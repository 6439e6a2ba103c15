"""Gradient ascent on a bound: AdamW, clipping relative to a running norm, steps skipped when they would do harm, averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from vael.data import Batch, Source
from vael.errors import StateError
from vael.inference.algorithm import Algorithm, Info, Moment, State, World
from vael.inference.guard import Guard
from vael.inference.optimizers import AdamW, Optimizer, Slots, fused_update, update
from vael.models import Model, Terms
from vael.objectives import ELBO, Objective
from vael.probability import Noise


def sampled_divergence(terms: Terms) -> Tensor:
    """KL(q || p) of each example as the terms have it: closed form if it was asked for, else the mean of log q(z|x) - log p(z)."""
    if terms.divergence is not None:
        return terms.divergence.sum(0).mean(0)
    return (terms.log_posterior - terms.log_prior).sum(0).mean(0)


class Bound(nn.Module):
    """The one thing that data-parallel training, autocast and compilation wrap: batch to sums over its real examples.

    Gives `[surrogate, bound, distortion, divergence, examples]`.
    """

    def __init__(self, model: Model, objective: Objective, samples: int = 1, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model, self.objective, self.samples, self.precision = model, objective, samples, precision

    def forward(self, batch: Batch, progress: Tensor | float, noise: Noise) -> Float[Tensor, " 5"]:
        with torch.autocast(batch.x.device.type, dtype=torch.bfloat16, enabled=self.precision == torch.bfloat16):
            terms = self.model(batch, samples=self.samples, generator=noise, reads=self.objective.reads)
        value = self.objective(terms, progress)
        rows = torch.stack((value.surrogate, value.bound, -terms.log_likelihood.mean(0), sampled_divergence(terms), torch.ones_like(value.bound)))
        return rows.sum(1) if batch.weight is None else rows @ batch.weight.to(rows.dtype)


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


class GradientAscent(Algorithm):
    """Climb `objective` on all parameters of `model`, by AdamW unless another optimiser is given.

    `ema` is the decay per step of the averaged weights that are judged and saved; they are updated every `EMA_EVERY` steps by the
    corresponding power, which costs an eighth and differs from the step-by-step average by less than the noise of a step.
    """

    EMA_EVERY = 8

    def __init__(
        self,
        model: Model,
        objective: Objective | None = None,
        *,
        samples: int = 1,
        optimizer: Optimizer | None = None,
        guard: Guard | None = None,
        ema: float = 0.999,
    ) -> None:
        self.model, self.objective, self.samples = model, objective or ELBO(), samples
        self.warmup = self.objective.warmup
        self.optimizer, self.guard, self.ema = optimizer or AdamW(), guard or Guard(), ema

    def init(self, data: Source, world: World) -> AscentState:
        self.model.to(world.device).train()
        named = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        parameters = tuple(named.values())

        def like() -> tuple[Tensor, ...]:
            return tuple(torch.zeros_like(p, memory_format=torch.preserve_format) for p in parameters)

        state = AscentState(
            tuple(named), parameters, like(), like(), tuple(p.detach().clone() for p in parameters),
            steps=torch.zeros((), device=world.device), calls=torch.zeros((), device=world.device),
            guard=self.guard.start(world.device), apply=lambda batch, moment: torch.empty(0),
        )  # fmt: skip
        bound = Bound(self.model, self.objective, self.samples, world.precision)
        if world.compiled:
            from vael.inference.compiled import CompiledStep  # imports the compiler, seconds that an eager run need not pay

            state.apply = CompiledStep(bound, state, self.optimizer, self.guard, world)
        elif world.size > 1:
            state.apply = DataParallelStep(bound, state, self.optimizer, self.guard, world)
        else:
            state.apply = EagerStep(bound, state, self.optimizer, self.guard, world)
        self._judge = Bound(self.model, self.objective, 1)
        return state

    def step(self, state: AscentState, batch: Batch, moment: Moment) -> Info:
        totals = state.apply(batch, moment)
        state.calls += 1
        calls = int(state.calls)
        if calls % self.EMA_EVERY == 0:
            decay = min(self.ema, (1 + calls) / (10 + calls)) ** self.EMA_EVERY
            with torch.no_grad():
                torch._foreach_lerp_(state.averaged, state.parameters, 1 - decay)
        return Info(totals)

    @torch.no_grad()
    def bound(self, state: AscentState, batch: Batch, noise: Noise) -> Info:
        sums = functional_call(self._judge, {f"model.{name}": w for name, w in self.weights(state).items()}, (batch, 1.0, noise))
        return Info(sums[1:])

    def weights(self, state: AscentState) -> dict[str, Tensor]:
        return dict(zip(state.names, state.averaged if self.ema else state.parameters, strict=True))

    def skipped(self, state: AscentState) -> int:
        return int(state.calls - state.steps)

    def check(self, state: AscentState) -> None:
        broken = int(state.guard[2])
        if broken > self.guard.patience:
            raise StateError(
                f"training diverged: the last {broken} gradients were not finite, so no step was taken; lower the learning rate "
                f"({self.optimizer.learning_rate:g}), or look for extreme values in the data"
            )


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
