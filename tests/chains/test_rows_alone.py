"""A row is read alone as it is among others: how a column is written is a matter of its schema, not of the rows
that happen to stand beside it.
"""

import numpy as np
import pytest
from tables_to_try import COLUMNS, Asked, TextTable

from vael.data import read_table
from vael.data.blocks import table_blocks
from vael.errors import VaelError

REFUSED = {"beyond float32", "numbers and infinity", "numbers and words"}
LEFT_OUT = {"hexadecimal", "leading zeros", "rows counted", "identifiers", "text", "nothing", "phone numbers"}
ROWS = 40


@pytest.mark.parametrize("kind", sorted(COLUMNS))
def test_a_row_alone(tmp_path, kind):
    table = TextTable((Asked("first", "small counts"), Asked("column", kind)), ROWS, 1)
    path = table.write(tmp_path)
    try:
        whole = read_table(path)
    except VaelError:
        assert kind in REFUSED
        return
    if whole.schema.names != ("first", "column"):
        assert kind in LEFT_OUT
        return
    for row, record in enumerate(table.records()[:12]):
        alone = tmp_path / "alone.csv"
        alone.write_bytes((table.head() + "".join(piece for piece, _ in record)).encode())
        (found,) = table_blocks(alone, whole.schema)
        assert np.array_equal(found.x.numpy(), whole.x[row : row + 1].numpy(), equal_nan=True), record
