"""Tables of text as typed columns, by a schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from vael.tables import columnwise as pc
from vael.tables.missing import missing_levels
from vael.tables.reading import place_of, valued
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.values.numerals import NumeralForm, limits
from vael.tables.writing import moments_as, numbers_as


def typed_table(table: pa.Table, schema: Schema, forms: Mapping[str, NumeralForm]) -> pa.Table:
    """The columns of the schema as numbers, dates and texts with nulls; the others, and those with a cell that is
    no such number, stay text.
    """
    for number, column in enumerate(schema.columns):
        place = place_of(table, schema, number, "the table")
        found = typed_cells(column, table.column(place), forms.get(column.name))
        table = table if found is None else table.set_column(place, table.column_names[place], found)
    return table


def typed_cells(
    column: Column, cells: pa.ChunkedArray, form: NumeralForm | None = None
) -> pa.Array | pa.ChunkedArray | None:
    """Cells of text as levels, numbers or dates, null where missing; None where one is neither."""
    if column.kind in LEVELS:
        return pc.if_else(
            pa.array(missing_levels(column, cells, typed=False)),
            pa.scalar(None, cells.type),
            pc.utf8_trim_whitespace(cells),
        )
    if limits(cells).any():
        return None
    values, _ = valued(column, cells, form)
    gone = np.isnan(values)
    if np.isneginf(values).any():
        return None
    plain = replace(column, type="")
    return (
        moments_as(plain, np.where(gone, 0.0, values), gone)
        if column.kind is ColumnKind.DATE
        else numbers_as(plain, values, gone)
    )
