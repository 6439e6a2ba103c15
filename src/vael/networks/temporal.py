"""Convolutional networks over time, for sequences `[time, channels]` of any length: halved on the way in and doubled on
the way out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from vael.errors import ShapeError
from vael.networks.initialize import gain, initialize
from vael.networks.parts import ACTIVATIONS, Activation, NetworkPart, Widths


def lengths(time: int, levels: int) -> list[int]:
    """Steps from the sequence inwards, `levels + 1` of them, each the half of the one before, rounded up."""
    found = [time]
    for _ in range(levels):
        found.append((found[-1] + 1) // 2)
    return found


class TemporalEncoder(nn.Module):
    """From sequences to numbers: for each of `widths` a convolution that halves the time and an activation, then one
    linear layer.

    Errors: `ShapeError` for what is no sequence.
    """

    def __init__(
        self, inputs: Sequence[int], outputs: int, widths: Sequence[int], activation: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        if len(inputs) != 2 or min(inputs) < 1:
            raise ShapeError(
                f"a convolutional network over time got an event of shape {tuple(inputs)}, but needs sequences [time, "
                "channels]; read the data as such (--sequence), or use a dense or a convolutional network"
            )
        time, channels = inputs
        self.sizes = lengths(time, len(widths))
        self.layers = nn.ModuleList(nn.Conv1d(a, b, 4, stride=2, padding=1) for a, b in pairwise((channels, *widths)))
        self.activation = activation()
        self.last = nn.Linear(self.sizes[-1] * (channels, *widths)[-1], outputs)
        initialize(self, gain(activation))

    def forward(self, x: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch outputs"]:
        h = x.movedim(2, 1)
        for layer in self.layers:
            h = self.activation(layer(nn.functional.pad(h, (0, h.shape[2] % 2))))
        return self.last(h.flatten(1))


class TemporalDecoder(nn.Module):
    """From numbers to `[numbers, time, channels]`: a linear layer, then for each of `widths` from the last on a
    transposed convolution that doubles the time, cut to what the encoder had there.
    """

    def __init__(
        self, features: int, outputs: Sequence[int], widths: Sequence[int], activation: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.outputs = numbers, time, channels = tuple(outputs)
        self.sizes = lengths(time, len(widths))
        inner = (*widths[::-1], numbers * channels)
        self.first = nn.Linear(features, self.sizes[-1] * inner[0])
        self.layers = nn.ModuleList(nn.ConvTranspose1d(a, b, 4, stride=2, padding=1) for a, b in pairwise(inner))
        self.activation = activation()
        initialize(self, gain(activation))

    def forward(self, z: Float[Tensor, "batch features"]) -> Float[Tensor, "batch numbers time channels"]:
        h = self.first(z).unflatten(1, (-1, self.sizes[-1]))
        for layer, size in zip(self.layers, self.sizes[-2::-1], strict=True):
            h = layer(self.activation(h))[..., :size]
        numbers, _, channels = self.outputs
        return h.unflatten(1, (numbers, channels)).movedim(2, 3)


class TemporalPart(NetworkPart):
    """Convolutions over time that halve a sequence once for each entry of `channels`, mirrored by the decoder."""

    kind: Literal["convolutional-1d"] = "convolutional-1d"
    flat: ClassVar[bool] = False
    channels: Widths = (32, 64)
    activation: Activation = "silu"

    def encoder(self, inputs: Sequence[int], numbers: int) -> nn.Module:
        return TemporalEncoder(inputs, numbers, self.channels, ACTIVATIONS[self.activation])

    def decoder(self, features: int, outputs: Sequence[int], start: Tensor | None) -> nn.Module:
        """A decoder of sequences. Errors: `ShapeError` for other outputs than `[numbers, time, channels]`."""
        if len(outputs) != 3 or not math.prod(outputs):
            raise ShapeError(
                f"a convolutional network over time got outputs of shape {tuple(outputs)}, but gives [numbers, time, "
                "channels] of sequences; use a dense network for other data"
            )
        return TemporalDecoder(features, outputs, self.channels, ACTIVATIONS[self.activation])
