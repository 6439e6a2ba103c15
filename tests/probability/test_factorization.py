"""Factors of matrices against what they are factors of, in batches, and of the type that was given."""

import math

import numpy as np
import pytest
import torch

from vael.errors import SupportError
from vael.probability.factorization import (
    factor_of_covariance,
    factor_of_precision,
    least_squares,
    log_determinant_of,
    lower_factor,
    orthonormal,
    raised,
    singular_vectors,
    solved,
    solved_by,
    tried_cholesky,
    whitened,
)


def numbers(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def definite(*batch, size=4, dtype=torch.float64):
    root = numbers(*batch, size, size + 2, dtype=dtype)
    return root @ root.mT


EYE = torch.eye(4, dtype=torch.float64)
EITHER = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


@EITHER
def test_factors_of_a_precision_and_of_its_covariance(dtype):
    """A = L Lᵀ and A⁻¹ = S Sᵀ, both lower triangular; no factor but NaN where there is none, for that matrix alone."""
    precision = definite(3, dtype=dtype)
    lower, root = factor_of_precision(precision), factor_of_covariance(precision)
    near = {"rtol": 1e-3, "atol": 1e-3} if dtype == torch.float32 else {}
    torch.testing.assert_close(lower @ lower.mT, precision, **near)
    torch.testing.assert_close(precision @ root @ root.mT, EYE.to(dtype).expand(3, -1, -1), **near)
    for factor in (lower, root):
        assert factor.dtype == dtype
        assert torch.equal(factor, factor.tril())
    columns = numbers(3, 4, 2, dtype=dtype)
    torch.testing.assert_close(precision @ solved_by(lower, columns), columns, **near)
    broken = precision.clone()
    broken[1] = -broken[1]
    finite = factor_of_precision(broken).isfinite().flatten(1).all(1)
    assert finite.tolist() == [True, False, True]


def test_the_gradient_of_both_factors_is_that_of_finite_differences():
    root = numbers(4, 6).requires_grad_()
    for factor in (factor_of_precision, factor_of_covariance):
        assert torch.autograd.gradcheck(lambda given, factor=factor: factor(given @ given.mT), (root,))


def test_eigenvalues_that_are_rounding_are_raised_and_others_stay():
    eps = torch.finfo(torch.float64).eps
    values = torch.tensor([[-1.0, 0.0, 1e-30, 8.0], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]]).double()
    found = raised(values)
    assert found[0].tolist() == [32 * eps, 32 * eps, 32 * eps, 8.0]
    assert torch.equal(found[1], values[1])
    assert (found[2] > 0).all()
    assert float(found[2].max()) < 1e-100


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_matrix_of_a_batch_that_is_not_finite_is_told_apart_from_the_others(wrong):
    matrices = definite(2, 3)
    matrices[1, 2, 0, 3] = wrong
    assert tried_cholesky(matrices)[1].tolist() == [[True, True, True], [True, True, False]]
    with pytest.raises(SupportError, match="NaN or infinite"):
        lower_factor(matrices)


def test_solutions_and_determinants_are_numpys():
    matrices, columns = definite(3), numbers(3, 4, 2)
    np.testing.assert_allclose(solved(matrices, columns), np.linalg.solve(matrices.numpy(), columns.numpy()))
    np.testing.assert_allclose(log_determinant_of(matrices), np.linalg.slogdet(matrices.numpy())[1])
    lower = lower_factor(matrices)
    np.testing.assert_allclose(whitened(lower, columns), np.linalg.solve(lower.numpy(), columns.numpy()))


def test_a_basis_spans_what_it_is_of_and_singular_vectors_make_the_matrix():
    columns = numbers(6, 3)
    basis = orthonormal(columns)
    torch.testing.assert_close(basis.mT @ basis, EYE[:3, :3])
    torch.testing.assert_close(basis @ (basis.mT @ columns), columns)
    matrix = 1e200 * numbers(4, 4)
    left, right = singular_vectors(matrix)
    middle = left.mT @ (matrix / 1e200) @ right.mT
    torch.testing.assert_close(middle, middle.diagonal().diag())
    assert (middle.diagonal() > 0).all()
    for wide in singular_vectors(torch.zeros(3, 3, dtype=torch.float64)):
        torch.testing.assert_close(wide @ wide.mT, EYE[:3, :3])


def test_least_squares_of_columns_that_depend_on_each_other_are_the_shortest():
    x = numbers(9, 2).numpy()
    y = x @ np.array([2.0, -1.0])
    np.testing.assert_allclose(least_squares(x, y), [2.0, -1.0])
    np.testing.assert_allclose(least_squares(np.concatenate((x, x), 1), y), [1.0, -0.5, 1.0, -0.5])
    for place in (0, 1):
        wrong = [x.copy(), y.copy()]
        wrong[place][3] = np.inf
        with pytest.raises(SupportError):
            least_squares(*wrong)
