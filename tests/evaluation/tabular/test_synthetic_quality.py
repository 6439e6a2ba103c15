"""Judges of synthetic tables on cases whose answer is known: equal laws, copies, shifts, overfitting; the area
under the curve by brute force.
"""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.metrics import f1_score, roc_auc_score

from vael.errors import ShapeError, SupportError
from vael.evaluation.tabular.efficacy import (
    FeatureEncoder,
    Task,
    efficacy,
    f1,
    learnable_target,
    quick_learners,
    sdgym_learners,
    task_of,
)
from vael.evaluation.tabular.privacy import (
    ALARM,
    CHECKS,
    bound_attack,
    closeness_attack,
    closest_records,
    copied,
    positions,
)
from vael.evaluation.tabular.ranking import ranked_apart
from vael.evaluation.tabular.synthetic import JudgedTables, SyntheticSettings, judge_synthetic
from vael.evaluation.tabular.two_sample import two_sample_test
from vael.tables.schema import Column, ColumnKind, Schema

SCHEMA = Schema(
    (
        Column("size", ColumnKind.REAL, missing=True),
        Column("colour", ColumnKind.CATEGORICAL, levels=("red", "green", "blue")),
        Column("gain", ColumnKind.COUNT, minimum=0.0, maximum=9000.0),
        Column("rich", ColumnKind.BOOLEAN, levels=("no", "yes")),
    )
)


def law(rows: int, seed: int, dependent: bool = True) -> torch.Tensor:
    """`rich` follows from size and colour with noise; `gain` is mostly zero."""
    rng = np.random.default_rng(seed)
    size, colour = rng.normal(size=rows), rng.integers(0, 3, rows)
    gain = np.where(rng.random(rows) < 0.7, 0, rng.integers(1, 9000, rows))
    rich = size + (colour == 2) + 0.3 * rng.normal(size=rows) > 0.8
    if not dependent:
        rich = rng.permutation(rich)
    size[rng.random(rows) < 0.1] = np.nan
    return torch.tensor(np.stack([size, colour, gain, rich], 1), dtype=torch.float32)


def test_the_area_is_the_share_of_pairs_and_its_errors_are_right() -> None:
    rng = np.random.default_rng(1)
    x, y = np.round(rng.normal(0.5, 1, 40), 1), np.round(rng.normal(0, 1, 60), 1)
    found = ranked_apart(x, y)
    assert found.auc == pytest.approx(np.mean((x[:, None] > y) + 0.5 * (x[:, None] == y)), abs=1e-12)
    assert found.auc == pytest.approx(roc_auc_score([1] * 40 + [0] * 60, np.concatenate((x, y))))
    exact = scipy.stats.mannwhitneyu(x, y, alternative="greater", use_continuity=False, method="asymptotic")
    assert found.p_value == pytest.approx(exact.pvalue, rel=1e-9)
    draws = [ranked_apart(rng.normal(0.5, 1, 40), rng.normal(0, 1, 60)).auc for _ in range(400)]
    assert found.standard_error == pytest.approx(
        np.std(draws), rel=0.25
    )  # a deviation from 400 draws is known to 3.5 %, DeLong's to 10 %


def test_equal_scores_rank_nothing() -> None:
    found = ranked_apart(np.zeros(5), np.zeros(7))
    assert (found.auc, found.null_error, found.deviations, found.p_value) == (0.5, 0.0, 0.0, 0.5)
    with pytest.raises(ShapeError, match="at least two"):
        ranked_apart(np.zeros(1), np.zeros(7))
    with pytest.raises(SupportError, match="1 scores are NaN"):
        ranked_apart(np.array([0.0, np.nan]), np.zeros(7))


def test_equal_laws_are_not_told_apart_and_the_null_distribution_is_the_one_stated() -> None:
    """Of 20 pairs of tables of one law the standardised AUC has mean 0 ± 4/√20 and all lie within 4: false alarms 1
    in 5,000.
    """
    found = [
        two_sample_test(SCHEMA, law(120, 2 * seed), law(120, 2 * seed + 1), telling=False).found.deviations
        for seed in range(20)
    ]
    assert abs(np.mean(found)) < 4 / math.sqrt(20)
    assert max(map(abs, found)) < 4
    assert 0.4 < np.std(found) < 1.8  # chi-square with 19 degrees of freedom: beyond in fewer than 1 of 10,000


