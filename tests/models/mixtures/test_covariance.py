"""Every kind of covariance by one dense matrix a component: densities, estimates, floors, thinness, and where a
component is placed anew.
"""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from vael.errors import ShapeError, SupportError
from vael.models import Diagonal, Full, GaussianMixture, Spherical, Tied

KINDS = {"spherical": Spherical(), "diagonal": Diagonal(), "tied": Tied(), "full": Full()}
EACH = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
K, D, N = 3, 2, 40


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def proper(kind, seed=1):
    """Covariances of this kind, all different."""
    if isinstance(kind, Spherical | Diagonal):
        return 0.3 + normal(*kind.shape(K, D), seed=seed).square()
    root = normal(*kind.shape(K, D), seed=seed)
    return root @ root.mT + 0.2 * torch.eye(D, dtype=torch.float64)


def dense(kind, covariance):
    """`[components, features, features]`."""
    unit = torch.eye(D, dtype=torch.float64)
    if isinstance(kind, Spherical):
        return covariance[:, None, None] * unit
    if isinstance(kind, Diagonal):
        return torch.diag_embed(covariance)
    return covariance.expand(K, D, D)


@EACH
def test_densities_are_those_of_dense_matrices(kind):
    x, mean, covariance = normal(N, D), normal(K, D, seed=2), proper(kind)
    exact = MultivariateNormal(mean, dense(kind, covariance)).log_prob(x[:, None])
    torch.testing.assert_close(kind.log_prob(x, mean, covariance), exact)
    z = torch.eye(K, dtype=torch.float64)
    law = kind.law(z, mean, covariance)
    torch.testing.assert_close(law.log_prob(x[:, None]), exact)
    assert covariance.shape == kind.shape(K, D) == kind.identity(K, D).shape
    torch.testing.assert_close(dense(kind, kind.identity(K, D)), torch.eye(D, dtype=torch.float64).expand(K, D, D))


@EACH
def test_an_estimate_is_the_weighted_covariance_in_the_shape_of_the_kind(kind):
    """About any centre; the dense weighted covariances, their diagonals, the mean of these, or their mean over
    components by weight.
    """
    x, centre, share = normal(N, D), normal(K, D, seed=3), normal(N, K, seed=4).softmax(1)
    count = share.sum(0)
    mean = share.mT @ x / count[:, None]
    apart = x[:, None] - mean
    exact = torch.einsum("nk,nki,nkj->kij", share, apart, apart) / count[:, None, None]
    parts = [kind.second_moment(share[rows], x[rows], centre) for rows in (slice(0, 13), slice(13, N))]
    found = dense(kind, kind.estimate(parts[0] + parts[1], count, mean - centre))
    if isinstance(kind, Spherical):
        exact = exact.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(D, dtype=torch.float64)
    elif isinstance(kind, Diagonal):
        exact = torch.diag_embed(exact.diagonal(dim1=1, dim2=2))
    elif isinstance(kind, Tied):
        exact = ((count / count.sum())[:, None, None] * exact).sum(0).expand(K, D, D)
    torch.testing.assert_close(found, exact)


@EACH
def test_a_floor_is_added_to_every_variance_and_to_nothing_else(kind):
    covariance = proper(kind)
    torch.testing.assert_close(
        dense(kind, kind.raised(covariance, 0.7)),
        dense(kind, covariance) + 0.7 * torch.eye(D, dtype=torch.float64),
        rtol=1e-12,
        atol=1e-12,
    )


@EACH
def test_a_component_is_placed_with_the_covariance_of_the_whole(kind):
    covariance, whole = (
        proper(kind),
        kind.estimate(
            kind.second_moment(torch.ones(N, 1).double(), normal(N, D), torch.zeros(1, D).double()),
            torch.tensor([float(N)]).double(),
            torch.zeros(1, D).double(),
        ),
    )
    found = kind.placed(covariance.clone(), 1, whole)
    if kind.shared:
        assert torch.equal(found, covariance)
        return
    assert torch.equal(found[1], whole[0])
    assert torch.equal(found[[0, 2]], covariance[[0, 2]])


@EACH
def test_thinness_is_the_least_share_of_the_variance_of_the_whole_in_any_direction(kind):
    """By 4,000 directions, which come within 1e-4 of the least; of diagonal kinds by the axes alone."""
    covariance = proper(kind)
    whole = proper(kind, seed=5)[:1] if not kind.shared else proper(kind, seed=5)
    angle = torch.linspace(0, math.pi, 4001, dtype=torch.float64)
    directions = (
        torch.stack((angle.cos(), angle.sin()), 1)
        if isinstance(kind, Tied | Full)
        else torch.eye(D, dtype=torch.float64)
    )
    of = torch.einsum("ai,kij,aj->ka", directions, dense(kind, covariance), directions)
    all_of_it = torch.einsum("ai,kij,aj->ka", directions, dense(kind, whole)[:1], directions)
    found = kind.thinness(covariance, whole if kind.shared else whole[0] if isinstance(kind, Full) else whole)
    torch.testing.assert_close(found.expand(K), (of / all_of_it).amin(1), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("kind", "numbers"), [("spherical", 4), ("diagonal", 12), ("tied", 6), ("full", 24)])
def test_free_numbers_of_four_components_over_three_features(kind, numbers):
    assert KINDS[kind].parameters(4, 3) == numbers


@EACH
def test_what_is_no_covariance_is_refused(kind):
    kind.check(proper(kind))
    with pytest.raises(SupportError):
        kind.check(proper(kind) - 100 * kind.identity(K, D))
    if isinstance(kind, Tied | Full):
        with pytest.raises(SupportError, match="mirror"):
            kind.check(proper(kind) + torch.tensor([[0.0, 1e-3], [0.0, 0.0]]))


def test_the_least_mixture_is_of_one_component_over_one_feature():
    x = normal(5, 1)
    torch.testing.assert_close(
        GaussianMixture(1, 1).log_prob(x), torch.distributions.Normal(0.0, 1.0).log_prob(x)[:, 0].double()
    )
    for sizes in ((0, 1), (1, 0)):
        with pytest.raises(ShapeError, match="at least one"):
            GaussianMixture(*sizes)
