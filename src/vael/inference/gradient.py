"""Gradient ascent on a bound: clipping relative to a running norm, steps skipped when they would do harm, averaged
weights.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from vael.data import Batch, Source
from vael.errors import StateError
from vael.inference.algorithm import Algorithm, Info, Moment, World
from vael.inference.bound import Bound
from vael.inference.guard import Guard
from vael.inference.optimizers import AdamW, Optimizer, Updates
from vael.inference.steps import AscentState, DataParallelGradients, EagerGradients, Gradients, Step
from vael.models import Conditional, Model
from vael.networks import moving_buffers, moving_parts
from vael.objectives import ELBO, Objective
from vael.probability import Noise


class GradientAscent(Algorithm[Model, AscentState]):
    """Climb `objective` on all parameters of `model`, by AdamW unless another optimiser is given.

    `ema` is the decay per step of the averaged weights that are judged and saved; they are updated every `EMA_EVERY`
    steps by the corresponding power, which costs an eighth and differs from the step-by-step average by less than the
    noise of a step. With 0 nothing is averaged, and the live weights are judged and saved, as they are before the first
    of these steps.

    Buffers that move in training (`vael.networks.Moving`) move once a step was taken, are part of the state, and are
    averaged and saved like weights. Errors: `StateError` for such a model in a compiled step or in several processes,
    and for an objective that couples examples in several processes.
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

    @property
    def learning_rate(self) -> float:
        """The optimiser's, at its highest."""
        return self.optimizer.learning_rate

    @property
    def is_bound(self) -> bool:
        """Whether objective, likelihood and the draws of the posterior make a bound."""
        conditionals = (one for one in self.model.modules() if isinstance(one, Conditional))
        return self.objective.is_bound and super().is_bound and all(one.trains_on_its_draws for one in conditionals)

    def init(self, data: Source, world: World) -> AscentState:
        """Moments and averages at zero and at the weights; the model is moved to the device and set to train."""
        self.model.to(world.device).train()
        self.parts, moving = moving_parts(self.model), moving_buffers(self.model)
        self._check(self.objective, moving, world)
        named = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        parameters = tuple(named.values())

        state = AscentState(
            tuple(named),
            parameters,
            Updates(self.optimizer, named),
            tuple(p.detach().clone() for p in parameters) if self.ema else (),
            steps=torch.zeros((), device=world.device),
            calls=torch.zeros((), device=world.device),
            guard=self.guard.start(world.device),
            apply=lambda batch, moment: torch.empty(0),
            moving=moving,
            moving_averaged={name: b.clone() for name, b in moving.items() if self.ema and b.is_floating_point()},
        )
        bound = Bound(self.model, self.objective, self.samples, world.precision)
        state.apply = Step(self._gradients(bound, state, world), state, self.optimizer.learning_rate, self.guard)
        self._judge = Bound(
            self.model, self.objective, self.samples
        )  # with fewer, a bound of several samples is another bound
        return state

    @staticmethod
    def _check(objective: Objective, moving: dict[str, Tensor], world: World) -> None:
        if objective.couples and world.size > 1:
            raise StateError(
                f"{type(objective).__name__} couples the examples of a batch, which {world.size} processes hold in "
                "parts, so each would climb another objective; train in one process, with the whole batch there"
            )
        if moving and (world.compiled or world.size > 1):
            raise StateError(
                f"{next(iter(moving))} moves with every step, which neither a compiled step nor several processes can "
                "do; "
                "train with compiled=False in one process"
            )

    def _gradients(self, bound: Bound, state: AscentState, world: World) -> Gradients:
        if world.compiled:
            from vael.inference.compiled import (
                CompiledGradients,
            )  # imports the compiler, seconds that an eager run need not pay

            return CompiledGradients(bound, state)
        return (
            EagerGradients(bound, state.parameters)
            if world.size == 1
            else DataParallelGradients(bound, state.parameters, world)
        )

    def step(self, state: AscentState, batch: Batch, moment: Moment) -> Info:
        """One step of the optimiser, one move of moving parts, and every `EMA_EVERY` steps one of the averages."""
        totals = state.apply(batch, moment)
        if self.parts and bool(totals[3] > 0):  # not skipped
            for part in self.parts:
                part.move()
        state.calls += 1
        calls = int(state.calls)
        if self.ema and calls % self.EMA_EVERY == 0:
            decay = min(self.ema, (1 + calls) / (10 + calls)) ** self.EMA_EVERY
            with torch.no_grad():
                torch._foreach_lerp_(state.averaged, state.parameters, 1 - decay)
                for name, average in state.moving_averaged.items():
                    average.lerp_(state.moving[name], 1 - decay)
        return Info(totals)

    @torch.no_grad()
    def bound(self, state: AscentState, batch: Batch, noise: Noise) -> Info:
        named = {f"model.{name}": w for name, w in self.weights(state).items()}
        self.model.eval()
        climbed, totals = functional_call(self._judge, named, (batch, 1.0, noise))
        self.model.train()
        return Info(totals, climbed)

    def weights(self, state: AscentState) -> dict[str, Tensor]:
        averaged = bool(self.ema) and int(state.calls) >= self.EMA_EVERY  # before, the averages are the first weights
        weights = dict(zip(state.names, state.averaged if averaged else state.parameters, strict=True))
        return {**weights, **state.moving, **(state.moving_averaged if averaged else {})}

    def skipped(self, state: AscentState) -> int:
        return int(state.calls - state.steps)

    def check(self, state: AscentState) -> None:
        """Errors: `StateError` where the last gradients were not finite."""
        broken = int(state.guard[2])
        if broken > self.guard.patience:
            raise StateError(
                f"training diverged: the last {broken} gradients were not finite, so no step was taken; lower the "
                "learning rate "
                f"({self.optimizer.learning_rate:g}), or look for extreme values in the data"
            )
