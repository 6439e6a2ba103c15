"""Tables as symbols of a model's columns, and all that is no symbol beside them: a table comes back cell for cell."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int32

from vael.compression.container import Layout as FileLayout
from vael.compression.contents import Contents
from vael.compression.tabular.beside import Beside, BesideForm, ColumnForm, packed, unpacked
from vael.compression.tabular.column_laws import count_states
from vael.compression.tabular.grids import ASIDE, DAY, MISSING, CodingGrid, grids_of
from vael.compression.tabular.text_form import commonest, in_form, number_form, text_form
from vael.counting import counted
from vael.data import ColumnKind, Schema
from vael.errors import FormatError
from vael.tables import columnwise as pc
from vael.tables.as_text.text import TextLayout
from vael.tables.missing import missing_levels
from vael.tables.reading import place_of, valued
from vael.tables.schema import LEVELS
from vael.tables.values.dates import digits_in, written_date
from vael.tables.values.numerals import numeral_of

EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Original:
    """A table as it came: its cells, and the file if it was one of text."""

    name: str
    table: pa.Table
    layout: TextLayout | None = None
    raw: bytes | None = None
    size: int = 0  # bytes of the file, or of the columns in memory


def is_text(kind: pa.DataType) -> bool:
    """Whether cells are text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def table_contents(original: Original, schema: Schema) -> Contents:
    """The cells of the schema's columns as symbols; all else goes beside, so that nothing is lost.

    Errors: `ShapeError` for a column of the schema that is not there.
    """
    grids, table = grids_of(schema), original.table
    places = [place_of(table, schema, number, original.name) for number in range(len(grids))]
    symbols = np.stack(
        [
            symbols_of(grid, table.column(place), original.layout is None)
            for grid, place in zip(grids, places, strict=True)
        ],
        axis=1,
    )
    forms, cells = [], []
    for grid, place, column in zip(grids, places, symbols.T, strict=True):
        came = table.column(place)
        form = column_form(grid, place, came, column)
        rows = np.flatnonzero(differing(cells_of(grid, column, form, came.type), came))
        forms.append(form.model_copy(update={"others": len(rows)}))
        cells += (
            [pa.table({"row": pa.array(np.diff(rows, prepend=0).astype(np.int32)), "cell": came.take(pa.array(rows))})]
            if len(rows)
            else []
        )
    rest = [name for place, name in enumerate(table.column_names) if place not in places]
    counters = {name: first for name in rest if (first := counter_of(table.column(name))) is not None}
    told = BesideForm(
        rows=table.num_rows,
        columns=tuple(forms),
        counters=counters,
        whole=tuple(name for name in rest if name not in counters),
        layout=None
        if original.layout is None
        else (original.layout.mark, original.layout.named, original.layout.encoding),
    )
    told = with_text(told, original, schema)
    beside = packed(told, [table.slice(0, 0), table.select(list(told.whole)), *cells])
    if rebuilt_differs(unpacked(beside, original.name, len(symbols)), symbols, schema, original):
        raise FormatError(f"{original.name} does not come out as it went in, so it is not compressed; please report it")
    layout = FileLayout(
        kind="table", dtype="<i4", shape=symbols.shape, note="; ".join(notes(told, grids)), gaps=count_states(symbols)
    )
    return Contents(original.name, symbols, layout, beside, original.size)


def symbols_of(grid: CodingGrid, cells: pa.ChunkedArray, typed: bool) -> Int32[np.ndarray, " rows"]:
    """The symbols of cells, `MISSING` or `ASIDE` where there is none."""
    if grid.column.kind not in LEVELS:
        return grid.symbols(valued(grid.column, cells)[0])
    texts = pc.cast(cells, pa.string())
    absent = missing_levels(grid.column, texts, typed)
    place = pc.fill_null(pc.index_in(pc.utf8_trim_whitespace(texts), pa.array(grid.texts, pa.string())), ASIDE)
    return np.where(absent, MISSING, np.asarray(place.to_numpy())).astype(np.int32)


def column_form(
    grid: CodingGrid, place: int, cells: pa.ChunkedArray, symbols: Int32[np.ndarray, " rows"]
) -> ColumnForm:
    """How most cells of a column are written."""
    if not is_text(cells.type):
        return ColumnForm(place=place)
    gone = symbols == MISSING
    absent = commonest(cells.filter(pa.array(gone))) if gone.any() else None
    if grid.texts or grid.column.kind is ColumnKind.DATE or grid.free:
        return ColumnForm(place=place, absent=absent)
    numeral = numeral_of(grid.column)
    bare = numeral.bare(cells, known=True)
    plain = numeral.form.ungrouped(bare)
    form = number_form(grid.values(symbols), plain, decimals_of(grid))
    return ColumnForm(place=place, absent=absent, number=form, grouped=bool(pc.any(pc.not_equal(plain, bare)).as_py()))


