"""A network over a grid whose output at a position knows a window of the positions before it, row by row, and nothing
farther away: so one position can be computed from its window alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vael.networks.initialize import gain, unit_gain


class CausalWindow(nn.Module):
    """`outputs` numbers at each position from `reach` rows above (as many columns to both sides), `reach` positions to
    the left, and a `context` that every position may know in full.

    h = above(x) + left(x) + given(c), then h + f(a(h)) for each of `layers`, all of 1 × 1. Outside of the image x is 0,
    and a channel of its own says so.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        reach: int = 3,
        width: int = 64,
        layers: int = 2,
        context: int = 0,
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        super().__init__()
        self.reach, self.activation = reach, activation()
        self.above = nn.Conv2d(inputs + 1, width, (reach, 2 * reach + 1))
        self.left = nn.Conv2d(inputs + 1, width, (1, reach))
        self.given = nn.Conv2d(context, width, 1) if context else None
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(layers))
        self.last = nn.Conv2d(width, outputs, 1)
        for layer in (self.above, self.left, self.given):
            if layer is not None:
                unit_gain(layer, math.sqrt(1 / 2))
        for layer in self.layers:
            unit_gain(layer, gain(activation) / math.sqrt(layers))  # type: ignore[bad-argument-type]
        unit_gain(self.last, 0.1)

    def padded(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch planes rows columns"]:
        """The grid in a frame of zeros, above and on both sides, with a plane of ones where it is no frame."""
        inside = torch.ones_like(x[:, :1])
        return functional.pad(torch.cat([x, inside], 1), (self.reach, self.reach, self.reach, 0))

    def forward(self, framed: Tensor, context: Tensor | None) -> Float[Tensor, "batch outputs height width"]:
        """All positions of a grid that `padded` framed; of a window with its position in the last row, the middle
        one.
        """
        rows, columns = framed.shape[2] - self.reach, framed.shape[3] - 2 * self.reach
        h = self.above(framed[:, :, : rows + self.reach - 1])
        h = h + self.left(framed[:, :, self.reach :, : columns + self.reach - 1])
        if self.given is not None:
            h = h + self.given(context)
        for layer in self.layers:
            h = h + layer(self.activation(h))
        return self.last(self.activation(h))

    def window(self, framed: Tensor, row: int, column: int) -> Tensor:
        """The part of a framed grid that position (row, column) may know, and the position itself."""
        return framed[:, :, row : row + self.reach + 1, column : column + 2 * self.reach + 1]
