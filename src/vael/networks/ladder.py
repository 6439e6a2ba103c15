"""Networks of several levels of latents: on the way up what is seen of x at each level, on the way down a state that
every level's latents are added to (Sønderby, Raiko, Maaløe, Sønderby & Winther 2016; Child 2021).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vael.errors import ShapeError
from vael.networks.convolution import Size, image
from vael.networks.dense import Dense
from vael.networks.initialize import gain, unit_gain
from vael.networks.residual import ResidualBlock

Activation = Callable[[], nn.Module]
CALM = 0.1  # of the layers that give the numbers of a distribution: levels start near what stands above them


def calm(layer: nn.Module, factor: float) -> nn.Module:
    """The layer with small weights and no bias."""
    for one in layer.modules():
        if isinstance(one, nn.Linear | nn.Conv2d):
            unit_gain(one, factor)
    return layer


def unit(module: nn.Module, activation: Activation) -> None:
    """Every layer keeps the size of what passes through it."""
    factor = gain(activation)
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            unit_gain(layer, factor)


class Rung(nn.Module):
    """The networks of one level: a block on the way up and one on the way down, the layers from which the numbers of
    the prior and of the posterior come, and the layer by which latents enter the state.
    """

    def __init__(
        self, up: nn.Module, down: nn.Module, prior: nn.Sequential, posterior: nn.Sequential, entry: nn.Module
    ) -> None:
        super().__init__()
        self.up, self.down, self.prior, self.posterior, self.entry = up, down, prior, posterior, entry

    def begin(self, levels: int, activation: Activation) -> Rung:
        """The same, its weights at their start: latents of all levels add up to the size of one."""
        unit(self, activation)
        calm(self.entry, 1 / math.sqrt(levels))
        for layers in (self.prior, self.posterior):
            calm(layers[-1], CALM)
        return self


def recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """`block(x)`, computed again in the backward pass with the weights that it had, also where these were put in by
    `functional_call` for the forward pass alone.
    """
    names, weights = zip(*block.named_parameters(), strict=True)

    def again(x: Tensor, *weights: Tensor) -> Tensor:
        return functional_call(block, dict(zip(names, weights, strict=True)), (x,))

    return checkpoint(again, x, *weights, use_reentrant=False, preserve_rng_state=False)


class Ladder(nn.Module, ABC):
    """Abstract: the networks of a hierarchy of latents, the top level first.

    With the state h of a level: the prior's numbers follow from h, the posterior's from h and what is seen of x there;
    z is added to h and h goes on to the level below. `sizes` are the numbers of latents of the levels.

    With `checkpointing` the inner results of the blocks of a level are not kept for the backward pass but computed
    again there (Chen, Xu, Zhang & Guestrin 2016): the same gradients, less memory, about a third more time.
    """

    sizes: tuple[int, ...]
    rungs: nn.ModuleList
    checkpointing: bool = False

    def rung(self, level: int) -> Rung:
        """The networks of a level."""
        return cast("Rung", self.rungs[level])

    def through(self, block: nn.Module, x: Tensor) -> Tensor:
        """What a block makes of x."""
        return recomputed(block, x) if self.checkpointing and torch.is_grad_enabled() else block(x)

    @abstractmethod
    def seen(self, x: Float[Tensor, "batch *event"]) -> list[Tensor]:
        """What the way up gives to each level, `[batch, *state]`, the top first."""

    @abstractmethod
    def top(self) -> Float[Tensor, "1 *state"]:
        """The state above the first level."""

    @abstractmethod
    def prior(self, level: int, h: Float[Tensor, "rows *state"]) -> Float[Tensor, "rows numbers"]:
        """Two numbers for each latent of the level."""

    @abstractmethod
    def posterior(
        self, level: int, h: Float[Tensor, "rows *state"], seen: Float[Tensor, "rows *state"]
    ) -> Float[Tensor, "rows numbers"]:
        """Two numbers for each latent of the level."""

    @abstractmethod
    def below(self, level: int, h: Float[Tensor, "rows *state"], z: Float[Tensor, "rows latents"]) -> Tensor:
        """The state of the next level, or after the last, given the latents of this one."""

    @abstractmethod
    def out(self, h: Float[Tensor, "rows *state"]) -> Float[Tensor, "rows *outputs"]:
        """The numbers of the likelihood from the last state."""


class DenseBlock(nn.Module):
    """h + f(h) / √depth with f = (activation, linear) twice."""

    def __init__(self, width: int, depth: int, activation: Activation) -> None:
        super().__init__()
        first, second = nn.Linear(width, width), nn.Linear(width, width)
        self.body = nn.Sequential(activation(), first, activation(), second)
        self.factor = 1 / math.sqrt(depth)

    def forward(self, h: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
        return h + self.factor * self.body(h)


def latents_in(x: Float[Tensor, "rows *shape"]) -> Float[Tensor, "rows numbers"]:
    """First all first numbers of the latents, then all second ones, as a vector."""
    return x.flatten(1)


class DenseLadder(Ladder):
    """Vectors throughout: a state of `width` numbers, `sizes` latents in the levels, top first."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        sizes: Sequence[int],
        width: int = 256,
        activation: Activation = nn.SiLU,
    ) -> None:
        super().__init__()
        self.sizes, levels = tuple(sizes), len(sizes)
        self.first = nn.Linear(math.prod(inputs), width)
        self.rungs = nn.ModuleList(
            Rung(
                DenseBlock(width, 2 * levels, activation),
                DenseBlock(width, 2 * levels, activation),
                nn.Sequential(activation(), nn.Linear(width, 2 * n)),
                nn.Sequential(activation(), nn.Linear(2 * width, width), activation(), nn.Linear(width, 2 * n)),
                nn.Linear(n, width),
            ).begin(levels, activation)
            for n in sizes
        )
        self.begin = nn.Parameter(torch.zeros(1, width))
        self.last = nn.Sequential(activation(), calm(Dense((width,), outputs, (), activation), CALM))
        unit_gain(self.first)

    def seen(self, x: Float[Tensor, "batch *event"]) -> list[Tensor]:
        h, found = self.first(x.flatten(1)), []
        for level in reversed(range(len(self.sizes))):
            h = self.through(self.rung(level).up, h)
            found.append(h)
        return found[::-1]

    def top(self) -> Float[Tensor, "1 width"]:
        return self.begin

    def prior(self, level: int, h: Float[Tensor, "rows width"]) -> Float[Tensor, "rows numbers"]:
        return self.rung(level).prior(h)

    def posterior(
        self, level: int, h: Float[Tensor, "rows width"], seen: Float[Tensor, "rows width"]
    ) -> Float[Tensor, "rows numbers"]:
        return self.through(self.rung(level).posterior, torch.cat((h, seen), -1))

    def below(self, level: int, h: Float[Tensor, "rows width"], z: Float[Tensor, "rows latents"]) -> Tensor:
        return self.through(self.rung(level).down, h + self.rung(level).entry(z))

    def out(self, h: Float[Tensor, "rows width"]) -> Float[Tensor, "rows *outputs"]:
        return self.last(h)


