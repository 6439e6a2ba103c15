"""The rows of data that a trained model is used on, in their order, a block at a time where the file allows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vael.data import Column, ColumnKind, Kind, OnError, Schema, Source, Table, read_table
from vael.data.blocks import Like, array_blocks
from vael.data.schema_file import from_record
from vael.data.tabular import is_table_file
from vael.errors import StateError
from vael.specs.request import examples_of
from vael.specs.spec import DataSpec, RunSpec


def rows_of(spec: RunSpec, data: str) -> Iterator[Source]:
    """All examples of a file as sources of consecutive rows; of data with a test split of their own, that one.

    Errors: `ShapeError`, `SupportError` or `FormatError` for data that the model of the run cannot take.
    """
    path = Path(data)
    plain = spec.data.binarize is None and not spec.data.dequantize
    if spec.data.table is not None and path.is_file():
        yield table_of(spec, data)[0]
        return
    if plain and path.is_file() and is_table_file(path) and spec.data.columns:
        numbers = Schema(tuple(Column(name, ColumnKind.REAL) for name in spec.data.columns))
        yield like_of(spec.data, path.name).source(read_table(path, numbers).x.numpy())
        return
    if not (plain and path.is_file() and path.suffix.lower() == ".npy"):
        yield examples_of(spec, data)
        return
    like, first = like_of(spec.data, path.name), 0
    for block in array_blocks(path):
        yield like.source(block, first)
        first += len(block)


def table_of(spec: RunSpec, data: str, *, skip: bool = False, schema: Schema | None = None) -> tuple[Source, Table]:
    """The rows of a table by the schema of a run (or one made for it), and the table as it came.

    With `skip`, rows that do not fit are left out and listed in the table.

    Errors: `StateError` for a run that was not trained on such a table, and those of `vael.data.read_table`.
    """
    if spec.data.table is None and schema is None:
        raise StateError(f"the run was trained on {spec.data.name}, whose examples of shape {spec.data.event} have no schema; give data of that kind")
    table = read_table(Path(data), schema or from_record(spec.data.table, "run.json"), on_error=OnError.SKIP if skip else OnError.STOP)
    source = Source(Path(data).name, table.x, Kind.MIXED, "", schema=table.schema, gaps=True, columns=table.schema.names)
    return source, table


def like_of(data: DataSpec, name: str) -> Like:
    """What data must be to be taken by the model of a run."""
    return Like(name, data.event, Kind(data.kind), data.levels, data.columns)