def test_tables_that_differ_are_told_apart_by_the_columns_that_differ() -> None:
    x, y = law(600, 0), law(600, 1)
    y[:, 2] = (y[:, 2] / 10).round() * 10 + 5  # another last digit, never zero
    found = two_sample_test(SCHEMA, x, y)
    assert found.found.auc > 0.8
    assert found.telling[0][0] == "gain"
    assert found == two_sample_test(SCHEMA, x, y)
    broken = two_sample_test(SCHEMA, law(2000, 3, dependent=False), law(2000, 4), telling=False)
    assert broken.found.deviations > 8  # every marginal is right; only the dependence is not
    assert "1/2 ±" in str(broken)
    with pytest.raises(ShapeError, match="at least 8"):
        two_sample_test(SCHEMA, x[:5], y)


def test_features_are_those_of_sdgym() -> None:
    train = law(300, 5)
    made = FeatureEncoder(SCHEMA, 3, train)(train)
    known = train[:, 0][~train[:, 0].isnan()].double().numpy()
    assert made.x.shape == (300, 2 + 3 + 1)  # number with its gap, one-hot, logarithm
    seen = ~train[:, 0].isnan().numpy()
    np.testing.assert_allclose(made.x[seen, 0], (known - known.min()) / (known.max() - known.min()) * 5)
    np.testing.assert_array_equal(made.x[:, 1], ~seen)
    np.testing.assert_array_equal(made.x[:, 2:5].argmax(1), train[:, 1].numpy())
    np.testing.assert_allclose(made.x[:, 5], np.log(np.maximum(train[:, 2].double().numpy(), 0.01)))


@pytest.mark.parametrize("learners", [quick_learners, sdgym_learners])
def test_the_same_law_teaches_as_much_and_a_broken_one_nothing(learners) -> None:
    """Accuracy on 600 rows has standard error 0.014; the bounds are 4 of the difference of two or more."""
    train, test = law(600, 6), law(600, 7)
    good = efficacy(SCHEMA, "rich", law(600, 8), train, test, learners=learners)
    bad = efficacy(SCHEMA, "rich", law(600, 9, dependent=False), train, test, learners=learners)
    assert good.task is Task.BINARY
    assert good.value[0] == pytest.approx(good.value[1], abs=0.06)
    assert good.value[1] > 0.85
    assert bad.value[0] < good.value[1] - 0.15
    assert bad.f1[0] < good.f1[1] - 0.2
    assert good == efficacy(SCHEMA, "rich", law(600, 8), train, test, learners=learners)


def test_classes_and_numbers_are_predicted_too() -> None:
    train, test = law(400, 10), law(400, 11)
    classes = efficacy(SCHEMA, "colour", train, train, test, learners=sdgym_learners)
    assert classes.task is Task.CLASSES
    assert classes.value[0] == classes.value[1]  # synthetic rows that are the real ones
    number = efficacy(SCHEMA, "size", train, train, test, learners=sdgym_learners)
    assert number.measure == "R²"
    assert number.value[0] == number.value[1] > 0.2
    assert math.isnan(number.f1[0])
    assert [task_of(column) for column in SCHEMA.columns] == [Task.NUMBER, Task.CLASSES, Task.NUMBER, Task.BINARY]


def test_f1_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    truth, told = rng.integers(0, 2, 50).astype(float), rng.integers(0, 2, 50).astype(float)
    assert f1(truth, told, 1.0) == pytest.approx(f1_score(truth, told))
    assert f1(np.zeros(3), np.zeros(3), 1.0) == 0.0


def test_a_target_that_cannot_be_learned_is_refused() -> None:
    x = law(50, 0)
    with pytest.raises(SupportError, match="no column 'wealth' to predict; the columns are size, colour"):
        efficacy(SCHEMA, "wealth", x, x, x)
    constant = x.clone()
    constant[:, 3] = 1.0
    with pytest.raises(SupportError, match="one value only"):
        efficacy(SCHEMA, "rich", x, constant, constant)
    assert efficacy(SCHEMA, "rich", constant, x, law(50, 1)).synthetic[0].value == pytest.approx(
        (law(50, 1)[:, 3] == 1).float().mean()
    )
    empty = x.clone()
    empty[5:, 3] = torch.nan
    with pytest.raises(ShapeError, match="5 rows have a target"):
        efficacy(SCHEMA, "rich", empty, x, x)


