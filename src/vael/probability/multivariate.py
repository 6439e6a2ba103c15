"""Gaussians with a full covariance matrix, by Cholesky factors throughout: nothing is inverted and no determinant
is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal
from torch.distributions.kl import kl_divergence

from vael.errors import ShapeError, SupportError
from vael.probability.factorization import tried_cholesky
from vael.probability.factorization import whitened as whitened_by
from vael.probability.gaussian import diagonal_gaussian


def cholesky(covariance: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch rows columns"]:
    """L, lower triangular with a positive diagonal, such that Σ = L Lᵀ.

    Errors: `ShapeError` unless square, `SupportError` unless finite, symmetric and positive definite.
    """
    if covariance.dim() < 2 or covariance.shape[-1] != covariance.shape[-2] or not covariance.shape[-1]:
        raise ShapeError(f"a covariance of shape {tuple(covariance.shape)}; expected [*batch, features, features]")
    if not bool(covariance.isfinite().all()) or not torch.allclose(covariance, covariance.mT, rtol=1e-5, atol=1e-7):
        raise SupportError("a covariance that is not finite or not symmetric; expected Σ = Σᵀ with finite numbers")
    if bool((covariance.diagonal(dim1=-2, dim2=-1) <= 0).any()):
        raise SupportError(
            "a covariance with a variance of 0 or less; drop the features that never vary, or add a small number to "
            "the diagonal"
        )
    tril, fits = tried_cholesky(covariance)
    if not bool(fits.all()):
        raise SupportError(
            "a covariance that is not positive definite, so it has no density: some combination of the features never "
            "varies; "
            "drop a feature, or add a small number to the diagonal"
        )
    return tril


def gaussian(
    mean: Float[Tensor, "*batch features"], covariance: Float[Tensor, "*other rows columns"]
) -> MultivariateNormal:
    """N(μ, Σ), its factor computed and checked once.

    Errors: those of `cholesky`, and `ShapeError` where μ and Σ differ in size.
    """
    if mean.shape[-1:] != covariance.shape[-1:]:
        raise ShapeError(
            f"a mean of shape {tuple(mean.shape)} with a covariance of shape {tuple(covariance.shape)}; expected as "
            "many features"
        )
    return MultivariateNormal(mean, scale_tril=cholesky(covariance), validate_args=False)


def rows(x: Tensor, least: int) -> Tensor:
    """Examples `[examples, features]` in float64.

    Errors: `ShapeError` for another shape or fewer than `least` rows, `SupportError` for NaN.
    """
    if x.dim() != 2 or len(x) < least or not x.shape[1]:
        raise ShapeError(f"data of shape {tuple(x.shape)}; expected [examples, features] with {least} examples or more")
    if not bool(x.isfinite().all()):
        raise SupportError("data with NaN or infinite cells; drop those rows or fill the cells")
    return x.double()


def sample_mean(x: Float[Tensor, "examples features"]) -> Float[Tensor, " features"]:
    """The maximum-likelihood mean, μ̂ = Σ_i x_i / N, float64."""
    return rows(x, 1).mean(0)


def sample_covariance(
    x: Float[Tensor, "examples features"], *, unbiased: bool = False
) -> Float[Tensor, "features features"]:
    """Σ̂ = Σ_i (x_i - μ̂)(x_i - μ̂)ᵀ / N, the maximum of the likelihood; over N - 1 where `unbiased`, whose expectation
    is Σ. Float64.

    >>> sample_covariance(torch.tensor([[2.0], [4.0], [6.0]]), unbiased=True).tolist()
    [[4.0]]
    """
    exact = rows(x, 2 if unbiased else 1)
    centred = exact - exact.mean(0)
    return centred.mT @ centred / (len(exact) - int(unbiased))


def squared_mahalanobis(x: Float[Tensor, "*any features"], law: MultivariateNormal) -> Float[Tensor, " *broadcast"]:
    """(x - μ)ᵀ Σ⁻¹ (x - μ) = |L⁻¹ (x - μ)|²: chi-squared with `features` degrees of freedom where x ~ N(μ, Σ)
    (Mahalanobis 1936).
    """
    if x.shape[-1:] != law.event_shape:
        raise ShapeError(
            f"points of shape {tuple(x.shape)} for a Gaussian over {tuple(law.event_shape)}; expected as many features"
        )
    whitened = whitened_by(law.scale_tril, (x - law.loc)[..., None])
    return whitened.square().sum((-2, -1))


def log_determinant(law: MultivariateNormal) -> Tensor:
    """Log |Σ| = 2 Σ_j log L_jj, `[*batch]`."""
    return 2 * law.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def log_density(x: Float[Tensor, "*any features"], law: MultivariateNormal) -> Float[Tensor, " *broadcast"]:
    """Log N(x; μ, Σ) = -½ (d log 2π + log |Σ| + (x - μ)ᵀ Σ⁻¹ (x - μ)) in nats."""
    return -0.5 * (x.shape[-1] * math.log(2 * math.pi) + log_determinant(law) + squared_mahalanobis(x, law))


def gaussian_entropy(law: MultivariateNormal) -> Tensor:
    """H = ½ (d (1 + log 2π) + log |Σ|) in nats, `[*batch]`: the most that any law with this covariance can have.

    Can be negative.
    """
    return 0.5 * (law.event_shape[0] * (1 + math.log(2 * math.pi)) + log_determinant(law))


@dataclass(frozen=True)
class DivergenceTerms:
    """The four parts of KL(N(μ₁, Σ₁) || N(μ₂, Σ₂)), each `[*batch]` in nats before the common factor of one half."""

    log_determinants: Tensor  # log |Σ₂| / |Σ₁|
    features: int  # d
    trace: Tensor  # tr(Σ₂⁻¹ Σ₁)
    shift: Tensor  # (μ₁ - μ₂)ᵀ Σ₂⁻¹ (μ₁ - μ₂)

    @property
    def total(self) -> Tensor:
        """½ (log |Σ₂| / |Σ₁| - d + tr(Σ₂⁻¹ Σ₁) + (μ₁ - μ₂)ᵀ Σ₂⁻¹ (μ₁ - μ₂))."""
        return 0.5 * (self.log_determinants - self.features + self.trace + self.shift)


def divergence_terms(p: MultivariateNormal, q: MultivariateNormal) -> DivergenceTerms:
    """KL(p || q) of full-covariance Gaussians in its parts: tr(Σ₂⁻¹ Σ₁) = |L₂⁻¹ L₁|², the sum of squares of a
    triangular solve.
    """
    if p.event_shape != q.event_shape:
        raise ShapeError(
            f"Gaussians over {tuple(p.event_shape)} and {tuple(q.event_shape)} features; expected the same"
        )
    factors = whitened_by(q.scale_tril, p.scale_tril)
    return DivergenceTerms(
        log_determinants=log_determinant(q) - log_determinant(p),
        features=p.event_shape[0],
        trace=factors.square().sum((-2, -1)),
        shift=squared_mahalanobis(p.loc, q),
    )


def is_gaussian(law: Distribution) -> bool:
    """Whether a law is a Gaussian over a vector: with full covariance, or independent normals."""
    return isinstance(law, MultivariateNormal) or (isinstance(law, Independent) and isinstance(law.base_dist, Normal))


def gaussian_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q) in closed form for Gaussians, each with full or diagonal covariance, `[*batch]` in nats.

    Errors: `ShapeError` for other numbers of features, `SupportError` for other laws.
    """
    if not is_gaussian(p) or not is_gaussian(q):
        raise SupportError(
            f"KL({p} || {q}) was asked for as that of Gaussians; expected both with full or diagonal covariance"
        )
    if p.event_shape != q.event_shape:
        raise ShapeError(
            f"Gaussians over {tuple(p.event_shape)} and {tuple(q.event_shape)} features; expected the same"
        )
    if isinstance(p, Independent) and isinstance(q, MultivariateNormal):
        p = MultivariateNormal(p.mean, scale_tril=p.stddev.diag_embed(), validate_args=False)
    if isinstance(p, MultivariateNormal) and isinstance(q, MultivariateNormal):
        return divergence_terms(p, q).total
    return kl_divergence(p, q)


