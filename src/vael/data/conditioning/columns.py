"""Columns of a table as what a model is conditioned on: of rows, and of whole series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import pyarrow as pa
import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import one_hot

from vael.data.conditioning.conditions import (
    Condition,
    Deviation,
    FileCondition,
    LabelCondition,
    Moment,
    beside,
    listed,
    refuse_gaps,
)
from vael.data.source import Source
from vael.errors import StateError, SupportError
from vael.nearest import hint
from vael.tables.constraints import enforced
from vael.tables.reading import RowError, exact, read_table
from vael.tables.schema import Column, Schema
from vael.tables.schema_file import from_record


class CellsCondition(Condition):
    """Abstract: columns of a table, numbers brought to mean 0 and deviation 1 of the training rows, a number for each
    level.
    """

    table: dict[str, Any]  # the schema of these columns
    mean: tuple[Moment, ...]  # of the numbers of each column, its origin subtracted; 0 where it has levels
    std: tuple[Deviation, ...]  # 1 where it has levels

    @model_validator(mode="after")
    def _moments_fit(self) -> CellsCondition:
        if len({len(self.columns.columns), len(self.mean), len(self.std)}) > 1:
            raise ValueError("the columns of the condition do not fit their means and deviations")
        return self

    @property
    def columns(self) -> Schema:
        """The columns."""
        return from_record(self.table, "the condition")

    @property
    def names(self) -> tuple[str, ...]:
        return self.columns.names

    @property
    def features(self) -> int:
        return sum(column.codes or 1 for column in self.columns.columns)

    def numbers(self, cells: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows features"]:
        """Cells of the columns, as they are stored, as c."""
        parts = []
        for place, column in enumerate(self.columns.columns):
            found = cells[:, place].double()
            if column.codes:
                parts.append(one_hot(found.long(), column.codes).double())
            else:
                parts.append(((found - self.mean[place]) / self.std[place])[:, None])
        return torch.cat(parts, 1).float()

    def cells(self, context: Float[Tensor, "rows features"]) -> Float[Tensor, "rows columns"]:
        """The cells that these c came from, as a table has them."""
        parts, first = [], 0
        for place, column in enumerate(self.columns.columns):
            part = context[:, first : first + (column.codes or 1)].double()
            first += part.shape[1]
            parts.append(part.argmax(1).double() if column.codes else part[:, 0] * self.std[place] + self.mean[place])
        return enforced(self.columns, torch.stack(parts, 1))

    def labelled(self, source: Source) -> Source:
        place = next((place for place, column in enumerate(self.columns.columns) if column.codes), None)
        if place is None or source.label is not None or source.context is None:
            return source
        column = self.columns.columns[place]
        names = tuple(f"{column.name} = {level}" for level in column.levels)
        return replace(source, label=self.cells(source.context)[:, place].long(), label_names=names)

    def encode(self, given: Mapping[str, object]) -> Float[Tensor, " features"]:
        return self.numbers(self.row(given))[0]

    def row(self, given: Mapping[str, object]) -> Float[Tensor, "one columns"]:
        """The cells that a person names, as a table has them. Errors: as `encode`."""
        known = self.checked(given)
        for column in self.columns.columns:
            if column.codes and known[column.name] not in (*column.levels, *dict(column.rare)):
                raise StateError(
                    f"column {column.name!r} has no level {known[column.name]!r}"
                    f"{hint(known[column.name], column.levels)}; there are {listed(column.levels)}"
                )
        row = pa.table({name: pa.array([known[name]], pa.string()) for name in self.names})
        try:
            cells = exact(read_table(row, self.columns))
        except RowError as error:
            raise StateError(
                f"a condition cannot be that: {error.row.reason}; write the value as the table has it"
            ) from error
        for column, missing in zip(self.columns.columns, torch.isnan(cells[0]).tolist(), strict=True):
            if missing:
                raise StateError(
                    f"{known[column.name]!r} stands for a missing value of {column.name!r}, but a condition has to be "
                    "known; give a value"
                )
        return cells


class ColumnsCondition(CellsCondition):
    """Columns of the table whose other columns are x."""

    kind: Literal["columns"] = "columns"
    places: tuple[Annotated[int, Field(ge=0, le=2**20)], ...]  # among all columns, from 0 on, ascending

    @model_validator(mode="after")
    def _fits(self) -> ColumnsCondition:
        if len(self.places) != len(self.columns.columns) or list(self.places) != sorted(set(self.places)):
            raise ValueError("the columns of the condition do not fit their places")
        return self

    def whole(self, rest: Schema) -> Schema:
        """The columns of x and of the condition together, in the order of the table."""
        return whole_again(rest, self.places, self.columns.columns)

    def of(self, source: Source) -> Source:
        """The source without these columns, which become its context. Errors: `StateError` where one is missing."""
        known = columns_in(source)
        for name in self.names:
            if name not in known:
                raise StateError(
                    f"{source.name} has no column {name!r}{hint(name, known)}; the model is conditioned on "
                    f"{self.told}: give data with these columns"
                )
        cells, rest = taken_out(source, self.names)
        for name, missing in zip(self.names, torch.isnan(cells).unbind(1), strict=True):
            refuse_gaps(source, missing, name)
        return beside(rest, self.numbers(cells), self.names)


class SeriesCondition(CellsCondition):
    """Columns of a table of series, with one value for each series: none of its channels."""

    kind: Literal["series"] = "series"

    def of(self, source: Source) -> Source:
        """The windows with the values of their series as context.

        Errors: `StateError` where a column is missing, `SupportError` for a value that is missing or that training did
        not have.
        """
        known = {} if source.keys is None else source.keys.columns
        for name in self.names:
            if name not in known:
                raise StateError(
                    f"{source.name} has no column {name!r} beside its series{hint(name, tuple(known))}; the model is "
                    f"conditioned on {self.told}: give series with these columns"
                )
        try:
            cells = exact(read_table(pa.table({name: known[name] for name in self.names}), self.columns))
        except RowError as error:
            raise SupportError(
                f"{source.name}: {error.row.reason}; give series whose conditions are such as training had"
            ) from error
        for name, missing in zip(self.names, torch.isnan(cells).unbind(1), strict=True):
            refuse_gaps(source, missing, name)
        return beside(source, self.numbers(cells), self.names)


def whole_again(rest: Schema, places: Sequence[int], taken: Sequence[Column]) -> Schema:
    """The schema with columns that were taken out of it at these places, in ascending order."""
    columns = list(rest.columns)
    for place, column in zip(places, taken, strict=True):
        columns.insert(place, column)
    return replace(rest, columns=tuple(columns))


def columns_in(source: Source) -> tuple[str, ...]:
    """The names of the columns of x; none of data without columns."""
    return source.columns if source.schema is None else source.schema.names


def taken_out(source: Source, names: Sequence[str]) -> tuple[Float[Tensor, "examples taken"], Source]:
    """The cells of some columns, and the source without these."""
    known = columns_in(source)
    places = [known.index(name) for name in names]
    kept = [place for place in range(len(known)) if place not in places]
    rest = replace(
        source,
        x=source.x[:, kept].contiguous(),
        columns=tuple(known[place] for place in kept),
        schema=without(source.schema, kept),
        rules=without(source.rules, kept),
    )
    return source.stored[:, places].double(), rest


def without(schema: Schema | None, kept: Sequence[int]) -> Schema | None:
    """The schema with the columns at these places only."""
    return None if schema is None else replace(schema, columns=tuple(schema.columns[place] for place in kept))


AnyCondition = Annotated[
    LabelCondition | ColumnsCondition | SeriesCondition | FileCondition, Field(discriminator="kind")
]