def test_distances_are_the_sum_over_columns() -> None:
    train = torch.tensor([[0.0, 0, 0, 0], [1, 1, 10, 0], [2, 2, 20, 1], [3, 0, 30, 1]])
    rows = torch.tensor([[0.0, 0, 0, 0], [3.0, 2, 0, 0], [torch.nan, 0, 0, 0]])
    at = positions(SCHEMA, rows, train)
    place = {0: 1 / 8, 3: 7 / 8}  # mid-ranks of four values that differ
    assert ((at[0] - at[1]) ** 2).sum() == pytest.approx((place[3] - place[0]) ** 2 + 1)
    assert ((at[0] - at[2]) ** 2).sum() == pytest.approx(1 + (0.5 - place[0]) ** 2)


def test_equal_laws_are_as_close_to_training_as_to_held_out_rows_with_the_error_stated() -> None:
    """Standardised shares of 30 independent triples: mean 0 ± 4/√30, none beyond 4.5; false alarms below 1 in 5,000."""
    found = [
        closest_records(SCHEMA, law(80, 3 * seed), law(80, 3 * seed + 1), law(80, 3 * seed + 2)).deviations
        for seed in range(30)
    ]
    assert abs(np.mean(found)) < 4 / math.sqrt(30)
    assert max(map(abs, found)) < 4.5
    assert 0.5 < np.std(found) < 1.6


def test_copies_of_training_rows_are_flagged() -> None:
    train, holdout = law(300, 1), law(300, 2)
    fresh = law(300, 3)
    leaking = torch.cat((train[:150], fresh[:150]))
    found, clean = (closest_records(SCHEMA, one, train, holdout) for one in (leaking, fresh))
    assert found.copies >= 0.5
    assert found.holdout_copies == copied(holdout, train) < 0.2
    assert found.share_closer > 0.65
    assert found.suspicious
    assert not clean.suspicious
    assert found.quantiles[-1][1] < clean.quantiles[-1][1]
    attack, blind = (closeness_attack(SCHEMA, one, train, holdout) for one in (leaking, fresh))
    assert attack.suspicious
    assert attack.found.auc > 0.65
    assert not blind.suspicious


@pytest.mark.parametrize("name", ["p_value", "copies_p_value"])
def test_the_alarm_is_for_less_than_its_share_of_fresh_tables(name) -> None:
    """At that share itself it is silent, whichever of the two checks."""
    tables = law(60, 1), law(60, 2), law(60, 3)
    found = replace(closest_records(SCHEMA, *tables), p_value=1.0, copies_p_value=1.0)
    edge = ALARM / CHECKS
    for p, alarm in ((edge, False), (0.99 * edge, True)):
        assert replace(found, **{name: p}).suspicious is alarm


def test_near_copies_are_flagged_too() -> None:
    train, holdout = law(300, 4), law(300, 5)
    noisy = train.clone()
    noisy[:, 0] += 1e-3
    found = closest_records(SCHEMA, noisy, train, holdout)
    assert found.copies < 0.2
    assert found.suspicious


def test_gaps_and_signs_of_zero_do_not_hide_a_copy() -> None:
    x = torch.tensor([[torch.nan, 1.0], [0.0, 2.0], [3.0, 4.0]])
    assert copied(torch.tensor([[torch.nan, 1.0], [-0.0, 2.0], [3.0, 5.0], [9.0, 9.0]]), x) == 0.5


def test_bounds_that_favour_training_rows_give_membership_away() -> None:
    generator = torch.Generator().manual_seed(0)
    train, holdout = torch.randn(400, generator=generator), torch.randn(400, generator=generator)
    assert not bound_attack(train, holdout).suspicious
    found = bound_attack(train + 1, holdout)
    assert found.suspicious
    assert found.found.auc == pytest.approx(0.5 * (1 + math.erf(0.5)), abs=4 * found.found.standard_error)  # Φ(1/√2)
    assert "bound" in str(found)


def test_everything_at_once() -> None:
    tables = JudgedTables(SCHEMA, law(200, 1), law(200, 2), law(200, 3))
    found = judge_synthetic(tables, bounds=(torch.zeros(5), torch.ones(5)))
    assert found.efficacy is not None
    assert found.efficacy.target == "rich"
    assert found.violations == ()
    assert found.marginal < 0.12
    assert found.worst is not None
    assert found.bound is not None
    assert found.bound.found.auc == 0.0
    assert found.rows == (200, 200, 200)
    with pytest.raises(SupportError, match="no column 'x'"):
        judge_synthetic(tables, SyntheticSettings(target="x"))
    with pytest.raises(ShapeError, match=r"holdout table has shape \(5, 4\); expected at least 20 rows of 4 columns"):
        JudgedTables(SCHEMA, law(200, 1), law(200, 2), law(5, 3))


