"""Fully connected networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vael.networks.initialize import gain, initialize


class Dense(nn.Module):
    """A multilayer perceptron from any event shape to any other: flatten, hidden layers, one linear layer,
    unflatten.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        hidden: Sequence[int] = (400,),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        sizes = [math.prod(inputs), *hidden]
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), activation())]
        self.outputs = tuple(outputs)
        self.body = nn.Sequential(*layers)
        self.last = nn.Linear(sizes[-1], math.prod(outputs))
        initialize(self, gain(activation))

    def forward(self, x: Float[Tensor, "batch *inputs"]) -> Float[Tensor, "batch *outputs"]:
        return self.last(self.body(x.flatten(1))).unflatten(1, self.outputs)


def bias_at(network: Dense, start: Tensor | None) -> Dense:
    """The network with `start` (None: what it has) as the bias of its last layer."""
    if start is not None:
        with torch.no_grad():
            network.last.bias.copy_(start.flatten())
    return network
