"""How stored cells become the model's x: binarised, or dequantised."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from vael.data.source import Kind, Source, Splits, Transform, Variates
from vael.errors import StateError, SupportError


class Binarize(Enum):
    """How grey values become 0 and 1.

    Figures of different kinds are not comparable, so the kind is noted wherever a figure stands.
    """

    DYNAMIC = "dynamic"  # drawn anew each time an example is shown, P(1) = grey value as a share of the largest
    STATIC = "static"  # drawn once with a fixed seed, then kept
    THRESHOLD = "threshold"  # 1 above half of the largest value


class DynamicBinarization(Transform):
    """Bernoulli draws, P(1) = x / largest, anew at every call (Burda, Grosse & Salakhutdinov 2016, section 5.1).

    Noise that can give random bytes (`bytes_below`) serves 8-bit grey values: r uniform on {0 ... 254} is below x with
    probability x / 255 exactly, and a byte costs a quarter of a float32 variate. Other noise and other values compare
    with U[0, 1) variates.
    """

    stochastic = True

    def __init__(self, largest: float | int) -> None:
        self.largest = largest

    def __call__(self, x: Tensor, noise: Variates | None) -> Tensor:
        if noise is None:
            raise StateError("dynamic binarisation draws at random, so it needs noise")
        if x.dtype == torch.uint8 and self.largest == 255 and hasattr(noise, "bytes_below"):
            return _as_float(noise.bytes_below(255, x.shape, x.device) < x)
        probability = x.float() / self.largest
        return _as_float(noise.uniform((1, *x.shape), probability)[0] < probability)


class Threshold(Transform):
    """1 where a cell is above half of the largest value, else 0."""

    def __init__(self, largest: float | int) -> None:
        self.largest = largest

    def __call__(self, x: Tensor, noise: Variates | None) -> Tensor:
        return _as_float(x > self.largest / 2)


class UnitInterval(Transform):
    """x / largest: grey values in [0, 1]."""

    def __init__(self, largest: float | int) -> None:
        self.largest = largest

    def __call__(self, x: Tensor, noise: Variates | None) -> Tensor:
        return (x if x.dtype == torch.float64 else x.float()) / self.largest


def unit_interval(splits: Splits) -> Splits:
    """Integers 0 ... levels - 1 as grey values in [0, 1], for networks that are trained on a squared error or a
    cross-entropy of them.

    Such values are no longer integers, so no figure is a likelihood of the data as stored. Errors: `SupportError` for
    cells that are no integers.
    """

    def grey(source: Source) -> Source:
        if source.kind is not Kind.INTEGER or source.levels is None:
            raise SupportError(
                f"{source.name}: grey values in [0, 1] are made of integers, but the cells are {source.kind.value}; "
                "leave them as they are"
            )
        return replace(source, kind=Kind.REAL, levels=None, transform=UnitInterval(source.levels - 1))

    return splits.each(grey)


class Dequantization(Transform):
    """x + U[0, 1): a density then bounds the discrete law, log P(x) ≥ E log p(x + u) (Theis, van den Oord & Bethge
    2016, section 3.1).
    """

    stochastic = True

    def __call__(self, x: Tensor, noise: Variates | None) -> Tensor:
        if noise is None:
            raise StateError("dequantisation draws at random, so it needs noise")
        whole = x if x.dtype == torch.float64 else x.float()
        return whole + noise.uniform((1, *x.shape), whole)[0]


def binarized_once(
    x: Shaped[Tensor, "examples *event"], largest: float | int, seed: int
) -> UInt8[Tensor, "examples *event"]:
    """One Bernoulli draw for each cell, P(1) = x / largest, from `seed`; in blocks, so that memory stays bounded."""
    generator = torch.Generator().manual_seed(seed)
    rows = max(1, 2**22 // max(1, x[0].numel()))
    drawn = [torch.rand(part.shape, generator=generator) < part.float() / largest for part in x.split(rows)]
    return torch.cat(drawn).view(torch.uint8)


def _as_float(cells: Tensor) -> Float[Tensor, "..."]:
    return cells.view(torch.uint8).float()  # five times as fast as from bool
