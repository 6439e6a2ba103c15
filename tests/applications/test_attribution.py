"""Reasons against the exact surprise of a cell given the others, and against the cells that were planted."""

import pytest
import torch

from oracles import LinearGaussian
from vael.applications import attribution
from vael.applications.attribution import conditional_surprise
from vael.data import Kind, Source
from vael.errors import ShapeError, StateError


def exact(model, x):
    """-log p(x_j | x_-j) of N(b, Λ⁻¹): mean x_j - (Λ (x - b))_j / Λ_jj, variance 1 / Λ_jj."""
    precision = torch.linalg.inv(model.marginal.covariance_matrix)
    residual = (x - model.bias) @ precision / precision.diag()
    return -torch.distributions.Normal(0.0, precision.diag().rsqrt()).log_prob(residual)


@pytest.fixture(scope="module")
def linear():
    return LinearGaussian.of_size(6, 2)


def rows(linear, gaps=False):
    x = linear.sample(40)
    x[:20, 3] += 4.0
    if gaps:
        x[:, 5] = torch.nan
    return Source("rows", x, Kind.REAL, "", gaps=gaps)


def test_the_surprise_of_a_cell_is_the_exact_conditional_one(linear):
    """To rounding: for a linear Gaussian model the fitted proposals are p(z | x_-j), and all weights are equal."""
    source = rows(linear)
    found = torch.cat(list(conditional_surprise(linear.vae(), source, samples=4)))
    torch.testing.assert_close(found, exact(linear, source.x), rtol=1e-9, atol=1e-9)
    assert float((found[:20].argmax(1) == 3).double().mean()) >= 0.9


def test_cells_that_are_missing_are_no_reason(linear):
    source = rows(linear, gaps=True)
    found = torch.cat(list(conditional_surprise(linear.vae(), source, samples=4)))
    assert bool((found[:, 5] == 0).all())
    without = LinearGaussian(linear.weight[:5], linear.bias[:5], linear.sigma)
    torch.testing.assert_close(found[:, :5], exact(without, source.x[:, :5]), rtol=1e-9, atol=1e-9)


def test_images_and_no_samples_are_refused(linear):
    with pytest.raises(ShapeError, match="rows of a table"):
        next(conditional_surprise(linear.vae(), Source("grey", torch.zeros(2, 1, 2, 3), Kind.REAL, "")))
    with pytest.raises(StateError, match="samples=0"):
        next(conditional_surprise(linear.vae(), rows(linear), samples=0))


@pytest.fixture
def wide(monkeypatch):
    """As of a table that is too wide for leaving out every cell."""
    monkeypatch.setattr(attribution, "LEFT_OUT", 5)
    monkeypatch.setattr(attribution, "CANDIDATES", 2)


def test_all_cells_of_a_wide_row_by_the_draws_for_the_whole_of_it(linear, wide):
    """Exact as the draws grow in number, gaps or not."""
    source = rows(linear)
    found = torch.cat(list(conditional_surprise(linear.vae(), source, samples=20_000)))
    ordinary = exact(linear, source.x) < 4  # a cell that moves the code far takes more draws than that
    assert float(ordinary.double().mean()) > 0.85
    torch.testing.assert_close(found[ordinary], exact(linear, source.x)[ordinary], rtol=0.03, atol=0.03)
    gaps = rows(linear, gaps=True)
    found = torch.cat(list(conditional_surprise(linear.vae(), gaps, samples=64)))
    assert bool((found[:, 5] == 0).all())
    assert bool((found[:, :5] != 0).all())


def test_the_strangest_cells_of_a_wide_row_are_left_out_in_fact(linear, wide):
    """The two of each row that are most above the usual of their column are exact with few draws; a gap is none."""
    for gaps in (False, True):
        source, usual = rows(linear, gaps), torch.tensor([0.0, 50.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
        found = torch.cat(list(conditional_surprise(linear.vae(), source, samples=4, usual=usual)))
        shared = torch.cat(list(conditional_surprise(linear.vae(), source, samples=4)))
        model = LinearGaussian(linear.weight[:5], linear.bias[:5], linear.sigma) if gaps else linear
        truth = torch.nn.functional.pad(exact(model, source.x[:, :5] if gaps else source.x), (0, int(gaps)))
        seen = ~source.x.isnan()
        strange = (shared - usual).masked_fill(~seen, -torch.inf).topk(2).indices
        left_out = torch.zeros_like(seen).scatter(1, strange, True)
        assert not bool(left_out[:, 1].any())  # as it usually is that surprising
        torch.testing.assert_close(found[left_out], truth[left_out], rtol=1e-9, atol=1e-9)
        assert torch.equal(found[~left_out], shared[~left_out])
        assert float((found[:20].argmax(1) == 3).double().mean()) >= 0.9


def test_a_wide_row_is_explained_alone_as_among_others(linear, wide):
    source, usual = rows(linear), torch.zeros(6, dtype=torch.float64)
    among = torch.cat(list(conditional_surprise(linear.vae(), source, samples=4, usual=usual)))
    alone = torch.cat(
        list(conditional_surprise(linear.vae(), source.subset(torch.tensor([7])), samples=4, usual=usual))
    )
    assert torch.equal(alone[0], among[7])
