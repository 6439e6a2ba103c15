"""Contrasts by hand: every number that is made of a row, what it learns from which half, and which of them are kept."""

import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from vael.evaluation.tabular import contrasts as room
from vael.evaluation.tabular.contrasts import (
    FEWEST,
    Contrast,
    Learned,
    chosen_contrasts,
    contrasts,
    crossed,
    day_of_month,
    distance,
    halves,
    log_terms,
    numerals,
)
from vael.tables.schema import Column, ColumnKind, Schema

NAN = math.nan
SCHEMA = Schema(
    (
        Column("price", ColumnKind.REAL, decimals=2),
        Column("rate", ColumnKind.REAL),
        Column("day", ColumnKind.DATE),
        Column("bill", ColumnKind.CATEGORICAL, levels=("AT", "CH", "DE")),
        Column("send", ColumnKind.CATEGORICAL, levels=("DE", "XX", "AT")),
        Column("count", ColumnKind.ORDINAL, levels=("5%", " 10", "20")),
    )
)


def table(rows, seed=0):
    r = np.random.default_rng(seed)
    price, rate, day = r.integers(1, 5000, rows) / 100, r.normal(size=rows), 18262 + r.integers(0, 400, rows) + 0.25
    return [price, rate, day, *(r.integers(0, 3, rows).astype(float) for _ in "abc")]


def named(schema, first, second):
    """Every contrast by its name; equal names in a list."""
    found: dict[str, list[Contrast]] = {}
    for one in contrasts(schema, Learned(halves(first), halves(second))):
        found.setdefault(one.name, []).append(one)
    return found


@pytest.fixture(scope="module")
def made():
    return named(SCHEMA, table(240, 1), table(240, 2))


ROWS = [
    np.array([12.34, -0.5, 7.0]),
    np.array([2.0, 0.0, NAN]),
    np.array([18262.25, 18292.5, NAN]),
    np.array([0.0, 2.0, NAN]),
    np.array([2.0, 0.0, 1.0]),
    np.array([1.0, 0.0, 2.0]),
]


def values(one, half=0):
    return one.values(ROWS, half).tolist()


def same(found, expected):
    np.testing.assert_allclose(np.array(found, dtype=float), np.array(expected, dtype=float), rtol=0, atol=1e-9)


def test_single_columns_give_away_digits_days_and_gaps(made):
    same(values(made["the number of gaps"][0]), [0, 0, 3])
    same(values(made["what is behind the point of `price`"][0]), [0.34, 0.5, 0])
    assert len(made["the last digits of `price`"]) == 4
    for one, base in zip(made["the last digits of `price`"], (8, 10, 100, 1000), strict=True):
        same(values(one), [1234 % base, 50 % base, 700 % base])
    for one, base in zip(made["the last digits of `rate`"], (10, 100), strict=True):
        same(values(one), [2 % base, 0, NAN])
    same(values(made["the weekday of `day`"][0]), [18262 % 7, 18292 % 7, NAN])
    same(values(made["the time of day of `day`"][0]), [0.25, 0.5, NAN])
    same(values(made["the day of the month of `day`"][0]), [1, 31, NAN])  # 2020-01-01 and 2020-01-31
    same(day_of_month(np.array([-1.0, 1e9, math.inf])), [31, 1, NAN])
    assert made["the weekday of `day`"][0].columns == (2,)


def test_levels_that_are_numerals_are_numbers_too(made):
    same(numerals(("5%", " 10", "20")), [5, 10, 20])
    assert numerals(("5", "five")) is None
    for one, base in zip(made["the last digits of `count`"], (8, 10, 100, 1000), strict=True):
        same(values(one), [10 % base, 5 % base, 20 % base])
    assert "the last digits of `bill`" not in made


def test_two_numbers_give_difference_sum_ratio_and_product(made):
    same(values(made["`rate` − `price`"][0]), [-10.34, 0.5, NAN])  # what has most values comes first
    same(values(made["`rate` + `price`"][0]), [14.34, -0.5, NAN])
    same(values(made["`rate` × `price`"][0]), [24.68, 0, NAN])
    same(values(made["`rate` / `price`"][0]), [round(2 / 12.34, 9), 0, NAN])


def test_levels_give_away_combinations_and_equal_words(made):
    same(values(made["`bill` = `send`"][0]), [1, 1, 0])
    assert "`bill` = `count`" not in made
    assert {(one.columns) for name, ones in made.items() if " with `" in name for one in ones} == {
        (3, 4),
        (3, 5),
        (4, 5),
    }


