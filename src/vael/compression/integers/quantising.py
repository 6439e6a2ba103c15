"""From a trained network in floating point to one in whole numbers.

Every layer's weights get 15 bits and a sign under one power of two; the numbers between layers get a power of two from
what examples make of them, with room to spare. The activation functions are tabulated here, once, and the tables travel
with the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vael.compression.integers.integer_network import (
    Affine,
    Convolution,
    IntegerFrame,
    IntegerNetwork,
    Linear,
    Lookup,
    Shape,
    Stage,
    TransposedConvolution,
)
from vael.errors import SupportError
from vael.networks import ConvolutionDecoder, ConvolutionEncoder, Dense, Offset, Standardize
from vael.networks.convolution import Crop

WEIGHT_BITS = 15
TABLE_BITS = 13  # an activation function has 2^(bits + 1) entries
ACTIVATION_BITS = 15
RESULT = 12  # a network's last numbers are in units of 2^-12
RESULT_LIMIT = 1 << 22
SCALE = 20  # factors that bring data to unit scale are in units of 2^-20
ROOM = 1.5  # by which later examples may exceed what was seen
ACTIVATIONS = (nn.SiLU, nn.ReLU, nn.Tanh, nn.Sigmoid)
PRODUCTS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True)
class Reshape:
    """A change of shape between layers; `event` is that of an example afterwards."""

    event: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.event)


def layers(network: nn.Module, event: tuple[int, ...]) -> Iterator[nn.Module | Reshape]:
    """The layers of a network of the recipes in their order.

    Errors: `SupportError` for one that has no integer form.
    """
    if isinstance(network, (nn.Identity, nn.Dropout)):
        return
    if isinstance(network, nn.Sequential):
        for part in network:
            yield from layers(part, event)
    elif isinstance(network, nn.Flatten):
        yield Reshape((math.prod(event),))
    elif isinstance(network, (Dense, ConvolutionEncoder)):
        if isinstance(network, Dense):
            yield Reshape((math.prod(event),))
        yield from layers(network.body, event)
        yield from (Reshape((network.last.in_features,)), network.last, Reshape(network.outputs))
    elif isinstance(network, ConvolutionDecoder):
        yield from (Reshape((math.prod(event),)), network.first, Reshape(network.deepest))
        yield from layers(network.body, event)
    elif isinstance(network, (*ACTIVATIONS, *PRODUCTS, Standardize, Offset, nn.ZeroPad2d, Crop)):
        yield network
    else:
        raise SupportError(
            f"a layer {type(network).__name__} has no form in whole numbers; the portable level takes dense and "
            "convolutional networks of linear "
            "layers, SiLU, ReLU, tanh and logistic units: train such a network (--model dense or convolutional), or "
            "compress at the default level"
        )


def exponent(largest: float, bits: int) -> int:
    """The power e such that numbers up to `largest`, with room, stay below 2^bits in units of 2^-e."""
    return bits - math.ceil(math.log2(max(ROOM * largest, 1e-6)))


@dataclass(frozen=True)
class Traced:
    """A layer, the shape of an example before it, and the largest number that came out of it."""

    layer: nn.Module | Reshape
    before: tuple[int, ...]
    after: tuple[int, ...]
    largest: float


def traced(network: nn.Module, examples: Tensor) -> list[Traced]:
    """The layers with what examples make of them in float64."""
    found, x = [], examples.double()
    with torch.inference_mode():
        for layer in layers(network, tuple(examples.shape[1:])):
            before = tuple(x.shape[1:])
            x = layer(x)
            found.append(Traced(layer, before, tuple(x.shape[1:]), float(x.abs().max())))
    return found


def quantise_network(network: nn.Module, examples: Tensor, *, unit: int, limit: int) -> IntegerNetwork:
    """`network` (float64) in whole numbers, for inputs in units of 2^-unit within ± limit; results are in units of
    2^-12.

    `examples` `[batch, *event]` in the network's own units show how large its numbers grow.

    Errors: `SupportError` for a layer without an integer form, or sums that could be inexact.
    """
    stages: list[Stage] = []
    steps = traced(network, examples)
    for number, step in enumerate(steps):
        follows = next(
            (s.layer for s in steps[number + 1 :] if not isinstance(s.layer, (Reshape, nn.ZeroPad2d, Crop))), None
        )
        made, unit = converted(step, unit, follows)
        stages.append(made)
    if unit != RESULT:
        stages.append(
            Affine(
                torch.ones(1).double() * 2.0 ** max(0, RESULT - unit),
                torch.zeros(1).double(),
                max(0, unit - RESULT),
                RESULT_LIMIT,
            )
        )
    return IntegerNetwork(tuple(stages), limit)


def converted(step: Traced, unit: int, follows: nn.Module | Reshape | None) -> tuple[Stage, int]:
    """The stage of a layer whose inputs are in units of 2^-unit, and the unit of its results."""
    layer = step.layer
    if isinstance(layer, Reshape):
        return Shape(layer.event), unit
    if isinstance(layer, (nn.ZeroPad2d, Crop)):
        return IntegerFrame(step.after[2] - step.before[2], step.after[1] - step.before[1]), unit
    if isinstance(layer, ACTIVATIONS):
        return tabulated(layer, unit)
    if isinstance(layer, Standardize):
        return standardised(layer, unit, step.largest)
    if isinstance(layer, Offset):
        return Affine(torch.ones(1).double(), whole(layer.start * 2.0**unit), 0, RESULT_LIMIT), unit
    result = exponent(step.largest, TABLE_BITS) if isinstance(follows, ACTIVATIONS) else RESULT
    if not isinstance(layer, PRODUCTS):
        raise SupportError(
            f"a layer {type(layer).__name__} has no form in whole numbers; compress at the default level"
        )
    return product(layer, unit, result, 1 << TABLE_BITS if isinstance(follows, ACTIVATIONS) else RESULT_LIMIT), result


def whole(x: Tensor) -> Tensor:
    """The nearest integers, float64."""
    return x.detach().double().round()


def standardised(layer: Standardize, unit: int, largest: float) -> tuple[Stage, int]:
    """(x - shift) / scale."""
    result = exponent(largest, ACTIVATION_BITS)
    factor = 1 / layer.scale.double()
    shift = unit + SCALE - result
    return Affine(
        whole(factor * 2.0**SCALE), whole(-layer.shift * factor * 2.0 ** (unit + SCALE)), shift, 1 << ACTIVATION_BITS
    ), result


def tabulated(layer: nn.Module, unit: int) -> tuple[Stage, int]:
    """An activation function by its values on every integer it can be given."""
    x = torch.arange(-(1 << TABLE_BITS), 1 << TABLE_BITS).double() * 2.0**-unit
    y = layer(x)
    result = exponent(float(y.abs().max()) / ROOM, ACTIVATION_BITS)
    return Lookup(whole(y * 2.0**result)), result


def product(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, unit: int, result: int, limit: int) -> Stage:
    """A linear layer or convolution."""
    weight = layer.weight.detach().double()
    power = WEIGHT_BITS - math.ceil(math.log2(max(float(weight.abs().max()), 1e-9)))
    outputs = weight.shape[1] if isinstance(layer, nn.ConvTranspose2d) else weight.shape[0]
    bias = torch.zeros(outputs).double() if layer.bias is None else whole(layer.bias.double() * 2.0 ** (unit + power))
    weight, shift = whole(weight * 2.0**power), unit + power - result
    if isinstance(layer, nn.Linear):
        return Linear(weight, bias, shift, limit)
    plain(layer)
    kind = TransposedConvolution if isinstance(layer, nn.ConvTranspose2d) else Convolution
    return kind(weight, bias, layer.stride, layer.padding, shift, limit)  # type: ignore[arg-type]


def plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Errors: `SupportError` for convolutions with groups, holes or padding other than zeros of a given width."""
    odd = (
        layer.groups != 1
        or set(layer.dilation) != {1}
        or layer.padding_mode != "zeros"
        or isinstance(layer.padding, str)
    )
    if odd or any(layer.output_padding):
        raise SupportError(
            f"{layer} has no form in whole numbers yet: convolutions without groups, dilation and output padding have"
        )
