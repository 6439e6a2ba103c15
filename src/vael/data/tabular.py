"""Tables as data to train on: three splits of coded rows, with the schema that they were read by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from vael.counting import counted
from vael.data.catalog.finding import folder_of
from vael.data.catalog.named import known
from vael.data.cells import fingerprint
from vael.data.files.arrays import array_in
from vael.data.files.material import Material, MaterialPart
from vael.data.keys import table_keys
from vael.data.source import Kind, Source, Splits
from vael.data.splitting import Sizes, SplitParts, split
from vael.tables import columnwise as pc
from vael.tables.as_text.compressed import content, plain_name
from vael.tables.as_text.text import TEXT
from vael.tables.inference import MANY, date_notes, padded, why_left_out
from vael.tables.missing import level_words, missing_text, taken_for_missing
from vael.tables.parquet import parquet_file
from vael.tables.quoting import columns_in_quotes
from vael.tables.reading import Frame, OnError, Table, named, place_of, read_table
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.values.arrow_types import is_number, is_text
from vael.tables.values.numerals import digits_alone, limits

BYTES = 2**20  # of a file at once
MOST = 1e15  # numbers of ordinary size
NUMBERS = frozenset({ColumnKind.REAL, ColumnKind.POSITIVE, ColumnKind.COUNT})


def is_table_file(path: Path) -> bool:
    """Whether a path holds a table, by its ending: of text (perhaps compressed) or Parquet."""
    return path.suffix.lower() == ".parquet" or plain_name(path).suffix.lower() in TEXT


def about_rows(path: Path) -> int | None:
    """How many examples a file has, about: of text its lines but one, which has the names; None for what is no array
    and no table.

    Errors: as of reading it.
    """
    if path.suffix.lower() == ".npy":
        return len(array_in(path, mapped=True))
    if not is_table_file(path):
        return None
    if path.suffix.lower() == ".parquet":
        return int(parquet_file(path).metadata.num_rows)
    with content(path) as file:
        return max(1, sum(block.count(b"\n") for block in iter(lambda: file.read(BYTES), b"")) - 1)


def plain(schema: Schema, x: np.ndarray) -> bool:
    """Whether a table is nothing but complete numbers without spikes, or nothing but 0 and 1: then no schema is
    needed to model it.
    """
    if np.isnan(x).any() or any(column.missing or column.origin or column.pattern for column in schema.columns):
        return False  # an origin keeps digits that float32 would lose, a pattern has a unit
    if any(not _ordinary(column) for column in schema.columns):
        return False
    return all(column.kind in NUMBERS and not column.spikes for column in schema.columns) or all(
        _bit(column) for column in schema.columns
    )


def _ordinary(column: Column) -> bool:
    """Whether squares of a column's numbers are within float32; the laws of tables with a schema bring them to unit
    scale first.
    """
    if column.minimum is None or column.maximum is None or column.kind not in NUMBERS:
        return True
    return max(abs(column.minimum), abs(column.maximum)) < MOST and not 0 < column.maximum - column.minimum < 1 / MOST


def _bit(column: Column) -> bool:
    return column.kind is ColumnKind.BOOLEAN and column.levels == ("0", "1")


def table_material(data: Path | str | Frame) -> Material:
    """The rows of a table; without a schema where the table is `plain`."""
    table = read_table(data, None, on_error=OnError.EMPTY)
    found = material_of(data, table, False)
    return replace(found, schema=None, rules=table.schema) if plain(table.schema, table.x.numpy()) else found


def material_of(data: Path | str | Frame, table: Table, given: bool) -> Material:
    """The rows of a table with its schema, which was `given` or told from the cells."""
    part = MaterialPart(table.x.numpy(), keys=table_keys(table.original, table.rows, table.schema.names))
    return Material(title_of(data), part, columns=table.schema.names, notes=notes_on(table, given), schema=table.schema)


def title_of(data: Path | str | Frame) -> str:
    """What a table is called."""
    return plain_name(Path(data)).stem if isinstance(data, Path | str) else named(data)


def notes_on(table: Table, given: bool = False) -> tuple[str, ...]:
    """Which columns are no part of the model and why, whether the first line was taken for names, and dates that could
    be read in another way.

    Nothing is said of dates where a schema was `given`: it says how they are written.
    """
    gone: dict[str, list[str]] = {}
    for name in table.schema.left_out:
        if name in table.original.column_names:
            gone.setdefault(why_left_out(table.original.column(name), name), []).append(name)
    left = tuple(
        f"left out: {', '.join(names[:12])}{' ...' if len(names) > 12 else ''} ({why})" for why, names in gone.items()
    )
    left += empty_rows(table)
    nameless = table.layout is not None and not table.layout.named
    dates = (
        () if given else date_notes(table.original, table.schema, table.layout is not None and table.layout.mark == ";")
    )
    first = ("the first line was taken for a row, not for names; columns go by their places",) if nameless else ()
    codes = () if given else (*notes_on_codes(table), *notes_on_mixtures(table))
    return (*left, *notes_on_words(table), *codes, *first, *dates)


def notes_on_mixtures(table: Table) -> tuple[str, ...]:
    """Which columns of text are numbers in most of their cells, and are no numbers in the model because of the others:
    each with the commonest of these.
    """
    levels = {column.name for column in table.schema.columns if column.kind in LEVELS}
    found = []
    for name in table.original.column_names:
        came = table.original.column(name)
        if not is_text(came.type) or pa.types.is_dictionary(came.type) or name not in {*levels, *table.schema.left_out}:
            continue
        cells = pc.utf8_trim_whitespace(pc.cast(came, pa.string()))
        seen = ~missing_text(cells)
        numbers = digits_alone(cells) & seen
        others = cells.filter(pa.array(seen & ~numbers))
        many = pc.count_distinct(cells.filter(pa.array(numbers))).as_py() > MANY
        if not len(others) or 2 * numbers.sum() < seen.sum() or not many or padded(cells):
            continue
        word = max(pc.value_counts(others).to_pylist(), key=lambda one: one["counts"])["values"]
        what = "levels" if name in levels else "text that is left out"
        found.append(f"{counted(len(others), 'cell')} of {name} ({word!r}), which is taken for {what}")
    if not found:
        return ()
    return (
        f"no numbers among numbers: {_listed(found)}; write numbers there, or leave the cells empty, for a column of "
        "numbers",
    )


def notes_on_codes(table: Table) -> tuple[str, ...]:
    """Which whole numbers were taken for levels because they stand in quotes where other numbers do not."""
    digits = [
        column.name
        for column in table.schema.columns
        if column.kind is ColumnKind.CATEGORICAL
        and all(level.isdecimal() and (level == "0" or level[0] != "0") for level in column.levels)
    ]
    if not digits or table.layout is None or not set(digits) & set(table.original.column_names):
        return ()
    quoted = columns_in_quotes(table.original, table.layout, table.written)
    codes = [name for name in digits if name in quoted]
    said = f"taken for levels, not for numbers, as their digits stand in quotes: {_listed(codes)}"
    return (f"{said}; a schema that says count has them as numbers",) if codes else ()


def notes_on_words(table: Table) -> tuple[str, ...]:
    """Which words were taken for missing, in how many cells of which column, and which levels are called as other
    tables call what is missing.
    """
    gone, there, bounds = list[str](), list[str](), list[str]()
    for number, column in enumerate(table.schema.columns):
        came = table.original.column(place_of(table.original, table.schema, number, "the table"))
        gaps = torch.isnan(table.x[:, number]).numpy()
        said = gaps & ~np.asarray(came.is_null(nan_is_null=True).to_numpy())
        if not is_text(came.type) and not (said.any() and is_number(came.type)):
            continue
        cells = pc.cast(came, pa.string())
        bounded = limits(cells) & (gaps if column.kind not in LEVELS else ~gaps)
        if column.kind not in LEVELS or 0 < bounded.sum() < (~gaps).sum():
            what = f" of {column.name}" + ("" if column.kind not in LEVELS else ", which is taken for levels")
            bounds += [
                f"{word!r} in {counted(count, 'cell')}{what}"
                for word, count in taken_for_missing(cells, bounded).items()
            ]
        gaps = gaps & ~bounded
        gone += [
            f"{word!r} in {counted(count, 'cell')} of {column.name}"
            for word, count in taken_for_missing(cells, gaps).items()
        ]
        if column.kind in LEVELS:
            texts = pc.utf8_trim_whitespace(cells)
            counts = {word: pc.sum(pc.equal(texts, word)).as_py() or 0 for word in level_words(column)}
            there += [f"{word!r} in {counted(count, 'cell')} of {column.name}" for word, count in counts.items()]
    lost = f"taken for missing: {_listed(gone)}; a schema that has the word among the levels of its column keeps it"
    kept = (
        f"taken for levels, not for missing: {_listed(there)}; a schema without the level takes such cells of a text "
        "for missing"
    )
    limit = (
        f"limits instead of numbers: {_listed(bounds)}; among numbers the model takes them for missing, and impute "
        "leaves them as they are: write a "
        "number there (half the limit, say) to train on it"
    )
    return (*((lost,) if gone else ()), *((kept,) if there else ()), *((limit,) if bounds else ()))


def _listed(parts: list[str]) -> str:
    return ", ".join(parts[:12]) + (f" and {len(parts) - 12:,} more" if len(parts) > 12 else "")


def empty_rows(table: Table) -> tuple[str, ...]:
    """What to say of rows that were left out because no cell of the model is in them; nothing where there are none."""
    if not table.skipped:
        return ()
    many, first = len(table.skipped), ", ".join(f"{one.row:,}" for one in table.skipped[:6])
    more = " ..." if many > 6 else ""
    rows = "rows" if many > 1 else "row"
    return (f"left out: {many:,} {rows} without a cell in any column of the model ({rows} {first}{more})",)


def load_table(
    data: Path | str | Frame,
    *,
    schema: Schema | None = None,
    seed: int = 0,
    validation: float | int | None = None,
    test: float | int | None = None,
) -> Splits:
    """Training, validation and test rows of a table: a file (.csv, .parquet ...), a data frame, or a named table, by a
    schema or by what it is.

    Every split has `Kind.MIXED` and the schema. Splits are made as `vael.data.load` makes them.
    Errors: those of `read_table`, and `StateError` for splits that cannot be made.
    """
    item = known(str(data)) if isinstance(data, Path | str) and not Path(data).is_file() else None
    if item is not None:
        found = item.read(folder_of(item))
        material = replace(found, name=item.name, origin=str(folder_of(item)), citation=item.citation)
    else:
        found = material_of(data, read_table(data, schema, on_error=OnError.EMPTY), schema is not None)
        material = replace(found, origin=str(data) if isinstance(data, Path | str) else "")
    return mixed(material, split(material, Sizes(validation, test), seed))


def mixed(material: Material, parts: SplitParts) -> Splits:
    """Splits of a table with a schema."""
    schema = material.schema
    gaps = any(bool(np.isnan(part.x).any()) for part in material.parts) or any(
        column.missing for column in (schema.columns if schema else ())
    )

    def source(part: MaterialPart) -> Source:
        x = np.ascontiguousarray(part.x if part.rows is None else part.x[part.rows], np.float32)
        return Source(
            material.name,
            torch.from_numpy(x),
            Kind.MIXED,
            fingerprint(x),
            notes=material.notes,
            columns=material.columns,
            schema=schema,
            gaps=gaps,
            keys=part.keys,
        )

    test = None if parts.test is None else source(parts.test)
    return Splits(source(parts.train), source(parts.validation), test, material.origin, material.citation)
