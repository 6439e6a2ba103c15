"""Rows of tables that a trained model is used on, by the schema of its run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vael.data import Kind, OnError, Schema, Source, Table, read_table
from vael.data.blocks import Like, table_blocks
from vael.data.keys import Keys
from vael.data.tabular import is_table_file
from vael.domains.described import DataSpec
from vael.domains.reading import GIVEN, Piece, in_condition, like_of, refuse_missing_table
from vael.errors import FormatError
from vael.tables.given import as_table


def by_schema(known: DataSpec, path: Path, schema: Schema, on_error: OnError) -> Iterator[Piece]:
    """The rows of a file by a schema."""
    for table in table_blocks(path, whole(known, schema), on_error=on_error):
        source, kept = in_its_condition(known, path.name, table)
        yield Piece(source, kept.rows, kept)


def of_numbers(known: DataSpec, path: Path, columns: Schema, on_error: OnError) -> Iterator[Piece]:
    """The rows of a file of plain numbers."""
    numbers = whole(known, columns)
    like = replace(like_of(known, path.name), event=(len(numbers.columns),), columns=numbers.names)
    for table in table_blocks(path, numbers, on_error=on_error, like=like):
        if len(table.x) or table.skipped:
            source, kept = in_its_condition(known, path.name, table, like)
            yield Piece(source, kept.rows, kept)


def as_source(name: str, table: Table) -> Source:
    """The rows of a table with a schema."""
    return Source(name, table.x, Kind.MIXED, "", schema=table.schema, gaps=True, columns=table.schema.names)


def whole(known: DataSpec, schema: Schema) -> Schema:
    """A schema with the columns that are set apart."""
    return schema if known.set_apart is None else known.set_apart.whole(schema)


def in_its_condition(known: DataSpec, name: str, table: Table, like: Like | None = None) -> tuple[Source, Table]:
    """The rows of a table with their conditions and labels, and the table without the columns that are these.

    Errors: `SupportError` for a row whose condition is not known.
    """
    source = as_source(name, table) if like is None or not len(table.x) else like.source(table.x.numpy())
    if known.set_apart is None:
        return in_condition(known, source, name), table
    given = in_condition(known, replace(source, keys=Keys(table.rows)), name)
    kept = [place for place in range(table.x.shape[1]) if place not in known.set_apart.places]
    schema = replace(table.schema, columns=tuple(table.schema.columns[place] for place in kept))
    return given, replace(table, x=table.x[:, kept].contiguous(), schema=schema)


def all_rows(known: DataSpec, data: object, schema: Schema, on_error: OnError) -> tuple[Source, Table]:
    """The rows of a table in a file or in memory, all at once."""
    if not isinstance(data, Path | str):
        return in_its_condition(known, "the table", read_table(as_table(data), whole(known, schema), on_error=on_error))
    refuse_other_files(known, Path(data))
    table = read_table(Path(data), whole(known, schema), on_error=on_error)
    return in_its_condition(known, Path(data).name, table)


def rows_of_numbers(known: DataSpec, data: object, columns: Schema, on_error: OnError) -> tuple[Source, Table]:
    """Rows of plain numbers in memory."""
    numbers = whole(known, columns)
    like = replace(like_of(known, GIVEN), event=(len(numbers.columns),), columns=numbers.names)
    return in_its_condition(known, GIVEN, read_table(as_table(data), numbers, on_error=on_error), like)


def refuse_other_files(known: DataSpec, path: Path) -> None:
    """Errors: `FormatError` for what is no table where a run was trained on one, or for one that there is not."""
    refuse_missing_table(path)
    columns = known.columns
    if known.row_schema is not None and path.exists() and not is_table_file(path):
        what = "a folder" if path.is_dir() else "an array" if path.suffix.lower() in (".npy", ".npz") else "no table"
        raise FormatError(
            f"{path} is {what}, but the run was trained on a table with the columns "
            f"{', '.join(columns[:8])}{' ...' if len(columns) > 8 else ''} "
            f"({known.name}); give a .csv or .parquet file with these columns"
        )
    if columns and path.is_dir():
        raise FormatError(
            f"{path} is a folder, but the run was trained on a table ({known.name}); give a .csv, .parquet or .npy file"
        )
