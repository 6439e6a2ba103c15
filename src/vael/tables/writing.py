"""From the matrix that a model sees to tables: cells in the types, digits, patterns and zones that their columns
came in.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Float64
from torch import Tensor

from vael.errors import ShapeError
from vael.tables import columnwise as pc
from vael.tables.as_text.output import cell_file
from vael.tables.as_text.text import TextLayout
from vael.tables.reading import Table, place_of, with_views
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.values.arrow_types import among, days_of, is_text, levels_in, moments_in, numbers_in, type_named
from vael.tables.values.dates import digits_in, moment_of, resolution, with_zeros, written_date
from vael.tables.values.decimals import MOST_DECIMALS
from vael.tables.values.numerals import FORMS, NumeralForm, numeral_of

WHOLE = 2.0**63  # below which whole numbers are written as such


def arrow_cells(
    schema: Schema, x: Float[Tensor, "rows columns"], seed: int = 0, rows: np.ndarray | None = None
) -> pa.Table:
    """Rows of a matrix as typed columns: levels as text, counts as whole numbers, dates as dates; null where NaN.

    Cells of the code that rare levels share become one of them, drawn by how often each was: a function of seed, column
    and number of the row (`rows`; from 1 on unless given), so that rows written in blocks are those that are written at
    once. Errors: `ShapeError` for a matrix of another width.
    """
    if x.shape[1] != len(schema.columns):
        raise ShapeError(
            f"a matrix of {x.shape[1]} columns came with a schema of {len(schema.columns)}; give a column for each"
        )
    cells = x.detach().cpu().double().numpy()
    numbers = np.arange(1, len(x) + 1) if rows is None else rows
    return pa.table(
        {
            one.name: _typed(one, cells[:, place], _shares(seed, place, numbers))
            for place, one in enumerate(schema.columns)
        }
    )


def _shares(seed: int, column: int, rows: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each row: the mixing of a counter by Steele, Lea & Flood (2014, SplitMix64)."""
    start = np.random.SeedSequence((seed, column)).generate_state(1, np.uint64)[0]
    with np.errstate(over="ignore"):
        mixed = start + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _typed(column: Column, cells: np.ndarray, shares: np.ndarray) -> pa.Array:
    """Cells in the type that the column had in training; where it was text, in the one that suits it."""
    gone, kind = np.isnan(cells), type_named(column.type)
    if column.kind in LEVELS:
        texts = pa.array(_texts(column, np.where(gone, 0, np.round(cells)).astype(int), shares), pa.string(), mask=gone)
        return texts if kind is None else levels_in(kind, texts, (*column.levels, *(level for level, _ in column.rare)))
    values = np.where(gone, 0.0, cells) + column.origin
    if column.kind is ColumnKind.DATE:
        return moments_as(column, values, gone)
    return numbers_as(column, values, gone, shares)


def numbers_as(
    column: Column, values: np.ndarray, gone: np.ndarray, shares: Float64[np.ndarray, " rows"] | None = None
) -> pa.Array:
    """Numbers in the type and with the decimals of their column; whole ones of a column without a type are whole
    numbers; null where `gone`.

    With `shares`, uniform in [0, 1), digits below those of float64 are drawn: numbers of 18 digits would else all be
    multiples of 16 to 128. The ends of the range and spikes stay as they are.
    """
    kind = type_named(column.type)
    rounded = values if column.decimals is None else np.round(values, column.decimals)
    fixed = np.isin(rounded, [*column.spikes, *(end for end in (column.minimum, column.maximum) if end is not None)])
    below = None if shares is None else np.where(gone | fixed, 0.0, (shares - 0.5) * np.spacing(np.abs(rounded)))
    if kind is not None and not is_text(kind):
        return numbers_in(kind, rounded, gone, below)
    largest = max((abs(end) for end in (column.minimum, column.maximum) if end is not None), default=0.0)
    whole = (column.kind is ColumnKind.COUNT or column.decimals == 0) and largest < WHOLE
    found = numbers_in(pa.int64() if whole else pa.float64(), rounded, gone, below)
    return found if kind is None else _text_in(kind, column, found)


def moments_as(column: Column, days: np.ndarray, gone: np.ndarray) -> pa.Array:
    """Days as dates, moments or times of day, as the whole numbers that stand for them, or as text, as their column
    was; null where `gone`.
    """
    step, kind = step_of(column), type_named(column.type)
    if kind is not None and not is_text(kind) and not pa.types.is_temporal(kind):
        return numbers_in(kind, digits_in(column.pattern, days, step), gone)
    timely = kind is not None and not is_text(kind)
    clock = "%H" in with_zeros(column.pattern) and "%Y" not in column.pattern and "%y" not in column.pattern
    usual = pa.time64("us") if clock else pa.date32() if column.decimals == 0 else pa.timestamp("us")
    found = moments_in(kind if timely and kind is not None else usual, days, gone, step)
    return found if kind is None or timely else _text_in(kind, column, found)


def step_of(column: Column) -> float:
    """Seconds between moments that a column of dates tells apart."""
    if column.decimals == 0:
        return 86_400.0
    return column.step or resolution(column.pattern)


