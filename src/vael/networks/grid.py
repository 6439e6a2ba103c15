"""Fully convolutional networks between an image and a smaller grid of vectors, which keep what is where."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from vael.networks.convolution import double, halve, image, pyramid
from vael.networks.initialize import initialize
from vael.networks.residual import ResidualBlock


def grid_size(event: Sequence[int], halvings: int) -> tuple[int, int]:
    """Height and width of an image after so many halvings, rounded up each time."""
    return pyramid(image(event)[1:], halvings)[-1]


class GridEncoder(nn.Module):
    """An image to a grid of `features` numbers: each entry of `channels` halves height and width; then a residual
    block and a 1 × 1 layer.
    """

    def __init__(self, event: Sequence[int], features: int, channels: Sequence[int] = (32, 64)) -> None:
        super().__init__()
        first, height, width = image(event)
        sizes = pyramid((height, width), len(channels))
        steps = zip(pairwise((first, *channels)), sizes[:-1], strict=True)
        layers = [layer for (a, b), size in steps for layer in (*halve(a, b, size), nn.ReLU())]
        deepest = (first, *channels)[-1]
        self.body = nn.Sequential(*layers, ResidualBlock(deepest, 1), nn.ReLU(), nn.Conv2d(deepest, features, 1))
        initialize(self, 2**0.5, final=1.0)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features rows columns"]:
        return self.body(x)


class GridDecoder(nn.Module):
    """A grid of `features` numbers to an image of shape `event`, the mirror of `GridEncoder`: `channels` count from
    the image inwards.
    """

    def __init__(self, features: int, event: Sequence[int], channels: Sequence[int] = (32, 64)) -> None:
        super().__init__()
        final, height, width = image(event)
        sizes = pyramid((height, width), len(channels))
        steps = zip(pairwise((final, *channels)), sizes[:-1], strict=True)
        layers = [layer for (b, a), size in reversed(list(steps)) for layer in (nn.ReLU(), *double(a, b, size))]
        deepest = (final, *channels)[-1]
        self.body = nn.Sequential(nn.Conv2d(features, deepest, 3, padding=1), ResidualBlock(deepest, 1), *layers)
        initialize(self, 2**0.5)

    def forward(self, z: Float[Tensor, "batch features rows columns"]) -> Float[Tensor, "batch channels height width"]:
        return self.body(z)