def decimals_of(grid: CodingGrid) -> int:
    """Digits after the point of a column of numbers."""
    return grid.column.decimals or 0 if grid.column.kind is not ColumnKind.COUNT else 0


def cells_of(grid: CodingGrid, symbols: Int32[np.ndarray, " rows"], form: ColumnForm, kind: pa.DataType) -> pa.Array:
    """Symbols as cells of the type that the table has; null where a cell stands beside, or cannot be of that type."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    distinct, where = np.unique(symbols, return_inverse=True)
    try:
        if is_text(plain) or grid.texts:
            words = [_word(grid, int(symbol), form, is_text(kind)) for symbol in distinct]
            return pc.cast(pa.array(words, pa.string()), plain).take(pa.array(where))
        values = grid.values(distinct)
        gone = np.isnan(values)
        if grid.column.kind is ColumnKind.DATE:
            if not pa.types.is_temporal(plain):
                days = np.where(gone, 0.0, values)
                return pc.cast(pa.array(digits_in(grid.column.pattern, days, DAY / grid.rate), mask=gone), plain).take(
                    pa.array(where)
                )
            micros = np.where(gone, 0, (distinct.astype(np.int64) + grid.first) * (DAY * 1_000_000 // grid.rate))
            return pc.cast(pa.array(micros, pa.timestamp("us"), mask=gone), plain, safe=False).take(pa.array(where))
        return pc.cast(pa.array(np.where(gone, 0.0, values), mask=gone), plain, safe=False).take(pa.array(where))
    except (pa.ArrowException, ValueError, OverflowError):
        return pa.nulls(len(symbols), plain)


def _word(grid: CodingGrid, symbol: int, form: ColumnForm, written: bool) -> str | None:
    """A symbol as text."""
    if symbol < 0:
        return form.absent if symbol == MISSING and written else None
    if grid.texts:
        return grid.texts[symbol]
    if grid.column.kind is ColumnKind.DATE:
        return written_date(
            EPOCH + timedelta(seconds=(symbol + grid.first) * (DAY // grid.rate)), grid.column.pattern or "%Y-%m-%d"
        )
    text, numeral = in_form((symbol + grid.first) / grid.rate, decimals_of(grid), form.number), numeral_of(grid.column)
    return numeral.around(numeral.form.grouped(text) if form.grouped else text)


def differing(made: pa.Array | pa.ChunkedArray, came: pa.ChunkedArray) -> Bool[np.ndarray, " rows"]:
    """Where cells are not the same: bits for floats, so that neither -0 nor NaN is taken for another."""
    made = made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made
    plain = typed_plain(came).combine_chunks()
    made = pc.cast(made, plain.type) if made.type != plain.type else made
    empty = np.asarray(pc.is_null(made)), np.asarray(pc.is_null(plain))
    if pa.types.is_floating(plain.type):
        first, second = (np.asarray(pc.fill_null(one, 0.0)) for one in (made, plain))
        same = first.view(f"u{first.itemsize}") == second.view(f"u{first.itemsize}")
    else:
        same = _equal(made, plain)
    return (empty[0] != empty[1]) | ~(same | (empty[0] & empty[1]))


def _equal(made: pa.Array, came: pa.Array) -> Bool[np.ndarray, " rows"]:
    """Which cells are equal, true where one is null; of lists and other nested types, which Arrow does not compare,
    a row at a time.
    """
    try:
        return np.asarray(pc.fill_null(pc.equal(made, came), True))
    except pa.ArrowNotImplementedError:
        return np.fromiter(
            (one == other for one, other in zip(made, came, strict=True)), bool, len(made)
        ) | ~np.asarray(pc.is_valid(made))


def counter_of(cells: pa.ChunkedArray) -> int | None:
    """The first number of a column of text or whole numbers that counts the rows."""
    if not len(cells) or not (is_text(cells.type) or pa.types.is_integer(cells.type)) or cells.null_count:
        return None
    try:
        first = int(cells[0].as_py())
        return None if differing(_counting(first, len(cells), cells.type), cells).any() else first
    except (ValueError, pa.ArrowException):
        return None


def _counting(first: int, rows: int, kind: pa.DataType) -> pa.Array:
    return pc.cast(pa.array(np.arange(first, first + rows, dtype=np.int64)), kind)


def rebuilt(beside: Beside, symbols: Int32[np.ndarray, "rows columns"], schema: Schema) -> pa.Table:
    """The table as it came. Errors: `FormatError` where symbols and what stands beside do not fit each other."""
    told, columns = beside.told, dict(zip(beside.whole.column_names, beside.whole.columns, strict=True))
    if [form.place for form in told.columns if not 0 <= form.place < len(beside.schema)] or told.counters.keys() - set(
        beside.schema.names
    ):
        raise FormatError("the columns that stand beside are not those of the table; another program wrote the file")
    for name, first in told.counters.items():
        columns[name] = _counting(first, told.rows, beside.schema.field(name).type)
    if len(told.columns) != symbols.shape[1] or told.rows != len(symbols):
        raise FormatError(
            f"data for {counted(told.rows, 'row')} stand beside {len(symbols):,} that are coded; another program "
            "wrote the file"
        )
    for grid, form, column in zip(grids_of(schema), told.columns, symbols.T, strict=True):
        if len(column) and not (column.min() >= ASIDE and column.max() < max(grid.size, 0)):
            raise FormatError(
                f"column {grid.column.name!r} has symbols that it cannot have; another program wrote the file"
            )
        field = beside.schema.field(form.place)
        made = cells_of(grid, column, form, field.type)
        columns[field.name] = typed(replaced(made, next(beside.cells)) if form.others else made, field.type)
    return pa.table([columns[field.name] for field in beside.schema], schema=beside.schema)


def replaced(made: pa.Array, others: pa.Table) -> pa.Array:
    """Cells with those that stand beside in their rows."""
    rows, cells = np.cumsum(others.column("row").to_numpy(), dtype=np.int64), others.column("cell").combine_chunks()
    if len(rows) and (rows[0] < 0 or rows[-1] >= len(made) or (np.diff(rows) <= 0).any()):
        raise FormatError("cells stand beside for rows that there are not; another program wrote the file")
    cells = pc.cast(cells, made.type)
    source = np.arange(len(made))
    source[rows] = len(made) + np.arange(len(rows))
    return pa.concat_arrays([made, cells]).take(pa.array(source))


def typed(cells: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cells in the type of the table, levels by their numbers where it has them so."""
    if not pa.types.is_dictionary(kind):
        return pc.cast(cells, kind) if cells.type != kind else cells
    return pc.cast(pc.dictionary_encode(cells), kind)


