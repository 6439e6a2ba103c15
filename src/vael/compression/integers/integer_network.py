"""Networks in whole numbers, whose results depend on no machine, batch size, number of threads or order of summation.

Activations and weights are integers held in float64. Every sum that can occur is shown to stay below 2^51 when a
network is made, so each of its terms and partial sums is exact in whatever order, with or without fused operations;
scaling is by powers of two, rounding is to the nearest integer, and activation functions are looked up in tables that
travel with the network. (The idea is that of integer networks: Ballé, Johnston & Minnen 2019.) On the processor only:
libraries of GPUs may convolve by transforms that round.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float64
from torch import Tensor

from vael.errors import FormatError, SupportError

LARGEST = 2.0**51  # of any sum, so that adding a half and rounding down is exact too
Integers = Float64[Tensor, "batch ..."]
Facts = Mapping[str, int | list[int]]


def rounded(total: Tensor, shift: int, limit: int) -> Tensor:
    """`total` / 2^shift to the nearest integer, within ± limit."""
    return torch.floor(total * 2.0**-shift + 0.5).clamp_(-limit, limit)


class Stage(ABC):
    """Abstract: one step of an integer network; a frozen record of integers and tensors of integers."""

    kind: ClassVar[str]  # in a file

    @abstractmethod
    def __call__(self, a: Integers) -> Integers:
        """Integers to integers."""

    def limit_after(self, limit: int) -> int:
        """The largest size of a result for inputs of such a size; as they are where nothing is computed.

        Errors: `SupportError` where a sum could be inexact.
        """
        return limit

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the record by name."""
        return {name: value for name, value in self._values() if isinstance(value, Tensor)}

    @property
    def facts(self) -> dict[str, int | list[int]]:
        """The other integers of the record by name."""
        plain = {name: value for name, value in self._values() if not isinstance(value, Tensor)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    def _values(self) -> list[tuple[str, Tensor | int | tuple[int, ...]]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]  # type: ignore[arg-type]

    @classmethod
    def read(cls, facts: Facts, tensors: Mapping[str, Tensor]) -> Stage:
        """The record of facts and tensors as a file holds them."""
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
        return cls(**plain, **{name: tensor.double() for name, tensor in tensors.items()})


def checked(size: float, what: str) -> float:
    """`size` itself. Errors: `SupportError` where it passes what is exact."""
    if size >= LARGEST:
        raise SupportError(
            f"a sum of the {what} could reach {size:.3g}, and is exact in float64 below {LARGEST:.3g} only; use fewer "
            "bits for weights or activations"
        )
    return size


@dataclass(frozen=True, eq=False)
class Affine(Stage):
    """a ↦ (factor a + offset) / 2^shift, cell by cell."""

    kind = "affine"
    factor: Tensor
    offset: Tensor
    shift: int
    limit: int

    def __call__(self, a: Integers) -> Integers:
        return rounded(a * self.factor + self.offset, self.shift, self.limit)

    def limit_after(self, limit: int) -> int:
        checked(limit * float(self.factor.abs().max()) + float(self.offset.abs().max()), "scaling of cells")
        return self.limit


@dataclass(frozen=True, eq=False)
class Linear(Stage):
    """a ↦ (W a + b) / 2^shift."""

    kind = "linear"
    weight: Tensor
    bias: Tensor
    shift: int
    limit: int

    def __call__(self, a: Integers) -> Integers:
        return rounded(F.linear(a, self.weight, self.bias), self.shift, self.limit)

    def limit_after(self, limit: int) -> int:
        checked(float((limit * self.weight.abs().sum(1) + self.bias.abs()).max()), "linear layer")
        return self.limit


@dataclass(frozen=True, eq=False)
class Convolving(Stage):
    """Abstract: as `Linear`, by a convolution in two dimensions of one kind or the other."""

    convolve: ClassVar[Callable[..., Tensor]]
    summed: ClassVar[tuple[int, ...]]  # axes of the weight over which a result sums
    weight: Tensor
    bias: Tensor
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    shift: int
    limit: int

    def __call__(self, a: Integers) -> Integers:
        total = type(self).convolve(a, self.weight, self.bias, self.stride, self.padding)
        return rounded(total, self.shift, self.limit)

    def limit_after(self, limit: int) -> int:
        checked(float((limit * self.weight.abs().sum(self.summed) + self.bias.abs()).max()), self.kind)
        return self.limit


@dataclass(frozen=True, eq=False)
class Convolution(Convolving):
    """As `Linear`, by a convolution in two dimensions."""

    kind, convolve, summed = "convolution", F.conv2d, (1, 2, 3)


@dataclass(frozen=True, eq=False)
class TransposedConvolution(Convolving):
    """As `Linear`, by a transposed convolution in two dimensions."""

    kind, convolve, summed = "transposed convolution", F.conv_transpose2d, (0, 2, 3)


@dataclass(frozen=True, eq=False)
class Lookup(Stage):
    """An activation function by its table over -n ... n - 1, 2 n entries; beyond, its ends."""

    kind = "lookup"
    table: Tensor

    def __call__(self, a: Integers) -> Integers:
        half = len(self.table) // 2
        return self.table[a.clamp(-half, half - 1).long() + half]

    def limit_after(self, limit: int) -> int:
        return int(self.table.abs().max())


@dataclass(frozen=True, eq=False)
class Shape(Stage):
    """Each example in another shape."""

    kind = "shape"
    event: tuple[int, ...]

    def __call__(self, a: Integers) -> Integers:
        return a.reshape(len(a), *self.event)


@dataclass(frozen=True, eq=False)
class IntegerFrame(Stage):
    """Zeros added at the right and at the bottom, or cells cut off there where the number is negative."""

    kind = "frame"
    right: int
    bottom: int

    def __call__(self, a: Integers) -> Integers:
        return F.pad(a, (0, self.right, 0, self.bottom))


STAGES: dict[str, type[Stage]] = {
    kind.kind: kind for kind in (Affine, Linear, Convolution, TransposedConvolution, Lookup, Shape, IntegerFrame)
}


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Stages one after another, for inputs within ± `limit`; larger ones are cut to it.

    Errors: `SupportError` if any sum could leave the integers that float64 holds exactly.
    """

    stages: tuple[Stage, ...]
    limit: int

    def __post_init__(self) -> None:
        limit = self.limit
        for stage in self.stages:
            if not all(bool((tensor == tensor.round()).all()) for tensor in stage.tensors.values()):
                raise SupportError(f"a {stage.kind} stage holds numbers that are not whole; quantise the network first")
            limit = stage.limit_after(limit)

    def __call__(self, a: Integers) -> Integers:
        """Integers to integers, float64 on the processor."""
        a = a.clamp(-self.limit, self.limit)
        with torch.inference_mode():
            for stage in self.stages:
                a = stage(a)
        return a

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Tensors by number of stage and name."""
        return {
            f"{number}.{name}": tensor
            for number, stage in enumerate(self.stages)
            for name, tensor in stage.tensors.items()
        }

    @property
    def facts(self) -> list[dict[str, object]]:
        """What a file says of the stages beside their tensors."""
        return [{"kind": stage.kind, **stage.facts} for stage in self.stages]


def read_network(limit: int, facts: Sequence[Mapping[str, object]], tensors: Mapping[str, Tensor]) -> IntegerNetwork:
    """The network of a file. Errors: `FormatError` for stages that there are not, or that lack something."""
    stages = []
    for number, fact in enumerate(facts):
        plain = dict(fact)
        kind = STAGES.get(str(plain.pop("kind", "")))
        own = {
            name.partition(".")[2]: tensor for name, tensor in tensors.items() if name.partition(".")[0] == str(number)
        }
        try:
            if kind is None:
                raise KeyError(str(fact.get("kind")))
            stages.append(kind.read(plain, own))  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise FormatError(
                f"stage {number} of an integer network cannot be read ({error}); use the vael that wrote it, or a "
                "newer one"
            ) from error
    return IntegerNetwork(tuple(stages), limit)
