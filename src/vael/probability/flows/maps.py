"""Monotone maps of single numbers, by parameters that a network gives: what flows are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from vael.probability.gaussian import bounded

LOG_SLOPE = (-3.0, 3.0)  # of an affine map: steps after each other stay far from numbers that float32 has not
LOG_KNOT = (-3.0, 3.0)  # of a spline at a knot
EQUAL = 0.1  # share of the span of a spline that its bins have alike, so that none is so narrow that going back is lost


@dataclass(frozen=True)
class MappedNumbers:
    """Where numbers go, and the logarithm of the map's slope there."""

    value: Float[Tensor, "*numbers"]
    log_slope: Float[Tensor, "*numbers"]


class MonotoneMap(ABC):
    """Abstract: u to z, rising, by `parameters` raw numbers for each u, all of which 0 make it nearly the identity."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Raw numbers for each number that is mapped."""

    @abstractmethod
    def forward(self, u: Float[Tensor, "*numbers"], raw: Float[Tensor, "*numbers parameters"]) -> MappedNumbers:
        """z, and log dz/du."""

    @abstractmethod
    def inverse(self, z: Float[Tensor, "*numbers"], raw: Float[Tensor, "*numbers parameters"]) -> MappedNumbers:
        """u, and log du/dz."""


@dataclass(frozen=True)
class AffineMap(MonotoneMap):
    """z = t + s u, log s bounded smoothly to (-3, 3) (RealNVP: Dinh, Sohl-Dickstein & Bengio 2017)."""

    @property
    def parameters(self) -> int:
        return 2

    def forward(self, u: Float[Tensor, "*numbers"], raw: Float[Tensor, "*numbers parameters"]) -> MappedNumbers:
        shift, log_slope = self._read(raw)
        return MappedNumbers(shift + log_slope.exp() * u, log_slope)

    def inverse(self, z: Float[Tensor, "*numbers"], raw: Float[Tensor, "*numbers parameters"]) -> MappedNumbers:
        shift, log_slope = self._read(raw)
        return MappedNumbers((z - shift) * (-log_slope).exp(), -log_slope)

    def _read(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_slope = raw.unbind(-1)
        return shift, bounded(log_slope, *LOG_SLOPE)


@dataclass(frozen=True)
class _Bin:
    """The bin of a spline that a number lies in: its corners and the slopes at them."""

    left: Tensor
    width: Tensor
    bottom: Tensor
    height: Tensor
    slope_left: Tensor
    slope_right: Tensor

    @property
    def slope(self) -> Tensor:
        """Of the line between the corners."""
        return self.height / self.width

    @property
    def bend(self) -> Tensor:
        """How far the slopes at the corners are from that of the line."""
        return self.slope_left + self.slope_right - 2 * self.slope

    def log_slope_at(self, share: Tensor) -> Tensor:
        """The logarithm of dz/du at a share of the width."""
        line, between = self.slope, share * (1 - share)
        above = self.slope_right * share.square() + 2 * line * between + self.slope_left * (1 - share).square()
        return 2 * line.log() + above.log() - 2 * (line + self.bend * between).log()


@dataclass(frozen=True)
class SplineMap(MonotoneMap):
    """A monotone rational-quadratic spline of (-span, span) onto itself, the identity outside (neural spline flow:
    Durkan, Bekasov, Murray & Papamakarios 2019, section 3.1): widths and heights of `bins` bins, and the slopes at the
    knots between them; at the ends the slope is 1.
    """

    bins: int = 8
    span: float = 6.0

    @property
    def parameters(self) -> int:
        return 3 * self.bins - 1

    def forward(self, u: Float[Tensor, "*numbers"], raw: Float[Tensor, "*numbers parameters"]) -> MappedNumbers:
        inside, at = u.abs() < self.span, u.clamp(-self.span, self.span)
        found = self._bin(at, raw, 0)
        share = (at - found.left) / found.width
        line, between = found.slope, share * (1 - share)
        rise = found.height * (line * share.square() + found.slope_left * between) / (line + found.bend * between)
        return self._within(inside, found.bottom + rise, u, found.log_slope_at(share))

    def inverse(self, z: Float[Tensor, "*numbers"], raw: Float[Tensor, "*numbers parameters"]) -> MappedNumbers:
        inside, at = z.abs() < self.span, z.clamp(-self.span, self.span)
        found = self._bin(at, raw, 1)
        rise, line = at - found.bottom, found.slope
        a = found.height * (line - found.slope_left) + rise * found.bend
        b = found.height * found.slope_left - rise * found.bend
        c = -line * rise
        root = (b.square() - 4 * a * c).clamp(min=torch.finfo(z.dtype).tiny).sqrt()
        share = (2 * c / (-b - root)).clamp(0, 1)
        return self._within(inside, found.left + share * found.width, z, -found.log_slope_at(share))

    def _within(self, inside: Tensor, value: Tensor, outside: Tensor, log_slope: Tensor) -> MappedNumbers:
        return MappedNumbers(
            torch.where(inside, value, outside), torch.where(inside, log_slope, torch.zeros_like(log_slope))
        )

    def _bin(self, at: Tensor, raw: Tensor, axis: int) -> _Bin:
        """The bin that a number lies in, counted along u (`axis` 0) or z (1)."""
        widths, heights, slopes = raw.split((self.bins, self.bins, self.bins - 1), -1)
        left, width = self._edges(widths)
        bottom, height = self._edges(heights)
        knots = pad(bounded(slopes, *LOG_KNOT), (1, 1)).exp()  # slope 1 at both ends
        which = (at[..., None] >= (left, bottom)[axis][..., 1:]).sum(-1, keepdim=True)

        def chosen(table: Tensor) -> Tensor:
            return table.gather(-1, which)[..., 0]

        corners = (left, width, bottom, height, knots[..., :-1], knots[..., 1:])
        return _Bin(*(chosen(one.expand(*which.shape[:-1], self.bins)) for one in corners))

    def _edges(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Where bins begin, and how wide they are; their sum is 2 span."""
        width = 2 * self.span * (EQUAL / self.bins + (1 - EQUAL) * raw.softmax(-1))
        return pad(width.cumsum(-1)[..., :-1], (1, 0)) - self.span, width
