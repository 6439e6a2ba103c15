"""Factors of symmetric matrices that do not fail on degenerate input: the only place of the package that asks LAPACK
for a decomposition.

Data make any matrix: constant and collinear columns, values at -999 or 1e30, one row. What a person gives is refused
where it is no covariance (`tried_cholesky` says whether it is one); what is computed here from data gets a factor
whatever it is (`lower_factor`, `factor_of_inverse`), by one rule: eigenvalues below d ε times the largest, which are
rounding, are raised to that. A matrix that is not finite has no factor; it is refused.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from vael.errors import SupportError

NUDGES = (0.0, 1e-14, 1e-12, 1e-10)  # of the largest entry, along the diagonal, where an iteration does not converge


def tried_cholesky(matrix: Float[Tensor, "*batch d d"]) -> tuple[Float[Tensor, "*batch d d"], Bool[Tensor, "*batch"]]:
    """(L, whether L Lᵀ is the matrix): false where it is not finite or not positive definite up to rounding; L is then
    of no use.

    Rounding lets a singular matrix pass with a last pivot of about ε: such a factor has no digit that is right.
    """
    finite = matrix.isfinite().flatten(-2).all(-1)
    tril, failed = torch.linalg.cholesky_ex(
        torch.where(finite[..., None, None], matrix, torch.zeros((), dtype=matrix.dtype, device=matrix.device))
    )
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    pivots = tril.diagonal(dim1=-2, dim2=-1).square() / diagonal
    return tril, finite & (failed == 0) & ~(pivots < 4 * matrix.shape[-1] * torch.finfo(matrix.dtype).eps).any(-1)


def spectrum(matrix: Float[Tensor, "*batch d d"]) -> tuple[Float[Tensor, "*batch d"], Float[Tensor, "*batch d d"]]:
    """Eigenvalues, rising, and eigenvectors of (A + Aᵀ) / 2, in float64 whatever the type of A.

    Errors: `SupportError` for entries that are not finite.
    """
    wide = finite(matrix).double()
    largest = wide.abs().amax((-2, -1), keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    unit = wide / largest  # products of entries near the ends of float64 would overflow or vanish
    unit = (unit + unit.mT) / 2
    slope = torch.arange(matrix.shape[-1], dtype=torch.float64, device=matrix.device).diag()
    for nudge in NUDGES:
        try:
            values, vectors = torch.linalg.eigh(unit + nudge * slope if nudge else unit)
        except torch.linalg.LinAlgError:
            continue
        return values * largest[..., 0], vectors
    raise SupportError(
        f"no eigenvalues of a matrix of shape {tuple(matrix.shape)} were found; look for numbers of very different "
        "size in the data"
    )


def lower_factor(covariance: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """L, lower triangular with a positive diagonal: L Lᵀ = Σ, or Σ with its smallest eigenvalues raised where it is
    singular up to rounding.

    In float64, brought to the type of Σ at the end. Errors: `SupportError` for entries that are not finite.
    """
    tril, fits = tried_cholesky(finite(covariance).double())
    if not bool(fits.all()):
        values, vectors = spectrum(covariance)
        tril = torch.where(fits[..., None, None], tril, _triangular(vectors, raised(values).sqrt()))
    return tril.to(covariance.dtype)


def inverse_by(factor: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """(L Lᵀ)⁻¹ of a lower triangular factor with a positive diagonal, such as `lower_factor` gives."""
    return torch.cholesky_inverse(factor)


def factor_of_precision(precision: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """L, lower triangular: L Lᵀ = A, for a precision that a prior's is part of, so that no eigenvalue is near zero.

    In the type of A and with gradients, as a step of training needs it; NaN where A has no such factor.
    """
    tril, failed = torch.linalg.cholesky_ex(precision)
    nothing = torch.full((), torch.nan, dtype=precision.dtype, device=precision.device)
    return torch.where((failed == 0)[..., None, None], tril, nothing)


def solved_by(factor: Float[Tensor, "*batch d d"], columns: Float[Tensor, "*batch d many"]) -> Tensor:
    """A⁻¹ B from the lower factor L of A = L Lᵀ, with gradients."""
    return torch.cholesky_solve(columns, factor)


def factor_of_covariance(precision: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """S, lower triangular: S Sᵀ = A⁻¹, for a precision A as in `factor_of_precision`."""
    upper = factor_of_precision(precision.flip(-1, -2)).flip(-1, -2)  # A = U Uᵀ
    eye = torch.eye(upper.shape[-1], dtype=upper.dtype, device=upper.device)
    return torch.linalg.solve_triangular(upper, eye, upper=True).mT


def log_determinant_of(matrix: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch"]:
    """Log |Σ| = 2 Σ_j log L_jj of a positive definite matrix. Errors: as `lower_factor`."""
    return 2 * lower_factor(matrix).diagonal(dim1=-2, dim2=-1).log().sum(-1)


def inverse_of(matrix: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """Σ⁻¹ of a positive definite matrix, by its factor. Errors: as `lower_factor`."""
    return inverse_by(lower_factor(matrix))


def solved(
    matrix: Float[Tensor, "*batch d d"], columns: Float[Tensor, "*other d many"]
) -> Float[Tensor, "*broadcast d many"]:
    """Σ⁻¹ B for a positive definite Σ, by its factor. Errors: as `lower_factor`."""
    return torch.cholesky_solve(columns, lower_factor(matrix))


def factor_of_inverse(
    values: Float[Tensor, "*batch d"], vectors: Float[Tensor, "*batch d d"]
) -> Float[Tensor, "*batch d d"]:
    """L, lower triangular with a positive diagonal: L Lᵀ = A⁻¹, from the eigenvalues of A, all above 0, and its
    eigenvectors.

    Neither A nor its inverse is built, so no digits are lost however far the eigenvalues are apart.
    """
    return _triangular(vectors, values.rsqrt())


def raised(values: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """Eigenvalues of a covariance with those that are rounding raised to d ε times the largest; above 0 even where
    all are 0.
    """
    info = torch.finfo(values.dtype)
    least = (values.shape[-1] * info.eps * values.amax(-1, keepdim=True)).clamp(min=info.tiny**0.5)
    return torch.maximum(values, least)


def _triangular(vectors: Tensor, roots: Tensor) -> Tensor:
    """L of V diag(r²) Vᵀ = L Lᵀ, from the QR decomposition of diag(r) Vᵀ."""
    upper = torch.linalg.qr(roots[..., :, None] * vectors.mT).R
    sign = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(upper)
    return upper.mT * sign[..., None, :]


def orthonormal(columns: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """An orthonormal basis whose span holds the columns. Errors: `SupportError` for entries that are not finite."""
    return torch.linalg.qr(finite(columns)).Q


def singular_vectors(
    matrix: Float[Tensor, "rows columns"],
) -> tuple[Float[Tensor, "rows rank"], Float[Tensor, "rank columns"]]:
    """U and Vᵀ of A = U S Vᵀ, in the type of A. Errors: `SupportError` for entries that are not finite."""
    largest = finite(matrix).abs().max().clamp(min=torch.finfo(matrix.dtype).tiny)
    left, _, right = torch.linalg.svd(matrix / largest)
    return left, right


def least_squares(
    x: Float64[np.ndarray, "rows columns"], y: Float64[np.ndarray, " rows"]
) -> Float64[np.ndarray, " columns"]:
    """B of the least |y - X b|, the shortest of them where columns depend on each other: singular values below 1e-12 of
    the largest count as 0.

    Errors: `SupportError` for entries that are not finite.
    """
    finite(torch.from_numpy(x))
    finite(torch.from_numpy(y))
    return np.linalg.lstsq(x, y, rcond=1e-12)[0]


def whitened(
    lower: Float[Tensor, "*batch d d"], columns: Float[Tensor, "*other d many"]
) -> Float[Tensor, "*broadcast d many"]:
    """L⁻¹ B by substitution, for a lower triangular L with a diagonal above 0."""
    return torch.linalg.solve_triangular(lower, columns, upper=False)


def finite(matrix: Tensor) -> Tensor:
    """The matrix. Errors: `SupportError` where an entry is not finite."""
    if not bool(matrix.isfinite().all()):
        raise SupportError(
            "a matrix with entries that are NaN or infinite has no factor; look for numbers in the data that are too "
            "large to square"
        )
    return matrix
