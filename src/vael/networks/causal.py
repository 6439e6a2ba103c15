"""A network over a grid whose output at a position knows a window of the positions before it, row by row, and nothing
farther away: so one position can be computed from its window alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

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

    def forward(self, framed: Tensor, context: Tensor | None) -> Float[Tensor, "batch outputs height width"]:
        """All positions of a grid that `framed_by` framed; of a window with its position in the last row, the middle
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


class CausalPlanes(nn.Module):
    """As `CausalWindow` without a context, for grids of few channels and narrow layers: products of matrices over all
    positions at once, which a processor is quicker with than with convolutions of one or two planes.

    h = seen(x) + edge(inside), then h + f(a(h)) for each of `layers`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        reach: int = 3,
        width: int = 16,
        layers: int = 0,
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        super().__init__()
        self.reach, self.activation = reach, activation()
        self.places = [(row, column) for row in range(reach) for column in range(2 * reach + 1)]
        self.places += [(reach, column) for column in range(reach)]
        self.seen = nn.Linear(len(self.places) * inputs, width)
        self.edge = nn.Linear(len(self.places), width, bias=False)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.last = nn.Linear(width, outputs)
        for layer in (self.seen, self.edge):
            unit_gain(layer, math.sqrt(1 / 2))
        for layer in self.layers:
            unit_gain(layer, gain(activation) / math.sqrt(layers))  # type: ignore[bad-argument-type]
        unit_gain(self.last, 0.1)

    def forward(
        self, framed: Float[Tensor, "batch planes rows columns"]
    ) -> Float[Tensor, "batch outputs height width"]:
        """All positions of a grid that `framed_by` framed; of a window with its position in the last row, the middle
        one.
        """
        rows, columns = framed.shape[2] - self.reach, framed.shape[3] - 2 * self.reach
        if rows == columns == 1:  # the places come first in a window, row by row
            first = framed.flatten(2)[..., : len(self.places)]
            seen, inside = first[:, :-1].permute(2, 1, 0), first[0, -1, :, None]
        else:
            shifted = [framed[:, :, row : row + rows, column : column + columns] for row, column in self.places]
            seen = torch.stack([one[:, :-1] for one in shifted]).movedim(2, 1)  # [places, inputs, batch, rows, columns]
            inside = torch.stack([one[0, -1] for one in shifted]).flatten(1)
        h = _times(self.seen, seen.flatten(0, 1).flatten(1)).unflatten(1, (len(framed), rows * columns))
        h = (h + (self.edge.weight @ inside)[:, None]).flatten(1)
        for layer in self.layers:
            h = h + _times(cast("nn.Linear", layer), self.activation(h))
        return _times(self.last, self.activation(h)).unflatten(1, (len(framed), rows, columns)).movedim(1, 0)


def _times(layer: nn.Linear, columns: Float[Tensor, "inputs rows"]) -> Float[Tensor, "outputs rows"]:
    """A linear layer of columns."""
    return torch.addmm(layer.bias[:, None], layer.weight, columns)


def framed_by(reach: int, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch planes rows columns"]:
    """The grid in a frame of zeros, above and on both sides, with a plane of ones where it is no frame."""
    inside = torch.ones_like(x[:, :1])
    return functional.pad(torch.cat([x, inside], 1), (reach, reach, reach, 0))


def window_of(framed: Tensor, reach: int, row: int, column: int) -> Tensor:
    """The part of a framed grid that position (row, column) may know, and the position itself."""
    return framed[:, :, row : row + reach + 1, column : column + 2 * reach + 1]
