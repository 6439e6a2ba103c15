"""Captions say of how many columns a figure shows a part, and what a mean over pairs is of."""

import numpy as np
import pytest

from vael.evaluation.tabular.associations import MOST_COLUMNS, AssociationDistance, Associations
from vael.report.tabular.synthetic_figures import MATRIX, limited_pairs


@pytest.mark.parametrize("columns", [3, MATRIX, MATRIX + 1, MOST_COLUMNS, MOST_COLUMNS + 1, 500])
def test_a_caption_of_pairs_counts_the_columns_of_the_table(columns):
    seen = min(columns, MOST_COLUMNS)
    one = Associations(tuple(f"x{place}" for place in range(seen)), np.eye(seen))
    told = limited_pairs(columns, AssociationDistance(one, one))
    assert (f"first {MATRIX} of {columns} columns" in told) == (columns > MATRIX)
    assert (f"pairs of the first {MOST_COLUMNS}." in told) == (columns > MOST_COLUMNS)
    assert bool(told) == (columns > MATRIX)
