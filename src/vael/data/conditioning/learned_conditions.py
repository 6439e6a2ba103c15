"""What a person names as the condition, learned from training data, and splits that have it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vael.counting import counted
from vael.data.conditioning.columns import ColumnsCondition, SeriesCondition, columns_in
from vael.data.conditioning.conditions import (
    ARRAY,
    LABEL,
    Condition,
    FileCondition,
    LabelCondition,
    class_name,
    listed,
    rows_in,
)
from vael.data.source import Source, Splits
from vael.errors import StateError
from vael.nearest import hint
from vael.tables.inference import infer_schema, why_left_out
from vael.tables.reading import exact, read_table
from vael.tables.schema import Column, ColumnKind, Schema
from vael.tables.schema_file import as_record


def learned_label(train: Source) -> LabelCondition:
    """The classes of the training examples. Errors: `StateError` where there are no labels."""
    if train.label is None or not bool((train.label >= 0).any()):
        raise StateError(
            f"{train.name} has no labels to condition on; give data with labels, columns of a table, or an .npy array"
        )
    codes = tuple(int(code) for code in train.label.unique().tolist() if code >= 0)
    return LabelCondition(levels=tuple(class_name(train, code) for code in codes), codes=codes)


def columns_of(train: Source) -> Schema:
    """What the columns of some rows are. Errors: `StateError` for examples that have no named columns."""
    schema = train.schema or train.rules
    if schema is None:
        schema = Schema(tuple(Column(name, ColumnKind.REAL) for name in train.columns))
    if not schema.columns or schema.names != (train.columns or schema.names):
        raise StateError(
            f"{train.name} has no columns with names to condition on; condition on the label (--condition-on label) or "
            "on an array beside the data (--condition-on FILE.npy)"
        )
    return schema


def learned_columns(train: Source, asked: str) -> ColumnsCondition:
    """The named columns, separated by commas, with the moments of the training rows.

    Errors: `StateError` for columns that there are not, or where none would be left for x.
    """
    schema = columns_of(train)
    wanted = [asked] if asked in schema.names else [name.strip() for name in asked.split(",") if name.strip()]
    for name in wanted:
        if name not in schema.names:
            left = " (it is no part of the model)" if name in schema.left_out else ""
            raise StateError(
                f"{train.name} has no column {name!r}{left} to condition on{hint(name, schema.names)}; there are "
                f"{listed(schema.names)}"
            )
    places = sorted({schema.names.index(name) for name in wanted})
    if not places or len(places) == len(schema.columns):
        raise StateError(
            f"conditioned on {counted(len(places), 'column')} of {len(schema.columns)}: expected at least one, and at "
            "least one that is left to be modelled"
        )
    columns = tuple(schema.columns[place] for place in places)
    moments = moments_of(columns, train.stored[:, places])
    return ColumnsCondition(
        table=as_record(Schema(columns)),
        places=tuple(places),
        mean=tuple(mean for mean, _ in moments),
        std=tuple(std for _, std in moments),
    )


def learned_of_series(train: Source, names: tuple[str, ...]) -> SeriesCondition:
    """Columns with one value for each series, with levels and moments of the training windows.

    Errors: `StateError` for a column whose values are all missing, or different text in most windows.
    """
    known = {} if train.keys is None else train.keys.columns
    table = pa.table({name: known[name] for name in names})
    schema, _ = infer_schema(table, train.name, typed=False)
    if schema.left_out:
        name = schema.left_out[0]
        raise StateError(
            f"{train.name} cannot be conditioned on {name!r}: {why_left_out(table.column(name), name)}; choose a "
            "column of few levels, or of numbers (--condition-on)"
        )
    cells = exact(read_table(table, schema))
    moments = moments_of(schema.columns, cells)
    return SeriesCondition(
        table=as_record(schema), mean=tuple(mean for mean, _ in moments), std=tuple(std for _, std in moments)
    )


def moments_of(columns: Sequence[Column], cells: Float[Tensor, "rows columns"]) -> list[tuple[float, float]]:
    """Mean and deviation of each column over the rows that have it; 0 and 1 of one with levels."""
    found = zip(columns, cells.double().unbind(1), strict=True)
    return [(0.0, 1.0) if column.codes else standard(one[~torch.isnan(one)]) for column, one in found]


def standard(cells: Float[Tensor, " rows"]) -> tuple[float, float]:
    """Mean and deviation; 1 where all are equal."""
    if not len(cells):
        return 0.0, 1.0
    mean, std = float(cells.mean()), float(cells.std(correction=0))
    return mean, std if std > 0 else 1.0


def rows_beside(splits: Splits, path: Path, what: str) -> Int64[np.ndarray, " rows"]:
    """The numbers of all rows of the data, each once, that a file stands beside.

    Errors: `StateError` for data that come in several parts, of which no single file can say to which example its
    `what` belong.
    """
    test = () if splits.test is None or splits.test.fingerprint == splits.validation.fingerprint else (splits.test,)
    rows = np.concatenate([part.named.rows for part in (splits.train, splits.validation, *test)])
    if splits.train.windowing is not None:
        return np.unique(rows)  # several windows of an example have its row
    if len(np.unique(rows)) < len(rows):
        raise StateError(
            f"{splits.train.name} comes in parts that are counted each for itself, so {path} cannot say which of its "
            f"{what} belongs to which example; save the data as one array"
        )
    return rows


def learned_file(splits: Splits, path: Path) -> FileCondition:
    """The numbers of an array beside the data, with the moments of the training rows.

    Errors: those of `rows_in` and `ConditionRows.of`, and `StateError` for data that come in several parts, which no
    single array is beside.
    """
    windowing, found = splits.train.windowing, rows_in(path)
    if windowing is not None and windowing.time and not windowing.id:
        raise StateError(
            f"{splits.train.name}: all rows are one series, so there is nothing to condition on (--condition-on); name "
            "the column that tells series apart (--id)"
        )
    rows = rows_beside(splits, path, "rows")
    if len(rows) == rows.max():  # of windows of a table only the first rows are known, which reading has looked at
        found.refuse_length(len(rows), splits.train.name)
    moments = [standard(column) for column in found.of(splits.train).unbind(1)]
    return FileCondition(
        file=str(path.absolute()), mean=tuple(mean for mean, _ in moments), std=tuple(std for _, std in moments)
    )


def learned(splits: Splits, asked: str) -> LabelCondition | ColumnsCondition | SeriesCondition | FileCondition:
    """The condition that a person names: `label`, columns separated by commas, or an `.npy` file.

    Errors: `StateError`, `FormatError`, `ShapeError` or `SupportError` for what these data do not have.
    """
    columns = columns_in(splits.train)
    if splits.train.windowing is not None and splits.train.windowing.apart:
        return learned_of_series(splits.train, splits.train.windowing.apart)
    if asked.lower().endswith(ARRAY) and asked not in columns:
        return learned_file(splits, Path(asked))
    if asked == LABEL and asked not in columns:
        return learned_label(splits.train)
    if splits.train.windowing is not None:
        raise StateError(
            f"{splits.train.name} are windows of sequences that were read with {asked!r} as a channel, or without it; "
            "say when they are read which columns have one value for each series (vael.data.Windowing: apart)"
        )
    if not columns:
        meant = hint(asked, (LABEL,))
        raise StateError(
            f"{splits.train.name} is no table, so it cannot be conditioned on {asked!r}{meant}; give label, or an .npy "
            "array with a row for each example"
        )
    return learned_columns(splits.train, asked)


def labelled(splits: Splits, condition: Condition | None) -> Splits:
    """All splits by `Condition.labelled`."""
    return splits if condition is None else splits.each(condition.labelled)


def conditioned(splits: Splits, condition: Condition | None) -> Splits:
    """All splits with their conditions. Errors: those of `Condition.of`."""
    return splits if condition is None else splits.each(condition.of)
