"""Four shapes that the covariances of a mixture can have: one number, a diagonal, one matrix for all, a matrix each.

Each knows its density, how it is estimated from weighted second moments, and how near it is to being singular. Sizes:
`components` K, `features` d; an example x has log-densities under all components side by side, `[batch, components]`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from vael.errors import SupportError
from vael.probability import diagonal_gaussian
from vael.probability.factorization import spectrum, tried_cholesky, whitened


def cholesky(covariance: Float[Tensor, "*many features features"]) -> Float[Tensor, "*many features features"]:
    """L of Σ = L Lᵀ. Errors: `SupportError` where a matrix is not symmetric and positive-definite."""
    asymmetry = float((covariance - covariance.mT).abs().max())
    factor, fits = tried_cholesky(covariance)
    if not bool(fits.all()) or not asymmetry <= 1e-8 * float(covariance.abs().max()):
        smallest = float(spectrum(covariance)[0].min()) if bool(covariance.isfinite().all()) else math.nan
        raise SupportError(
            f"a covariance is not symmetric and positive-definite: its smallest eigenvalue is {smallest:.3g}, entries "
            "differ from their mirror "
            f"images by up to {asymmetry:.3g}; give a proper covariance, a floor, or a kind with fewer parameters"
        )
    return factor


class Covariance(ABC):
    """Abstract kind of covariance of a mixture's components; it holds no numbers, they are handed to it."""

    shared: ClassVar[bool] = False  # whether all components have the same one

    @abstractmethod
    def shape(self, components: int, features: int) -> tuple[int, ...]:
        """Of the tensor that holds the covariances."""

    @abstractmethod
    def identity(self, components: int, features: int) -> Tensor:
        """Unit covariances, float64."""

    @abstractmethod
    def check(self, covariance: Tensor) -> None:
        """Raise `SupportError` where a covariance is not positive-definite."""

    @abstractmethod
    def log_prob(
        self, x: Float[Tensor, "batch features"], mean: Float[Tensor, "components features"], covariance: Tensor
    ) -> Tensor:
        """Log N(x; μ_k, Σ_k) for every component, `[batch, components]` in nats."""

    @abstractmethod
    def law(
        self, z: Float[Tensor, "*many components"], mean: Float[Tensor, "components features"], covariance: Tensor
    ) -> Distribution:
        """N(μ_z, Σ_z) of a component given one-hot, event shape `[features]`."""

    @abstractmethod
    def second_moment(
        self, share: Float[Tensor, "batch components"], x: Tensor, centre: Float[Tensor, "components features"]
    ) -> Tensor:
        """Σ_i r_ik (x_i - c_k)(x_i - c_k)ᵀ as far as this kind needs it; it may be summed over batches."""

    @abstractmethod
    def estimate(
        self, second: Tensor, count: Float[Tensor, " components"], offset: Float[Tensor, "components features"]
    ) -> Tensor:
        """The covariances of highest likelihood, from second moments about c_k, Σ_i r_ik and μ_k - c_k."""

    @abstractmethod
    def raised(self, covariance: Tensor, floor: float) -> Tensor:
        """Σ_k + floor I."""

    @abstractmethod
    def thinness(self, covariance: Tensor, whole: Tensor) -> Tensor:
        """Smallest variance of Σ_k in any direction as a share of that of the `whole` data (this kind, one
        component): `[components]` or `[1]`.
        """

    @abstractmethod
    def placed(self, covariance: Tensor, component: int, whole: Tensor) -> Tensor:
        """`covariance` where one component has that of the whole data."""

    @abstractmethod
    def parameters(self, components: int, features: int) -> int:
        """Free numbers in the covariances."""


