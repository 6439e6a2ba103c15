"""What tells two tables apart is named where it tells more than every column does alone."""

import numpy as np
import pytest

from vael.evaluation.tabular.contrasts import Contrast
from vael.evaluation.tabular.two_sample import clue


def apart(far, rows=1000):
    """A number of two tables whose distributions are so far apart: a share of the second lies above all else."""
    both = np.tile(np.linspace(0, 1, rows), (2, 1))
    both[1, : round(far * rows)] = 2.0
    return both.flatten()


def told(columns, contrasts):
    """The clue where each contrast is of so many columns."""
    rows = np.stack([apart(far) for far in (*columns, *(far for far, _ in contrasts))], 1)
    named = tuple(Contrast(f"of {n}, {far}", tuple(range(n)), lambda cells, half: cells[0]) for far, n in contrasts)
    return clue(rows, len(columns), named)


@pytest.mark.parametrize("column", [0.0, 0.3])
def test_a_contrast_is_named_where_it_tells_a_tenth_more_than_every_column(column):
    assert told((0.0, column), ((column + 0.15, 2),)) == f"of 2, {column + 0.15}"
    assert told((column, 0.0), ((column + 0.05, 2),)) == ""
    assert told((0.0, column), ((column, 2),)) == ""
    assert told((0.0, column), ()) == ""


def test_of_those_that_tell_about_as_much_it_is_the_one_of_fewest_columns_and_then_the_one_that_tells_most():
    assert told((0.0,), ((0.50, 3), (0.47, 2), (0.40, 1))) == "of 2, 0.47"
    assert told((0.0,), ((0.46, 2), (0.50, 2), (0.48, 2))) == "of 2, 0.5"
    assert told((0.0,), ((0.50, 1), (0.60, 4))) == "of 4, 0.6"
