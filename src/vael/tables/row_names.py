"""Which column of a table only names its rows, as data frames do in a first column without a name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from vael.tables import columnwise as pc
from vael.tables.values.arrow_types import is_text

CALLED = frozenset({"unnamed: 0", "rownames", "row.names", "row_names"})  # as programs call it that give it a name
YEARS = (1500, 2100)  # between which whole numbers are taken for years, which say more than which row it is


def column_of_row_names(names: Sequence[str]) -> str | None:
    """The column that may name the rows of a table: the first, if it has no name of its own while others have."""
    nameless = [name == f"column {place}" for place, name in enumerate(names, 1)]
    if not names or not (nameless[0] or names[0].lower() in CALLED) or all(nameless):
        return None
    return names[0]


def tells_rows_apart(cells: pa.ChunkedArray, values: np.ndarray | None) -> bool:
    """Whether a column has another text, or another whole number that is no year, in every row. `values` are its
    cells as numbers, None where it is text.
    """
    if cells.null_count or len(cells) < 2 or pc.count_distinct(cells).as_py() < len(cells):
        return False
    if values is None:
        return is_text(cells.type)
    whole = bool((values == np.floor(values)).all() and (values >= 0).all())
    return whole and not bool((values >= YEARS[0]).all() and (values <= YEARS[1]).all())
