"""Integrals as weighted sums over a grid, in any dimension that can be afforded, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError, SupportError

MOST_POINTS = 10**9
BLOCK = 2**16  # points that are handed to an integrand at once

Integrand = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Axis:
    """A rule in one dimension: ∫ f(z) dz ≈ Σ_i w_i f(z_i). Weights are above zero, so that sums can be taken in log
    space.

    Errors: `ShapeError` for sizes that differ or no point at all, `SupportError` for weights that are not above zero.
    """

    nodes: Float[Tensor, " points"]  # z_i
    weights: Float[Tensor, " weights"]  # w_i, as many

    def __post_init__(self) -> None:
        if self.nodes.dim() != 1 or self.nodes.shape != self.weights.shape or not len(self.nodes):
            raise ShapeError(
                f"nodes {tuple(self.nodes.shape)} with weights {tuple(self.weights.shape)}; expected as many weights "
                "as nodes, one at least"
            )
        if not bool((self.weights > 0).all() and self.weights.isfinite().all() and self.nodes.isfinite().all()):
            raise SupportError(
                f"weights from {float(self.weights.min()):g}; expected finite nodes and finite weights above 0"
            )

    def __len__(self) -> int:
        return len(self.nodes)


def interval(low: float, high: float, cells: int) -> float:
    """Width of one of `cells` equal parts of [low, high]; refuses bounds and counts that mean nothing."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SupportError(f"an integral from {low} to {high}; expected finite bounds, the lower one first")
    if cells < 1:
        raise SupportError(f"{cells} points on an axis; expected 1 or more")
    return (high - low) / cells


def midpoints(low: float, high: float, cells: int) -> Axis:
    """The midpoint rule: [low, high] in n cells of width Δ, f at the middle of each. For a smooth f the error falls as
    n⁻².

    >>> five = midpoints(0.0, 1.0, 5)
    >>> five.nodes.tolist(), round(float(integrate(lambda z: (z**2 + 2 * z + 1)[:, 0], Grid((five,)))), 12)
    ([0.1, 0.30000000000000004, 0.5, 0.7000000000000001, 0.9], 2.33)
    """
    width = interval(low, high, cells)
    return Axis(
        low + width * (torch.arange(cells, dtype=torch.float64) + 0.5), torch.full((cells,), width, dtype=torch.float64)
    )


def trapezoid(low: float, high: float, cells: int) -> Axis:
    """The trapezoid rule: n cells have n + 1 ends, and the outermost two count half.

    The error falls as n⁻², twice that of the midpoints.
    """
    width = interval(low, high, cells)
    weights = torch.full((cells + 1,), width, dtype=torch.float64)
    weights[[0, -1]] /= 2
    return Axis(torch.linspace(low, high, cells + 1, dtype=torch.float64), weights)


def gauss_legendre(low: float, high: float, points: int) -> Axis:
    """The n points that integrate every polynomial of degree 2n - 1 over [low, high] exactly."""
    width = interval(low, high, points) * points
    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(points))
    return Axis(low + width * (nodes + 1) / 2, weights * width / 2)


def gauss_hermite(loc: float, scale: float, points: int) -> Axis:
    """The n points for ∫ f(z) dz over the whole line that are exact where f is N(loc, scale²) times a polynomial of
    degree 2n - 1.
    """
    if not (math.isfinite(loc) and 0 < scale < math.inf):
        raise SupportError(f"a rule about {loc} with scale {scale}; expected a finite centre and a scale above 0")
    if not 1 <= points <= 150:
        raise SupportError(
            f"{points} Gauss-Hermite points on an axis; expected 1 to 150, beyond which double precision does not hold "
            "their weights"
        )
    t, w = map(torch.from_numpy, np.polynomial.hermite.hermgauss(points))
    return Axis(loc + math.sqrt(2) * scale * t, math.sqrt(2) * scale * (w.log() + t * t).exp())


