"""Distances between columns and pairs of columns against SciPy, enumeration and laws that are known."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from vael.errors import ShapeError
from vael.evaluation.tabular.associations import association_distance, associations, correlation_ratio, cramers_v, ranks
from vael.evaluation.tabular.marginals import kolmogorov_smirnov, marginals, total_variation, wasserstein
from vael.tables.schema import Column, ColumnKind, Schema

RNG = np.random.default_rng(0)
SCHEMA = Schema(
    (
        Column("size", ColumnKind.REAL),
        Column("colour", ColumnKind.CATEGORICAL, levels=("red", "green", "blue")),
        Column("old", ColumnKind.BOOLEAN, levels=("no", "yes")),
        Column("year", ColumnKind.COUNT, origin=2000.0),
    )
)


def table(rows: int, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    cells = [rng.normal(size=rows), rng.integers(0, 3, rows), rng.integers(0, 2, rows), rng.integers(0, 20, rows)]
    return torch.tensor(np.stack(cells, 1), dtype=torch.float32)


@pytest.mark.parametrize("tied", [False, True])
def test_distances_on_the_line_are_those_of_scipy(tied: bool) -> None:
    x, y = RNG.normal(size=70), RNG.normal(0.4, 1.3, size=45)
    x, y = (np.round(one) if tied else one for one in (x, y))
    assert kolmogorov_smirnov(x, y) == pytest.approx(scipy.stats.ks_2samp(x, y).statistic, abs=1e-12)
    assert wasserstein(x, y) == pytest.approx(scipy.stats.wasserstein_distance(x, y), abs=1e-12)


def test_total_variation_by_hand() -> None:
    assert total_variation(np.array([0.0, 0, 1, 2]), np.array([0.0, 1, 1, 5])) == pytest.approx(
        (0.25 + 0.25 + 0.25 + 0.25) / 2
    )
    assert total_variation(np.zeros(3), np.ones(2)) == 1.0


def test_a_shift_by_one_deviation_and_gaps_are_seen() -> None:
    x, y = table(4000, 1), table(4000, 2)
    x[:, 0] += 1.0
    x[:1000, 3] = torch.nan
    size, colour, _, year = marginals(SCHEMA, x, y)
    assert size.wasserstein == pytest.approx(
        1.0, abs=0.08
    )  # standard error of a difference of means 0.022: 3.5 of them
    assert size.distance == pytest.approx(math.erf(0.5 / math.sqrt(2)), abs=0.06)  # sup |F - G| of N(1, 1) and N(0, 1)
    assert colour.distance < 0.05
    assert colour.wasserstein is None
    assert year.missing == pytest.approx(0.25)
    assert [one.distance for one in marginals(SCHEMA, x, x)] == [0.0] * 4


def test_a_column_without_cells_has_no_distance() -> None:
    x = table(30, 0)
    x[:, 1] = torch.nan
    assert math.isnan(marginals(SCHEMA, x, table(30, 1))[1].distance)
    with pytest.raises(ShapeError, match="at least one"):
        marginals(SCHEMA, x[:0], x)
    with pytest.raises(ShapeError, match="3 columns, but its schema has 4"):
        marginals(SCHEMA, x[:, :3], x[:, :3])


def test_ranks_are_those_of_scipy() -> None:
    x = RNG.integers(0, 10, 50).astype(float)
    np.testing.assert_allclose(ranks(x) + 1, scipy.stats.rankdata(x))


def test_cramers_v_is_scipys_before_the_correction_for_chance() -> None:
    x, y = RNG.integers(0, 3, 400).astype(float), RNG.integers(0, 4, 400).astype(float)
    y[:100] = x[:100]
    counts = scipy.stats.contingency.crosstab(x, y).count
    n, (r, k) = 400, counts.shape
    phi = scipy.stats.contingency.association(counts, method="cramer") ** 2 * (min(r, k) - 1)
    expected = math.sqrt(
        (phi - (r - 1) * (k - 1) / (n - 1)) / (min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1)
    )
    assert cramers_v(x, y) == pytest.approx(expected, rel=1e-12)


def test_the_correlation_ratio_of_ranks_is_kruskals() -> None:
    group, y = RNG.integers(0, 4, 200).astype(float), RNG.normal(size=200)
    y += group
    h = scipy.stats.kruskal(*(y[group == one] for one in range(4))).statistic  # H = (n - 1) η² of the ranks
    expected = 1 - (1 - h / 199) * 199 / 196
    assert correlation_ratio(group, ranks(y)) ** 2 == pytest.approx(expected, rel=1e-9)


def test_what_determines_is_associated_fully_and_what_is_independent_not_at_all() -> None:
    """False-alarm rate of the second half: each of 6 pairs exceeds 0.12 (of 2,000 rows: 4 deviations or more) in 1
    of 10,000 tables.
    """
    x = table(2000, 3)
    found = associations(SCHEMA, x).matrix
    assert np.abs(found[np.triu_indices(4, 1)]).max() < 0.12
    x[:, 2] = (x[:, 1] > 0).float()
    x[:, 3] = torch.exp(x[:, 0])
    found = associations(SCHEMA, x).matrix
    assert found[0, 3] == pytest.approx(1.0)  # Spearman's: a monotone transform loses nothing
    assert found[1, 2] == pytest.approx(1.0, abs=1e-3)
    assert found[2, 1] == found[1, 2]
    assert (np.diag(found) == 1).all()


def test_the_difference_names_the_pair() -> None:
    x, y = table(1500, 4), table(1500, 5)
    y[:, 3] = y[:, 0]
    found = association_distance(SCHEMA, x, y)
    first, second, apart = found.largest or ("", "", 0.0)
    assert {first, second} == {"size", "year"}
    assert apart == pytest.approx(-1.0, abs=0.1)
    assert len(found.pairs) == 6
    assert found.mean == pytest.approx(np.abs(found.pairs).mean())


def test_a_column_that_never_varies_has_no_association() -> None:
    x = table(50, 6)
    x[:, 0], x[:, 1] = 3.0, 1.0
    x[45:, 3] = torch.nan
    found = associations(SCHEMA, x).matrix
    assert np.isnan(found[0, 1:]).all()
    assert np.isnan(found[1, 2])
    assert np.isfinite(found[2, 3])
    one = Schema((SCHEMA.columns[0],))
    assert association_distance(one, x[:, :1], x[:, :1]).largest is None
    assert association_distance(one, x[:, :1], x[:, :1]).mean == 0.0
