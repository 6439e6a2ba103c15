"""Networks by name: an encoder and the decoder that mirrors it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from vael.networks.convolution import ConvolutionDecoder, ConvolutionEncoder, Stage, plain
from vael.networks.dense import Dense, bias_at
from vael.networks.residual import residual_stage
from vael.networks.standardize import Offset
from vael.parts import Part

Width = Annotated[int, Field(ge=1, le=2**31 - 1)]
Widths = Annotated[tuple[Width, ...], Field(max_length=1024)]
Activation = Literal["silu", "relu", "tanh", "gelu", "elu", "sigmoid"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
}


class NetworkPart(Part):
    """Abstract: from an example to numbers, and from latents to an example's raw numbers."""

    family: ClassVar[str] = "network"
    home: ClassVar[str] = "vael.networks"
    flat: ClassVar[bool] = True  # whether an example is a vector to it

    @abstractmethod
    def encoder(self, inputs: Sequence[int], numbers: int) -> nn.Module:
        """`[batch, *inputs] -> [batch, numbers]`. Errors: `ShapeError` for inputs that it cannot take."""

    @abstractmethod
    def decoder(self, features: int, outputs: Sequence[int], start: Tensor | None) -> nn.Module:
        """`[batch, features] -> [batch, *outputs]`, near `start` at the start of training, where that is given."""


class DensePart(NetworkPart):
    """Fully connected on both sides, hidden sizes from the data inwards, mirrored by the decoder."""

    kind: Literal["dense"] = "dense"
    hidden: Widths = (400,)
    activation: Activation = "silu"

    def encoder(self, inputs: Sequence[int], numbers: int) -> nn.Module:
        return Dense(inputs, (numbers,), self.hidden, ACTIVATIONS[self.activation])

    def decoder(self, features: int, outputs: Sequence[int], start: Tensor | None) -> nn.Module:
        return bias_at(Dense((features,), outputs, self.hidden[::-1], ACTIVATIONS[self.activation]), start)


class ConvolutionalPart(NetworkPart):
    """Convolutions that halve the image once for each entry of `channels`, mirrored by the decoder.

    With `blocks` residual blocks at every resolution below the image's own.
    """

    kind: Literal["convolutional"] = "convolutional"
    flat: ClassVar[bool] = False
    channels: Widths = (64, 128, 256)
    blocks: Annotated[int, Field(ge=0, le=4096)] = 0
    activation: Activation = "silu"

    @property
    def stage(self) -> Stage:
        """What stands between two changes of resolution."""
        if not self.blocks:
            return plain
        return residual_stage(self.blocks, len(self.channels), ACTIVATIONS[self.activation])

    def encoder(self, inputs: Sequence[int], numbers: int) -> nn.Module:
        return ConvolutionEncoder(inputs, (numbers,), self.channels, ACTIVATIONS[self.activation], self.stage)

    def decoder(self, features: int, outputs: Sequence[int], start: Tensor | None) -> nn.Module:
        activation = ACTIVATIONS[self.activation]
        decode = ConvolutionDecoder((features,), outputs, self.channels, activation, self.stage)
        return decode if start is None else nn.Sequential(decode, Offset(start))
