"""How weights start: every layer keeps the size of what passes through it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Weighted = nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d


def gain(activation: Callable[[], nn.Module]) -> float:
    """1 / √E[a(u)²] for u ~ N(0, 1): √2 for a rectifier (He et al. 2015), 1 for the identity, 1.59 for tanh, 1.68
    for SiLU.
    """
    with torch.no_grad():
        u = torch.linspace(-8, 8, 4001, dtype=torch.float64)
        weight = torch.exp(-0.5 * u.square())
        a = activation().double()(u)
    return float((weight.sum() / (weight * a.square()).sum()).sqrt())


def unit_gain(layer: Weighted, factor: float = 1.0) -> None:
    """Weights N(0, factor² / fan-in), biases 0: outputs have `factor` times the root mean square of the inputs,
    whatever the size.

    An output of a transposed convolution of stride s meets 1 / s of the kernel along each axis. Draws from PyTorch's
    default generator, as the constructors of modules do: build under `vael.networks.seeded`.
    """
    fan = (
        layer.in_features
        if isinstance(layer, nn.Linear)
        else layer.in_channels * math.prod(layer.kernel_size) // layer.groups
    )
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
        fan = max(1, fan // math.prod(layer.stride))
    with torch.no_grad():
        layer.weight.normal_(0.0, factor / math.sqrt(fan))
        if layer.bias is not None:
            layer.bias.zero_()


def initialize(network: nn.Module, factor: float = 1.0, final: float = 0.1) -> None:
    """Give every layer unit gain, the first as one that no activation precedes, and the last one less: calm first
    steps.
    """
    *body, last = [layer for layer in network.modules() if isinstance(layer, Weighted)]
    for layer in body:
        unit_gain(layer, 1.0 if layer is body[0] else factor)
    unit_gain(last, final)


DRAWING = (Tensor.normal_, Tensor.uniform_)  # all that layers and this module fill weights by


class Hollow(TorchFunctionMode):
    """A block in which the weights of layers have shapes and no memory (they are made by `torch.empty`); all else
    is as ever.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty:
            given["device"] = "meta"
        if func in DRAWING and args[0].is_meta:  # nothing to fill; PyTorch would load its compiler to find that out
            return args[0]
        return func(*args, **given)
