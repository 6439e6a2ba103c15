"""What learners have learned, by the definitions: areas pair by pair, correlations of scikit-learn and SciPy,
errors by hand.
"""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr, ttest_ind
from sklearn.metrics import r2_score, roc_auc_score

from vael.evaluation.skill import (
    FEWEST,
    SkillTold,
    area_and_parts,
    classes_judged,
    lost,
    null_error,
    skill_of_classes,
    skill_of_numbers,
    standard_error,
)
from vael.evaluation.tabular.signs import sign_p_value

FOLDS = (0.9, 0.8, 0.7), (0.6, 0.5, 0.55)


def draws(seed=0):
    return np.random.default_rng(seed)


def told(real, synthetic, folds=((), ())):
    return SkillTold(real, synthetic, folds)


def shares(hit, score):
    """Of each row, the share of the other side that lies on the right side of it, ties half: pair by pair."""
    right = (score[:, None] > score[None]) + 0.5 * (score[:, None] == score[None])
    return np.array([right[i, ~hit].mean() if hit[i] else right[hit, i].mean() for i in range(len(hit))])


@pytest.mark.parametrize("ties", [False, True])
def test_an_area_is_that_of_all_pairs_and_its_error_delongs(ties):
    r = draws()
    hit = r.random(60) < 0.3
    score = r.normal(size=60) + hit
    score = score.round() if ties else score
    area, parts = area_and_parts(hit[:, None], score[:, None])
    assert area == pytest.approx(roc_auc_score(hit, score))
    share = shares(hit, score)
    assert standard_error(parts) == pytest.approx(
        math.sqrt(share[hit].var() / hit.sum() + share[~hit].var() / (~hit).sum())
    )


def test_several_classes_have_the_mean_of_their_areas_and_errors_that_go_together():
    r = draws(1)
    truth, scores = r.integers(0, 3, 80), r.normal(size=(80, 3))
    hits = truth[:, None] == np.arange(3)
    area, parts = area_and_parts(hits, scores)
    each = [area_and_parts(hits[:, [k]], scores[:, [k]]) for k in range(3)]
    assert area == pytest.approx(np.mean([one for one, _ in each]))
    np.testing.assert_allclose(parts, np.mean([part for _, part in each], axis=0))


def test_the_error_without_skill_is_that_of_mann_and_whitney():
    """√((m + n + 1) / (12 m n)); 200 permutations know it to 5 %, asked for are 20 %."""
    hits = (np.arange(90) < 30)[:, None]
    assert null_error(hits, draws(2).normal(size=(90, 1))) == pytest.approx(math.sqrt(91 / (12 * 30 * 60)), rel=0.2)


def test_skill_of_classes_by_hand():
    r = draws(3)
    truth = r.integers(0, 3, 120)
    real, synthetic = np.eye(3)[truth] + r.normal(size=(120, 3)), np.eye(3)[truth] + 2 * r.normal(size=(120, 3))
    parts = tuple(tuple(real + 0.5 * r.normal(size=(120, 3)) for _ in range(3)) for _ in "ab")
    found = skill_of_classes(truth, np.arange(3), told(real, synthetic, parts))
    hits = truth[:, None] == np.arange(3)
    areas = [np.mean([roc_auc_score(hits[:, k], said[:, k]) for k in range(3)]) for said in (real, synthetic)]
    null = null_error(hits, real)
    assert (found.real, found.synthetic) == pytest.approx(tuple(areas))
    assert found.lost == pytest.approx(areas[0] - areas[1])
    assert found.deviations == pytest.approx((areas[0] - 0.5) / null)
    assert found.ceiling == pytest.approx(areas[0] + 2 * max(standard_error(area_and_parts(hits, real)[1]), null))
    folds = [[np.mean([roc_auc_score(hits[:, k], one[:, k]) for k in range(3)]) for one in part] for part in parts]
    expected = lost(area_and_parts(hits, real)[1] - area_and_parts(hits, synthetic)[1], folds)
    assert (found.lost_error, found.lost_p_value) == pytest.approx(expected)
    nothing = skill_of_classes(truth, np.arange(3), told(np.zeros((120, 3)), np.zeros((120, 3))))
    assert (nothing.real, nothing.deviations, nothing.lost, nothing.lost_error, nothing.lost_p_value) == (
        0.5,
        0.0,
        0.0,
        math.inf,
        1.0,
    )


