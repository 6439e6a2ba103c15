"""Judgements in words: every figure with its unit and with as many digits as mean something."""

import math

import pytest
import torch

from vael.evaluation.codes import CodeEvaluation, CodeUse
from vael.evaluation.judgement import CodeJudgement, ErrorJudgement, ExactJudgement, digits_of

EVERY = {"data": "rows", "split": "test", "examples": 3, "seed": 0, "seconds": 0.1, "estimator": "exact"}
NUMBERS = torch.zeros(3)


def said(judgement):
    return str(judgement).partition(": ")[2]


def test_nats_are_told_to_a_hundredth_and_bits_of_an_element_to_a_thousandth():
    numbers = {"log_likelihood": -123.45678, "standard_error": 0.5, "log_likelihood_per_example": NUMBERS}
    assert said(ExactJudgement(**EVERY, **numbers, bits_per_dim=1.23456)) == (
        "log p(x) -123.46 nats, bits per dim 1.235 bits"
    )
    assert said(ExactJudgement(**EVERY, **numbers, bits_per_dim=None)) == "log p(x) -123.46 nats"


def uses(*perplexities):
    return tuple(CodeUse(one, 8, 16) for one in perplexities)


def test_codes_are_told_by_their_bound_their_bits_and_how_evenly_they_are_used():
    found = CodeEvaluation(10.12345, 7.6543, 1.23456, uses(5.678, 3.21), 3)
    assert said(CodeJudgement(**EVERY, found=found)) == (
        f"bound {-10.12345 - 7.6543:.2f} nats, bits per dim 1.235 bits, distortion 10.12 nats, code bits "
        f"{7.6543 / math.log(2):.1f} bits, perplexity 1 5.7 codes, perplexity 2 3.2 codes"
    )
    keys = [one.key for one in CodeJudgement(**EVERY, found=found).figures]
    assert keys == ["bound", "bits_per_dim", "distortion", "code_bits", "perplexity_1", "perplexity_2"]


def test_an_error_is_told_with_four_figures_and_in_decibels_where_there_is_a_peak():
    error = {"squared_error": 0.0012345, "standard_error": 0.1, "squared_error_per_example": NUMBERS}
    assert said(ErrorJudgement(**EVERY, **error, peak=2.0, use=uses(5.678))) == (
        f"squared error 0.001234, decibels {10 * math.log10(4 / 0.0012345):.2f} dB, perplexity 5.7 codes"
    )
    assert said(ErrorJudgement(**EVERY, **error, peak=None)) == "squared error 0.001234"


@pytest.mark.parametrize("size", range(-12, 2))
def test_digits_leave_four_figures_and_never_fewer_than_two_decimals(size):
    for figures in (1.0, 1.001, 4.5678, 9.9994):
        told = f"{figures * 10.0**size:.{digits_of(figures * 10.0**size)}f}"
        assert float(told) == pytest.approx(float(f"{figures * 10.0**size:.4g}"), rel=1e-9)
    assert [digits_of(value) for value in (0.0, -1.0, math.inf, math.nan, 12345.0)] == [2] * 5
