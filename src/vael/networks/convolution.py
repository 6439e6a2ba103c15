"""Convolutional networks for images of any size: `[channels, height, width]`, halved on the way in and doubled on the
way out.

A level of size n becomes one of size ⌈n / 2⌉, so sizes are known from the start and odd ones need no care: the encoder
pads an odd side by one, the decoder cuts the doubled side back to the size that the encoder had there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from vael.errors import ShapeError
from vael.networks.initialize import gain, initialize

Size = tuple[int, int]
Stage = Callable[[int], nn.Module]


def plain(channels: int) -> nn.Module:
    """Do nothing between two changes of resolution."""
    return nn.Identity()


def image(event: Sequence[int]) -> tuple[int, int, int]:
    """`event` as channels, height and width. Errors: `ShapeError` if it is not the shape of an image."""
    if len(event) != 3 or min(event) < 1:
        raise ShapeError(
            f"a convolutional network got an event of shape {tuple(event)}, but needs images [channels, height, width] "
            "with all sides at least 1; "
            "give grey images an axis of one channel, or use a dense network"
        )
    channels, height, width = event
    return channels, height, width


def pyramid(size: Size, levels: int) -> list[Size]:
    """Sizes from the image inwards, `levels + 1` of them, each the half of the one before, rounded up."""
    sizes = [size]
    for _ in range(levels):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


class Crop(nn.Module):
    """The upper left part of an image."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels rows columns"]:
        return x[:, :, : self.size[0], : self.size[1]]


def halve(channels: int, out: int, size: Size) -> list[nn.Module]:
    """4 × 4 convolution of stride 2 from `size` to ⌈size / 2⌉."""
    height, width = size
    pad = [nn.ZeroPad2d((0, width % 2, 0, height % 2))] if height % 2 or width % 2 else []
    return [*pad, nn.Conv2d(channels, out, 4, stride=2, padding=1)]


def double(channels: int, out: int, size: Size) -> list[nn.Module]:
    """4 × 4 transposed convolution of stride 2 from ⌈size / 2⌉ to `size`."""
    cut = [Crop(size)] if size[0] % 2 or size[1] % 2 else []
    return [nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1), *cut]


class ConvolutionEncoder(nn.Module):
    """From images to any shape: per entry of `channels` a convolution that halves, a stage and an activation; then one
    linear layer.

    `stage` makes what stands between two changes of resolution, of the same channels in and out (`residual_stage`;
    nothing by default). No layer mixes the examples of a batch. Errors: `ShapeError` if `inputs` is not `[channels,
    height, width]`.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        channels: Sequence[int] = (64, 128, 256),
        activation: Callable[[], nn.Module] = nn.ReLU,
        stage: Stage = plain,
    ) -> None:
        super().__init__()
        first, *size = image(inputs)
        sizes = pyramid((size[0], size[1]), len(channels))
        steps = zip(pairwise((first, *channels)), sizes[:-1], strict=True)
        body = [layer for (a, b), size in steps for layer in (*halve(a, b, size), stage(b), activation())]
        self.outputs = tuple(outputs)
        features = (first, *channels)[-1] * sizes[-1][0] * sizes[-1][1]
        self.body = nn.Sequential(*body)
        self.last = nn.Linear(features, math.prod(outputs))
        initialize(self, gain(activation))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch *outputs"]:
        return self.last(self.body(x).flatten(1)).unflatten(1, self.outputs)


class ConvolutionDecoder(nn.Module):
    """From any shape to images, the mirror of `ConvolutionEncoder`: `channels` count from the image inwards, as there.

    One linear layer; then per entry of `channels`, from the last, a stage, an activation and a transposed convolution
    that doubles.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        channels: Sequence[int] = (64, 128, 256),
        activation: Callable[[], nn.Module] = nn.ReLU,
        stage: Stage = plain,
    ) -> None:
        super().__init__()
        final, height, width = image(outputs)
        sizes = pyramid((height, width), len(channels))
        steps = zip(pairwise((final, *channels)), sizes[:-1], strict=True)
        body = [
            layer for (b, a), size in reversed(list(steps)) for layer in (stage(a), activation(), *double(a, b, size))
        ]
        self.deepest = ((final, *channels)[-1], *sizes[-1])
        self.first = nn.Linear(math.prod(inputs), math.prod(self.deepest))
        self.body = nn.Sequential(*body)
        initialize(self, gain(activation))

    def forward(self, z: Float[Tensor, "batch *inputs"]) -> Float[Tensor, "batch channels height width"]:
        return self.body(self.first(z.flatten(1)).unflatten(1, self.deepest))
