"""The rows of data that a trained model is used on, in their order, a block at a time where the file allows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from vael.data import Column, ColumnKind, Kind, OnError, Schema, Source, Table, read_table
from vael.data.blocks import Like, array_blocks, table_blocks
from vael.data.conditioning.conditions import ColumnsCondition
from vael.data.keys import Keys, table_keys
from vael.data.tabular import is_table_file
from vael.errors import FormatError, ShapeError, StateError
from vael.specs.reading import examples_of, in_condition
from vael.specs.spec import DataSpec, RunSpec
from vael.stored import check_file
from vael.tables.given import as_table
from vael.tables.reading import Skipped
from vael.tables.schema_file import from_record


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of a file."""

    source: Source
    rows: np.ndarray  # their numbers, from 1
    table: Table | None = None  # of a table, the cells as they came

    @cached_property
    def keys(self) -> Keys:
        """What names the rows: their numbers, files or identifiers."""
        if self.table is None:
            return Keys(self.rows, self.source.named.columns)
        return table_keys(self.table.original, self.rows, self.source.columns)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Rows before or among them that were left out."""
        return () if self.table is None else self.table.skipped


def pieces(
    spec: RunSpec, data: str, *, on_error: OnError = OnError.STOP, schema: Schema | None = None, clip: bool = False
) -> Iterator[Piece]:
    """All examples of a file as consecutive rows; of data with a test split of their own, that one. Tables and `.npy`
    files are read as needed.

    `schema` has the rules of columns for a run on plain numbers, whose rows may then have gaps. With `clip`, cells
    above the largest level of the training data count as the largest one, and a note says so. Errors: `ShapeError`,
    `SupportError` or `FormatError` for data that the model of the run cannot take.
    """
    path = Path(data)
    plain = spec.data.binarize is None and not spec.data.dequantize
    refuse_other_files(spec, path)
    if path.is_file() and (spec.data.table is not None or schema is not None):
        for table in table_blocks(path, whole_rules(spec, schema), on_error=on_error):
            source, kept = in_its_condition(spec, path.name, table)
            yield Piece(source, kept.rows, kept)
    elif plain and path.is_file() and is_table_file(path) and spec.data.columns:
        numbers = whole_rules(spec, Schema(tuple(Column(name, ColumnKind.REAL) for name in spec.data.columns)))
        like = replace(like_of(spec.data, path.name), event=(len(numbers.columns),), columns=numbers.names)
        for table in table_blocks(path, numbers, on_error=on_error, like=like):
            if len(table.x) or table.skipped:
                source, kept = in_its_condition(spec, path.name, table, like)
                yield Piece(source, kept.rows, kept)
    elif plain and path.is_file() and path.suffix.lower() == ".npy" and spec.data.condition is None:
        yield from array_pieces(replace(like_of(spec.data, path.name), clip=clip), path)
    else:
        source = examples_of(spec, data, clip=clip)
        yield Piece(source, np.arange(1, len(source) + 1))


def array_pieces(like: Like, path: Path) -> Iterator[Piece]:
    """The examples of an `.npy` file."""
    first = 0
    for block in array_blocks(path):
        yield Piece(like.source(block, first), np.arange(first + 1, first + len(block) + 1))
        first += len(block)


def rows_of(spec: RunSpec, data: str) -> Iterator[Source]:
    """The sources of `pieces`."""
    return (piece.source for piece in pieces(spec, data))


def refuse_other_files(spec: RunSpec, path: Path) -> None:
    """Errors: `ShapeError` for a table where the run was trained on images, `FormatError` for what is no table
    where it was trained on one.
    """
    event, columns = spec.data.event, spec.data.columns
    if not path.exists() and is_table_file(path):
        check_file(path)
    if path.is_file() and is_table_file(path) and len(event) == 3:
        raise ShapeError(
            f"{path} is a table, but the run was trained on images of shape {event} ({spec.data.name}); give a folder "
            "of images, or an .npy array"
        )
    if spec.data.table is not None and path.exists() and not is_table_file(path):
        what = "a folder" if path.is_dir() else "an array" if path.suffix.lower() in (".npy", ".npz") else "no table"
        raise FormatError(
            f"{path} is {what}, but the run was trained on a table with the columns "
            f"{', '.join(columns[:8])}{' ...' if len(columns) > 8 else ''} "
            f"({spec.data.name}); give a .csv or .parquet file with these columns"
        )
    if spec.data.table is None and columns and path.is_dir():
        raise FormatError(
            f"{path} is a folder, but the run was trained on a table ({spec.data.name}); give a .csv, .parquet or .npy "
            "file"
        )


def as_source(name: str, table: Table) -> Source:
    """The rows of a table with a schema."""
    return Source(name, table.x, Kind.MIXED, "", schema=table.schema, gaps=True, columns=table.schema.names)


def whole_rules(spec: RunSpec, schema: Schema | None) -> Schema:
    """The schema by which rows are read: that of a run or one made for it, with the columns that are the condition."""
    rules = schema or from_record(spec.data.table, "run.json")
    return spec.data.condition.whole(rules) if isinstance(spec.data.condition, ColumnsCondition) else rules


def in_its_condition(spec: RunSpec, name: str, table: Table, like: Like | None = None) -> tuple[Source, Table]:
    """The rows of a table with their conditions, and the table without the columns that are these.

    Errors: `SupportError` for a row whose condition is not known.
    """
    source = as_source(name, table) if like is None or not len(table.x) else like.source(table.x.numpy())
    condition = spec.data.condition
    if condition is None:
        return source, table
    if not isinstance(condition, ColumnsCondition):
        return in_condition(spec, source, name), table
    given = in_condition(spec, replace(source, keys=Keys(table.rows)), name)
    kept = [place for place in range(table.x.shape[1]) if place not in condition.places]
    schema = replace(table.schema, columns=tuple(table.schema.columns[place] for place in kept))
    return given, replace(table, x=table.x[:, kept].contiguous(), schema=schema)


def table_of(spec: RunSpec, data: object, *, skip: bool = False, schema: Schema | None = None) -> tuple[Source, Table]:
    """The rows of a table by the schema of a run (or one made for it), and the table as it came, all at once.

    `data` is a path, a data frame, columns or a row as a dictionary, or a list of rows.

    With `skip`, rows that do not fit are left out and listed in the table.

    Errors: `StateError` for a run that was not trained on such a table, and those of `vael.data.read_table`.
    """
    if spec.data.table is None and schema is None:
        raise StateError(
            f"the run was trained on {spec.data.name}, whose examples of shape {spec.data.event} have no schema; give "
            "data of that kind"
        )
    rules, how = whole_rules(spec, schema), OnError.SKIP if skip else OnError.STOP
    if not isinstance(data, Path | str):
        table = read_table(as_table(data), rules, on_error=how)
        return in_its_condition(spec, "the table", table)
    refuse_other_files(spec, Path(data))
    table = read_table(Path(data), rules, on_error=how)
    return in_its_condition(spec, Path(data).name, table)


def like_of(data: DataSpec, name: str) -> Like:
    """What data must be to be taken by the model of a run."""
    return Like(name, data.event, Kind(data.kind), data.levels, data.columns)