def _text_in(kind: pa.DataType, column: Column, cells: pa.Array) -> pa.Array:
    texts = pa.array([text or None for text in written_cells(column, cells)], pa.string())
    return levels_in(kind, texts, tuple(pc.unique(texts.drop_null()).to_pylist()))


def _texts(column: Column, found: np.ndarray, shares: np.ndarray) -> np.ndarray:
    texts = np.array([*column.levels, ""], dtype=object)[np.clip(found, 0, len(column.levels))]
    rare = np.flatnonzero(found >= len(column.levels))
    if column.rare and len(rare):
        names, counts = zip(*column.rare, strict=True)
        reached = np.cumsum(counts) / sum(counts)
        texts[rare] = np.array(names, dtype=object)[
            np.minimum(np.searchsorted(reached, shares[rare], side="right"), len(names) - 1)
        ]
    return texts


def written_cells(column: Column, cells: pa.Array, form: NumeralForm = FORMS[0]) -> list[str]:
    """Typed cells as they are written in text: as many digits as the data have, units around them, dates by their
    pattern, nothing where null.
    """
    if column.kind is ColumnKind.DATE and pa.types.is_temporal(cells.type):
        return _written_dates(column, cells)
    if column.kind in LEVELS or column.kind is ColumnKind.DATE or is_text(cells.type):
        whole = pc.cast(cells, pa.int64()) if pa.types.is_floating(cells.type) and column.kind not in LEVELS else cells
        return ["" if cell is None else cell for cell in pc.cast(whole, pa.string()).to_pylist()]
    numeral = replace(numeral_of(column), form=form)
    plain = pc.cast(cells, pa.int64()) if pa.types.is_duration(cells.type) else cells
    return ["" if cell is None else numeral.written(_digits(cell, column.decimals)) for cell in plain.to_pylist()]


def _written_dates(column: Column, cells: pa.Array) -> list[str]:
    """Dates by the pattern of their column, in the zone of their type."""
    kind, pattern = cells.type, column.pattern or "%Y-%m-%d"
    if not pa.types.is_timestamp(kind):
        return ["" if cell is None else written_date(cell, pattern) for cell in cells.to_pylist()]
    zone = _zone(kind.tz) if kind.tz else None
    days = days_of(pa.chunked_array([cells]))
    moments = (None if np.isnan(one) else moment_of(one) for one in days)
    return ["" if one is None else written_date(one if zone is None else _local(one, zone), pattern) for one in moments]


def _zone(name: str) -> tzinfo:
    """A zone by its name or offset."""
    found = re.fullmatch(r"([+-])(\d\d):?(\d\d)", name)
    if found is None:
        return ZoneInfo(name)
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset)


def _local(moment: datetime, zone: tzinfo) -> datetime:
    """A moment in UTC as a clock in a zone shows it, within the calendar."""
    try:
        return moment.replace(tzinfo=UTC).astimezone(zone)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def _digits(value: float | int | Decimal, decimals: int | None) -> str:
    if isinstance(value, int):
        return str(value)
    value = float(value)
    if decimals is None:
        return np.format_float_positional(value, trim="-") if 1e-5 <= abs(value) < 1e16 or value == 0 else repr(value)
    if decimals > MOST_DECIMALS:  # those of a computed number, which end where it does
        return np.format_float_positional(round(value, decimals) + 0.0, trim="-")
    return f"{value:.{decimals}f}"


def completed(table: Table, x: Float[Tensor, "rows columns"], seed: int = 0) -> pa.Table:
    """The table as it came with the cells of `x` where a cell of a modelled column was missing; every other cell is
    the very one that came.
    """
    original, schema = table.original, table.schema
    gaps = table.gaps
    for number, column in enumerate(schema.columns):
        if not gaps[:, number].any():
            continue
        place = place_of(original, schema, number, "the table")
        old = original.column(place)
        plain, empty = pa.types.is_string(old.type) or pa.types.is_large_string(old.type), pa.types.is_null(old.type)
        like = replace(column, type=column.type if empty else "" if plain else str(old.type))
        new = _typed(like, x[:, number].detach().cpu().double().numpy(), _shares(seed, number, table.rows))
        if plain:
            new = pa.array(written_cells(column, new, table.forms.get(column.name, FORMS[0])), old.type)
        filled = new if empty else among(old, new, gaps[:, number])  # of a column of gaps alone nothing tells the type
        original = original.set_column(place, original.column_names[place], filled)
    return with_views(original, table.types)


def write_rows(
    path: Path, schema: Schema, x: Float[Tensor, "rows columns"], *, layout: TextLayout | None = None, seed: int = 0
) -> None:
    """New rows in the names, order, types and digits of the data: .csv (or another text) or .parquet.

    Errors: `FormatError` for another ending.
    """
    table = arrow_cells(schema, x, seed)
    if path.suffix.lower() == ".parquet":
        write_arrow(path, table)
        return
    texts = {
        column.name: pa.array(written_cells(column, table.column(column.name).combine_chunks()), pa.string())
        for column in schema.columns
    }
    write_arrow(path, pa.table(texts), layout)


def write_arrow(path: Path, table: pa.Table, layout: TextLayout | None = None) -> None:
    """An Arrow table as .parquet, or its cells as text with the layout of the data, whole or not at all.

    Errors: `FormatError` for another ending.
    """
    with cell_file(path, layout) as file:
        file.add(table)
