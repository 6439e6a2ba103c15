"""How parameters move along a gradient: by any optimiser of `torch.optim`, whose state has names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vael.errors import StateError

CHOSEN = frozenset({"fused", "foreach", "capturable", "differentiable"})  # whoever gives one has chosen how it computes
PREFIX = "optimizer"


@dataclass(frozen=True)
class Optimizer:
    """An optimiser of `torch.optim`, or any class with its interface: `kind(parameters, lr=learning_rate, **options)`.

    Its update is fused into one kernel where PyTorch has that for the device, unless `options` say how to compute.
    Errors: `StateError` for a kind whose step evaluates the loss itself (LBFGS), and for options that it has not.
    """

    kind: type[torch.optim.Optimizer]
    learning_rate: float = 1e-3
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        closure = inspect.signature(self.kind.step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise StateError(
                f"{self.kind.__name__} evaluates the loss several times in a step, but a step of training has one "
                "batch and one draw of the noise; choose one that takes a gradient, such as AdamW, RMSprop or SGD"
            )
        self.at_work([torch.zeros(1, 1)], fused=False)  # refuses options now, not when a run starts

    @property
    def may_fuse(self) -> bool:
        """Whether the kind has a fused form, and nobody has chosen another."""
        return "fused" in inspect.signature(self.kind).parameters and not CHOSEN & self.options.keys()

    def at_work(self, parameters: Sequence[Tensor], fused: bool) -> torch.optim.Optimizer:
        """PyTorch's own, on these parameters. Errors: `StateError` where it refuses them or its options."""
        how = {"fused": True} if fused else {}
        try:
            return without_compiler(self.kind)(list(parameters), lr=self.learning_rate, **self.options, **how)
        except (TypeError, ValueError) as error:
            raise StateError(
                f"{self.kind.__name__} with learning rate {self.learning_rate} and {dict(self.options)} cannot be "
                f"made: {error}; change what it names"
            ) from error


def AdamW(
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2)."""
    options = {"betas": betas, "eps": epsilon, "weight_decay": weight_decay}
    return Optimizer(torch.optim.AdamW, learning_rate, options)


def Adam(learning_rate: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> Optimizer:
    """Running means of the gradient over the root of those of its square (Kingma & Ba 2015, algorithm 1)."""
    return Optimizer(torch.optim.Adam, learning_rate, {"betas": betas, "eps": epsilon})


def RMSprop(
    learning_rate: float = 1e-3, decay: float = 0.99, epsilon: float = 1e-8, centered: bool = False
) -> Optimizer:
    """Gradients over the root of their running mean square (Tieleman & Hinton 2012); centred: over their running
    deviation (Graves 2013).
    """
    return Optimizer(torch.optim.RMSprop, learning_rate, {"alpha": decay, "eps": epsilon, "centered": centered})


def Adagrad(learning_rate: float = 1e-2, epsilon: float = 1e-10) -> Optimizer:
    """Gradients over the root of the sum of their squares so far, element by element (Duchi, Hazan & Singer 2011,
    figure 1, diagonal).

    θ ← θ - rate · g / (√Σ g² + ε). A gradient that is multiplied by a constant, as the N/M of a minibatch does, leaves
    every step the same but for ε.
    """
    return Optimizer(torch.optim.Adagrad, learning_rate, {"eps": epsilon})


def SGD(learning_rate: float = 1e-2, momentum: float = 0.0, nesterov: bool = False) -> Optimizer:
    """θ ← θ - rate · v with v ← momentum · v + g (Polyak 1964), or the same looking ahead (Nesterov 1983)."""
    return Optimizer(torch.optim.SGD, learning_rate, {"momentum": momentum, "nesterov": nesterov})


@functools.cache
def without_compiler(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """`kind` without the wrappers that import the compiler when it is made and when it steps.

    The compiler takes one to two seconds, which an eager run need not pay. Gradients must be switched off by the
    caller. Where PyTorch no longer wraps, nothing changes.
    """
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "step")}
    return type(kind.__name__, (kind,), plain)


class Updates:
    """An optimiser at work on named parameters: it moves them in place, and its state has names.

    PyTorch makes a state with the first step; until then there is none to save. Errors: `StateError` where the
    optimiser refuses the parameters, or keeps what no checkpoint can hold.
    """

    def __init__(self, optimizer: Optimizer, named: Mapping[str, Tensor]) -> None:
        self.kind, self.names, self.parameters = optimizer.kind, tuple(named), tuple(named.values())
        self.fused, self.slots = self._probed(optimizer)
        self.optimizer = optimizer.at_work(self.parameters, self.fused)
        self.kernel: FusedAdam | None = None

    def _probed(self, optimizer: Optimizer) -> tuple[bool, list[dict[str, Slot]]]:
        """Whether the fused form works here, and the state of each parameter after a step, without its numbers."""
        if optimizer.may_fuse:
            try:
                return True, [probe(optimizer, p, fused=True) for p in self.parameters]
            except RuntimeError:  # PyTorch has no such kernel for this device or type
                pass
        try:
            return False, [probe(optimizer, p, fused=False) for p in self.parameters]
        except RuntimeError as error:
            raise StateError(
                f"{optimizer.kind.__name__} cannot take a step on these parameters: {error}; choose another optimiser"
            ) from error

    @property
    def started(self) -> bool:
        """Whether a step was made, so that there is a state."""
        return bool(self.slots) and len(self.optimizer.state[self.parameters[0]]) == len(self.slots[0])

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor], rate: float, scale: Tensor | None, skip: Tensor | None) -> None:
        """Move every parameter, at learning rate `rate`, by gradients divided by `scale`; where `skip` is 1 nothing
        changes.

        Errors: `StateError` for a `skip` where the update is not fused or has not started: decide before the call.
        """
        if skip is not None and not (self.fused and self.started):
            raise StateError("only a fused optimiser that has started can skip a step by itself; decide before it")
        if self.kernel is not None:
            self.kernel(gradients, rate, scale, skip)
            return
        if scale is not None and not self.fused:
            gradients = torch._foreach_div(list(gradients), scale)
        for p, gradient in zip(self.parameters, gradients, strict=True):
            p.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.fused:
            vars(self.optimizer).update(
                grad_scale=None if scale is None else scale.float(), found_inf=None if skip is None else skip.float()
            )
        self.optimizer.step()
        for p in self.parameters:
            p.grad = None
        self.kernel = FusedAdam.of(self)

    def tensors(self) -> dict[str, Tensor]:
        """The state by name: nothing before the first step."""
        return {
            f"{PREFIX}.{key}.{name}": state[key]
            for name, p, slots in zip(self.names, self.parameters, self.slots, strict=True)
            for key in slots
            if key in (state := self.optimizer.state[p])
        }

    def wanted(self) -> dict[str, Tensor]:
        """Names, shapes and types of the state after a step, without numbers."""
        return {
            f"{PREFIX}.{key}.{name}": torch.empty(slot.shape, dtype=slot.dtype, device="meta")
            for name, slots in zip(self.names, self.slots, strict=True)
            for key, slot in slots.items()
        }

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state from a checkpoint's tensors; without any, that before the first step."""
        for name, p, slots in zip(self.names, self.parameters, self.slots, strict=True):
            state = self.optimizer.state[p]
            for key, slot in slots.items():
                found = tensors.get(f"{PREFIX}.{key}.{name}")
                if found is None:
                    state.pop(key, None)
                elif key in state:
                    state[key].copy_(found)
                else:
                    state[key] = found.to(slot.device, copy=True)
        if not self.started:
            self.kernel = None


