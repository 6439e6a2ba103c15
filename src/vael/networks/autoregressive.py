"""Networks over a grid in which the output at a position knows only the positions before it, row by row."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vael.networks.initialize import initialize


def gate(features: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch half height width"]:
    """tanh(a) σ(b), a and b the two halves of the channels."""
    a, b = features.chunk(2, dim=1)
    return a.tanh() * b.sigmoid()


class Above(nn.Module):
    """Convolution over the rows above (`strict`), or over those and the present one; columns to both sides."""

    def __init__(self, channels: int, out: int, strict: bool) -> None:
        super().__init__()
        self.strict, self.layer = strict, nn.Conv2d(channels, out, (2, 3))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch out height width"]:
        y = self.layer(functional.pad(x, (1, 1, 2 if self.strict else 1, 0)))
        return y[:, :, :-1] if self.strict else y


class Left(nn.Module):
    """Convolution over the columns to the left (`strict`), or over those and the present one, of the same row."""

    def __init__(self, channels: int, out: int, strict: bool) -> None:
        super().__init__()
        self.strict, self.layer = strict, nn.Conv2d(channels, out, (1, 2))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch out height width"]:
        y = self.layer(functional.pad(x, (2 if self.strict else 1, 0, 0, 0)))
        return y[:, :, :, :-1] if self.strict else y


class GatedLayer(nn.Module):
    """One layer of a gated PixelCNN: a stack that looks up, a stack that looks left and takes in the first, each
    with its own gate.
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.above, self.left = Above(channels, 2 * channels, False), Left(channels, 2 * channels, False)
        self.across, self.out = nn.Conv2d(2 * channels, 2 * channels, 1), nn.Conv2d(channels, channels, 1)
        self.context = nn.Conv2d(context, 4 * channels, 1) if context else None

    def forward(self, up: Tensor, left: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        vertical = self.above(up)
        horizontal = self.left(left) + self.across(vertical)
        if self.context is not None:
            given = self.context(context).chunk(2, dim=1)
            vertical, horizontal = vertical + given[0], horizontal + given[1]
        return up + gate(vertical), left + self.out(gate(horizontal))


class GatedPixelCNN(nn.Module):
    """Logits of `outputs` values at each position of a grid, given those before it in reading order (van den Oord et
    al. 2016).

    Two stacks leave no blind spot: within reach, every position above and to the left is seen, and none else. `context`
    is the number of channels of a grid of the same size that every position may know in full.
    """

    def __init__(self, inputs: int, outputs: int, *, channels: int = 32, layers: int = 4, context: int = 0) -> None:
        super().__init__()
        self.first_above, self.first_left = Above(inputs, channels, True), Left(inputs, channels, True)
        self.layers = nn.ModuleList(GatedLayer(channels, context) for _ in range(layers))
        self.last = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, outputs, 1)
        )
        initialize(self)

    def forward(
        self,
        x: Float[Tensor, "batch inputs height width"],
        context: Float[Tensor, "batch features height width"] | None = None,
    ) -> Float[Tensor, "batch outputs height width"]:
        up = self.first_above(x)
        left = self.first_left(x) + up
        for layer in self.layers:
            up, left = layer(up, left, context)
        return self.last(left)