@pytest.mark.parametrize("place", range(3))
def test_tables_are_of_twenty_rows_or_more_and_as_wide_as_their_schema(place) -> None:
    """20 rows of each table are taken and 19 of any are not, nor a column more or less than the schema has."""
    width, name = len(SCHEMA.columns), ("synthetic", "train", "holdout")[place]

    def tables(rows, columns):
        three = [torch.zeros(20, columns)] * 3
        three[place] = torch.zeros(rows, columns)
        return JudgedTables(SCHEMA, *three)

    assert tables(20, width).schema is SCHEMA
    with pytest.raises(ShapeError, match=rf"the {name} table has shape \(19, {width}\); expected at least 20 rows"):
        tables(19, width)
    for columns in (width - 1, width + 1):
        with pytest.raises(ShapeError, match=rf"has shape \(20, {columns}\); expected .* rows of {width} columns"):
            tables(20, columns)


def test_targets_are_asked_from_the_last_column_with_few_levels_to_the_first_column(monkeypatch) -> None:
    """Columns of 2 to 20 levels before all others, the last first, so many at most; each by one half of the rows
    that the other judges.
    """
    asked = []

    def refused(schema, target, synthetic, train, test, **how):
        asked.append((target, len(synthetic), len(train), len(test)))
        raise ShapeError("nothing to learn")

    def levels(name, count):
        return Column(name, ColumnKind.CATEGORICAL, levels=tuple(map(str, range(count))))

    monkeypatch.setattr("vael.evaluation.tabular.efficacy.efficacy", refused)
    schema = Schema(
        (
            levels("a", 2),
            Column("b", ColumnKind.REAL),
            levels("c", 40),
            levels("d", 3),
            Column("e", ColumnKind.COUNT),
            levels("f", 2),
        )
    )
    assert learnable_target(schema, torch.zeros(31, 6)) is None
    assert asked == [(name, 15, 15, 16) for name in ("f", "d", "a", "e", "c", "b")]
    asked.clear()
    monkeypatch.setattr("vael.evaluation.tabular.efficacy.MOST_PROBED", 4)
    learnable_target(schema, torch.zeros(31, 6))
    assert [name for name, *_ in asked] == ["f", "d", "a", "e"]


def test_one_column_is_judged_without_a_prediction() -> None:
    schema = Schema((Column("age", ColumnKind.REAL),))
    rows = [torch.randn(60, 1, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    found = judge_synthetic(JudgedTables(schema, *rows))
    assert found.efficacy is None
    assert "Nothing was predicted" in found.notes[0]
    assert found.associations.largest is None


def test_a_wide_table_is_judged_by_its_first_pairs() -> None:
    schema = Schema(tuple(Column(f"x{place}", ColumnKind.REAL) for place in range(120)))
    found = judge_synthetic(
        JudgedTables(
            schema, *(torch.randn(40, 120, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
        )
    )
    assert found.associations.first.matrix.shape == (64, 64)
    assert any("first 64 of 120 columns" in note for note in found.notes)
    assert found.two_sample.telling == ()


SLOWLY = pytest.mark.slow


@pytest.mark.parametrize("seen", [0, pytest.param(1, marks=SLOWLY), 2, pytest.param(3, marks=SLOWLY)])
@pytest.mark.parametrize(
    "where",
    ["synthetic", *(pytest.param(one, marks=SLOWLY) for one in ("train", "holdout", "train synthetic holdout"))],
)
def test_a_column_of_gaps_is_judged_like_any_other(where, seen):
    """Whichever table has it, and wherever in it the few cells that were seen stand; in silence."""
    schema = Schema(tuple(replace(column, missing=True) for column in SCHEMA.columns))
    for place in range(len(schema.columns)):
        tables = {name: law(60, seed) for seed, name in enumerate(("train", "synthetic", "holdout"))}
        for name in where.split():
            tables[name][seen:, place] = math.nan
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = two_sample_test(schema, tables["synthetic"], tables["holdout"])
            judge_synthetic(JudgedTables(schema, **tables), SyntheticSettings())
        assert 0 <= found.found.auc <= 1
