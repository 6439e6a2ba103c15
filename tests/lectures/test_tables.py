"""Discrete joint tables: the lectures' coin and die, the rules of probability, refusals."""

from fractions import Fraction

import pytest
import torch

from vael.errors import ShapeError, StateError, SupportError
from vael.lectures import FiniteTable, Variable, bayes, chain, independent, total_probability

COIN, DIE = Variable("x", ("H", "T")), Variable("z", (1, 2, 3, 4, 5, 6))
BOTH = independent(FiniteTable.uniform(COIN), FiniteTable.uniform(DIE))


def odd(z):
    return z % 2 == 1


def table(rows, names="xy"):
    cells = torch.tensor(rows, dtype=torch.float64)
    return FiniteTable(
        tuple(Variable(name, tuple(range(size))) for name, size in zip(names, cells.shape, strict=True)), cells
    )


def test_the_coin_and_the_die_of_the_lecture():
    assert BOTH.p(x="H", z=3) == pytest.approx(1 / 12, abs=1e-15)
    assert BOTH.p(x="H") == pytest.approx(1 / 2, abs=1e-15)
    assert BOTH.p(z=1) == pytest.approx(1 / 6, abs=1e-15)
    assert BOTH.slice(z=1).tolist() == pytest.approx([1 / 12, 1 / 12])
    assert BOTH.given(z=1).p(x="H") == pytest.approx(1 / 2, abs=1e-15)
    assert BOTH.given(z=1).p(x="T") == pytest.approx(1 / 2, abs=1e-15)
    assert BOTH.is_independent()


def test_the_die_of_the_lecture():
    die = FiniteTable.uniform(DIE)
    assert die.expectation("z") == pytest.approx(3.5, abs=1e-15)
    assert die.p(z=3) == pytest.approx(1 / 6, abs=1e-15)
    assert die.given_event("z", odd).p(z=3) == pytest.approx(1 / 3, abs=1e-15)
    assert die.given_event("z", odd).p(z=2) == 0.0
    assert die.expectation("z", lambda z: z * z) == pytest.approx(91 / 6, abs=1e-13)


def test_an_event_on_one_of_two_variables_renews_both():
    cells = [[Fraction(1, 10), Fraction(2, 10), Fraction(1, 10)], [Fraction(3, 10), Fraction(1, 10), Fraction(2, 10)]]
    joint = table([[float(cell) for cell in row] for row in cells])
    event = joint.given_event("y", lambda y: y != 1)
    inside = sum(row[k] for row in cells for k in (0, 2))
    assert event.p(x=0) == pytest.approx(float((cells[0][0] + cells[0][2]) / inside))
    assert not joint.is_independent()


def test_three_variables_against_sums_by_hand():
    cells = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cells /= cells.sum()
    joint = table(cells.tolist(), "abc")
    assert torch.allclose(joint.marginal("c", "a").probability, cells.sum(1).T)
    assert torch.allclose(joint.marginal("c", "b", "a").probability, cells.permute(2, 1, 0))
    assert joint.p(b=2) == pytest.approx(float(cells[:, 2].sum()))
    assert torch.allclose(joint.given(b=1).probability, cells[:, 1] / cells[:, 1].sum())
    assert joint.p() == 1.0


def test_chain_total_probability_and_bayes_are_one_table():
    """A test for an illness of one in a hundred that finds 9 of 10 and cries wolf for 1 in 20."""
    ill = FiniteTable((Variable("ill", (True, False)),), torch.tensor([0.01, 0.99], dtype=torch.float64))
    sign = Variable("sign", ("+", "-"))
    likelihoods = [FiniteTable((sign,), torch.tensor(row, dtype=torch.float64)) for row in ([0.9, 0.1], [0.05, 0.95])]
    assert chain(ill, likelihoods).p(ill=True, sign="+") == pytest.approx(0.009)
    assert total_probability(ill, likelihoods).p(sign="+") == pytest.approx(0.009 + 0.0495)
    assert bayes(ill, likelihoods, sign="+").p(ill=True) == pytest.approx(0.009 / 0.0585)
    joint = chain(ill, likelihoods)
    assert joint.given(ill=False).p(sign="-") == pytest.approx(0.95)


def test_bayes_from_either_side_agrees():
    joint = table([[0.1, 0.2, 0.1], [0.3, 0.1, 0.2]])
    for x in range(2):
        for y in range(3):
            assert joint.given(y=y).p(x=x) == pytest.approx(joint.given(x=x).p(y=y) * joint.p(x=x) / joint.p(y=y))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: table([[0.5, 0.6]]), SupportError, "sum to one"),
        (lambda: table([[1.5, -0.5]]), SupportError, "at least 0"),
        (lambda: table([[float("nan"), 1.0]]), SupportError, "at least 0"),
        (lambda: FiniteTable((COIN,), torch.ones(3, dtype=torch.float64) / 3), ShapeError, "expected the same"),
        (lambda: FiniteTable((), torch.ones((), dtype=torch.float64)), ShapeError, "one at least"),
        (lambda: FiniteTable((COIN, COIN), torch.full((2, 2), 0.25)), StateError, "each name once"),
        (lambda: Variable("x", ()), ShapeError, "no outcomes"),
        (lambda: Variable("x", (1, 1)), StateError, "twice"),
        (lambda: BOTH.p(x="edge"), StateError, "not an outcome"),
        (lambda: BOTH.p(y=1), StateError, "no variable"),
        (lambda: BOTH.given(x="H", z=1), StateError, "every variable"),
        (lambda: BOTH.given_event("z", lambda z: z > 6), SupportError, "probability 0"),
        (lambda: BOTH.expectation("x"), StateError, "not numbers"),
        (lambda: table([[1.0, 0.0], [0.0, 0.0]]).given(x=1), SupportError, "probability 0"),
        (lambda: independent(), ShapeError, "one or more"),
        (lambda: chain(FiniteTable.uniform(COIN), [FiniteTable.uniform(DIE)]), ShapeError, "1 conditional tables"),
        (
            lambda: chain(
                FiniteTable.uniform(COIN), [FiniteTable.uniform(DIE), FiniteTable.uniform(Variable("z", (1, 2)))]
            ),
            StateError,
            "differ",
        ),
    ],
)
def test_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()
