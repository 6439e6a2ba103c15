"""Pixels, each given those above and to the left of it and z: the likelihoods that come nearest to what pictures need,
and take a step for each pixel to draw from.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from vael.data.facts import Facts
from vael.data.source import Source
from vael.errors import ShapeError
from vael.models.families import LikelihoodPart, Size
from vael.models.likelihoods.heads import BernoulliHead, Head, LevelUnits, at_least_float32, parameters, places
from vael.models.likelihoods.parts import LevelCount, filled
from vael.models.likelihoods.support import whole_numbers
from vael.networks.causal import CausalPlanes, CausalWindow, framed_by, window_of
from vael.probability import (
    AutoregressiveBernoulli,
    AutoregressiveMixture,
    BinaryPixels,
    CoupledLogisticMixture,
    PixelLaws,
)

GIVEN = 8  # raw numbers of the decoder for each channel of a pixel
CALM = -2.5  # raw log-scale at the start: a pixel lies near its neighbours
SPREAD = 0.3  # of the components at the start, in half the range


class AutoregressiveHead(Head):
    """Integers 0 ... levels - 1, for each pixel a mixture of discretised logistics with coupled channels, given the
    pixels above and to the left within `reach` and the decoder's numbers (Salimans, Karpathy, Chen & Kingma 2017;
    a decoder of this kind is that of Gulrajani, Kumar, Ahmed, Taiga, Visin, Vazquez & Courville 2017).

    Locations are relative to the mean of the pixel above and the one to the left; log s is bounded smoothly to
    (-3, log(levels) + 1), couplings to (-1, 1). The law has batch shape `[samples, batch, height, width]`.
    """

    discrete = True
    couples = True
    in_turn = True
    channels_per_cell = GIVEN

    def __init__(
        self,
        levels: int = 256,
        components: int = 5,
        channels: int = 3,
        *,
        reach: int = 3,
        width: int = 64,
        layers: int = 2,
    ) -> None:
        super().__init__()
        self.levels, self.components, self.channels, self.units = levels, components, channels, LevelUnits(levels)
        self.sizes = [components * n for n in (1, channels, channels, channels * (channels - 1) // 2)]
        self.network = CausalWindow(
            channels, sum(self.sizes), reach=reach, width=width, layers=layers, context=GIVEN * channels
        )
        self._begin()

    def _begin(self) -> None:
        """Components side by side around their neighbours, channels that move half as far as those before them."""
        bias = self.network.last.bias
        if bias is None:
            return
        logits, loc, log_scale, coupling = bias.detach().split(self.sizes)
        loc.copy_(SPREAD * places(self.components).repeat(self.channels))
        log_scale.fill_(CALM)
        coupling.fill_(0.5)
        logits.zero_()

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        """A law of pixels one after another. Errors: `ShapeError` for what is no image."""
        refuse_flat(raw)
        return AutoregressiveMixture(MixtureWindows(self, raw))

    def mixture(self, raw: Tensor, near: Tensor, space: int) -> CoupledLogisticMixture:
        """From the network's numbers `[*batch, numbers, *space]` and what stands near, `[*batch, channels, *space]` in
        (-1, 1).
        """
        numbers, axis = -space - 1, -space - 2  # of the raw numbers; of the channels, components being last
        split = at_least_float32(raw).split(self.sizes, dim=numbers)
        logits, loc, log_scale, coupling = (
            part.unflatten(numbers, (-1, self.components)).movedim(numbers, -1) for part in split
        )
        coupling, near = coupling.tanh(), near.unsqueeze(-1)
        around, row = [], 0
        for channel in range(self.channels):
            own = near.select(axis, channel) + loc.select(axis, channel)
            for before in range(channel):
                own, row = own - coupling.select(axis, row) * near.select(axis, before), row + 1
            around.append(own)
        return CoupledLogisticMixture(
            logits.squeeze(axis),
            self.units.loc(torch.stack(around, axis)),
            self.units.log_scale(log_scale),
            coupling,
            self.levels,
            space=space,
        )

    def scaled(self, x: Tensor) -> Tensor:
        """Levels as numbers in [-1, 1]."""
        return x / self.units.half - 1

    def check(self, source: Source) -> None:
        """Errors: `ShapeError` for what are no images of so many channels, besides those of whole numbers."""
        whole_numbers(source, self.levels, "the autoregressive mixture")
        refuse_other_grids(source, self.channels, "the autoregressive mixture")


class AutoregressiveBernoulliHead(Head):
    """Zeros and ones, each pixel a Bernoulli given the pixels above and to the left within `reach` and the decoder's
    numbers r (a decoder of this kind is that of Chen, Kingma, Salimans, Duan, Dhariwal, Schulman, Sutskever & Abbeel
    2017).

    logit = r_0 + f_0(window) + Σ_g r_g f_g(window), g = 1 ... `features`: what z says of a pixel, what its neighbours
    say of it, and how z weighs that. The network f does not see z, so many draws of z cost one pass of it.
    The law has batch shape `[samples, batch, height, width]`.
    """

    discrete = True
    couples = True
    in_turn = True

    def __init__(
        self, channels: int = 1, *, features: int = 4, reach: int = 3, width: int = 16, layers: int = 0
    ) -> None:
        super().__init__()
        self.channels, self.features, self.channels_per_cell = channels, features, 1 + features
        numbers = self.channels_per_cell * channels
        self.network = CausalPlanes(channels, numbers, reach=reach, width=width, layers=layers)

    def forward(self, raw: Float[Tensor, "samples batch *raw"]) -> Distribution:
        """A law of pixels one after another. Errors: `ShapeError` for what is no image."""
        refuse_flat(raw)
        return AutoregressiveBernoulli(BinaryWindows(self, raw))

    def logits(self, raw: Tensor, found: Tensor) -> Tensor:
        """From the decoder's numbers and the network's, `[samples or 1, batch, numbers, *space]`."""
        first, *weights = parameters(at_least_float32(raw), self.channels_per_cell)
        own, *features = parameters(at_least_float32(found), self.channels_per_cell)
        total = first + own
        for weight, feature in zip(weights, features, strict=True):
            total = torch.addcmul(total, weight, feature)
        return total

    def scaled(self, x: Tensor) -> Tensor:
        """0 and 1 as -1 and 1."""
        return 2 * x - 1

    def start(self, mean: Tensor, std: Tensor) -> Tensor:
        logits = BernoulliHead().start(mean, std)
        return torch.cat([logits, logits.new_zeros(self.features * len(logits), *logits.shape[1:])])

    def check(self, source: Source) -> None:
        """Errors: `SupportError` for what is neither 0 nor 1, `ShapeError` for what are no images of so many
        channels.
        """
        BernoulliHead().check(source)
        refuse_other_grids(source, self.channels, "the autoregressive Bernoulli")


def refuse_flat(raw: Tensor) -> None:
    """Errors: `ShapeError` for numbers of a decoder that are those of no image."""
    if raw.dim() != 5:
        raise ShapeError(
            f"numbers of shape {tuple(raw.shape[2:])} for each example: pixels that follow each other are those of "
            "images [channels, height, width]; choose another likelihood (--likelihood)"
        )


def refuse_other_grids(source: Source, channels: int, what: str) -> None:
    """Errors: `ShapeError` for examples that are no images of so many channels."""
    if len(source.event) != 3 or source.event[0] != channels:
        raise ShapeError(
            f"{source.name} has examples of shape {source.event}, but {what} is for images of {channels} channels, "
            "[channels, height, width]; choose another likelihood (--likelihood)"
        )


class WindowLaws(PixelLaws):
    """Abstract: the pixels of grids under a head's network, given the decoder's numbers `[samples, batch, numbers,
    height, width]`.
    """

    def __init__(self, reach: int, channels: int, raw: Tensor) -> None:
        self.reach, self.raw, self.given = reach, raw, raw.flatten(0, 1)
        self.shape, self.event = (raw.shape[0], raw.shape[1]), (channels, raw.shape[3], raw.shape[4])

    @abstractmethod
    def scaled(self, x: Tensor) -> Tensor:
        """Values as numbers in [-1, 1]."""

    def blank(self) -> Tensor:
        return framed_by(self.reach, self.given.new_zeros(len(self.given), *self.event))

    def put(self, canvas: Tensor, row: int, column: int, pixel: Tensor) -> None:
        canvas[:, : self.event[0], row + self.reach, column + self.reach] = self.scaled(pixel)


class BinaryWindows(WindowLaws):
    """Pixels of zeros and ones."""

    levels = 2

    def __init__(self, head: AutoregressiveBernoulliHead, raw: Tensor) -> None:
        super().__init__(head.network.reach, head.channels, raw)
        self.head = head

    def scaled(self, x: Tensor) -> Tensor:
        return self.head.scaled(x)

    def whole(self, x: Tensor) -> BinaryPixels:
        framed = framed_by(self.reach, self.scaled(x.flatten(0, 1).to(self.raw.dtype)))
        found = self.head.network(framed).unflatten(0, x.shape[:2])
        return BinaryPixels(self.head.logits(self.raw, found), space=2)

    def at(self, canvas: Tensor, row: int, column: int) -> BinaryPixels:
        found = self.head.network(window_of(canvas, self.reach, row, column))[:, :, 0, 0]
        return BinaryPixels(self.head.logits(self.given[None, :, :, row, column], found[None])[0], space=0)


class MixtureWindows(WindowLaws):
    """Pixels of whole numbers."""

    def __init__(self, head: AutoregressiveHead, raw: Tensor) -> None:
        super().__init__(head.network.reach, head.channels, raw)
        self.head, self.levels = head, head.levels

    def scaled(self, x: Tensor) -> Tensor:
        return self.head.scaled(x)

    def whole(self, x: Tensor) -> CoupledLogisticMixture:
        x = x.expand(*self.shape, *self.event).flatten(0, 1)
        framed = framed_by(self.reach, self.scaled(x.to(self.given.dtype)))
        found, near = self.head.network(framed, self.given), self._near(framed)
        return self.head.mixture(found.unflatten(0, self.shape), near.unflatten(0, self.shape), 2)

    def at(self, canvas: Tensor, row: int, column: int) -> CoupledLogisticMixture:
        window = window_of(canvas, self.reach, row, column)
        raw = self.head.network(window, self.given[:, :, row : row + 1, column : column + 1])
        return self.head.mixture(raw[:, :, 0, 0], self._near(window)[:, :, 0, 0], 0)

    def _near(self, framed: Tensor) -> Tensor:
        """The mean of the pixel above and the one to the left, as far as they are in the image; 0 for the first."""
        reach = self.reach
        rows, columns = framed.shape[2] - reach, framed.shape[3] - 2 * reach
        above = framed[:, :, reach - 1 : reach - 1 + rows, reach : reach + columns]
        left = framed[:, :, reach : reach + rows, reach - 1 : reach - 1 + columns]
        both = above + left
        return both[:, : self.event[0]] / both[:, self.event[0] :].clamp(min=1)


class AutoregressiveMixturePart(LikelihoodPart):
    """Images of integers, five logistics for each pixel given those above and left of it; slow to draw from."""

    kind: Literal["autoregressive-mixture"] = "autoregressive-mixture"
    levels: LevelCount | None = None
    components: Size = 5
    channels: Size | None = None
    reach: Size = 3
    width: Size = 64
    layers: Size = 2

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, levels=facts.values, channels=facts.event[0]))

    def build(self, facts: Facts) -> Head:
        return AutoregressiveHead(
            self.levels or facts.values,
            self.components,
            self.channels or facts.event[0],
            reach=self.reach,
            width=self.width,
            layers=self.layers,
        )


class AutoregressiveBernoulliPart(LikelihoodPart):
    """Images of 0 and 1, each pixel given those above and left of it; slow to draw from."""

    kind: Literal["autoregressive-bernoulli"] = "autoregressive-bernoulli"
    channels: Size | None = None
    features: Annotated[int, Field(ge=0, le=4096)] = 4
    reach: Size = 3
    width: Size = 16
    layers: Annotated[int, Field(ge=0, le=1024)] = 0

    def settled(self, facts: Facts) -> LikelihoodPart:
        return self.model_copy(update=filled(self, channels=facts.event[0]))

    def build(self, facts: Facts) -> Head:
        return AutoregressiveBernoulliHead(
            self.channels or facts.event[0],
            features=self.features,
            reach=self.reach,
            width=self.width,
            layers=self.layers,
        )
