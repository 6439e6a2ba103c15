"""Data frames whose columns are of several kinds: read as tables with a schema, and given back as the frames that
came.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float64

from vael.errors import SupportError
from vael.tables import columnwise as pc
from vael.tables.constraints import enforced
from vael.tables.inference import date_notes
from vael.tables.reading import Frame, Table, given_rows, read_table
from vael.tables.schema import Schema
from vael.tables.schema_file import as_record, from_record
from vael.tables.unfilled import Unfilled, gaps_of, unfilled
from vael.tables.writing import arrow_cells, completed

LIBRARIES = ("pandas", "polars")


@dataclass(frozen=True)
class FrameForm:
    """What the frame was that an estimator was trained on."""

    schema: Schema  # of the columns that are modelled
    library: str
    types: pa.Schema  # of all columns
    dtypes: Mapping[str, str] = field(default_factory=dict)  # of pandas, which has several for one of Arrow's

    def record(self) -> dict[str, object]:
        """What JSON can hold."""
        return {
            "schema": as_record(self.schema),
            "library": self.library,
            "types": base64.b64encode(self.types.serialize()).decode(),
            "dtypes": dict(self.dtypes),
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> FrameForm:
        """The form that `record` was of."""
        types = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(record["types"])))
        schema = from_record(record["schema"], "the file")
        return cls(schema, str(record["library"]), types, dict(record.get("dtypes", {})))


@dataclass(frozen=True)
class Empty:
    """Columns without any cell in training, and whether they stay, their gaps filled with 0."""

    names: tuple[str, ...]
    kept: bool


def is_mixed(X: object) -> bool:
    """Whether something is a data frame with a column that is no number: text, levels, dates."""
    if not isinstance(X, Frame) or not hasattr(X, "columns"):
        return False
    return not all(_is_number(kind) for kind in _arrow(X).schema.types)


def _is_number(kind: pa.DataType) -> bool:
    return any(
        test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    )


def _arrow(X: Frame) -> pa.Table:
    try:
        return given_rows(X).table
    except (pa.ArrowException, TypeError) as error:
        raise SupportError(
            f"the frame has a column whose cells are of several types ({error}); make each column one type"
        ) from error


def library_of(X: object) -> str:
    """Whose frame it is; Arrow's where it is of neither pandas nor polars."""
    name = type(X).__module__.partition(".")[0]
    return name if name in LIBRARIES else "pyarrow"


def begin(X: Any, missing: object = None, *, empty: bool = False) -> tuple[Table, FrameForm]:
    """A frame to train on, by what its columns are; cells equal to `missing` are gaps. With `empty`, columns without a
    cell are left out.

    Errors: those of `vael.data.read_table`; without `empty`, `SupportError` for a row without any cell.
    """
    table = _without_missing(_arrow(X), missing)
    if empty:
        table = table.select([name for name in table.column_names if not gaps_of(table.column(name), typed=True).all()])
        if not table.num_columns:
            raise SupportError(
                "no column of the frame has a cell that was seen, so there is nothing to learn from; give a frame with "
                "some cells"
            )
    found = read_table(table)
    if not empty and (gone := np.flatnonzero(without_cells(table, found.schema))).size:
        raise SupportError(
            f"row {gone[0] + 1} of the frame has no cell, nor have {len(gone) - 1} others: nothing is known of them; "
            "leave them out"
        )
    if found.skipped:  # they are filled too, and have a say in which columns had gaps
        found = _with_empty_rows(table, found.schema)
    for note in date_notes(table, found.schema):
        warnings.warn(note, stacklevel=4)
    dtypes = {name: str(kind) for name, kind in _dtypes(X).items()}
    return found, FrameForm(found.schema, library_of(X), table.schema.remove_metadata(), dtypes)


def read(X: Any, form: FrameForm, missing: object = None, *, empty: bool = False) -> Table:
    """A frame by the form of the one that was trained on; with `empty`, rows without a cell are taken too.

    Errors: those of `vael.data.read_table`.
    """
    table = _without_missing(_arrow(X), missing)
    for place, name in enumerate(table.column_names):
        if (
            pa.types.is_null(table.schema.types[place]) and name in form.types.names
        ):  # of so few rows that no cell says what it is
            table = table.set_column(place, name, _cast(table.column(name), form.types.field(name).type))
    return _with_empty_rows(table, form.schema) if empty else read_table(table, form.schema)


def without_cells(table: pa.Table, schema: Schema) -> Bool[np.ndarray, " rows"]:
    """Which rows have no cell in any column of the schema."""
    modelled = [table.column(name) for name in schema.names if name in table.column_names]
    return np.all([column.is_null(nan_is_null=True).to_numpy() for column in modelled], axis=0)


