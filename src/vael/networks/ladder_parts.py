"""Networks of several levels of latents by name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vael.networks.convolution import image
from vael.networks.ladder import ConvolutionLadder, DenseLadder, Ladder
from vael.networks.parts import ACTIVATIONS, Activation, Width
from vael.parts import Part

Levels = Annotated[tuple[Width, ...], Field(min_length=1, max_length=256)]
Sides = Annotated[tuple[Width, ...], Field(max_length=256)]


class LadderPart(Part):
    """Abstract: the networks of a hierarchy of latents."""

    family: ClassVar[str] = "ladder"
    home: ClassVar[str] = "vael.networks"
    flat: ClassVar[bool] = True  # whether an example is a vector to it
    checkpointing: bool = False  # compute inner results again in the backward pass: a third more time, less memory

    def settled(self, event: Sequence[int]) -> LadderPart:
        """With what follows from the shape of an example filled in."""
        return self

    @abstractmethod
    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> Ladder:
        """`[batch, *inputs]` to latents and to `[rows, *outputs]`. Errors: `ShapeError` for what it cannot take."""


class DenseLadderPart(LadderPart):
    """Vectors throughout: so many latents in each level, the top one first."""

    kind: Literal["dense"] = "dense"
    latents: Levels = (16, 32)
    width: Width = 256
    activation: Activation = "silu"

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> Ladder:
        return DenseLadder(inputs, outputs, self.latents, self.width, ACTIVATIONS[self.activation])


def halves(event: Sequence[int]) -> tuple[int, ...]:
    """The longer side of an image halved again and again down to 1, the smallest first. Errors: as `image`."""
    _, *size = image(event)
    side, found = max(size), []
    while side > 1 or not found:
        side = (side + 1) // 2
        found.append(side)
    return tuple(found[::-1])


class ConvolutionalLadderPart(LadderPart):
    """Images throughout: levels of so many pixels on the longer side, the top one first, with latents at each pixel."""

    kind: Literal["convolutional"] = "convolutional"
    flat: ClassVar[bool] = False
    sides: Sides = ()  # none: half the image's, half of that, and so on to 1, each `repeats` times
    repeats: Annotated[int, Field(ge=1, le=64)] = 1
    latents: Width = 8  # channels of latents
    channels: Width = 32
    activation: Activation = "silu"

    def settled(self, event: Sequence[int]) -> LadderPart:
        return self if self.sides else self.model_copy(update={"sides": self._sides(event)})

    def _sides(self, event: Sequence[int]) -> tuple[int, ...]:
        return self.sides or tuple(side for side in halves(event) for _ in range(self.repeats))

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> Ladder:
        activation = ACTIVATIONS[self.activation]
        return ConvolutionLadder(inputs, outputs, self._sides(outputs), self.latents, self.channels, activation)
