"""Tables to be compressed with a run's model, and written again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from vael import files
from vael.claims import parsing, refuse_claim
from vael.compression import Decompressed, Layout, Original, TableLevel, table_contents
from vael.compression.contents import Contents
from vael.compression.tabular.beside import Beside, unpacked
from vael.compression.tabular.tables import is_text, rebuilt, text_of
from vael.data import Schema
from vael.data.tabular import is_table_file
from vael.errors import FormatError, StateError
from vael.specs.runs import Run
from vael.tables import columnwise as pc
from vael.tables.as_text.compressed import content
from vael.tables.as_text.text import TEXT
from vael.tables.as_text.text import TextLayout as TextLayout
from vael.tables.reading import Frame, given_rows, named
from vael.tables.schema_file import from_record
from vael.tables.typed import typed_cells
from vael.tables.writing import arrow_cells, write_arrow


def schema_of(run: Run) -> Schema:
    """What the columns of a run's table are. Errors: `StateError` for a run that was trained on other data."""
    if run.spec.data.table is None:
        raise StateError(
            f"the run was trained on {run.spec.data.name}, which is no table with a schema; give data of that kind"
        )
    return from_record(run.spec.data.table, "run.json")


def table_level(run: Run, layout: Layout, settings: Mapping[str, int] | None = None) -> TableLevel:
    """The default level for the table of a run.

    Errors: those of `TableLevel`, `FormatError` for settings that it does not take.
    """
    try:
        return TableLevel(run.model, schema_of(run), layout.gaps, **dict(settings or {}))
    except TypeError as error:
        raise FormatError(
            f"the level safe does not take the settings {dict(settings or {})} for tables; use the vael that wrote them"
        ) from error


def table_of(run: Run, data: Path | str | Frame | None) -> Contents:
    """A table as symbols and what stands beside them.

    Errors: those of the readers, `ShapeError` for a column that is missing.
    """
    return table_contents(original_of(run, data), schema_of(run))


def original_of(run: Run, data: Path | str | Frame | None) -> Original:
    """A table as it came: a file or a frame, or the run's own test split in the types of its columns.

    Errors: those of the readers.
    """
    if data is None:
        name, source = run.split()
        table = arrow_cells(schema_of(run), source.x)
        return Original(f"the {name} split of {run.spec.data.name}", table, size=table.nbytes)
    path = Path(data) if isinstance(data, Path | str) else None
    if path is not None and not (path.is_file() and is_table_file(path)):
        what = "a folder" if path.is_dir() else "no such file" if not path.exists() else "no table"
        raise FormatError(
            f"{path}: {what}; the run was trained on a table, so give a file that ends in "
            f"{', '.join((*TEXT, '.parquet'))}, or leave it out for the "
            "rows that the run set aside"
        )
    given = given_rows(data)
    if not given.table.num_rows:
        raise FormatError(f"{named(data)} has no rows; give a table with one example a row")
    if path is not None:
        with content(path) as file:
            raw = file.read()
    else:
        raw = None
    table = given.table if given.layout is None else trimmed(given.table)
    return Original(
        named(data), table, given.layout, raw if given.layout else None, len(raw) if raw else given.table.nbytes
    )


def trimmed(table: pa.Table) -> pa.Table:
    """Cells of text without the spaces around them."""
    return pa.table({name: pc.utf8_trim_whitespace(table.column(name)) for name in table.column_names})


def write_table(run: Run, done: Decompressed, file: Path, target: Path) -> str:
    """Write a table: the bytes of the text file where they were kept, else its cells as text, or typed columns as
    .parquet; which, in words.

    Errors: `FormatError` for another ending, and where text does not come out as it went in.
    """
    if target.suffix.lower() not in (*TEXT, ".parquet"):
        raise FormatError(
            f"{target}: {file} holds a table, which is written as {', '.join((*TEXT, '.parquet'))}; give a file name "
            "that ends so"
        )
    schema, beside = schema_of(run), unpacked(done.beside, str(file), len(done.array))
    with parsing(
        file,
        "is no whole file of `vael compress`: its blocks and what stands beside them do not fit",
        "another program wrote it",
    ):
        table = rebuilt(beside, done.array, schema)
        table.validate(full=True)
        return _written(beside, table, schema, file, target)


def _written(beside: Beside, table: pa.Table, schema: Schema, file: Path, target: Path) -> str:
    told = beside.told
    if target.suffix.lower() == ".parquet":
        write_arrow(target, table if told.layout is None else typed_columns(beside, table, schema))
        return (
            "every cell with its type"
            if told.layout is None
            else "the cells of a text file, typed as the run's schema says"
        )
    for column in table.columns:
        refuse_claim(size_of_text(column), file, "a column of it")
    content = text_of(told, table, schema, str(file))
    if content is not None:
        files.write_bytes(target, content)
        return "byte for byte the file that was compressed"
    write_arrow(target, table, TextLayout(*told.layout) if told.layout else None)
    return "every cell as it was" if told.layout else "typed cells, written as text"


def size_of_text(column: pa.ChunkedArray) -> int:
    """Bytes of a column of texts that are stored once and named by number, written out; of others those that they
    have.
    """
    if not pa.types.is_dictionary(column.type) or not is_text(column.type.value_type):
        return column.nbytes
    return sum(
        int(pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0) for chunk in column.chunks
    )


def typed_columns(beside: Beside, table: pa.Table, schema: Schema) -> pa.Table:
    """Columns of text as the schema types them; one with a cell that is no such number or date stays text."""
    for form, column in zip(beside.told.columns, schema.columns, strict=True):
        found = typed_cells(column, table.column(form.place))
        table = table if found is None else table.set_column(form.place, table.column_names[form.place], found)
    for name in beside.told.counters:
        table = table.set_column(table.column_names.index(name), name, pc.cast(table.column(name), pa.int64()))
    return table