def test_odds_count_what_the_other_tables_half_has():
    """Halves are every other row: of `a` the first table has 3 and 1, the second 1 and 0; (count + ½) / (count + ½)."""
    schema = Schema((Column("x", ColumnKind.REAL), Column("y", ColumnKind.CATEGORICAL, levels=("p", "q"))))
    first = [np.array([7.0, 7, 7, 1, 7, 2]), np.array([0.0, 0, 0, 1, 0, 1])]
    second = [np.array([7.0, 3, 4, 5, 6, 8]), np.array([0.0, 1, 1, 1, 1, 1])]
    found = named(schema, first, second)
    asked = [np.array([7.0, 9.0, NAN]), np.array([0.0, 1.0, 0.0])]
    same(found["single values of `x`"][0].values(asked, 0), np.log([3.5 / 1.5, 1, 1]))
    same(found["single values of `x`"][0].values(asked, 1), np.log([1.5 / 0.5, 1, 1]))
    same(found["repeated rows"][0].values(asked, 0), np.log([3.5 / 1.5, 1, 1]))
    same(found["repeated rows"][0].values(asked, 1), np.log([1.5 / 0.5, 1, 1]))


def test_a_gap_is_no_number_and_both_zeros_are_one_where_values_and_rows_are_counted():
    """Rows and single values; a gap, a zero, a number too large for nobody and infinity are four things."""
    schema = Schema((Column("x", ColumnKind.REAL), Column("y", ColumnKind.REAL)))
    first = [np.array([0.0, NAN, -0.0, NAN] * 3), np.zeros(12)]
    second = [np.array([NAN, 0.0, 1.0, 0.0] * 3), np.zeros(12)]
    found = named(schema, first, second)
    asked = [np.array([0.0, -0.0, NAN, 1.0]), np.array([0.0, -0.0, 0.0, 0.0])]
    for name in ("single values of `x`", "repeated rows"):
        same(found[name][0].values(asked, 0), np.log([6.5 / 0.5, 6.5 / 0.5, 0.5 / 3.5, 0.5 / 3.5]))
        same(found[name][0].values(asked, 1), np.log([0.5 / 6.5, 0.5 / 6.5, 6.5 / 0.5, 1]))


def test_a_contrast_is_of_the_columns_that_it_says_and_of_no_others(made):
    """It names them, no other column changes it, and each of them does for some rows."""
    cells, other = table(240, 3), table(240, 1)  # what was learned from, so that its values are known
    cells[0][:5], cells[5][:5] = NAN, NAN
    other[2][::3] += 0.125
    for ones in made.values():
        for one in ones:
            known = one.values(cells, 0)
            foreign = [x if place in one.columns else y for place, (x, y) in enumerate(zip(cells, other, strict=True))]
            np.testing.assert_array_equal(one.values(foreign, 0), known)
            named_columns = [place for place, column in enumerate(SCHEMA.columns) if f"`{column.name}`" in one.name]
            assert set(named_columns) <= set(one.columns)
            if len(named_columns) == len(one.columns) and " given " not in one.name:  # medians of levels may be equal
                for place in one.columns:
                    moved = [y if place == at else x for at, (x, y) in enumerate(zip(cells, other, strict=True))]
                    assert not np.array_equal(one.values(moved, 0), known, equal_nan=True)


def test_combinations_of_levels_are_counted_in_each_half():
    schema = Schema(
        (
            Column("x", ColumnKind.CATEGORICAL, levels=("p", "q")),
            Column("y", ColumnKind.CATEGORICAL, levels=("r", "s", "t")),
        )
    )
    first = [np.array([0.0, 1, 0, 1, 0, 1]), np.array([2.0, 0, 2, 0, 1, 1])]
    second = [np.array([0.0, 1, 0, 1, 1, 1]), np.array([1.0, 0, 0, 0, 2, 0])]
    one = named(schema, first, second)["`x` with `y`"][0]
    asked = [np.array([0.0, 1.0, 0.0, 1.0]), np.array([2.0, 0.0, 1.0, NAN])]
    same(one.values(asked, 0), np.log([2.5 / 0.5, 1, 1.5 / 1.5, 1]))
    same(one.values(asked, 1), np.log([1, 2.5 / 3.5, 1, 1]))


def test_a_number_given_a_level_is_what_differs_from_the_median_of_real_rows(made):
    real = table(240, 2)
    for half in (0, 1):
        cells = halves(real)[half]
        medians = [np.median(cells[0][cells[3] == level]) for level in range(3)]
        same(values(made["`price` given `bill`"][0], half), [12.34 - medians[0], -0.5 - medians[2], NAN])
    assert "`count` given `count`" not in made
    assert made["`price` given `bill`"][0].columns == (0, 3)