def test_classes_with_few_rows_are_not_judged_and_of_two_the_rarer_is():
    truth = np.repeat([0, 1, 2, 3], [FEWEST, FEWEST - 1, 20, 20])
    assert classes_judged(truth, np.arange(4)) == [2, 3, 0]  # the commonest first, equal ones as they come
    assert classes_judged(np.repeat([0, 1], [20, 8]), np.arange(2)) == [1]
    assert classes_judged(np.repeat([0, 1], [20, FEWEST - 1]), np.arange(2)) == []
    assert classes_judged(np.repeat([0, 1, 2], [20, FEWEST - 1, 0]), np.arange(3)) == []
    assert classes_judged(np.repeat(np.arange(23), 30), np.arange(23)) == list(range(20))
    assert skill_of_classes(np.zeros(9), np.arange(2), told(np.zeros((9, 2)), np.zeros((9, 2)))) is None


def test_skill_of_numbers_by_hand():
    r = draws(4)
    truth = r.normal(size=70)
    real, synthetic = (truth + scale * r.normal(size=70) for scale in (0.5, 1.5))
    parts = tuple(tuple((truth + r.normal(size=70))[:, None] for _ in range(3)) for _ in "ab")
    found = skill_of_numbers(truth, told(real[:, None], synthetic[:, None], parts), (-1.0, 1.2))
    at = [said.clip(-1.0, 1.2) for said in (real, synthetic)]
    assert (found.measure, found.real, found.synthetic) == (
        "R²",
        pytest.approx(r2_score(truth, at[0])),
        pytest.approx(r2_score(truth, at[1])),
    )
    together = spearmanr(truth, real).statistic
    assert found.deviations == pytest.approx(together * math.sqrt(69))
    assert found.ceiling == pytest.approx(together + 2 / math.sqrt(69))
    assert found.lost == pytest.approx(found.real - found.synthetic)
    errors = [(truth - one) ** 2 / truth.var() for one in at]
    folds = [[r2_score(truth, one[:, 0].clip(-1.0, 1.2)) for one in part] for part in parts]
    assert (found.lost_error, found.lost_p_value) == pytest.approx(lost(errors[1] - errors[0], folds))
    same = skill_of_numbers(np.ones(9), told(np.ones((9, 1)), np.ones((9, 1))), (0.0, 2.0))
    assert (same.real, same.deviations) == (1.0, 0.0)


def test_a_loss_is_judged_by_students_t_and_both_errors_add():
    parts = draws(5).normal(size=50)
    error, p = lost(parts, FOLDS)
    assert p == pytest.approx(ttest_ind(*FOLDS, alternative="greater").pvalue)
    scatter = math.sqrt((np.var(FOLDS[0], ddof=1) + np.var(FOLDS[1], ddof=1)) / 2)
    assert error == pytest.approx(math.hypot(parts.std() / math.sqrt(50), scatter * math.sqrt(2 / 3)))
    assert lost(parts, ((0.5,), (0.4,))) == (math.inf, 1.0)


@pytest.mark.parametrize(("total", "p"), [(-4, 1.0), (-3, 1.0), (-2, 7 / 8), (0, 4 / 8), (3, 1 / 8), (4, 0.0)])
def test_sums_of_random_signs_at_and_beyond_their_ends(total, p):
    assert sign_p_value(np.array([1, 1, 1]), total) == pytest.approx(p)
