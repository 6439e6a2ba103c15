"""A continuous joint density on a grid: marginals, slices and conditionals as sums with the weights of a quadrature
rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError, SupportError
from vael.probability.quadrature import Axis, Grid


@dataclass(frozen=True)
class DensityOnAxis:
    """A density p(x) by its values at the nodes of a rule."""

    axis: Axis
    density: Float[Tensor, " points"]

    @property
    def mass(self) -> float:
        """∫ p(x) dx over the axis: 1 for a density."""
        return float(self.density @ self.axis.weights)

    @property
    def mean(self) -> float:
        """E[x] = ∫ x p(x) dx."""
        return self.expectation(lambda x: x)

    @property
    def variance(self) -> float:
        """E[(x - E[x])²]."""
        mean = self.mean
        return self.expectation(lambda x: (x - mean) ** 2)

    def expectation(self, function: Callable[[Tensor], Tensor]) -> float:
        """E[f(x)] = ∫ f(x) p(x) dx."""
        return float((function(self.axis.nodes) * self.density) @ self.axis.weights)


@dataclass(frozen=True)
class JointDensity:
    """A joint density p(x, z) by its values at the nodes of two rules: rows are x, columns are z. It must integrate to
    one over them.

    Errors: `ShapeError` for sizes that differ, `SupportError` for values below 0 or a mass that misses one by more than
    1e-3.
    """

    x: Axis
    z: Axis
    density: Float[Tensor, "xs zs"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "density", self.density.double())
        if tuple(self.density.shape) != (len(self.x), len(self.z)):
            raise ShapeError(
                f"densities of shape {tuple(self.density.shape)} for {len(self.x)} × {len(self.z)} nodes; expected one "
                "for each pair"
            )
        if not bool((self.density >= 0).all()) or not abs(self.mass - 1) < 1e-3:
            raise SupportError(
                f"densities from {float(self.density.min()):g} with an integral of {self.mass:.6g}; expected 0 or more "
                "and an integral of one: "
                "widen the axes, or take more points"
            )

    @staticmethod
    def of(log_density: Callable[[Tensor], Tensor], x: Axis, z: Axis) -> JointDensity:
        """The values of exp(`log_density`), which maps `[points, 2]` to `[points]`, at all pairs of nodes."""
        nodes, _ = Grid((x, z)).nodes()
        return JointDensity(x, z, log_density(nodes).double().exp().reshape(len(x), len(z)))

    @property
    def mass(self) -> float:
        """∫∫ p(x, z) dx dz over the grid."""
        return float(self.x.weights @ self.density @ self.z.weights)

    def marginal_x(self) -> DensityOnAxis:
        """p(x) = ∫ p(x, z) dz."""
        return DensityOnAxis(self.x, self.density @ self.z.weights)

    def marginal_z(self) -> DensityOnAxis:
        """p(z) = ∫ p(x, z) dx."""
        return DensityOnAxis(self.z, self.x.weights @ self.density)

    def slice_at_z(self, value: float | int) -> DensityOnAxis:
        """p(x, z) along x at the node that is nearest to z = `value`: its mass is p(z), not one.

        Errors: `SupportError` beyond the axis.
        """
        return DensityOnAxis(self.x, self.density[:, nearest(self.z, value)])

    def given_z(self, value: float | int) -> DensityOnAxis:
        """p(x | z) = p(x, z) / p(z) at the node that is nearest to z = `value`.

        Errors: `SupportError` where p(z) = 0 or z is beyond the axis.
        """
        cut = self.slice_at_z(value)
        if not cut.mass > 0:
            raise SupportError(
                f"the density of z at {value:g} is 0; a conditional density needs a condition that can happen"
            )
        return DensityOnAxis(self.x, cut.density / cut.mass)

    def is_independent(self, tolerance: float = 1e-9) -> bool:
        """Whether p(x, z) = p(x) p(z) at every node, to a fraction of the largest density."""
        product = torch.outer(self.marginal_x().density, self.marginal_z().density)
        return float((self.density - product).abs().max() / self.density.max()) <= tolerance


def nearest(axis: Axis, value: float | int) -> int:
    """Number of the node nearest to `value`. Errors: `SupportError` outside the nodes by more than the widest cell."""
    edge = float(axis.weights.max())
    if not float(axis.nodes.min()) - edge <= value <= float(axis.nodes.max()) + edge:
        raise SupportError(
            f"a slice at {value:g} beyond the axis from {float(axis.nodes.min()):g} to {float(axis.nodes.max()):g}"
        )
    return int((axis.nodes - value).abs().argmin())
