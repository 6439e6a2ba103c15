"""Wasserstein-2 distance between Gaussians, which on features of images is called the Fréchet distance; no matrix
square root.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError, SupportError
from vael.probability.factorization import singular_vectors, spectrum

TOLERANCE = (
    1e-9  # of asymmetry and of negative eigenvalues, relative to the largest entry or eigenvalue: rounding, not a fault
)


def factor(covariance: Tensor) -> Float[Tensor, "d d"]:
    """A with A Aᵀ = covariance, in float64; by eigenvectors, so that a rank-deficient covariance has one too.

    Errors: `ShapeError` where it is not square, `SupportError` where it is not finite, not symmetric or has a negative
    eigenvalue.
    """
    if covariance.dim() != 2 or covariance.shape[0] != covariance.shape[1] or not covariance.numel():
        raise ShapeError(f"a covariance of shape {tuple(covariance.shape)} came; expected a square matrix [d, d]")
    matrix = covariance.double()
    if not matrix.isfinite().all():
        raise SupportError("the covariance has entries that are not finite; look for NaN or infinite features")
    if float((matrix - matrix.T).abs().max()) > TOLERANCE * float(matrix.abs().max()):
        raise SupportError("the covariance is not symmetric; give (S + Sᵀ) / 2 if the difference is rounding")
    values, vectors = spectrum(matrix)
    if float(values[0]) < -TOLERANCE * float(values.abs().max()):
        raise SupportError(f"the covariance has the eigenvalue {float(values[0]):.3g}; expected none below 0")
    rounding = len(values) * torch.finfo(values.dtype).eps * values[-1]
    return vectors * torch.where(values > rounding, values, 0).sqrt()  # √ of rounding would be 1e-9, and no rounding


def check_mean(mean: Tensor, covariance: Tensor) -> None:
    """Refuse a mean that does not belong to the covariance."""
    if mean.dim() != 1 or covariance.shape[:1] != mean.shape:
        raise ShapeError(
            f"a mean of shape {tuple(mean.shape)} came with a covariance of shape {tuple(covariance.shape)}; expected "
            "[d] and [d, d]"
        )
    if not mean.isfinite().all():
        raise SupportError("the mean has entries that are not finite; look for NaN or infinite features")


def gaussian_wasserstein(
    mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor
) -> Float[Tensor, ""]:
    """Squared Wasserstein-2 distance W₂² between N(m₁, Σ₁) and N(m₂, Σ₂), in float64; means are `[d]`, covariances `[d,
    d]`.

    |m₁ - m₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁^½ Σ₂ Σ₁^½)^½). With Σᵢ = Aᵢ Aᵢᵀ the trace is the least |A₁ - A₂ Q|² over
    rotations Q, which is found by one singular value decomposition: a sum of squares, so that it is never
    negative and equal Gaussians are at distance zero, and singular covariances are no special case. Its unit is
    the square of the features' unit. (Dowson & Landau 1982; Gelbrich 1990.)

    Errors: `ShapeError` for sizes that do not fit, `SupportError` for what is not finite or no covariance.
    """
    for m, s in ((mean, covariance), (other_mean, other_covariance)):
        check_mean(m, s)
    if mean.shape != other_mean.shape:
        raise ShapeError(f"the Gaussians have {len(mean)} and {len(other_mean)} dimensions; expected the same number")
    first, second = factor(covariance), factor(other_covariance)
    left, right = singular_vectors(second.T @ first)
    return (mean.double() - other_mean.double()).square().sum() + (first - second @ (left @ right)).square().sum()
