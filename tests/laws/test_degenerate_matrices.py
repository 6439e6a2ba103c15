"""Every decomposition of a matrix goes through one room, which holds on whatever data make: constant, collinear,
far out, one row.
"""

import ast
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import vael
from sources import nodes_of
from vael.data import Batch, Column, ColumnKind, Schema
from vael.errors import SupportError
from vael.estimators.core import dependent_columns
from vael.inference import refined
from vael.models import ColumnsHead
from vael.models.principal import factors
from vael.probability.factorization import (
    factor_of_inverse,
    inverse_of,
    log_determinant_of,
    lower_factor,
    spectrum,
    tried_cholesky,
)
from vael.probability.wasserstein import gaussian_wasserstein
from vael.recipes import table
from vael.report.gather import principal

HOME = "probability/factorization.py"
NAMES = {
    "cholesky_inverse",
    "cholesky_solve",
    "logdet",
    "slogdet",
    "svd",
    "eigh",
    "eigvalsh",
    "lstsq",
    "pinv",
    "qr",
    "inverse",
    "det",
}


def data(name: str) -> torch.Tensor:
    """Rows of four columns."""
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = {
        "plain": x,
        "constant column": x.clone().index_fill_(1, torch.tensor([2]), 3.0),
        "collinear": torch.cat((x[:, :2], x[:, :2]), 1),
        "far out": x.clone().index_fill_(0, torch.tensor([7]), 9999.0),
        "stand-in": torch.where(x > 1, -999.0, x),
        "one row": x[:1],
        "equal rows": x[:1].expand(50, -1),
        "zero": torch.zeros(50, 4, dtype=torch.float64),
        "huge": x * torch.tensor([1e17, 1.0, 1e-17, 1e8]),
    }
    return made[name]


CASES = ["plain", "constant column", "collinear", "far out", "stand-in", "one row", "equal rows", "zero", "huge"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_a_covariance_of_any_data_has_a_factor(name, dtype):
    """L Lᵀ is Σ up to rounding of its largest entry, L lower triangular with a diagonal above 0, and |Σ| and Σ⁻¹
    are numbers.
    """
    x = data(name)
    covariance = ((x - x.mean(0)).mT @ (x - x.mean(0)) / len(x)).to(dtype)
    tril = lower_factor(covariance)
    assert tril.dtype == dtype
    assert torch.equal(tril, tril.tril())
    assert bool(tril.isfinite().all())
    assert bool((lower_factor(covariance.double()).diagonal() > 0).all())
    room = 1e2 * torch.finfo(dtype).eps * float(covariance.abs().max()) + 1e-150
    torch.testing.assert_close((tril @ tril.mT).double(), covariance.double(), rtol=0, atol=room)
    assert math.isfinite(float(log_determinant_of(covariance.double())))
    values, vectors = spectrum(covariance)
    half = factor_of_inverse(values.clamp(min=1e-6 * float(values.max()) + 1e-12), vectors)
    assert bool(half.isfinite().all())
    assert bool((half.diagonal() > 0).all())


def test_what_is_well_conditioned_is_exact_and_what_is_not_finite_is_refused():
    x = data("plain")
    covariance = x.mT @ x / 50
    torch.testing.assert_close(lower_factor(covariance), torch.linalg.cholesky(covariance), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        inverse_of(covariance) @ covariance, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-12
    )
    values, vectors = spectrum(covariance)
    half = factor_of_inverse(values, vectors)
    torch.testing.assert_close(half @ half.mT, torch.linalg.inv(covariance), rtol=1e-10, atol=1e-12)
    for bad in (math.nan, math.inf):
        assert not bool(tried_cholesky(torch.full((2, 2), bad))[1])
        with pytest.raises(SupportError, match="NaN or infinite"):
            lower_factor(torch.full((2, 2), bad))
    assert not bool(tried_cholesky(torch.ones(3, 3, dtype=torch.float64))[1])  # singular


@pytest.mark.parametrize("name", CASES)
def test_what_is_made_of_data_holds_on_any(name):
    """Principal axes, dependent columns, distances of Gaussians and the start of factor analysis end in numbers."""
    x = data(name)
    shown, shares = principal(x)
    assert bool(shown.isfinite().all())
    assert all(0 <= share <= 1 + 1e-9 for share in shares)
    assert np.isfinite(dependent_columns(x.numpy())).all()
    covariance = torch.cov(x.mT, correction=0)
    assert (
        float(gaussian_wasserstein(x.mean(0), covariance, x.mean(0), covariance))
        <= 1e-9 * float(covariance.trace()) + 1e-12
    )
    if name != "huge":
        found = factors(x.float(), 2)
        assert all(bool(part.isfinite().all()) for part in (found.axes, found.variance, found.mixing))


FAR = Schema(tuple(Column(name, ColumnKind.REAL, minimum=-1e4, maximum=1e4) for name in ("a", "b", "c")))


@pytest.mark.parametrize("value", [-99.0, -999.0, 9999.0, 1e8, 1e20, -1e38])
def test_a_proposal_is_fitted_to_a_row_however_far_out(value):
    """Mode and width are finite beside rows that are not far out."""
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = table((3,), ColumnsHead(FAR, sample=x), latent=2, hidden=(8,))
    with torch.no_grad():
        for parameter in model.likelihood.parameters():
            parameter.mul_(3.0)  # a decoder that is steep
    rows = torch.cat((x[:3], torch.full((1, 3), value)))
    q = refined(model).infer(Batch(rows))
    assert bool(q.mean.isfinite().all())
    assert bool(q.scale_tril.isfinite().all())
    assert bool((q.scale_tril.diagonal(dim1=-2, dim2=-1) > 0).all())


def test_no_other_room_asks_for_a_decomposition():
    root = Path(vael.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if str(path.relative_to(root)) == HOME:
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.Attribute):
                used = ast.unparse(node)
                assert ".linalg" not in used, f"{path.name}:{node.lineno} uses {used}; take it from {HOME}"
                assert not (node.attr in NAMES and ast.unparse(node.value) in ("torch", "np")), (
                    f"{path.name}:{node.lineno} uses {used}"
                )
