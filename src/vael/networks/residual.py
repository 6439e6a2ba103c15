"""Residual blocks without batch statistics: what a network says of one example must not depend on its companions."""

from __future__ import annotations

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + f(x) / √depth, f = (activation, 3 × 3 convolution) twice (pre-activation: He et al. 2016).

    `depth` is the number of such blocks in the whole network: at the start they add up to about the size of x, however
    many there are, so no normalisation is needed.
    """

    def __init__(self, channels: int, depth: int, activation: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.body = nn.Sequential(activation(), first, activation(), second)
        self.factor = 1 / math.sqrt(depth)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        return x + self.factor * self.body(x)


def residual_stage(
    blocks: int, levels: int, activation: Callable[[], nn.Module] = nn.ReLU
) -> Callable[[int], nn.Module]:
    """Give a `stage` of `blocks` residual blocks for a convolutional encoder or decoder of so many levels."""
    return lambda channels: nn.Sequential(
        *(ResidualBlock(channels, max(1, blocks * levels), activation) for _ in range(blocks))
    )