def probe(optimizer: Optimizer, parameter: Tensor, fused: bool) -> dict[str, Slot]:
    """The state that the optimiser keeps of a parameter, learnt from a step of a twin; the parameter is not touched.

    Errors: `StateError` for a state that is no tensor; `RuntimeError` where there is no fused kernel.
    """
    twin = torch.zeros_like(parameter, requires_grad=False)
    twin.grad = torch.zeros_like(twin)
    live = optimizer.at_work([twin], fused)
    with torch.no_grad():
        live.step()
    state = {key: value for key, value in live.state[twin].items() if value is not None}
    strange = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if strange:
        raise StateError(
            f"{optimizer.kind.__name__} keeps {', '.join(strange)} as other than tensors, which no checkpoint can "
            "hold; choose another optimiser"
        )
    return {key: Slot(value.shape, value.dtype, value.device) for key, value in state.items()}


@dataclass(frozen=True)
class Slot:
    """A tensor that an optimiser keeps, without its numbers."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device


class FusedAdam:
    """PyTorch's kernel of Adam and AdamW, called with lists that are made once.

    The numbers are those of `torch.optim` to the last bit. What is spared is what that does in Python before it calls
    the kernel: 0.15 ms a step for twelve small tensors, where the kernel takes 0.007 ms. The counts of steps are parts
    of one tensor, so that one addition serves all.
    """

    def __init__(self, updates: Updates) -> None:
        (group,) = updates.optimizer.param_groups
        states = [updates.optimizer.state[p] for p in updates.parameters]
        self.steps = torch.stack([state["step"] for state in states])
        for state, count in zip(states, self.steps.unbind(), strict=True):
            state["step"] = count
        self.parameters, self.counts = list(updates.parameters), list(self.steps.unbind())
        self.first, self.second = ([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq"))
        self.kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
        self.group = group

    @staticmethod
    def of(updates: Updates) -> FusedAdam | None:
        """For an optimiser that it can stand in for, once that has started; else None."""
        adam = updates.kind in (torch.optim.Adam, torch.optim.AdamW) and updates.fused and updates.started
        one = adam and len({(p.device, p.dtype) for p in updates.parameters}) == 1
        return FusedAdam(updates) if one and not updates.optimizer.param_groups[0]["amsgrad"] else None

    def __call__(self, gradients: Sequence[Tensor], rate: float, scale: Tensor | None, skip: Tensor | None) -> None:
        found_inf = None if skip is None else skip.float()
        self.steps += 1
        self.kernel(
            self.parameters,
            list(gradients),
            self.first,
            self.second,
            [],
            self.counts,
            lr=rate,
            beta1=self.group["betas"][0],
            beta2=self.group["betas"][1],
            weight_decay=self.group["weight_decay"],
            eps=self.group["eps"],
            amsgrad=False,
            maximize=self.group["maximize"],
            grad_scale=None if scale is None else scale.float(),
            found_inf=found_inf,
        )
        if found_inf is not None:
            self.steps -= found_inf