@pytest.mark.parametrize("kind", ["sum", "product"])
def test_a_formula_leaves_nothing_over_where_it_holds(kind):
    r = np.random.default_rng(0)
    a, b, share = r.uniform(1, 9, 300), r.uniform(1, 9, 300), r.uniform(0, 0.5, 300)
    y = 1 + 2 * a - 3 * b + 0.5 * a * b if kind == "sum" else 3 * a / b * (1 - share)
    schema = Schema(tuple(Column(name, ColumnKind.REAL) for name in "yabs"))
    cells = [y, a, b, share if kind == "product" else r.uniform(1, 2, 300)]
    one = named(schema, cells, cells)[f"`y` less what a {kind} of other numbers gives"][0]
    for half in (0, 1):
        assert np.abs(one.values(cells, half)).max() < 1e-9
        broken = one.values([y * 1.1, *cells[1:]], half)
        same(broken, 0.1 * y if kind == "sum" else np.full(300, math.log(1.1)))
    few = [cell[:100] for cell in cells]  # 50 real rows for a constant and six terms, or five, are too few
    assert f"`y` less what a {kind} of other numbers gives" not in named(schema, few, few)


def test_logarithms_are_taken_of_what_is_positive_and_of_shares_and_percentages():
    half, percent = np.array([0.2, 0.5]), np.array([0.0, 50.0])
    same(log_terms([half], [half]), [np.log(half), np.log1p(-half), np.log1p(half)])
    same(log_terms([percent], [percent]), [np.log1p(-percent / 100), np.log1p(percent / 100)])
    same(log_terms([np.array([2.0, -1.0])], [np.array([2.0, 300.0])]), [[math.log(2), NAN]])
    assert log_terms([np.array([1.0])], [np.array([NAN])]) == []
    assert log_terms([np.array([1.0])], [np.array([-1.0, 200.0])]) == []
    same(log_terms([np.array([150.0, -150.0])], [percent]), [[NAN, math.log(2.5)], [math.log(2.5), NAN]])


def test_the_distance_is_that_of_kolmogorov_and_smirnov_and_gaps_lie_on_top():
    r = np.random.default_rng(3)
    x, y = r.integers(0, 9, 50).astype(float), r.integers(2, 12, 70).astype(float)
    assert distance(x, y) == pytest.approx(ks_2samp(x, y).statistic)
    assert distance(np.array([1.0, NAN]), np.array([1.0, 2.0])) == pytest.approx(0.5)
    assert distance(np.array([NAN, NAN]), np.array([NAN, 5.0])) == pytest.approx(0.5)
    assert distance(x, x) == 0


def test_rows_are_read_by_what_the_other_half_taught():
    told = Contrast("which half", (0,), lambda cells, half: np.full(len(cells[0]), float(half)))
    assert crossed(told, [np.zeros(5)]).tolist() == [1, 0, 1, 0, 1]


def test_what_differs_most_is_kept_and_what_differs_by_chance_is_not(monkeypatch):
    first, second = table(400, 1), table(400, 2)
    second[0] = np.round(second[0])
    kept = chosen_contrasts(SCHEMA, first, second)
    assert "behind the point of `price`" in kept[0].name
    apart = [distance(crossed(one, first), crossed(one, second)) for one in kept]
    assert apart == sorted(apart, reverse=True)
    assert min(apart) > 1.63 * math.sqrt(2 / 400)
    monkeypatch.setattr(room, "KEPT", 3)
    assert [one.name for one in chosen_contrasts(SCHEMA, first, second)] == [one.name for one in kept[:3]]
    assert (
        len(chosen_contrasts(SCHEMA, table(400, 3), table(400, 4))) <= 3
    )  # some hundred contrasts, one in a hundred by chance
    few = [cell[: FEWEST - 1] for cell in first]
    assert chosen_contrasts(SCHEMA, few, second) == chosen_contrasts(SCHEMA, first, few) == []


def test_only_so_many_columns_are_looked_at_in_pairs(monkeypatch):
    """Of the numbers those with most values; a column of one level is in no pair."""
    schema = Schema((*SCHEMA.columns, Column("one", ColumnKind.CATEGORICAL, levels=("only",))))
    cells = [*table(240, 1), np.zeros(240)]
    assert not any("`one`" in name and " with " in name for name in named(schema, cells, cells))
    monkeypatch.setattr(room, "NUMBERS", 2)
    names = named(SCHEMA, table(240, 1), table(240, 2))
    assert sum(" + " in name for name in names) == 1
    assert not any("`count`" in name and "+" in name for name in names)
    monkeypatch.setattr(room, "LEVELED", 1)
    assert not any(" with " in name for name in named(SCHEMA, table(240, 1), table(240, 2)))
