"""Tables between files or data frames and the matrix that a model sees: read by a schema, held to it, and written back as they came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Float
from torch import Tensor

from vael.data.dates import parsed_dates, resolution, written_date
from vael.data.inference import INDEX, codes, days_of, infer_schema, is_text
from vael.data.missing import missing_levels, missing_text
from vael.data.numerals import FORMS, Form, form_of, in_question, nothing, numbers_of, numeral_of, read_by
from vael.data.output import cell_file
from vael.data.parquet import whole_parquet
from vael.data.schema import LEVELS, Column, ColumnKind, Schema
from vael.data.text import Layout, Ragged, check_names, read_text
from vael.errors import FormatError, ShapeError, SupportError

DAY = 86_400_000_000  # microseconds
WHOLE = 2.0**63  # below which whole numbers are written as such


@runtime_checkable
class Frame(Protocol):
    """A table of pandas, polars, Arrow or any other library that hands over its columns by Arrow's C interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The columns."""


class OnError(Enum):
    """What becomes of a row that cannot be read."""

    STOP = "stop"
    SKIP = "skip"  # it is listed in `Table.skipped`


@dataclass(frozen=True)
class Skipped:
    """A row that was left out, and why."""

    row: int  # counted from 1, without the line of names
    reason: str


@dataclass(frozen=True)
class Table:
    """Rows as a model sees them, beside the cells as they came."""

    schema: Schema
    x: Float[Tensor, "rows columns"]  # NaN where missing
    original: pa.Table  # the same rows with all columns, as text or as they were typed
    layout: Layout | None = None  # of a text file
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # their numbers in the data, from 1
    skipped: tuple[Skipped, ...] = ()
    forms: Mapping[str, Form] = field(default_factory=dict)  # of columns of numbers that came as text
    written: pa.Table | None = None  # cells as they are written in the file, null where that is how its layout has them

    @property
    def kept(self) -> pa.Table | None:
        """`written` of the cells that are not filled."""
        if self.written is None:
            return None
        gaps, found = torch.isnan(self.x).numpy(), self.written
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
    layout: Layout | None = None  # of a text file
    ragged: tuple[Ragged, ...] = ()  # rows of another length among them, which are not in the table
    written: pa.Table | None = None  # as `Table.written`

    @property
    def typed(self) -> bool:
        """Whether cells have types, so that what is missing is null."""
        return self.layout is None


def given_rows(data: Path | str | Frame, on_error: OnError = OnError.STOP) -> Given:
    """A file or a frame as Arrow columns: of text for a text file, typed otherwise. Errors: `FormatError`, `ShapeError`."""
    if not isinstance(data, Path | str):
        table = data if isinstance(data, pa.Table) else pa.table(data)
        kept = [name for name in table.column_names if not name.startswith(INDEX)]
        check_names("the table", [str(name) for name in table.column_names])
        return counted(pa.table({name: without_views(table.column(name)) for name in kept}))
    if Path(data).suffix.lower() == ".parquet":
        found = whole_parquet(Path(data))
        columns = zip(found.column_names, found.columns, strict=True)
        return counted(pa.table({name: without_views(column) for name, column in columns}, metadata=found.schema.metadata))
    found, block = read_text(Path(data))
    if block.ragged and on_error is OnError.STOP:
        raise found.too_ragged(block.ragged)
    return Given(block.table, block.rows, found.layout, block.ragged, block.written)


def counted(table: pa.Table, first: int = 1) -> Given:
    """Rows with their numbers."""
    return Given(table, np.arange(first, first + table.num_rows))


