"""What becomes of the learning rate: by hand at the corners, between them a line and half a cosine."""

import math

import pytest

from vael.errors import StateError
from vael.training import Constant, WarmupCosine


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine():
    rate = WarmupCosine(0.2, final=0.1)
    assert [rate(t) for t in (0.05, 0.1, 0.2, 0.6, 1.0, 1.5)] == pytest.approx([0.25, 0.5, 1.0, 0.55, 0.1, 0.1])
    assert rate(0.4) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)


def test_the_usual_rate_starts_low_but_not_at_nothing_and_ends_at_nothing():
    """Two hundredths of training for the rise; the first step is taken at 1e-4 of training done."""
    assert [WarmupCosine()(t) for t in (0.0, 0.01, 0.02, 0.51, 1.0)] == pytest.approx([0.005, 0.5, 1.0, 0.5, 0.0])
    assert WarmupCosine(0.0)(0.0) == 1.0
    assert {Constant()(t) for t in (0.0, 0.3, 1.0)} == {1.0}


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 1.5, math.nan])
def test_a_rise_over_no_share_of_training_is_refused(warmup):
    with pytest.raises(StateError, match="at least 0 and below 1"):
        WarmupCosine(warmup)
