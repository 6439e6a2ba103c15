"""Law of reading twice: a table that is read by the schema that was told from it has the same rows and cells, whatever
names or counts its rows, and whichever of them are empty; else a run could not find its data again.
"""

import numpy as np
import pytest

from vael.data import read_table
from vael.data.tabular import load_table
from vael.tables.reading import OnError

ROWS = 40
FIRST = {
    "counts the rows": range(1, ROWS + 1),
    "a part of another table": [row * 3 + row % 2 for row in range(ROWS)],
    "texts": [f"row {row}" for row in range(ROWS)],
    "years": range(1950, 1950 + ROWS),
    "every other row": [row // 2 for row in range(ROWS)],
}
EMPTY = {"none": (), "the first": (0,), "the last": (ROWS - 1,), "some": (3, 4, 17, 30), "most": tuple(range(10, 37))}


@pytest.mark.parametrize("name", ["", "id"])
@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("empty", EMPTY)
def test_a_table_has_the_same_rows_by_its_schema(name, first, empty, tmp_path):
    cells = ["," if row in EMPTY[empty] else f"{row % 7}.5,{'ab'[row % 2]}" for row in range(ROWS)]
    lines = [f"{start},{rest}\n" for start, rest in zip(FIRST[first], cells, strict=True)]
    (tmp_path / "t.csv").write_text(f"{name},x,y\n" + "".join(lines))
    told = read_table(tmp_path / "t.csv")
    again = read_table(tmp_path / "t.csv", told.schema, on_error=OnError.EMPTY)
    np.testing.assert_array_equal(again.rows, told.rows)
    np.testing.assert_array_equal(again.x, told.x)
    assert [one.row for one in again.skipped] == [one.row for one in told.skipped]
    splits = load_table(tmp_path / "t.csv")
    assert load_table(tmp_path / "t.csv", schema=told.schema).train.fingerprint == splits.train.fingerprint