def rebuilt_differs(
    beside: Beside, symbols: Int32[np.ndarray, "rows columns"], schema: Schema, original: Original
) -> bool:
    """Whether anything comes out otherwise than it came."""
    made = rebuilt(beside, symbols, schema)
    if made.schema.remove_metadata() != original.table.schema.remove_metadata():
        return True
    return any(
        differing(typed_plain(one), other).any()
        for one, other in zip(made.columns, original.table.columns, strict=True)
    )


def typed_plain(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Levels as what they stand for."""
    return pc.cast(cells, cells.type.value_type) if pa.types.is_dictionary(cells.type) else cells


def with_text(told: BesideForm, original: Original, schema: Schema) -> BesideForm:
    """With the form of the text file, where that gives every byte of it back."""
    if original.raw is None or original.layout is None:
        return told
    form = text_form(original.raw, original.layout, rows_of(original.table), texts_of(told, original.table, schema))
    if form is None:
        return told
    return told.model_copy(update={"text": form, "digest": hashlib.sha256(original.raw).hexdigest()})


def texts_of(told: BesideForm, table: pa.Table, schema: Schema) -> list[bool]:
    """Which columns are no numbers."""
    numbers = {
        form.place
        for form, column in zip(told.columns, schema.columns, strict=True)
        if column.kind not in LEVELS | {ColumnKind.DATE}
    }
    return [place not in numbers and name not in told.counters for place, name in enumerate(table.column_names)]


def rows_of(table: pa.Table) -> list[tuple[str, ...]]:
    """Rows of text."""
    return list(
        zip(*(["" if cell is None else cell for cell in column.to_pylist()] for column in table.columns), strict=True)
    )


def text_of(told: BesideForm, table: pa.Table, schema: Schema, name: str) -> bytes | None:
    """The bytes of the text file that the table came from, checked; None where they are not kept.

    Errors: `FormatError` where they do not come out as they went in.
    """
    if told.text is None:
        return None
    content = told.text.content(rows_of(table), texts_of(told, table, schema))
    if hashlib.sha256(content).hexdigest() != told.digest:
        raise FormatError(
            f"{name}: the text that comes out is not the one that went in, so nothing is written; another version of "
            "vael wrote it"
        )
    return content


def notes(told: BesideForm, grids: tuple[CodingGrid, ...]) -> Iterator[str]:
    """What a person wants to know of what comes back."""
    if told.text is not None:
        yield "the file comes back byte for byte"
    elif told.layout is not None:
        yield "every cell comes back as it is written, but not spaces, quotes and ends of lines"
    else:
        yield "every cell comes back with its type"
    free = [grid.column.name for grid in grids if grid.free]
    if free:
        yield (
            f"{', '.join(free)}: no declared precision, so kept beside, not coded; give `decimals` in the schema "
            "(`vael train --schema`)"
        )
    if told.whole:
        yield f"{', '.join(told.whole)}: not in the model, kept beside"
    others = sum(form.others for form, grid in zip(told.columns, grids, strict=True) if not grid.free)
    if others:
        yield f"kept beside: {counted(others, 'cell')} that training did not know, or written otherwise than most"
