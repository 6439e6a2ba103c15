"""Tables between files or data frames and the matrix that a model sees: read by a schema, and held to it;
`vael.tables.writing` writes them back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from vael.errors import FormatError, ShapeError, SupportError
from vael.nearest import nearest
from vael.tables import columnwise as pc
from vael.tables.as_text.naming import check_names
from vael.tables.as_text.text import Ragged, TextLayout, read_text
from vael.tables.inference import INDEX, codes, infer_schema
from vael.tables.missing import missing_levels, missing_text
from vael.tables.parquet import whole_parquet
from vael.tables.quoting import columns_in_quotes
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.values.arrow_types import FIRST_DAY, LAST_DAY, days_of, is_text
from vael.tables.values.arrow_types import numbers_of as numbers_typed
from vael.tables.values.dates import DIGITS, EPOCH, NO_DAYS, is_dated, no_day, parsed_dates, with_zeros
from vael.tables.values.numerals import FORMS, NumeralForm, form_of, in_question, limits, nothing, numbers_of, read_by

SHORTER = (
    "",
    ":%S",
    ":%S.%f",
)  # of typed moments written as text by other programs: without seconds, with them, with their fraction
EMPTY = "every cell of the row is missing, so nothing is known of it"


@runtime_checkable
class Frame(Protocol):
    """A table of pandas, polars, Arrow or any other library that hands over its columns by Arrow's C interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The columns."""


class OnError(Enum):
    """What becomes of a row that cannot be read."""

    STOP = "stop"
    # a row without any cell of the model is listed in `Table.skipped`; every other one is an error, as with STOP
    EMPTY = "empty"
    SKIP = "skip"  # it is listed in `Table.skipped`


@dataclass(frozen=True)
class Skipped:
    """A row that was left out, and why."""

    row: int  # counted from 1, without the line of names
    reason: str


class RowError(SupportError):
    """A row that does not fit the columns, where rows are not to be left out."""

    def __init__(self, told: str, row: Skipped) -> None:
        super().__init__(told)
        self.row = row


@dataclass(frozen=True)
class Table:
    """Rows as a model sees them, beside the cells as they came."""

    schema: Schema
    x: Float[Tensor, "rows columns"]  # NaN where missing
    original: pa.Table  # the same rows with all columns, as text or as they were typed
    layout: TextLayout | None = None  # of a text file
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # their numbers in the data, from 1
    skipped: tuple[Skipped, ...] = ()
    forms: Mapping[str, NumeralForm] = field(default_factory=dict)  # of columns of numbers that came as text
    written: pa.Table | None = None  # cells as they are written in the file, null where that is how its layout has them
    types: pa.Schema | None = None  # of columns that came typed, as they came

    @property
    def gaps(self) -> np.ndarray:
        """Cells that say nothing: those that are missing, but not limits such as `<0.5`, which a model knows
        nothing of either.
        """
        found = torch.isnan(self.x).numpy()
        for number in np.flatnonzero(found.any(axis=0)):
            cells = self.original.column(place_of(self.original, self.schema, int(number), "the table"))
            if self.schema.columns[number].kind not in LEVELS and is_text(cells.type):
                found[:, number] &= ~limits(pc.cast(cells, pa.string()))
        return found

    @property
    def kept(self) -> pa.Table | None:
        """`written` of the cells that are not filled."""
        if self.written is None:
            return None
        gaps, found = self.gaps, self.written
        for number in np.flatnonzero(gaps.any(axis=0)):
            place = place_of(found, self.schema, int(number), "the table")
            cells = pc.if_else(pa.array(gaps[:, number]), pa.scalar(None, pa.string()), found.column(place))
            found = found.set_column(place, found.column_names[place], cells)
        return found


@dataclass(frozen=True)
class Given:
    """Consecutive rows as they came."""

    table: pa.Table
    rows: np.ndarray  # their numbers, from 1
    layout: TextLayout | None = None  # of a text file
    ragged: tuple[Ragged, ...] = ()  # rows of another length among them, which are not in the table
    written: pa.Table | None = None  # as `Table.written`
    types: pa.Schema | None = None  # of columns that came typed

    @property
    def typed(self) -> bool:
        """Whether cells have types, so that what is missing is null."""
        return self.layout is None


