"""The p-value of associations by exchange of blocks, against all divisions of the blocks, of which it tries some."""

import itertools
import math

import numpy as np
import pytest
import torch

from vael.evaluation.tabular.associations import association_p_value, associations
from vael.tables.schema import Column, ColumnKind, Schema

SCHEMA = Schema(tuple(Column(name, ColumnKind.REAL) for name in "abc"))
BLOCKS, TRIED = 8, 4000  # of each table; divisions, the one that is there among them
SAME = torch.tensor([[1.0, 0.9, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 1.0]])


def rows(count, seed, mix=None):
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return x if mix is None else x @ mix


def exact(x, y, size):
    """Over all 12,870 ways to divide sixteen blocks in two halves."""
    blocks = [table[k * size : (k + 1) * size] for table in (x, y) for k in range(BLOCKS)]
    pairs = np.stack([associations(SCHEMA, block).matrix[np.triu_indices(3, 1)] for block in blocks])
    halves = np.array(list(itertools.combinations(range(2 * BLOCKS), BLOCKS)))
    sign = np.full((len(halves), 2 * BLOCKS), -1.0)
    np.put_along_axis(sign, halves, 1.0, axis=1)
    apart = np.abs(sign @ pairs)  # the first division is the one that is there
    return [float((one >= one[0] - 1e-9).mean()) for one in (apart.mean(1), apart.max(1))]


@pytest.mark.parametrize("seed", range(6))
def test_it_is_twice_the_smaller_share_of_divisions_that_differ_as_much(seed):
    """Within 5 standard errors of the share among those tried; false-alarm rate 1e-6 each."""
    x, y = rows(240, seed), rows(260, seed + 100)  # blocks of 30 rows, of the shorter one
    share = min(exact(x, y, 30))
    found = association_p_value(SCHEMA, x, y, seed=seed)
    error = 2 * math.sqrt(share * (1 - share) / TRIED) + 1 / TRIED
    assert abs(found - min(1.0, 2 * share)) <= 5 * error
    assert found == association_p_value(SCHEMA, x[:240], y[:240], seed=seed)  # rows past the blocks are left out


def test_the_division_that_is_there_is_one_of_those_tried():
    """So the p-value is never below two in four thousand, however unlike two tables are; alike they have 1."""
    x, y = rows(400, 1), rows(400, 2, SAME)
    found = association_p_value(SCHEMA, x, y)
    assert 2 / TRIED <= found <= 2 * 5 / TRIED
    assert found * TRIED / 2 == pytest.approx(round(found * TRIED / 2))
    assert association_p_value(SCHEMA, x, x) == 1.0


def test_few_rows_in_a_block_say_nothing():
    """Fifteen are enough, and no more than 4,000 rows are looked at."""
    unlike = rows(240, 2, SAME)
    assert association_p_value(SCHEMA, rows(119, 1), unlike) == 1.0
    assert association_p_value(SCHEMA, unlike, rows(119, 1)) == 1.0
    assert association_p_value(SCHEMA, rows(120, 1), unlike) < 0.1
    many = rows(4400, 3)
    assert association_p_value(SCHEMA, many, rows(4400, 4, SAME)) == (
        association_p_value(SCHEMA, many[:4000], rows(4400, 4, SAME)[:4000])
    )


def test_a_pair_that_some_block_does_not_know_is_left_out_for_all():
    x, y = rows(240, 1), rows(240, 2, SAME)
    emptied = x.clone()
    emptied[:30, 2] = math.nan  # both pairs of `c` in one block, so that only that of `a` and `b` is left
    alone = Schema(SCHEMA.columns[:2])
    assert association_p_value(SCHEMA, emptied, y) == association_p_value(alone, x[:, :2], y[:, :2])
    emptied[:, :] = math.nan
    assert association_p_value(SCHEMA, emptied, y) == 1.0
