"""How parameters move along a gradient: one formula each, which the eager and the compiled step share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moved:
    """A parameter and the two running moments of its gradient after a step."""

    parameter: Tensor
    first: Tensor
    second: Tensor


@dataclass(frozen=True)
class Optimizer(ABC):
    """Abstract: from a parameter, its gradient and two running moments to the next ones."""

    learning_rate: float = 1e-3

    @abstractmethod
    def move(self, p: Tensor, g: Tensor, m: Tensor, v: Tensor, steps: Tensor, rate: Tensor | float) -> Moved:
        """The step number `steps` (from 1) at learning rate `rate`; nothing is changed in place."""


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2)."""

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def move(self, p: Tensor, g: Tensor, m: Tensor, v: Tensor, steps: Tensor, rate: Tensor | float) -> Moved:
        b1, b2 = self.betas
        m, v = torch.lerp(m, g, 1 - b1), b2 * v + (1 - b2) * g * g
        size = v.sqrt() / (1 - b2**steps).sqrt() + self.epsilon
        return Moved(p * (1 - rate * self.weight_decay) - rate / (1 - b1**steps) * m / size, m, v)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Gradients over the root of their running mean square (Tieleman & Hinton 2012); centred: over their running
    deviation (Graves 2013).
    """

    decay: float = 0.99
    epsilon: float = 1e-8
    centered: bool = False

    def move(self, p: Tensor, g: Tensor, m: Tensor, v: Tensor, steps: Tensor, rate: Tensor | float) -> Moved:
        v = self.decay * v + (1 - self.decay) * g * g
        if self.centered:
            m = torch.lerp(m, g, 1 - self.decay)
        spread = (v - m * m).clamp(min=0) if self.centered else v
        return Moved(p - rate * g / (spread.sqrt() + self.epsilon), m, v)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Gradients over the root of the sum of their squares so far, cell by cell (Duchi, Hazan & Singer 2011, figure 1,
    diagonal).

    θ ← θ - rate · g / (√Σ g² + ε). The second slot holds the sum, which only grows; the first stays at zero, since
    there is no momentum. A gradient that is multiplied by a constant, as the N/M of a minibatch does, leaves every step
    the same but for ε.
    """

    learning_rate: float = 1e-2
    epsilon: float = 1e-10

    def move(self, p: Tensor, g: Tensor, m: Tensor, v: Tensor, steps: Tensor, rate: Tensor | float) -> Moved:
        v = v + g * g
        return Moved(p - rate * g / (v.sqrt() + self.epsilon), m, v)


@dataclass(frozen=True)
class Slots:
    """What an optimiser works on, tensor by tensor."""

    parameters: Sequence[Tensor]
    first: Sequence[Tensor]
    second: Sequence[Tensor]
    steps: Tensor  # updates made, this one included unless it is skipped


def update(
    optimizer: Optimizer,
    slots: Slots,
    gradients: Sequence[Tensor],
    rate: float,
    scale: Tensor | None,
    skip: Tensor | None,
) -> None:
    """Move every parameter in place by `optimizer`, with gradients divided by `scale`; where `skip` is 1 nothing
    changes.
    """
    for p, g, m, v in zip(slots.parameters, gradients, slots.first, slots.second, strict=True):
        moved = optimizer.move(p, g if scale is None else g / scale, m, v, slots.steps, rate)
        for old, new in ((p, moved.parameter), (m, moved.first), (v, moved.second)):
            old.copy_(new if skip is None else torch.where(skip > 0, old, new))


def fused_update(
    optimizer: AdamW, slots: Slots, gradients: Sequence[Tensor], rate: float, scale: Tensor | None, skip: Tensor | None
) -> None:
    """`update` for AdamW in one kernel of PyTorch's, which divides by `grad_scale` and leaves everything alone
    where `found_inf` is 1.
    """
    torch._fused_adamw_(
        slots.parameters,
        gradients,
        slots.first,
        slots.second,
        [],
        [slots.steps] * len(gradients),
        lr=rate,
        beta1=optimizer.betas[0],
        beta2=optimizer.betas[1],
        eps=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
        amsgrad=False,
        maximize=False,
        grad_scale=None if scale is None else scale.float(),
        found_inf=None if skip is None else skip.float(),
    )