def given_rows(data: Path | str | Frame, on_error: OnError = OnError.STOP) -> Given:
    """A file or a frame as Arrow columns: of text for a text file, typed otherwise.

    Errors: `FormatError`, `ShapeError`.
    """
    if not isinstance(data, Path | str):
        table = data if isinstance(data, pa.Table) else pa.table(data)
        kept = [name for name in table.column_names if not name.startswith(INDEX)]
        check_names("the table", [str(name) for name in table.column_names])
        return replace(
            counted(pa.table({name: without_views(table.column(name)) for name in kept})), types=table.schema
        )
    if Path(data).suffix.lower() == ".parquet":
        found = whole_parquet(Path(data))
        columns = zip(found.column_names, found.columns, strict=True)
        given = counted(
            pa.table({name: without_views(column) for name, column in columns}, metadata=found.schema.metadata)
        )
        return replace(given, types=found.schema)
    text, block = read_text(Path(data))
    if block.ragged and on_error is not OnError.SKIP:
        raise text.too_ragged(block.ragged)
    return Given(block.table, block.rows, text.layout, block.ragged, block.written)


def counted(table: pa.Table, first: int = 1) -> Given:
    """Rows with their numbers."""
    return Given(table, np.arange(first, first + table.num_rows))


def without_views(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text that is stored as views (polars) in the ordinary way, which Arrow's functions take."""
    kind = column.type
    if pa.types.is_dictionary(kind) and "view" in str(kind.value_type):
        return pa.chunked_array([pa.array(column.to_pylist(), pa.string()).dictionary_encode()])
    return pc.cast(column, pa.string()) if "view" in str(kind) else column


def with_views(table: pa.Table, types: pa.Schema | None) -> pa.Table:
    """A table whose columns of text that came as views are views again."""
    for place, name in enumerate(table.column_names):
        kind = table.schema.field(place).type if types is None or name not in types.names else types.field(name).type
        if "view" in str(kind) and not pa.types.is_dictionary(kind):
            table = table.set_column(place, pa.field(name, kind), pc.cast(table.column(place), kind))
    return table


def named(data: object) -> str:
    """What to call the data in a message."""
    return str(data) if isinstance(data, Path | str) else "the table"


def read_table(data: Path | str | Frame, schema: Schema | None = None, *, on_error: OnError = OnError.STOP) -> Table:
    """The rows of a file or a frame by a schema, or by what their columns are found to be.

    Columns are found by their names, in any order; further columns are kept in `original` and no more. Without a
    schema, and with `OnError.EMPTY`, rows without a cell in any column of the model are left out and listed in
    `Table.skipped`. Errors: `ShapeError` for a column that is missing, `SupportError` for cells that do not fit the
    schema (named with column and row; with `OnError.SKIP` the row is left out and listed instead), and those of the
    readers.
    """
    given, where = given_rows(data, on_error if schema else OnError.STOP), named(data)
    if not given.table.num_rows:
        raise FormatError(f"{where} has no rows; give a table with one example a row")
    if schema is None:
        return _told(given, where)
    kept = by_schema(given, schema, where, on_error)
    if not len(kept.x):
        raise none_fits(where, len(kept.skipped), kept.skipped[0])
    return kept


def with_types(schema: Schema, types: pa.Schema) -> Schema:
    """The columns with the types that they have in a table."""
    return replace(schema, columns=tuple(replace(one, type=str(types.field(one.name).type)) for one in schema.columns))


def _told(given: Given, where: str, apart: tuple[str, ...] = ()) -> Table:
    """Rows by what their columns are found to be; rows without a cell in any modelled column are left out and
    listed, and the others decide. `apart` are columns that were found to be none of the model: numbers of rows count
    no more where rows were left out.
    """
    quoted = columns_in_quotes(given.table, given.layout, given.written)
    comma = given.layout is not None and given.layout.mark == ";"
    looked = given.table.drop_columns([*apart])
    schema, found = infer_schema(looked, where, comma=comma, typed=given.typed, quoted=quoted)
    left = {*apart, *schema.left_out}
    schema = replace(schema, left_out=tuple(name for name in given.table.column_names if name in left))
    matrix = np.stack([_coded(one.column, one.values) for one in found], axis=1)
    gone = np.isnan(matrix).all(axis=1)
    if gone.any():
        kept, written = pa.array(~gone), given.written
        rest = replace(
            given,
            table=given.table.filter(kept),
            rows=given.rows[~gone],
            written=None if written is None else written.filter(kept),
        )
        table = _told(rest, where, schema.left_out)
        listed = [*(Skipped(int(row), EMPTY) for row in given.rows[gone]), *table.skipped]
        return replace(table, skipped=tuple(sorted(listed, key=lambda one: one.row)))
    schema = schema if given.types is None else with_types(schema, given.types)
    forms = forms_of(given.table, schema)
    return Table(
        schema, torch.from_numpy(matrix), given.table, given.layout, given.rows, (), forms, given.written, given.types
    )


def none_fits(where: str, count: int, first: Skipped) -> SupportError:
    """What to say where no row is left."""
    return SupportError(f"{where}: none of the {count:,} rows fits the model; row {first.row:,}: {first.reason}")


Forms = Mapping[str, NumeralForm]
Misfits = Callable[[np.ndarray], dict[int, str]]


def by_schema(
    given: Given,
    schema: Schema,
    where: str,
    on_error: OnError,
    forms: Forms | None = None,
    misfits: Misfits | None = None,
) -> Table:
    """Rows held to a schema that is known, those that do not fit left out and listed.

    `forms` are those of the numbers that are written as text, where they were found in more rows than these; `misfits`
    finds what else is wrong with rows of the matrix. Errors: with `OnError.STOP` a `SupportError` for the first row
    that does not fit.
    """
    forms = forms_of(given.table, schema) if forms is None else forms
    matrix, reasons = fitted(given, schema, where, forms)
    for row, reason in (misfits(matrix) if misfits else {}).items():
        reasons.setdefault(row, reason)
    fatal = (
        []
        if on_error is OnError.SKIP
        else [row for row, reason in reasons.items() if reason != EMPTY or on_error is OnError.STOP]
    )
    if fatal:
        row = min(fatal)
        more = f" (so {'is' if len(fatal) == 2 else 'are'} {len(fatal) - 1:,} more near it)" if len(fatal) > 1 else ""
        told = (
            f"{where}, row {given.rows[row]:,}, {reasons[row]}{more}; correct it, or leave such rows out "
            "(OnError.SKIP; --on-error skip of score, encode and impute)"
        )
        raise RowError(told, Skipped(int(given.rows[row]), reasons[row]))
    skipped = [Skipped(int(given.rows[row]), reason) for row, reason in reasons.items()]
    skipped += [
        Skipped(one.row, f"{one.told}, but {given.table.num_columns} were expected ({one.text[:60]!r})")
        for one in given.ragged
    ]
    kept = np.setdiff1d(np.arange(given.table.num_rows), np.array(list(reasons), np.int64))
    table, written = (
        one if one is None or not reasons else one.take(pa.array(kept)) for one in (given.table, given.written)
    )
    listed = tuple(sorted(skipped, key=lambda one: one.row))
    x = torch.from_numpy(matrix[kept] if reasons else matrix)
    return Table(schema, x, table, given.layout, given.rows[kept], listed, forms, written, given.types)


def forms_of(table: pa.Table, schema: Schema) -> Forms:
    """The form that each column of numbers is written in, where it is text."""
    found = {}
    for column in schema.columns:
        place = table.schema.get_field_index(column.name)
        if column.kind not in LEVELS and column.kind is not ColumnKind.DATE and place >= 0:
            cells = table.column(place)
            if is_text(cells.type):
                found[column.name] = written_form(pc.cast(cells, pa.string()), column)
    return found


def written_form(cells: pa.ChunkedArray, column: Column) -> NumeralForm:
    """The form of the numbers in some cells."""
    return form_of(read_by(cells, column), column) if in_question(cells, column) else FORMS[0]


def fitted(given: Given, schema: Schema, where: str, forms: Forms) -> tuple[np.ndarray, dict[int, str]]:
    """The matrix of some rows, and what is wrong with those that do not fit.

    Errors: `ShapeError` for a column that is missing.
    """
    table = given.table
    places = [place_of(table, schema, number, where) for number in range(len(schema.columns))]
    matrix = np.empty((table.num_rows, len(places)), np.float32)
    reasons: dict[int, str] = {}
    for number, (column, place) in enumerate(zip(schema.columns, places, strict=True)):
        values, reason = valued(column, table.column(place), forms.get(column.name), typed=given.typed)
        wrong = np.isneginf(values)
        for row in np.flatnonzero(wrong) if reason else ():
            reasons.setdefault(int(row), f"column {column.name!r}: {_shown(table.column(place)[int(row)])} {reason}")
        matrix[:, number] = _coded(column, np.where(wrong, np.nan, values))
    for row in np.flatnonzero(np.isnan(matrix).all(axis=1)):
        reasons.setdefault(int(row), EMPTY)
    return matrix, reasons


def place_of(table: pa.Table, schema: Schema, number: int, where: str) -> int:
    """Where a column of the schema stands. Errors: `ShapeError` for one that is not there."""
    name = schema.columns[number].name
    place = table.schema.get_field_index(name)
    if place >= 0:
        return place
    nameless = all(one == f"column {place}" for place, one in enumerate(table.column_names, 1))
    if nameless and table.num_columns == len(schema.columns):
        return number  # a file without names has its columns in the order of training
    near = nearest(name, table.column_names)
    hint = f"did {near!r} mean it? " if near else ""
    raise ShapeError(
        f"{where} has no column {name!r}, which the model was trained on; {hint}there are "
        f"{', '.join(table.column_names[:20])}: rename or add it "
        "(with empty cells if it is not known)"
    )


def _shown(cell: pa.Scalar) -> str:
    return repr(cell.as_py())


def valued(
    column: Column, cells: pa.ChunkedArray, form: NumeralForm | None = None, *, typed: bool = False
) -> tuple[np.ndarray, str]:
    """Cells as numbers (codes, or values with the origin still in them), NaN where missing, -inf where they do not fit,
    and why not.

    Where cells are `typed` (Parquet, a frame) a level is missing only if it is null.
    """
    text = is_text(cells.type)
    if column.kind in LEVELS:
        return _as_codes(column, cells, typed or not text)
    if column.kind is ColumnKind.DATE:
        return _as_days(column, cells, text)
    return _as_numbers(column, cells, text, form)


def _as_codes(column: Column, cells: pa.ChunkedArray, typed: bool) -> tuple[np.ndarray, str]:
    as_text = pc.cast(cells, pa.string())
    absent = missing_levels(column, as_text, typed)
    found = codes(column, pc.utf8_trim_whitespace(as_text), absent)
    found[found == -1] = -np.inf
    levels = ", ".join(column.levels[:8]) + (" ..." if len(column.levels) > 8 else "")
    return found, f"is no level that was seen in training ({levels})"


def _as_days(column: Column, cells: pa.ChunkedArray, text: bool) -> tuple[np.ndarray, str]:
    days, reason = _read_days(column, cells, text)
    beyond = np.isfinite(days) & ((days < FIRST_DAY) | (days >= LAST_DAY + 1))
    return np.where(
        beyond, -np.inf, days
    ), reason or f"is no date{' within the years 1 to 9999' if beyond.any() else ''}"


def _read_days(column: Column, cells: pa.ChunkedArray, text: bool) -> tuple[np.ndarray, str]:
    if pa.types.is_null(cells.type):  # gaps alone have no type
        return np.full(len(cells), np.nan), ""
    if not text:
        try:
            digits = with_zeros(column.pattern) in DIGITS or EPOCH.fullmatch(column.pattern)
            absent = np.asarray(pc.is_null(cells, nan_is_null=True).to_numpy())
            return (
                days_of(cells) if pa.types.is_temporal(cells.type) or not digits else _by_digits(column, cells, absent)
            ), ""
        except pa.ArrowException:
            written = (
                f"; digits are read by a pattern such as %Y%m%d or 'seconds since 1970-01-01', not {column.pattern}"
            )
            return np.full(len(cells), -np.inf), "is no date, as the column is in training" + written * (
                not pa.types.is_temporal(cells.type)
            )
    absent = missing_text(cells) | nothing(cells)
    days = np.where(absent, np.nan, -np.inf)
    for pattern in _patterns(column):
        left = np.isneginf(days)
        if left.any():
            found = parsed_dates(cells, ~left, pattern)
            days = np.where(np.isnan(found), days, found)
    if is_dated(column.pattern) and np.isneginf(days).any():
        days[np.isneginf(days) & no_day(cells)] = np.nan
    return days, f"is no date written as {column.pattern}"


def _by_digits(column: Column, cells: pa.ChunkedArray, absent: np.ndarray) -> np.ndarray:
    days = parsed_dates(cells, absent, column.pattern)
    none = (
        np.isin(numbers_typed(cells), NO_DAYS)
        if is_dated(column.pattern) and not EPOCH.fullmatch(column.pattern)
        else absent
    )
    days[np.isnan(days) & ~absent & ~none] = -np.inf
    return days


def _patterns(column: Column) -> tuple[str, ...]:
    """The pattern of a column of dates; of one that came typed, all ways in which other programs write its moments."""
    if not column.type or "%M" not in column.pattern or ":" not in column.pattern:
        return (column.pattern,)
    day = "" if "%Y" not in column.pattern else "%Y-%m-%d"
    whole = [
        f"{day}{mark}%H:%M{rest}{zone}" for zone in ("", "%:z") for mark in (" T" if day else " ") for rest in SHORTER
    ]
    return tuple(dict.fromkeys((column.pattern, *(one.strip() for one in whole), *((day,) if day else ()))))


def _as_numbers(column: Column, cells: pa.ChunkedArray, text: bool, form: NumeralForm | None) -> tuple[np.ndarray, str]:
    if not text:
        try:
            values = numbers_typed(cells)
        except pa.ArrowException:
            return np.full(len(cells), -np.inf), "is no number, as the column is in training"
    else:
        as_text = pc.cast(cells, pa.string())
        values = numbers_of(
            as_text,
            missing_text(as_text) | nothing(as_text) | limits(as_text),
            column,
            form or written_form(as_text, column),
        )
    outside = np.isinf(values) | (np.abs(values) > np.finfo(np.float32).max)
    values[outside] = -np.inf
    reason = "is no finite number below 3e38"
    if column.kind is ColumnKind.COUNT:
        values[np.isfinite(values) & (values != np.round(values))] = -np.inf
        reason = "is no whole number, as the column is in training"
    if column.kind is ColumnKind.POSITIVE:
        values[values <= 0] = -np.inf
        reason = "is no number above 0, as the column is in training"
    return values, reason


def exact(table: Table) -> Float64[Tensor, "rows columns"]:
    """The matrix of a table in float64: numbers and moments with all their digits, where a model is shown them as
    float32.
    """
    places = (
        place_of(table.original, table.schema, number, "the table") for number in range(len(table.schema.columns))
    )
    pairs = zip(table.schema.columns, places, strict=True)
    typed, cells = table.layout is None, table.original.columns
    values = (
        (column, valued(column, cells[place], table.forms.get(column.name), typed=typed)[0]) for column, place in pairs
    )
    return torch.from_numpy(
        np.stack([found - (0.0 if column.kind in LEVELS else column.origin) for column, found in values], axis=1)
    )


def _coded(column: Column, values: np.ndarray) -> np.ndarray:
    """The float32 of a cell."""
    return (values if column.kind in LEVELS else values - column.origin).astype(np.float32)
