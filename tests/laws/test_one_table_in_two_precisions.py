"""The same rows are the same rows in whatever precision or container they come: scores, p-values and decisions are
equal bit for bit.
"""

import numpy as np
import pandas as pd
import pytest

from vael.estimators import VAEOutlierDetector


def tables():
    """Rows that repeat and rows that do not, of numbers that float32 holds exactly, nearly, and not at all."""
    draw = np.random.default_rng(0)
    return {
        "binary": (draw.random((400, 4)) < 0.3).astype(float),
        "tenths": draw.integers(1, 6, (400, 2)) / 10,
        "states": draw.normal(0, 1, (6, 3))[draw.integers(0, 6, 400)],
        "continuous": draw.normal(5, 2, (400, 3)),
    }


NAMES = tuple(tables())


@pytest.fixture(scope="module", params=NAMES)
def fitted(request):
    x = tables()[request.param]
    return x, VAEOutlierDetector(max_iter=2, random_state=0).fit(x)


FORMS = {
    "float32": lambda x: x.astype(np.float32),
    "a list": lambda x: x.tolist(),
    "columns first": np.asfortranarray,
    "backwards": lambda x: x[::-1].copy()[::-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_equal_rows_get_equal_scores_p_values_and_decisions(fitted, form):
    x, detector = fitted
    other = FORMS[form](x)
    for name in ("score_samples", "p_values", "predict"):
        assert np.array_equal(getattr(detector, name)(x), getattr(detector, name)(other)), name


def test_fresh_rows_are_flagged_as_often_as_promised_where_rows_repeat(fitted):
    """P(p <= 0.05) is at most 0.05 on average; of 360 rows and 40 that calibrate the share has a deviation of
    √(0.05 · 0.95 (1/40 + 1/360)) = 0.038: four of those (false alarm below 1e-4 each)."""
    x, detector = fitted
    assert (detector.predict(x) == -1).mean() < 0.05 + 4 * 0.038


def test_a_mixed_frame_in_two_precisions():
    draw = np.random.default_rng(1)
    frame = pd.DataFrame({"level": draw.choice(["a", "b"], 120), "tenth": draw.integers(0, 9, 120) / 10})
    detector = VAEOutlierDetector(max_iter=2, random_state=0).fit(frame)
    narrow = frame.astype({"tenth": np.float32})
    assert np.array_equal(detector.score_samples(frame), detector.score_samples(narrow))
    assert (detector.predict(narrow) == -1).mean() < 0.3


def test_the_unit_of_a_column_of_a_mixed_frame_makes_no_row_strange():
    """Francs or millions of francs: as many rows are flagged, up to three that an error of rounding decides."""
    draw = np.random.default_rng(2)
    levels, amounts = draw.choice(["a", "b"], 120), draw.normal(5, 1, 120)
    flagged = [
        (VAEOutlierDetector(max_iter=2, random_state=0).fit(frame).predict(frame) == -1).sum()
        for frame in (pd.DataFrame({"level": levels, "amount": amounts * unit}) for unit in (1.0, 1e6, 1e12))
    ]
    assert max(flagged) - min(flagged) <= 3, flagged
