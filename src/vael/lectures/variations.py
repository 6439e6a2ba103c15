"""Calculus of variations on a grid: the stationary path of J[y] = ∫ L(x, y, y') dx, and the density of most E_q[f]
+ H(q).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError, StateError, SupportError
from vael.probability.quadrature import Axis

Lagrangian = Callable[[Tensor, Tensor, Tensor], Tensor]


def arc_length(x: Tensor, y: Tensor, slope: Tensor) -> Tensor:
    """L = sqrt(1 + y'^2), whose integral is the length of the path."""
    return (1 + slope.square()).sqrt()


@dataclass(frozen=True)
class Functional:
    """J[y] = ∫ L(x, y, y') dx over paths that are straight between the points of `x`, by the midpoint rule, ends held
    fixed.

    Errors: `ShapeError` for fewer than three points, or points that do not increase.
    """

    lagrangian: Lagrangian
    x: Float[Tensor, " points"]

    def __post_init__(self) -> None:
        if len(self.x) < 3 or not bool((self.x.diff() > 0).all()):
            raise ShapeError(
                f"{len(self.x)} points from {self.x[:1].tolist()} on; expected at least three that increase"
            )

    def __call__(self, y: Float[Tensor, " points"]) -> Float[Tensor, ""]:
        """J of the path."""
        if y.shape != self.x.shape:
            raise ShapeError(f"a path of shape {tuple(y.shape)}; expected {tuple(self.x.shape)}")
        step = self.x.diff()
        return (self.lagrangian((self.x[1:] + self.x[:-1]) / 2, (y[1:] + y[:-1]) / 2, y.diff() / step) * step).sum()

    def residual(self, y: Float[Tensor, " points"]) -> Float[Tensor, " inner"]:
        """d/dx ∂L/∂y' - ∂L/∂y at the inner points: minus the gradient of J per length, zero on a stationary path."""
        path = y.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self(path), path)
        return -gradient[1:-1] / ((self.x[2:] - self.x[:-2]) / 2)

    def minimize(
        self, y: Float[Tensor, " points"], *, steps: int = 500, tolerance: float = 1e-9
    ) -> Float[Tensor, " points"]:
        """The path of least J between the ends of `y`, by L-BFGS from `y`.

        Errors: `StateError` where it does not become stationary.
        """
        first, last, inner = y[:1].detach(), y[-1:].detach(), y[1:-1].detach().clone().requires_grad_()
        search = torch.optim.LBFGS(
            [inner], max_iter=steps, tolerance_grad=tolerance, tolerance_change=0, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            search.zero_grad()
            value = self(torch.cat((first, inner, last)))
            value.backward()
            return value

        search.step(closure)
        found = torch.cat((first, inner.detach(), last))
        left = float(self.residual(found).abs().max())
        if not left < 1e-3:
            raise StateError(
                f"after {steps} steps the Euler-Lagrange residual is still {left:.1e}; take more steps or another start"
            )
        return found


@dataclass(frozen=True)
class Optimum:
    """The density that maximises E_q[f] + H(q), and the multipliers on the way to it."""

    density: Float[Tensor, " points"]
    multipliers: Float[Tensor, " iterations"]  # the last one is λ


def factor_bound(q: Float[Tensor, " points"], f: Float[Tensor, " points"], axis: Axis) -> Float[Tensor, ""]:
    """L[q] = E_q[f] + H(q) = ∫ (q f - q log q) dz, in nats; with f = E_{-j}[log p(x, z)] it is what a factor q_j
    climbs.
    """
    if q.shape != axis.nodes.shape or f.shape != axis.nodes.shape:
        raise ShapeError(
            f"q {tuple(q.shape)} and f {tuple(f.shape)} on {len(axis)} points; expected a value of each at every point"
        )
    return axis.weights @ (q * f - torch.xlogy(q, q))


def stationary_density(f: Float[Tensor, " points"], multiplier: float) -> Float[Tensor, " points"]:
    """The q at which ∂/∂q (q f - q log q - λ q) = f - log q - 1 - λ is 0: exp(f - 1 - λ). λ = 0 is the
    unconstrained optimum.
    """
    return (f - 1 - multiplier).exp()


def normalized_optimum(
    f: Float[Tensor, " points"], axis: Axis, *, tolerance: float = 1e-13, steps: int = 100
) -> Optimum:
    """Maximise E_q[f] + H(q) under ∫ q = 1 by Lagrange's multiplier: Newton's method for ∫ exp(f - 1 - λ) dz = 1.

    It begins where the mass is at least 1, from where λ rises without overshooting, as the mass is convex in λ. What it
    finds must be q* = exp f / ∫ exp f with λ = log ∫ exp f - 1 (Bishop 2006, appendix E).

    Errors: `ShapeError` for sizes, `SupportError` for an f that is not finite, `StateError` where the steps do not
    suffice.
    """
    if f.shape != axis.nodes.shape:
        raise ShapeError(f"f of shape {tuple(f.shape)} on {len(axis)} points; expected a value at every point")
    if not bool(f.isfinite().all()):
        raise SupportError(
            f"f is not finite at {int((~f.isfinite()).sum())} points; expected finite numbers: narrow the axis"
        )
    seen = [float((f + axis.weights.log()).max()) - 1]
    for _ in range(steps):
        mass = float(axis.weights @ stationary_density(f, seen[-1]))
        if abs(mass - 1) < tolerance * len(axis):
            return Optimum(stationary_density(f, seen[-1]), torch.tensor(seen, dtype=torch.float64))
        seen.append(seen[-1] + (mass - 1) / mass)
    raise StateError(f"after {steps} steps the mass is {mass:.6g}; expected 1: take more steps")
