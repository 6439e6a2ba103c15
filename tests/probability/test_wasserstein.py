"""Wasserstein-2 distance of Gaussians against scipy's matrix square root, closed forms and the axioms of a metric."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from vael.errors import ShapeError, SupportError
from vael.probability import gaussian_wasserstein


def gaussian(seed: int, d: int, rank: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    root = torch.randn(d, rank or 2 * d, generator=g, dtype=torch.float64)
    return torch.randn(d, generator=g, dtype=torch.float64), root @ root.T / d


def by_square_root(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> float:
    (m1, s1), (m2, s2) = ((m.numpy(), s.numpy()) for m, s in (a, b))
    return float(((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * np.real(scipy.linalg.sqrtm(s1 @ s2))))


@pytest.mark.parametrize("d", [1, 2, 7, 40])
def test_it_is_the_formula_with_the_matrix_square_root(d: int) -> None:
    a, b = gaussian(1, d), gaussian(2, d)
    assert float(gaussian_wasserstein(*a, *b)) == pytest.approx(by_square_root(a, b), rel=1e-8)


def test_diagonal_covariances_give_the_distance_of_the_standard_deviations() -> None:
    m, s, t = torch.zeros(3).double(), torch.tensor([1.0, 2.0, 0.0]).double(), torch.tensor([3.0, 0.0, 0.5]).double()
    found = gaussian_wasserstein(m, s.square().diag(), m + 1, t.square().diag())
    assert float(found) == pytest.approx(3 + 4 + 4 + 0.25, abs=1e-12)


def test_rank_deficient_covariances_on_orthogonal_lines_and_on_one_line() -> None:
    m, x, y = (
        torch.zeros(2).double(),
        torch.diag(torch.tensor([4.0, 0.0])).double(),
        torch.diag(torch.tensor([0.0, 9.0])).double(),
    )
    assert float(gaussian_wasserstein(m, x, m, y)) == pytest.approx(13.0, abs=1e-12)  # nothing to share: tr Σ₁ + tr Σ₂
    assert float(gaussian_wasserstein(m, x, m, x / 4)) == pytest.approx(1.0, abs=1e-12)  # (2 - 1)²


def test_rank_deficient_covariances_are_the_limit_of_full_ones() -> None:
    a, b = gaussian(3, 12, rank=3), gaussian(4, 12, rank=5)
    lift = 1e-12 * torch.eye(12).double()
    assert float(gaussian_wasserstein(*a, *b)) == pytest.approx(
        float(gaussian_wasserstein(a[0], a[1] + lift, b[0], b[1] + lift)), abs=1e-4
    )


def test_two_points_are_at_their_squared_distance() -> None:
    nothing = torch.zeros(2, 2)
    assert float(gaussian_wasserstein(torch.zeros(2), nothing, torch.tensor([3.0, 4.0]), nothing)) == 25.0


@pytest.mark.parametrize("rank", [None, 2])
def test_it_is_symmetric_zero_on_equals_and_its_root_obeys_the_triangle(rank: int | None) -> None:
    a, b, c = (gaussian(seed, 6, rank) for seed in (5, 6, 7))
    assert float(gaussian_wasserstein(*a, *b)) == pytest.approx(float(gaussian_wasserstein(*b, *a)), rel=1e-10)
    assert 0 <= float(gaussian_wasserstein(*a, *a)) < 1e-20
    ab, bc, ac = (math.sqrt(float(gaussian_wasserstein(*p, *q))) for p, q in ((a, b), (b, c), (a, c)))
    assert ac <= ab + bc


def test_bad_input_is_refused() -> None:
    m, s = torch.zeros(2), torch.eye(2)
    with pytest.raises(ShapeError, match="2 and 3 dimensions"):
        gaussian_wasserstein(m, s, torch.zeros(3), torch.eye(3))
    with pytest.raises(ShapeError, match="a mean of shape"):
        gaussian_wasserstein(torch.zeros(3), s, m, s)
    with pytest.raises(ShapeError, match="square matrix"):
        gaussian_wasserstein(m, torch.zeros(2, 3), m, s)
    with pytest.raises(SupportError, match="not symmetric"):
        gaussian_wasserstein(m, torch.tensor([[1.0, 0.5], [0.0, 1.0]]), m, s)
    with pytest.raises(SupportError, match="eigenvalue"):
        gaussian_wasserstein(m, s, m, torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(SupportError, match="covariance has entries that are not finite"):
        gaussian_wasserstein(m, s * math.nan, m, s)
    with pytest.raises(SupportError, match="mean has entries that are not finite"):
        gaussian_wasserstein(m * math.nan, s, m, s)
