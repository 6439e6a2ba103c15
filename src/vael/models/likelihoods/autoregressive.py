"""Pixels of whole numbers, each given the pixels above and to the left of it and z: the likelihood that comes nearest
to what pictures need, and one that takes a step for each pixel to draw from.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.data.facts import Facts
from vael.data.source import Source
from vael.errors import ShapeError
from vael.models.families import LikelihoodPart, Size
from vael.models.likelihoods.heads import Head, LevelUnits, at_least_float32, places
from vael.models.likelihoods.parts import LevelCount, filled
from vael.models.likelihoods.support import whole_numbers
from vael.networks.causal import CausalWindow
from vael.probability import AutoregressiveMixture, CoupledLogisticMixture, PixelLaws

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
        if raw.dim() != 5:
            raise ShapeError(
                f"numbers of shape {tuple(raw.shape[2:])} for each example: pixels that follow each other are those of "
                "images [channels, height, width]; choose another likelihood (--likelihood)"
            )
        return AutoregressiveMixture(WindowLaws(self, raw.flatten(0, 1)), (raw.shape[0], raw.shape[1]))

    def mixture(self, raw: Tensor, near: Tensor, space: int) -> CoupledLogisticMixture:
        """From the network's numbers `[rows, numbers, *space]` and what stands near, `[rows, channels, *space]` in
        (-1, 1).
        """
        split = at_least_float32(raw).split(self.sizes, dim=1)
        logits, loc, log_scale, coupling = (part.unflatten(1, (-1, self.components)).movedim(2, -1) for part in split)
        coupling, near = coupling.tanh(), near.unsqueeze(-1)
        around, row = [], 0
        for channel in range(self.channels):
            own = near[:, channel] + loc[:, channel]
            for before in range(channel):
                own, row = own - coupling[:, row] * near[:, before], row + 1
            around.append(own)
        return CoupledLogisticMixture(
            logits.squeeze(1),
            self.units.loc(torch.stack(around, 1)),
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
        if len(source.event) != 3 or source.event[0] != self.channels:
            raise ShapeError(
                f"{source.name} has examples of shape {source.event}, but the autoregressive mixture is for images of "
                f"{self.channels} channels, [channels, height, width]; choose another likelihood (--likelihood)"
            )


class WindowLaws(PixelLaws):
    """The pixels of grids under a head's network, given the decoder's numbers `[rows, numbers, height, width]`."""

    def __init__(self, head: AutoregressiveHead, given: Tensor) -> None:
        self.head, self.given, self.levels = head, given, head.levels
        self.rows, self.event = len(given), (head.channels, given.shape[2], given.shape[3])

    def whole(self, x: Tensor) -> CoupledLogisticMixture:
        framed = self.head.network.padded(self.head.scaled(x.to(self.given.dtype)))
        return self.head.mixture(self.head.network(framed, self.given), self._near(framed), 2)

    def blank(self) -> Tensor:
        return self.head.network.padded(self.given.new_zeros(self.rows, *self.event))

    def at(self, canvas: Tensor, row: int, column: int) -> CoupledLogisticMixture:
        window = self.head.network.window(canvas, row, column)
        raw = self.head.network(window, self.given[:, :, row : row + 1, column : column + 1])
        return self.head.mixture(raw[:, :, 0, 0], self._near(window)[:, :, 0, 0], 0)

    def put(self, canvas: Tensor, row: int, column: int, pixel: Tensor) -> None:
        reach, channels = self.head.network.reach, self.head.channels
        canvas[:, :channels, row + reach, column + reach] = self.head.scaled(pixel)

    def _near(self, framed: Tensor) -> Tensor:
        """The mean of the pixel above and the one to the left, as far as they are in the image; 0 for the first."""
        reach = self.head.network.reach
        rows, columns = framed.shape[2] - reach, framed.shape[3] - 2 * reach
        above = framed[:, :, reach - 1 : reach - 1 + rows, reach : reach + columns]
        left = framed[:, :, reach : reach + rows, reach - 1 : reach - 1 + columns]
        both = above + left
        return both[:, : self.head.channels] / both[:, self.head.channels :].clamp(min=1)


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
