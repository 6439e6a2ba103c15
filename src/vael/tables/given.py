"""Rows that a person has in memory: frames, columns by name, one row, many rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from vael.errors import FormatError
from vael.tables.reading import Frame, given_rows

WANTED = (
    "a data frame (pandas, polars, Arrow), columns as {'name': [...]}, a row as {'name': value}, or rows as a list of "
    "such"
)


def in_memory(data: object) -> bool:
    """Whether data are rows themselves, not the name or the path of some."""
    return isinstance(data, Frame | Mapping) or (isinstance(data, Sequence) and not isinstance(data, str | bytes))


def as_table(data: object) -> pa.Table:
    """Rows in memory as Arrow columns.

    Errors: `FormatError` for what has none of the forms that are known, `ShapeError` for a name twice.
    """
    if isinstance(data, Frame):
        return given_rows(data).table
    if isinstance(data, Mapping):
        whole = all(
            isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes) for value in data.values()
        )
        return _made({str(name): list(value) if whole else [value] for name, value in data.items()})
    if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
        names = list(dict.fromkeys(str(name) for row in data for name in row))
        return _made({name: [row.get(name) for row in data] for name in names})
    raise FormatError(f"{type(data).__name__} was given as rows; expected {WANTED}")


def _made(columns: dict[str, list]) -> pa.Table:
    try:
        return given_rows(pa.table(columns)).table
    except (pa.ArrowException, OverflowError) as error:
        raise FormatError(f"the columns make no table ({error}); give as many cells of one type to each") from error