def _with_empty_rows(table: pa.Table, schema: Schema) -> Table:
    """A table by a schema, rows without a cell among its rows: they are read as the row before them and emptied
    again.
    """
    gone = without_cells(table, schema)
    if gone.all():
        return Table(
            schema, torch.full((len(table), len(schema.names)), torch.nan), table, None, np.arange(1, len(table) + 1)
        )
    before = np.maximum.accumulate(np.where(gone, np.flatnonzero(~gone)[0], np.arange(len(table))))
    found = read_table(table.take(pa.array(before)) if gone.any() else table, schema)
    return replace(found, x=torch.where(torch.from_numpy(gone)[:, None], torch.nan, found.x), original=table)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_dictionary(kind):
        return pc.cast(column, kind.value_type).dictionary_encode()
    return pc.cast(column, kind, safe=False)


def _without_missing(table: pa.Table, missing: object) -> pa.Table:
    return (
        table
        if missing is None
        else pa.table({name: _without(table.column(name), missing) for name in table.column_names})
    )


def _without(column: pa.ChunkedArray, missing: object) -> pa.ChunkedArray:
    plain = pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column
    try:
        found = pc.call_function("equal", [plain, pa.scalar(missing).cast(plain.type)])
    except pa.ArrowException:
        return column  # of a type that has no such value
    return pc.call_function("if_else", [pc.fill_null(found, False), pa.scalar(None, plain.type), plain])


def codes(table: Table) -> Float64[np.ndarray, "rows columns"]:
    """Cells as a model sees them."""
    return table.x.double().numpy()


def new_rows(form: FrameForm, x: np.ndarray, seed: int) -> Any:
    """Rows of a model as a frame of the types that were trained on, which keeps the rules of its columns."""
    made = arrow_cells(form.schema, enforced(form.schema, torch.from_numpy(x)), seed)
    typed = {name: _cast(made.column(name), form.types.field(name).type) for name in made.column_names}
    return _in_dtypes(as_frame(pa.table(typed), form.library), form.dtypes)


def _dtypes(X: Any) -> dict[str, Any]:
    """The types that pandas has for the columns of a frame; none of a frame of another library."""
    return {str(name): X[name].dtype for name in X.columns} if library_of(X) == "pandas" else {}


def _in_dtypes(found: Any, dtypes: Mapping[str, Any]) -> Any:
    """A frame of pandas with its columns in these types, where they hold every cell: Arrow's text, say, is `str`,
    `string` or `object` there, and its whole numbers `int64` or `Int64`.
    """
    for name, kind in dtypes.items():
        if name not in found or str(found[name].dtype) == str(kind):
            continue
        with suppress(TypeError, ValueError):
            typed = found[name].astype(kind)
            if typed.isna().equals(found[name].isna()):  # as levels that a type does not have become gaps
                found = found.assign(**{name: typed})
    return found


def filled(table: Table, x: np.ndarray, like: Any, more: dict[str, np.ndarray], empty: Empty) -> Any:
    """The frame as it came, with cells of `x` in its gaps and further columns behind; warns of gaps that stay."""
    whole = completed(table, enforced(table.schema, torch.from_numpy(x)))
    done = [*table.schema.names, *(empty.names if not empty.kept else ())]
    for name in empty.names:
        if not empty.kept:
            whole = whole.drop_columns(name)
        elif pa.types.is_null(kind := whole.schema.field(name).type) or _is_number(kind):
            zeros = pa.array(np.zeros(len(whole)), pa.float64() if pa.types.is_null(kind) else kind, safe=False)
            cells, place = whole.column(name).cast(zeros.type), whole.schema.get_field_index(name)
            whole = whole.set_column(
                place, name, pc.call_function("if_else", [pa.array(gaps_of(cells, typed=True)), zeros, cells])
            )
            done.append(name)
    _warn_of(unfilled(table, tuple(done)))
    for name, cells in more.items():
        whole = whole.append_column(name, pa.array(cells))
    found = _in_dtypes(as_frame(whole, library_of(like)), _dtypes(like))
    return found.set_axis(like.index, axis=0) if library_of(like) == "pandas" else found


def _warn_of(left: tuple[Unfilled, ...]) -> None:
    if left:
        many = sum(one.gaps for one in left)
        warnings.warn(
            f"{many:,} gaps are left: {', '.join(map(str, left))}; leave such columns out, or fill them in another way "
            "(SimpleImputer(strategy='most_frequent') in a ColumnTransformer)",
            stacklevel=5,
        )


def as_frame(table: pa.Table, library: str) -> Any:
    """An Arrow table as a frame of a library."""
    if library == "pandas":
        return table.to_pandas()
    return import_module("polars").from_arrow(table) if library == "polars" else table
