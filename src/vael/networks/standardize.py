"""Layers that stand between the data's units and a network's."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Standardize(nn.Module):
    """(x - shift) / scale, with both kept as buffers that travel with the weights.

    A cell whose scale is no more than rounding (below 1e-6 of its shift, or 0) never varied in the data: its scale
    becomes 1, so it gives 0 there and stays finite everywhere.
    """

    def __init__(self, shift: Tensor, scale: Tensor) -> None:
        super().__init__()
        varies = scale > 1e-6 * shift.abs()
        self.register_buffer("shift", shift.clone())
        self.register_buffer("scale", torch.where(varies, scale, torch.ones_like(scale)))

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        return (x - self.shift) / self.scale


class Offset(nn.Module):
    """x + start, with `start` learned from then on: a bias for every cell, which a convolution does not have."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.start = nn.Parameter(start.clone())

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        return x + self.start
