"""The nearest member of a simple family: by forward KL(p || q), by reverse KL(q || p), and what a factorised family
makes of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy import optimize
from torch import Tensor

from vael.errors import ShapeError, StateError, SupportError
from vael.probability.factorization import inverse_of, tried_cholesky
from vael.probability.quadrature import Axis, Grid, Integrand, integrate, log_integrate

MASS = 1e-6  # of q that a grid may miss


@dataclass(frozen=True)
class Projection:
    """q(z) = Π_j N(z_j; m_j, v_j) and how far from the target it is, in nats."""

    mean: Float[Tensor, " features"]
    variance: Float[Tensor, " features"]
    divergence: float


def factorized_log_density(
    z: Float[Tensor, "points features"],
    mean: Float[Tensor, "*batch features"],
    variance: Float[Tensor, "*batch features"],
) -> Float[Tensor, "points *batch"]:
    """Log Π_j N(z_j; m_j, v_j), in nats, for a batch of q at once."""
    place = z.reshape(len(z), *[1] * (mean.dim() - 1), z.shape[1])
    return -0.5 * ((place - mean).square() / variance + variance.log() + math.log(2 * math.pi)).sum(-1)


def forward_divergence(
    log_density: Integrand,
    grid: Grid,
    mean: Float[Tensor, "*batch features"],
    variance: Float[Tensor, "*batch features"],
) -> Float[Tensor, "*batch"]:
    """KL(p || q) by quadrature, p ∝ exp `log_density`: large wherever q is small and p is not, so q must cover all
    of p.
    """
    check(grid, mean, variance)
    total = float(log_integrate(log_density, grid))

    def inner(z: Tensor) -> Tensor:
        log_p = (log_density(z) - total).reshape(-1, *[1] * (mean.dim() - 1))
        log_q = factorized_log_density(z, mean, variance)
        return torch.where(log_p > -math.inf, log_p.exp() * (log_p - log_q), torch.zeros_like(log_q))

    return integrate(inner, grid)


def reverse_divergence(
    log_density: Integrand,
    grid: Grid,
    mean: Float[Tensor, "*batch features"],
    variance: Float[Tensor, "*batch features"],
) -> Float[Tensor, "*batch"]:
    """KL(q || p) by quadrature, p ∝ exp `log_density`: large wherever p is small and q is not, so q must stay where p
    is.

    Of a q that the grid does not hold it is the integral over the grid alone.
    """
    check(grid, mean, variance)
    total = float(log_integrate(log_density, grid))

    def inner(z: Tensor) -> Tensor:
        log_q = factorized_log_density(z, mean, variance)
        return log_q.exp() * (log_q - (log_density(z) - total).reshape(-1, *[1] * (mean.dim() - 1)))

    return integrate(inner, grid)


def check(grid: Grid, mean: Tensor, variance: Tensor) -> None:
    """Refuse sizes that do not fit and variances that are none."""
    if mean.shape != variance.shape or mean.shape[-1:] != (grid.features,):
        raise ShapeError(
            f"means {tuple(mean.shape)}, variances {tuple(variance.shape)} on a grid with {grid.features} axes; "
            "expected one per axis"
        )
    if not bool((variance > 0).all() and variance.isfinite().all() and mean.isfinite().all()):
        raise SupportError(
            f"variances from {float(variance.min()):g}; expected finite means and finite variances above 0"
        )


def forward_projection(log_density: Integrand, grid: Grid) -> Projection:
    """The factorised Gaussian that minimises KL(p || q): it has the means and the variances of p (moment matching;
    Bishop 2006, 10.7).

    Errors: `SupportError` for a density that the grid finds no mass of.
    """
    total = log_integrate(log_density, grid)
    if not bool(total.isfinite()):
        raise SupportError(
            f"the density has log mass {float(total)} on the grid; expected a finite one: move or widen the grid"
        )
    mean = integrate(lambda z: (log_density(z) - total).exp()[:, None] * z, grid)
    variance = integrate(lambda z: (log_density(z) - total).exp()[:, None] * (z - mean).square(), grid)
    return Projection(mean, variance, float(forward_divergence(log_density, grid, mean, variance)))


def reverse_projection(
    log_density: Integrand,
    grid: Grid,
    mean: Float[Tensor, " features"],
    variance: Float[Tensor, " features"],
    iterations: int = 200,
) -> Projection:
    """A factorised Gaussian at which KL(q || p) has a local minimum: another start may give another. Newton steps, in a
    trust region.

    Errors: `SupportError` where q has left the grid, `StateError` where the gradient does not vanish within
    `iterations`.
    """
    check(grid, mean, variance)
    d, unit = len(mean), variance.double().sqrt()

    def parts(theta: Tensor) -> tuple[Tensor, Tensor]:
        return mean.double() + unit * theta[:d], unit.square() * (2 * theta[d:]).exp()

    theta, slope = minimized(
        lambda theta: reverse_divergence(log_density, grid, *parts(theta)), mean.new_zeros(2 * d).double(), iterations
    )
    m, v = parts(theta)
    found = Projection(m, v, float(reverse_divergence(log_density, grid, m, v)))
    held = float(integrate(lambda z: factorized_log_density(z, found.mean, found.variance).exp(), grid))
    if not abs(held - 1) < MASS:
        raise SupportError(f"the grid holds {held:.6g} of q; expected all of it: widen the grid, or use more points")
    if not slope < 1e-5:
        raise StateError(
            f"the slope of KL(q || p) is still {slope:.1e} after {iterations} iterations; give more, or a nearer start"
        )
    return found


def minimized(
    function: Callable[[Tensor], Tensor], start: Float[Tensor, " numbers"], iterations: int
) -> tuple[Tensor, float]:
    """A local minimum, and the largest slope left; steps are short, so that the basin of the start is not leapt out
    of.
    """

    def value(theta: np.ndarray) -> float:
        return float(function(torch.from_numpy(theta)))

    def slope(theta: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(theta).clone().requires_grad_()
        return torch.autograd.grad(function(at), at)[0].numpy()

    def curvature(theta: np.ndarray) -> np.ndarray:
        return torch.autograd.functional.hessian(function, torch.from_numpy(theta)).numpy()

    options = {"initial_trust_radius": 0.25, "max_trust_radius": 0.5, "gtol": 1e-10, "maxiter": iterations}
    found = optimize.minimize(value, start.numpy(), jac=slope, hess=curvature, method="trust-exact", options=options)
    return torch.from_numpy(found.x), float(abs(found.jac).max())


def forward_gaussian(mean: Float[Tensor, " features"], covariance: Tensor) -> Projection:
    """Of N(μ, Σ): the product of its marginals, v_j = Σ_jj; KL(p || q) = ½ (Σ_j log Σ_jj - log |Σ|), the mutual
    information.
    """
    factor = cholesky(mean, covariance)
    variance = covariance.diagonal()
    return Projection(mean, variance.clone(), float(0.5 * variance.log().sum() - factor.diagonal().log().sum()))


def reverse_gaussian(mean: Float[Tensor, " features"], covariance: Tensor) -> Projection:
    """Of N(μ, Λ⁻¹): v_j = 1/Λ_jj, the variance given all others; KL(q || p) = ½ (Σ_j log Λ_jj - log |Λ|) (Bishop
    2006, 10.1.2).
    """
    factor = cholesky(mean, covariance)
    precision = inverse_of(covariance).diagonal()
    return Projection(mean, 1 / precision, float(0.5 * precision.log().sum() + factor.diagonal().log().sum()))


def cholesky(mean: Tensor, covariance: Tensor) -> Tensor:
    """The lower factor of a covariance; refuses what is none."""
    if covariance.shape != (len(mean), len(mean)):
        raise ShapeError(
            f"a covariance of shape {tuple(covariance.shape)} with a mean of {len(mean)} numbers; expected "
            f"{(len(mean), len(mean))}"
        )
    factor, fits = tried_cholesky(covariance)
    if not bool(fits) or not torch.allclose(covariance, covariance.mT):
        raise SupportError("the covariance is not positive-definite; give a symmetric matrix with eigenvalues above 0")
    return factor


@dataclass(frozen=True)
class FactorizedDensity:
    """q(z) = q_1(z_1) q_2(z_2) of any form, as values at the nodes of two axes, and KL(q || p) after the start and
    after each update.
    """

    first: Float[Tensor, " rows"]
    second: Float[Tensor, " columns"]
    divergences: Float[Tensor, " updates"]


def factorized_projection(
    log_density: Float[Tensor, "rows columns"], axes: tuple[Axis, Axis], start: Float[Tensor, " columns"], sweeps: int
) -> FactorizedDensity:
    """Coordinate ascent over all densities that factorise: q_1 ∝ exp E_{q_2}[log p(z_1, z_2)], then q_2 likewise,
    `sweeps` times.

    `log_density` holds log p at the grid of both axes, up to a constant; `start` is q_2, which is normalised first
    (Bishop 2006, 10.9).

    Errors: `ShapeError` for sizes, `SupportError` for a start that is no density or a log p that is not finite.
    """
    first, second = axes
    if log_density.shape != (len(first), len(second)) or start.shape != (len(second),):
        raise ShapeError(
            f"log p {tuple(log_density.shape)}, start {tuple(start.shape)}; expected {(len(first), len(second))} and "
            f"{(len(second),)}"
        )
    if not bool(log_density.isfinite().all()) or bool((start < 0).any()) or not float(start @ second.weights) > 0:
        raise SupportError(
            "log p is not finite everywhere, or the start is no density; expected finite numbers, and a start of 0 or "
            "more"
        )
    log_p = log_density - (log_density + first.weights.log()[:, None] + second.weights.log()).logsumexp((0, 1))
    q2 = start / (start @ second.weights)
    q1, seen = normalized(log_p @ (q2 * second.weights), first), []
    for _ in range(sweeps):
        q1 = normalized(log_p @ (q2 * second.weights), first)
        seen.append(product_divergence(q1, q2, log_p, axes))
        q2 = normalized((q1 * first.weights) @ log_p, second)
        seen.append(product_divergence(q1, q2, log_p, axes))
    return FactorizedDensity(q1, q2, torch.stack(seen) if seen else log_p.new_zeros(0))


def normalized(log_q: Float[Tensor, " points"], axis: Axis) -> Float[Tensor, " points"]:
    """The density ∝ exp `log_q`."""
    return (log_q - (log_q + axis.weights.log()).logsumexp(0)).exp()


def product_divergence(q1: Tensor, q2: Tensor, log_p: Tensor, axes: tuple[Axis, Axis]) -> Tensor:
    """KL(q_1 q_2 || p), in nats."""
    w1, w2 = (axis.weights * q for axis, q in zip(axes, (q1, q2), strict=True))
    return torch.xlogy(w1, q1).sum() + torch.xlogy(w2, q2).sum() - w1 @ log_p @ w2