def without_views(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text that is stored as views (polars) in the ordinary way, which Arrow's functions take."""
    kind = column.type
    if pa.types.is_dictionary(kind) and "view" in str(kind.value_type):
        return pa.chunked_array([pa.array(column.to_pylist(), pa.string()).dictionary_encode()])
    return pc.cast(column, pa.string()) if "view" in str(kind) else column


def named(data: object) -> str:
    """What to call the data in a message."""
    return str(data) if isinstance(data, Path | str) else "the table"


def read_table(data: Path | str | Frame, schema: Schema | None = None, *, on_error: OnError = OnError.STOP) -> Table:
    """The rows of a file or a frame by a schema, or by what their columns are found to be.

    Columns are found by their names, in any order; further columns are kept in `original` and no more.
    Errors: `ShapeError` for a column that is missing, `SupportError` for cells that do not fit the schema (named with column and row; with
    `OnError.SKIP` the row is left out and listed instead), and those of the readers.
    """
    given, where = given_rows(data, on_error if schema else OnError.STOP), named(data)
    if not given.table.num_rows:
        raise FormatError(f"{where} has no rows; give a table with one example a row")
    if schema is None:
        schema, found = infer_schema(given.table, where, comma=given.layout is not None and given.layout.mark == ";", typed=given.typed)
        matrix = np.stack([_coded(one.column, one.values) for one in found], axis=1)
        return Table(schema, torch.from_numpy(matrix), given.table, given.layout, given.rows, (), forms_of(given.table, schema), given.written)
    kept = by_schema(given, schema, where, on_error)
    if not len(kept.x):
        raise none_fits(where, len(kept.skipped), kept.skipped[0])
    return kept


def none_fits(where: str, count: int, first: Skipped) -> SupportError:
    """What to say where no row is left."""
    return SupportError(f"{where}: none of the {count:,} rows fits the model; row {first.row:,}: {first.reason}")


Forms = Mapping[str, Form]
Misfits = Callable[[np.ndarray], dict[int, str]]


def by_schema(given: Given, schema: Schema, where: str, on_error: OnError, forms: Forms | None = None, misfits: Misfits | None = None) -> Table:
    """Rows held to a schema that is known, those that do not fit left out and listed.

    `forms` are those of the numbers that are written as text, where they were found in more rows than these; `misfits` finds what else is
    wrong with rows of the matrix.
    Errors: with `OnError.STOP` a `SupportError` for the first row that does not fit.
    """
    forms = forms_of(given.table, schema) if forms is None else forms
    matrix, reasons = fitted(given, schema, where, forms)
    for row, reason in (misfits(matrix) if misfits else {}).items():
        reasons.setdefault(row, reason)
    if reasons and on_error is OnError.STOP:
        row = min(reasons)
        more = f" (so are {len(reasons) - 1:,} more near it)" if len(reasons) > 1 else ""
        raise SupportError(
            f"{where}, row {given.rows[row]:,}, {reasons[row]}{more}; correct it, or leave such rows out (OnError.SKIP; "
            "--on-error skip of score, encode and impute)"
        )
    skipped = [Skipped(int(given.rows[row]), reason) for row, reason in reasons.items()]
    skipped += [Skipped(one.row, f"{one.cells} cells, but {given.table.num_columns} were expected ({one.text[:60]!r})") for one in given.ragged]
    kept = np.setdiff1d(np.arange(given.table.num_rows), np.array(list(reasons), np.int64))
    table, written = (one if one is None or not reasons else one.take(pa.array(kept)) for one in (given.table, given.written))
    listed = tuple(sorted(skipped, key=lambda one: one.row))
    return Table(schema, torch.from_numpy(matrix[kept] if reasons else matrix), table, given.layout, given.rows[kept], listed, forms, written)


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


def written_form(cells: pa.ChunkedArray, column: Column) -> Form:
    """The form of the numbers in some cells."""
    return form_of(read_by(cells, column), column) if in_question(cells, column) else FORMS[0]


def fitted(given: Given, schema: Schema, where: str, forms: Forms) -> tuple[np.ndarray, dict[int, str]]:
    """The matrix of some rows, and what is wrong with those that do not fit. Errors: `ShapeError` for a column that is missing."""
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
        reasons.setdefault(int(row), "every cell of the row is missing, so nothing is known of it")
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
    near = get_close_matches(name, table.column_names, n=1, cutoff=0.6)
    hint = f"did {near[0]!r} mean it? " if near else ""
    raise ShapeError(
        f"{where} has no column {name!r}, which the model was trained on; {hint}there are {', '.join(table.column_names[:20])}: rename or add it "
        "(with empty cells if it is not known)"
    )


def _shown(cell: pa.Scalar) -> str:
    return repr(cell.as_py())


def valued(column: Column, cells: pa.ChunkedArray, form: Form | None = None, *, typed: bool = False) -> tuple[np.ndarray, str]:
    """Cells as numbers (codes, or values with the origin still in them), NaN where missing, -inf where they do not fit, and why not.

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
    if not text:
        try:
            return days_of(cells), ""
        except pa.ArrowException:
            return np.full(len(cells), -np.inf), "is no date, as the column is in training"
    absent = missing_text(cells) | nothing(cells)
    days = parsed_dates(cells, absent, column.pattern)
    days[np.isnan(days) & ~absent] = -np.inf
    return days, f"is no date written as {column.pattern}"


def _as_numbers(column: Column, cells: pa.ChunkedArray, text: bool, form: Form | None) -> tuple[np.ndarray, str]:
    if not text:
        try:
            values = np.array(pc.cast(cells, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        except pa.ArrowException:
            return np.full(len(cells), -np.inf), "is no number, as the column is in training"
    else:
        as_text = pc.cast(cells, pa.string())
        values = numbers_of(as_text, missing_text(as_text) | nothing(as_text), column, form or written_form(as_text, column))
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


def _coded(column: Column, values: np.ndarray) -> np.ndarray:
    """The float32 of a cell."""
    return (values if column.kind in LEVELS else values - column.origin).astype(np.float32)


def arrow_cells(schema: Schema, x: Float[Tensor, "rows columns"], seed: int = 0, rows: np.ndarray | None = None) -> pa.Table:
    """Rows of a matrix as typed columns: levels as text, counts as whole numbers, dates as dates; null where NaN.

    Cells of the code that rare levels share become one of them, drawn by how often each was: a function of seed, column and number of the
    row (`rows`; from 1 on unless given), so that rows written in blocks are those that are written at once.
    Errors: `ShapeError` for a matrix of another width.
    """
    if x.shape[1] != len(schema.columns):
        raise ShapeError(f"a matrix of {x.shape[1]} columns came with a schema of {len(schema.columns)}; give a column for each")
    cells = x.detach().cpu().double().numpy()
    numbers = np.arange(1, len(x) + 1) if rows is None else rows
    return pa.table({one.name: _typed(one, cells[:, place], _shares(seed, place, numbers)) for place, one in enumerate(schema.columns)})


def _shares(seed: int, column: int, rows: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each row: the mixing of a counter by Steele, Lea & Flood (2014, SplitMix64)."""
    start = np.random.SeedSequence((seed, column)).generate_state(1, np.uint64)[0]
    with np.errstate(over="ignore"):
        mixed = start + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _typed(column: Column, cells: np.ndarray, shares: np.ndarray) -> pa.Array:
    gone = np.isnan(cells)
    if column.kind in LEVELS:
        return pa.array(_texts(column, np.where(gone, 0, np.round(cells)).astype(int), shares), pa.string(), mask=gone)
    values = np.where(gone, 0.0, cells) + column.origin
    if column.kind is ColumnKind.DATE:
        step = resolution(column.pattern)
        micros = (np.round(values * (DAY / step)) * step).astype(np.int64)
        kind = pa.date32() if column.decimals == 0 else pa.timestamp("us")
        return pc.cast(pa.array(micros, pa.timestamp("us"), mask=gone), kind, safe=False)
    rounded = values if column.decimals is None else np.round(values, column.decimals)
    largest = max((abs(end) for end in (column.minimum, column.maximum) if end is not None), default=0.0)
    if (column.kind is ColumnKind.COUNT or column.decimals == 0) and largest < WHOLE:
        return pa.array(np.round(rounded).astype(np.int64), mask=gone)
    if column.decimals is None:  # no more digits than float32 had
        rounded = np.array([float(np.format_float_positional(np.float32(value), trim="0")) for value in rounded]) if not column.origin else rounded
    return pa.array(rounded, mask=gone)


def _texts(column: Column, found: np.ndarray, shares: np.ndarray) -> np.ndarray:
    texts = np.array([*column.levels, ""], dtype=object)[np.clip(found, 0, len(column.levels))]
    rare = np.flatnonzero(found >= len(column.levels))
    if column.rare and len(rare):
        names, counts = zip(*column.rare, strict=True)
        reached = np.cumsum(counts) / sum(counts)
        texts[rare] = np.array(names, dtype=object)[np.minimum(np.searchsorted(reached, shares[rare], side="right"), len(names) - 1)]
    return texts


def written_cells(column: Column, cells: pa.Array, form: Form = FORMS[0]) -> list[str]:
    """Typed cells as they are written in text: as many digits as the data have, units around them, dates by their pattern, nothing where null."""
    if column.kind is ColumnKind.DATE:
        return ["" if cell is None else written_date(cell, column.pattern or "%Y-%m-%d") for cell in cells.to_pylist()]
    if column.kind in LEVELS:
        return ["" if cell is None else str(cell) for cell in cells.to_pylist()]
    numeral = replace(numeral_of(column), form=form)
    return ["" if cell is None else numeral.written(_digits(cell, column.decimals)) for cell in cells.to_pylist()]


def _digits(value: float | int, decimals: int | None) -> str:
    if isinstance(value, int):
        return str(value)
    if decimals is None:
        return np.format_float_positional(value, trim="-") if 1e-5 <= abs(value) < 1e16 or value == 0 else repr(value)
    return f"{value:.{decimals}f}"


def completed(table: Table, x: Float[Tensor, "rows columns"], seed: int = 0) -> pa.Table:
    """The table as it came with the cells of `x` where a cell of a modelled column was missing; every other cell is the very one that came."""
    fresh, original = arrow_cells(table.schema, x, seed, table.rows), table.original
    gaps = torch.isnan(table.x).numpy()
    for number, column in enumerate(table.schema.columns):
        if not gaps[:, number].any():
            continue
        place = place_of(original, table.schema, number, "the table")
        old, new = original.column(place), fresh.column(number)
        if pa.types.is_string(old.type) or pa.types.is_large_string(old.type):
            new = pa.chunked_array([pa.array(written_cells(column, new.combine_chunks(), table.forms.get(column.name, FORMS[0])), old.type)])
        elif old.type != new.type:
            new = (
                pc.cast(new, old.type, safe=False) if not pa.types.is_dictionary(old.type) else pc.cast(new, old.type.value_type).dictionary_encode()
            )
            old = pc.cast(old, new.type) if pa.types.is_dictionary(old.type) else old
        joined = pc.if_else(pa.array(gaps[:, number]), new.combine_chunks(), old.combine_chunks())
        original = original.set_column(place, original.column_names[place], joined)
    return original


def write_rows(path: Path, schema: Schema, x: Float[Tensor, "rows columns"], *, layout: Layout | None = None, seed: int = 0) -> None:
    """New rows in the names, order, types and digits of the data: .csv (or another text) or .parquet. Errors: `FormatError` for another ending."""
    table = arrow_cells(schema, x, seed)
    if path.suffix.lower() == ".parquet":
        write_arrow(path, table)
        return
    texts = {column.name: pa.array(written_cells(column, table.column(column.name).combine_chunks())) for column in schema.columns}
    write_arrow(path, pa.table(texts), layout)


def write_arrow(path: Path, table: pa.Table, layout: Layout | None = None) -> None:
    """An Arrow table as .parquet, or its cells as text with the layout of the data, whole or not at all. Errors: `FormatError` for another ending."""
    with cell_file(path, layout) as file:
        file.add(table)