def divergence_from_standard(
    mean: Float[Tensor, "*batch features"], scale: Float[Tensor, "*other deviations"]
) -> Float[Tensor, " *batch"]:
    """KL(N(μ, diag σ²) || N(0, I)) = ½ Σ_j (σ_j² + μ_j² - 1 - log σ_j²) in nats (Kingma & Welling 2013, appendix B).

    Errors: `ShapeError` where μ and σ differ, `SupportError` unless σ is above 0.
    """
    if mean.shape != scale.shape:
        raise ShapeError(
            f"means of shape {tuple(mean.shape)} with deviations of shape {tuple(scale.shape)}; expected the same"
        )
    if not bool((scale > 0).all()):
        raise SupportError(f"deviations from {float(scale.min()):g}; expected each above 0")
    standard = Independent(
        Normal(torch.zeros_like(mean), torch.ones_like(scale), validate_args=False), 1, validate_args=False
    )
    return kl_divergence(diagonal_gaussian(mean, scale), standard)


def contained(sigmas: float | int, features: int) -> float:
    """P(Mahalanobis distance ≤ k) under N(μ, Σ): the chi-squared law of k² with `features` degrees of freedom.
    0.9973, 0.9889, 0.9707 for k = 3.
    """
    if not sigmas >= 0 or features < 1:
        raise SupportError(
            f"{sigmas} deviations in {features} dimensions; expected 0 or more deviations in 1 dimension or more"
        )
    return float(
        torch.special.gammainc(
            torch.tensor(features / 2, dtype=torch.float64), torch.tensor(sigmas**2 / 2, dtype=torch.float64)
        )
    )


def ellipse(law: MultivariateNormal, sigmas: float | int = 1.0, points: int = 200) -> Float[Tensor, "points features"]:
    """Points on the ellipse (x - μ)ᵀ Σ⁻¹ (x - μ) = k² of a bivariate Gaussian, in order, the first one again at the
    end.
    """
    if tuple(law.loc.shape) != (2,):
        raise ShapeError(
            f"an ellipse of a Gaussian with mean of shape {tuple(law.loc.shape)}; expected one Gaussian over two "
            "features"
        )
    if not sigmas > 0 or points < 2:
        raise SupportError(f"an ellipse of {sigmas} deviations by {points} points; expected more than 0, by 2 or more")
    angle = torch.linspace(0, 2 * math.pi, points, dtype=law.loc.dtype)
    return law.loc + sigmas * torch.stack((angle.cos(), angle.sin()), 1) @ law.scale_tril.mT