def resolutions(size: Size, sides: Sequence[int]) -> list[Size]:
    """Height and width of each level from its longer side, the image's own proportions kept, rounded up.

    Errors: `ShapeError` for sides that fall from the top downwards, or larger than the image.
    """
    longest = max(size)
    if any(b < a for a, b in pairwise(sides)) or any(side > longest for side in sides):
        raise ShapeError(
            f"levels of latents with sides {', '.join(map(str, sides))} for images of {size[0]} × {size[1]}: expected "
            f"sides that never fall from the top level downwards and are at most {longest}; choose others "
            "(--set model.ladder.sides=...)"
        )
    return [(math.ceil(size[0] * side / longest), math.ceil(size[1] * side / longest)) for side in sides]


@dataclass(frozen=True)
class Pixels:
    """Where the levels of a ladder of images stand: height and width of each, the top first, and of the patches of
    pixels that enter and leave at the lowest level.
    """

    image: Size
    levels: tuple[Size, ...]

    @property
    def patch(self) -> Size:
        """Height and width of a patch."""
        rows, columns = (math.ceil(whole / part) for whole, part in zip(self.image, self.levels[-1], strict=True))
        return rows, columns

    def folded(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch numbers rows columns"]:
        """Patches of pixels as channels; what stands beyond the image is 0."""
        (high, wide), (a, b) = self.levels[-1], self.patch
        x = F.pad(x, (0, wide * b - x.shape[3], 0, high * a - x.shape[2]))
        return x.unflatten(3, (wide, b)).unflatten(2, (high, a)).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)

    def unfolded(self, x: Float[Tensor, "batch numbers rows columns"]) -> Float[Tensor, "batch channels height width"]:
        """The inverse."""
        a, b = self.patch
        raw = x.unflatten(1, (-1, a, b)).permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
        return raw[:, :, : self.image[0], : self.image[1]]


