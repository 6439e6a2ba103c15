"""A multilayer perceptron over the last axis, each of whose outputs may be kept from knowing some of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from vael.networks.initialize import gain, initialize, unit_gain


@dataclass(frozen=True)
class Degrees:
    """Which input reaches which output: output i knows the inputs whose number is below that of i (MADE: Germain,
    Gregor, Murray & Larochelle 2015, section 3).
    """

    inputs: Tensor  # the number of each input, from 0 on
    hidden: tuple[Tensor, ...]  # of the units of each layer: how many inputs they may know


def degrees(features: int, hidden: Sequence[int], *, backwards: bool = False) -> Degrees:
    """Those of an order of `features` numbers, the first number first or, `backwards`, the last."""
    order = torch.empty(features).copy_(torch.arange(features))
    units = [torch.empty(size).copy_(torch.arange(size) % max(features, 1)) for size in hidden]
    return Degrees(order.flip(0) if backwards else order, tuple(units))


class Perceptron(nn.Module):
    """`[*, inputs]`, and a context `[..., context]` that broadcasts against it, to `[*, outputs, numbers]`.

    With `known` the outputs are those of the inputs, in order, and each knows the inputs before it only: the context is
    known to all. Hidden units are tanh, so that no input, however far out, makes a number that is not finite.
    """

    def __init__(
        self,
        inputs: int,
        outputs: tuple[int, int],
        hidden: Sequence[int],
        context: int = 0,
        known: Degrees | None = None,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        sizes = [inputs, *hidden, outputs[0] * outputs[1]]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        initialize(self, gain(nn.Tanh))
        self.side = nn.Linear(context, sizes[1], bias=False) if context else None
        if self.side is not None:
            unit_gain(self.side)
        self.masked = known is not None
        if known is not None:
            for number, degree in enumerate((known.inputs, *known.hidden)):
                self.register_buffer(f"degree_{number}", degree, persistent=False)

    def forward(
        self, x: Float[Tensor, "*some inputs"], context: Float[Tensor, "*more context"] | None = None
    ) -> Float[Tensor, "*rows outputs numbers"]:
        for number in range(len(self.layers)):
            layer = cast("nn.Linear", self.layers[number])
            x = linear(x, self._known(layer.weight, number), layer.bias)
            if number == 0 and self.side is not None and context is not None:
                x = x + self.side(context)
            if number + 1 < len(self.layers):
                x = x.tanh()
        return x.unflatten(-1, self.outputs)

    def _known(self, weight: Tensor, number: int) -> Tensor:
        """The weights of a layer, 0 where a unit would learn what it may not know."""
        if not self.masked:
            return weight
        last = number + 1 == len(self.layers)
        below, above = self.get_buffer(f"degree_{number}"), self.get_buffer(f"degree_{0 if last else number + 1}")
        known = above[:, None] > below if number == 0 else above[:, None] >= below
        return (weight.unflatten(0, (len(above), -1)) * known[:, None]).flatten(0, 1)
