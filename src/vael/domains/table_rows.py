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
from vael.domains.reading import Piece, in_condition, like_of, refuse_length, refuse_missing_table
from vael.errors import FormatError
from vael.tables.given import as_table

TABLE = "the table"  # what rows in memory are called


def rows_in_file(
    known: DataSpec, path: Path, schema: Schema, on_error: OnError, like: Like | None = None
) -> Iterator[Piece]:
    """The rows of a file, some at a time, by a schema with the columns that are set apart; `like` of plain numbers."""
    last = 0
    for table in table_blocks(path, schema, on_error=on_error, like=like):
        last = max(last, last_row(table))
        source, kept = in_its_condition(known, str(path), table, like)
        yield Piece(source, kept.rows, kept)
    refuse_length(known, last, path.name)


def all_rows(
    known: DataSpec, data: object, schema: Schema, on_error: OnError, like: Like | None = None
) -> tuple[Source, Table]:
    """The rows of a table in a file or in memory, all at once, likewise."""
    inside = not isinstance(data, Path | str)
    if not inside:
        refuse_other_files(known, Path(data))
    called = TABLE if inside else str(data)
    table = read_table(as_table(data) if inside else Path(called), schema, on_error=on_error)
    refuse_length(known, last_row(table), Path(called).name)
    return in_its_condition(known, called, table, like)


def numbers_like(known: DataSpec, name: str, schema: Schema) -> Like:
    """What rows of plain numbers must be."""
    return replace(like_of(known, name), event=(len(schema.columns),), columns=schema.names)


def last_row(table: Table) -> int:
    """The number of the last row, whether it was taken or left out; 0 of none."""
    return max([*table.rows[-1:].tolist(), *(one.row for one in table.skipped)], default=0)


def as_source(name: str, table: Table) -> Source:
    """The rows of a table with a schema."""
    return Source(name, table.x, Kind.MIXED, "", schema=table.schema, gaps=True, columns=table.schema.names)


def whole(known: DataSpec, schema: Schema) -> Schema:
    """A schema with the columns that are set apart."""
    return schema if known.set_apart is None else known.set_apart.whole(schema)


def in_its_condition(known: DataSpec, data: str, table: Table, like: Like | None = None) -> tuple[Source, Table]:
    """Some rows of a table with their conditions and labels, and the table without the columns that are these.

    Errors: `SupportError` for a row whose condition is not known.
    """
    name = Path(data).name
    source = as_source(name, table) if like is None or not len(table.x) else like.source(table.x.numpy())
    if known.condition is not None or known.set_apart is not None:
        source = replace(source, keys=Keys(table.rows))
    given = in_condition(known, source, data, whole=False)
    if known.set_apart is None:
        return given, table
    kept = [place for place in range(table.x.shape[1]) if place not in known.set_apart.places]
    schema = replace(table.schema, columns=tuple(table.schema.columns[place] for place in kept))
    return given, replace(table, x=table.x[:, kept].contiguous(), schema=schema)


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