def image_rung(at: Size, latents: int, channels: int, depth: int, activation: Activation) -> Rung:
    """A level of a ladder of images."""
    kernel = 3 if min(at) > 1 else 1
    return Rung(
        ResidualBlock(channels, depth, activation),
        ResidualBlock(channels, depth, activation),
        nn.Sequential(activation(), nn.Conv2d(channels, 2 * latents, kernel, padding="same")),
        nn.Sequential(
            activation(),
            nn.Conv2d(2 * channels, channels, kernel, padding="same"),
            activation(),
            nn.Conv2d(channels, 2 * latents, 1),
        ),
        nn.Conv2d(latents, channels, 1),
    )


class ConvolutionLadder(Ladder):
    """Images throughout: a state of `channels` at the resolution of each level, `latents` channels of latents there.

    `sides` are the longer sides of the levels, from the top downwards: (1, 4, 7, 7, 14) for images of 28 × 28. From one
    resolution to another the state is resized to the nearest pixel, on the way up averaged.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        sides: Sequence[int],
        latents: int = 8,
        channels: int = 32,
        activation: Activation = nn.SiLU,
    ) -> None:
        super().__init__()
        first, height, width = image(inputs)
        final, levels = image(outputs)[0], len(sides)
        self.pixels = Pixels((height, width), tuple(resolutions((height, width), sides)))
        self.sizes, area = tuple(latents * h * w for h, w in self.pixels.levels), math.prod(self.pixels.patch)
        self.first = nn.Conv2d(first * area, channels, 3, padding=1)
        self.rungs = nn.ModuleList(
            image_rung(at, latents, channels, 2 * levels, activation).begin(levels, activation)
            for at in self.pixels.levels
        )
        self.begin = nn.Parameter(torch.zeros(1, channels, *self.pixels.levels[0]))
        leave, last = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, final * area, 1)
        unit(leave, activation)
        self.last = nn.Sequential(activation(), leave, activation(), calm(last, CALM))
        unit_gain(self.first)

    def seen(self, x: Float[Tensor, "batch channels height width"]) -> list[Tensor]:
        h, found = self.first(self.pixels.folded(x)), []
        for level, at in reversed(list(enumerate(self.pixels.levels))):
            h = self.through(self.rung(level).up, h if h.shape[2:] == at else F.adaptive_avg_pool2d(h, at))
            found.append(h)
        return found[::-1]

    def top(self) -> Float[Tensor, "1 *state"]:
        return self.begin

    def prior(self, level: int, h: Float[Tensor, "rows *state"]) -> Float[Tensor, "rows numbers"]:
        return latents_in(self.rung(level).prior(h))

    def posterior(
        self, level: int, h: Float[Tensor, "rows *state"], seen: Float[Tensor, "rows *state"]
    ) -> Float[Tensor, "rows numbers"]:
        return latents_in(self.through(self.rung(level).posterior, torch.cat((h, seen), 1)))

    def below(self, level: int, h: Float[Tensor, "rows *state"], z: Float[Tensor, "rows latents"]) -> Tensor:
        rung, places = self.rung(level), self.pixels.levels
        h = self.through(rung.down, h + rung.entry(z.unflatten(1, (-1, *places[level]))))
        after = places[min(level + 1, len(places) - 1)]
        return h if h.shape[2:] == after else F.interpolate(h, after, mode="nearest")

    def out(self, h: Float[Tensor, "rows *state"]) -> Float[Tensor, "rows *outputs"]:
        return self.pixels.unfolded(self.last(h))