@dataclass(frozen=True)
class Grid:
    """The tensor product of one-dimensional rules: a grid of Π n_i points, made block by block and never held as a
    whole.

    Errors: `ShapeError` without axes, `SupportError` for more than `most` points.
    """

    axes: tuple[Axis, ...]
    most: int = MOST_POINTS

    def __post_init__(self) -> None:
        if not self.axes:
            raise ShapeError("a grid without axes; expected one rule for each dimension")
        if self.points > self.most:
            sizes = " × ".join(str(len(axis)) for axis in self.axes[:4]) + (" × ..." if self.features > 4 else "")
            raise SupportError(
                f"a grid of {sizes} = {self.points:,} points in {self.features} dimensions, but at most {self.most:,} "
                "are allowed; "
                "use fewer points on each axis, or sample instead of a grid (importance weights)"
            )

    @staticmethod
    def power(axis: Axis, features: int, most: int = MOST_POINTS) -> Grid:
        """The same rule on each of d axes: n^d points."""
        return Grid((axis,) * features, most)

    @property
    def features(self) -> int:
        """How many dimensions there are."""
        return len(self.axes)

    @property
    def points(self) -> int:
        """How many points there are: the product of those of all axes."""
        return math.prod(len(axis) for axis in self.axes)

    def nodes(
        self, first: int = 0, last: int | None = None
    ) -> tuple[Float[Tensor, "points features"], Float[Tensor, " points"]]:
        """Points number `first` to `last` (all, if not given) and the logarithms of their weights; the last axis
        runs fastest.
        """
        number = torch.arange(first, self.points if last is None else min(last, self.points))
        columns, log_weight = [], torch.zeros(len(number), dtype=torch.float64)
        for axis in reversed(self.axes):
            place = number % len(axis)
            number = number // len(axis)
            columns.append(axis.nodes[place])
            log_weight += axis.weights.log()[place]
        return torch.stack(columns[::-1], dim=1), log_weight

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[Tensor, Tensor]]:
        """All points with the logarithms of their weights, at most `size` at a time."""
        if size < 1:
            raise SupportError(f"blocks of {size} points; expected 1 or more")
        return (self.nodes(first, first + size) for first in range(0, self.points, size))


def checked(values: Tensor, z: Tensor) -> Tensor:
    """The integrand's answer in float64: one value, or one row of values, a point."""
    if values.dim() < 1 or len(values) != len(z):
        raise ShapeError(
            f"an integrand gave values of shape {tuple(values.shape)} at {len(z)} points; expected [points] or "
            "[points, *batch]"
        )
    return values.double()


def integrate(function: Integrand, grid: Grid, block: int = BLOCK) -> Tensor:
    """∫ f(z) dz ≈ Σ w f(z) over the grid, float64; `function` maps `[points, features]` to `[points, *batch]`, and
    `[*batch]` comes out.
    """
    return torch.stack(
        [torch.tensordot(log_w.exp(), checked(function(z), z), dims=1) for z, log_w in grid.blocks(block)]
    ).sum(0)


def log_integrate(log_function: Integrand, grid: Grid, block: int = BLOCK) -> Tensor:
    """Log ∫ exp(g(z)) dz from g = `log_function`, for integrands that no floating-point number can hold, such as p(x,
    z).

    `log_function` maps `[points, features]` to `[points, *batch]`; `[*batch]` comes out, float64.
    """
    total: Tensor | None = None
    for z, log_w in grid.blocks(block):
        values = checked(log_function(z), z)
        part = torch.logsumexp(values + log_w.reshape(-1, *[1] * (values.dim() - 1)), 0)
        total = part if total is None else torch.logaddexp(total, part)
    if total is None:
        raise ShapeError("a grid without points; expected 1 or more")
    return total


@dataclass(frozen=True)
class Cost:
    """What a grid of n points on each of d axes costs: n^d evaluations.

    `seconds_per_point` is measured by whoever knows the integrand.
    """

    points_per_axis: int
    seconds_per_point: float

    def __post_init__(self) -> None:
        if self.points_per_axis < 1 or not self.seconds_per_point >= 0:
            raise SupportError(
                f"{self.points_per_axis} points on an axis at {self.seconds_per_point} s each; expected 1 point or "
                "more, in seconds of 0 or more"
            )

    def evaluations(self, features: int) -> int:
        """n^d, exactly."""
        if features < 1:
            raise SupportError(f"{features} dimensions; expected 1 or more")
        return self.points_per_axis**features

    def seconds(self, features: int) -> float:
        """The time that they take, one after another."""
        return self.evaluations(features) * self.seconds_per_point

    def largest(self, seconds: float) -> int:
        """The number of dimensions that can be afforded in so many seconds; 0 where not even one can."""
        if self.points_per_axis == 1:
            raise SupportError("one point on an axis costs the same in every number of dimensions; expected 2 or more")
        if self.seconds_per_point == 0:
            raise SupportError(
                "points that cost nothing can be had in every number of dimensions; expected seconds above 0"
            )
        features = 0
        while self.seconds(features + 1) <= seconds:
            features += 1
        return features


def box(low: Sequence[float], high: Sequence[float], cells: int, most: int = MOST_POINTS) -> Grid:
    """A grid of midpoints over a box, n cells on each axis."""
    if len(low) != len(high):
        raise ShapeError(f"{len(low)} lower and {len(high)} upper bounds; expected as many of one as of the other")
    return Grid(tuple(midpoints(a, b, cells) for a, b in zip(low, high, strict=True)), most)