def quadratic(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Log N(x; μ_k, diag v_k), `[batch, components]`, from differences: no square is expanded, so no digits are
    lost.
    """
    distance = torch.stack([((x - m).square() / v).sum(1) for m, v in zip(mean, variance, strict=True)], dim=1)
    return -0.5 * (distance + variance.log().sum(1) + mean.shape[1] * math.log(2 * math.pi))


def positive(variance: Tensor) -> None:
    """Refuse variances that are none."""
    if not bool((variance > 0).all()):
        raise SupportError(
            f"a variance is {float(variance.min()):.3g}; expected numbers above 0: give proper variances, or a floor"
        )


class Spherical(Covariance):
    """Σ_k = σ_k² I: `[components]`."""

    def shape(self, components: int, features: int) -> tuple[int, ...]:
        return (components,)

    def identity(self, components: int, features: int) -> Tensor:
        return torch.ones(components, dtype=torch.float64)

    def check(self, covariance: Tensor) -> None:
        positive(covariance)

    def log_prob(self, x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
        return quadratic(x, mean, covariance[:, None].expand_as(mean))

    def law(self, z: Tensor, mean: Tensor, covariance: Tensor) -> Distribution:
        loc = z @ mean
        return diagonal_gaussian(loc, (z @ covariance)[..., None].sqrt().expand_as(loc))

    def second_moment(self, share: Tensor, x: Tensor, centre: Tensor) -> Tensor:
        return torch.stack([r @ (x - c).square().sum(1) for r, c in zip(share.mT, centre, strict=True)])

    def estimate(self, second: Tensor, count: Tensor, offset: Tensor) -> Tensor:
        return (second / count - offset.square().sum(1)) / offset.shape[1]

    def raised(self, covariance: Tensor, floor: float) -> Tensor:
        return covariance + floor

    def thinness(self, covariance: Tensor, whole: Tensor) -> Tensor:
        return covariance / whole

    def placed(self, covariance: Tensor, component: int, whole: Tensor) -> Tensor:
        return covariance.index_copy(0, torch.tensor([component], device=covariance.device), whole)

    def parameters(self, components: int, features: int) -> int:
        return components


class Diagonal(Covariance):
    """Σ_k = diag(σ_k1² ... σ_kd²): `[components, features]`."""

    def shape(self, components: int, features: int) -> tuple[int, ...]:
        return (components, features)

    def identity(self, components: int, features: int) -> Tensor:
        return torch.ones(components, features, dtype=torch.float64)

    def check(self, covariance: Tensor) -> None:
        positive(covariance)

    def log_prob(self, x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
        return quadratic(x, mean, covariance)

    def law(self, z: Tensor, mean: Tensor, covariance: Tensor) -> Distribution:
        return diagonal_gaussian(z @ mean, (z @ covariance).sqrt())

    def second_moment(self, share: Tensor, x: Tensor, centre: Tensor) -> Tensor:
        return torch.stack([r @ (x - c).square() for r, c in zip(share.mT, centre, strict=True)])

    def estimate(self, second: Tensor, count: Tensor, offset: Tensor) -> Tensor:
        return second / count[:, None] - offset.square()

    def raised(self, covariance: Tensor, floor: float) -> Tensor:
        return covariance + floor

    def thinness(self, covariance: Tensor, whole: Tensor) -> Tensor:
        return (covariance / whole).amin(1)

    def placed(self, covariance: Tensor, component: int, whole: Tensor) -> Tensor:
        return covariance.index_copy(0, torch.tensor([component], device=covariance.device), whole)

    def parameters(self, components: int, features: int) -> int:
        return components * features


def triangular(x: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    """Log N(x; μ_k, L_k L_kᵀ), `[batch, components]`: |L⁻¹(x - μ)|² by substitution, log|Σ| from the diagonal of L."""
    solved = (whitened(low, (x - m).mT) for m, low in zip(mean, factor, strict=True))
    distance = torch.stack([y.square().sum(0) for y in solved], dim=1)
    half_log_determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * (distance + mean.shape[1] * math.log(2 * math.pi)) - half_log_determinant


def outer(offset: Tensor) -> Tensor:
    """Every row a as a aᵀ."""
    return offset[..., :, None] * offset[..., None, :]


def least_relative_eigenvalue(covariance: Tensor, whole: Tensor) -> Tensor:
    """Smallest λ with |Σ_k - λ Σ| = 0, from the eigenvalues of L⁻¹ Σ_k L⁻ᵀ; not a number where Σ_k is not."""
    low = cholesky(whole)
    apart = whitened(low, whitened(low, covariance).mT)
    proper = apart.isfinite().all(-1).all(-1)
    least = spectrum(torch.where(proper[..., None, None], apart, torch.zeros_like(apart)))[0][..., 0].to(apart.dtype)
    return torch.where(proper, least, torch.full_like(least, math.nan))


class Tied(Covariance):
    """One Σ for all components: `[features, features]`."""

    shared: ClassVar[bool] = True

    def shape(self, components: int, features: int) -> tuple[int, ...]:
        return (features, features)

    def identity(self, components: int, features: int) -> Tensor:
        return torch.eye(features, dtype=torch.float64)

    def check(self, covariance: Tensor) -> None:
        cholesky(covariance)

    def log_prob(self, x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
        return triangular(x, mean, cholesky(covariance).expand(len(mean), -1, -1))

    def law(self, z: Tensor, mean: Tensor, covariance: Tensor) -> Distribution:
        return MultivariateNormal(z @ mean, scale_tril=cholesky(covariance), validate_args=False)

    def second_moment(self, share: Tensor, x: Tensor, centre: Tensor) -> Tensor:
        return Full().second_moment(share, x, centre).sum(0)

    def estimate(self, second: Tensor, count: Tensor, offset: Tensor) -> Tensor:
        return (second - (count[:, None, None] * outer(offset)).sum(0)) / count.sum()

    def raised(self, covariance: Tensor, floor: float) -> Tensor:
        return Full().raised(covariance, floor)

    def thinness(self, covariance: Tensor, whole: Tensor) -> Tensor:
        return least_relative_eigenvalue(covariance, whole)[None]

    def placed(self, covariance: Tensor, component: int, whole: Tensor) -> Tensor:
        return covariance

    def parameters(self, components: int, features: int) -> int:
        return features * (features + 1) // 2


class Full(Covariance):
    """A Σ_k for every component: `[components, features, features]`."""

    def shape(self, components: int, features: int) -> tuple[int, ...]:
        return (components, features, features)

    def identity(self, components: int, features: int) -> Tensor:
        return torch.eye(features, dtype=torch.float64).repeat(components, 1, 1)

    def check(self, covariance: Tensor) -> None:
        cholesky(covariance)

    def log_prob(self, x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
        return triangular(x, mean, cholesky(covariance))

    def law(self, z: Tensor, mean: Tensor, covariance: Tensor) -> Distribution:
        return MultivariateNormal(
            z @ mean, scale_tril=torch.einsum("...k,kij->...ij", z, cholesky(covariance)), validate_args=False
        )

    def second_moment(self, share: Tensor, x: Tensor, centre: Tensor) -> Tensor:
        return torch.stack([(y := x - c).mT @ (r[:, None] * y) for r, c in zip(share.mT, centre, strict=True)])

    def estimate(self, second: Tensor, count: Tensor, offset: Tensor) -> Tensor:
        found = second / count[:, None, None] - outer(offset)
        return (found + found.mT) / 2  # rounding apart, it is symmetric already

    def raised(self, covariance: Tensor, floor: float) -> Tensor:
        return covariance + floor * torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)

    def thinness(self, covariance: Tensor, whole: Tensor) -> Tensor:
        return least_relative_eigenvalue(covariance, whole)

    def placed(self, covariance: Tensor, component: int, whole: Tensor) -> Tensor:
        return covariance.index_copy(0, torch.tensor([component], device=covariance.device), whole)

    def parameters(self, components: int, features: int) -> int:
        return components * features * (features + 1) // 2
