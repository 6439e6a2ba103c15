"""Cells of a table keep the range, the levels, the decimals and the gaps of their columns: found where they do not,
and put right.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vael.errors import ShapeError
from vael.tables.constraints import Rule, enforced, violations
from vael.tables.schema import Column, ColumnKind, Schema

SCHEMA = Schema(
    (
        Column("price", ColumnKind.POSITIVE, minimum=0.99, maximum=120.5, decimals=2),
        Column("colour", ColumnKind.CATEGORICAL, levels=("a", "b"), rare=(("c", 1),)),
        Column("year", ColumnKind.COUNT, origin=2000.0, minimum=1990.0, maximum=2026.0),
        Column("any", ColumnKind.REAL, missing=True),
    )
)
GOOD = torch.tensor([[1.25, 2.0, -3.0, torch.nan], [120.5, 0.0, 26.0, 1e9]])


def test_what_keeps_the_rules_passes() -> None:
    assert violations(SCHEMA, GOOD) == ()
    assert torch.equal(enforced(SCHEMA, GOOD).nan_to_num(-1), GOOD.nan_to_num(-1))


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        (0, 1.255, Rule.DECIMALS),
        (0, 0.5, Rule.BELOW),
        (0, 200.0, Rule.ABOVE),
        (0, torch.inf, Rule.FINITE),
        (0, torch.nan, Rule.MISSING),
        (1, 3.0, Rule.LEVEL),
        (1, -1.0, Rule.LEVEL),
        (1, 0.5, Rule.LEVEL),
        (2, 0.5, Rule.DECIMALS),
        (2, 27.0, Rule.ABOVE),
        (2, -11.0, Rule.BELOW),
    ],
)
def test_what_breaks_one_is_named(column: int, value: float, rule: Rule) -> None:
    x = GOOD.clone()
    x[1, column] = value
    (found,) = violations(SCHEMA, x)
    assert (found.column, found.rule, found.cells, found.row) == (SCHEMA.names[column], rule, 1, 2)
    assert str(found) == f"column {SCHEMA.names[column]!r}, row 2: a cell {rule.value}"


def test_another_width_is_refused() -> None:
    with pytest.raises(ShapeError, match="3 columns, but its schema has 4"):
        violations(SCHEMA, GOOD[:, :3])


given_columns = st.tuples(
    st.sampled_from(list(ColumnKind)),
    st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000)),
    st.integers(0, 3),
    st.integers(-5000, 5000),
)


# training flushes denormals for the whole process, and Hypothesis refuses to make any then
CELLS = st.floats(width=32, allow_infinity=True, allow_nan=True, allow_subnormal=False)


@settings(max_examples=100, deadline=None)
@given(given_columns, st.lists(CELLS, min_size=1, max_size=20))
def test_whatever_came_keeps_the_rules_afterwards(
    drawn: tuple[ColumnKind, tuple[int, int], int, int], cells: list[float]
) -> None:
    kind, ends, decimals, origin = drawn
    low, high = float(min(ends)), float(max(ends))
    column = Column(
        "x",
        kind,
        levels=("a", "b", "c"),
        minimum=low,
        maximum=high,
        decimals=decimals,
        origin=float(origin),
        missing=True,
    )
    schema = Schema((column,))
    x = torch.tensor(np.array(cells, np.float32)[:, None])
    kept = enforced(schema, x)
    assert violations(schema, kept) == ()
    assert torch.equal(kept.isnan(), x.isnan())
    assert torch.allclose(enforced(schema, kept), kept, equal_nan=True, rtol=0, atol=1e-3)
