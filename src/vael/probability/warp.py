"""Monotone maps that bring the columns of a table to one scale, heavy tails and magnitudes included."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

SMALLEST = 1e-30  # what stands for 0 under a logarithm


@dataclass(frozen=True)
class Warp:
    """g(v) = (t(v) - shift) / scale for each column, t(v) = log v where `logarithmic`, else asinh((v - centre) /
    width).

    For |v - centre| far below `width` that is linear, far above it logarithmic: one formula for even columns and for
    heavy tails.
    """

    logarithmic: Bool[Tensor, " columns"]
    centre: Float[Tensor, " columns"]
    width: Float[Tensor, " columns"]
    shift: Float[Tensor, " columns"]
    scale: Float[Tensor, " columns"]

    def __call__(self, v: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch columns"]:
        """g(v); a logarithmic column takes numbers above 0."""
        return (self._t(v) - self.shift) / self.scale

    def _t(self, v: Tensor) -> Tensor:
        return torch.where(self.logarithmic, v.clamp(min=SMALLEST).log(), torch.asinh((v - self.centre) / self.width))

    def inverse(self, y: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch columns"]:
        """V with g(v) = y."""
        t = y * self.scale + self.shift
        return torch.where(
            self.logarithmic, t.clamp(max=69.0).exp(), self.centre + self.width * torch.sinh(t.clamp(-60.0, 60.0))
        )

    def log_slope(self, v: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch columns"]:
        """Log dg/dv, which turns a density of g(v) into one of v."""
        u = (v - self.centre) / self.width
        outer = -torch.where(self.logarithmic, v.clamp(min=SMALLEST).log(), self.width.log() + 0.5 * torch.log1p(u * u))
        return outer - self.scale.log()

    def at(self, which: Int64[Tensor, " some"]) -> Warp:
        """The maps of these columns."""
        return Warp(
            self.logarithmic[which], self.centre[which], self.width[which], self.shift[which], self.scale[which]
        )

    def double(self) -> Warp:
        """The same in float64."""
        return Warp(
            self.logarithmic, self.centre.double(), self.width.double(), self.shift.double(), self.scale.double()
        )
