"""Which class each example is of, as far as that is known: labels that come with the data, a column of a table, or a
file beside the data. A record of these stands in run.json, so that data that come later have the same classes.

An example without a label has -1. Labels are no part of x and no condition: a model may learn from them, and is judged
by them.
"""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from vael.counting import counted
from vael.data.conditioning.columns import columns_in, taken_out, whole_again
from vael.data.conditioning.conditions import LABEL, class_name, fingerprint_with, listed
from vael.data.conditioning.learned_conditions import columns_of, rows_beside
from vael.data.files.arrays import array_in
from vael.data.source import Source, Splits
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.nearest import hint
from vael.stored import read_bytes
from vael.tables.schema import Column, Schema
from vael.tables.schema_file import as_record, from_record

MOST_CLASSES = 1000
FILES = (".npy", ".csv", ".txt")
Names = Annotated[tuple[str, ...], Field(min_length=2, max_length=MOST_CLASSES)]


class Labelling(BaseModel, ABC):
    """Abstract: where labels come from, which classes there are, and how many labels of each training is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    levels: Names  # classes of the training examples, as they are called
    each: int | None = Field(default=None, ge=1, le=2**31 - 1)  # labels of a class that training sees; None: all
    seed: int = Field(default=0, ge=0, lt=2**40)  # of the choice of these

    @model_validator(mode="after")
    def _differ(self) -> Labelling:
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"the classes {listed(self.levels)} are not all different; name each once")
        return self

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.levels)

    @property
    @abstractmethod
    def told(self) -> str:
        """Where the labels come from, in words."""

    @abstractmethod
    def of(self, source: Source) -> Source:
        """The examples with labels 0 ... classes - 1, -1 where unknown; a column of labels is no longer in x.

        Data that have no such labels at all come back without. Errors: `SupportError` for a class that no training
        example has.
        """

    def fewer(self, train: Source) -> Source:
        """The training examples with `each` labels of a class, chosen by the seed; the other labels are unknown.

        Errors: `StateError` for a class that has fewer.
        """
        if self.each is None or train.label is None:
            return train
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(self.seed))
        kept = torch.full_like(train.label, -1)
        for place, name in enumerate(self.levels):
            rows = order[train.label[order] == place]
            if len(rows) < self.each:
                raise StateError(
                    f"{train.name} has {counted(len(rows), 'training example')} of the class {name!r}, but "
                    f"{self.each:,} labels of each class were asked for; ask for fewer (--labelled {len(rows)})"
                )
            kept[rows[: self.each]] = place
        return replace(train, label=kept)

    def place(self, name: str) -> int:
        """The number of a class from 0 on, by its name. Errors: `StateError` with the nearest name."""
        if name not in self.levels:
            raise StateError(
                f"the model knows no class {name!r}{hint(name, self.levels)}; there are {listed(self.levels)}"
            )
        return self.levels.index(name)

    def named(self, source: Source, label: Int64[Tensor, " examples"]) -> Source:
        """The source with these labels; its fingerprint is that of both."""
        told = fingerprint_with(source.fingerprint, label.numpy().tobytes())
        return replace(source, label=label, label_names=self.levels, fingerprint=told)

    def refuse_unknown(self, source: Source, called: Sequence[str]) -> None:
        """Errors: `SupportError` for a class that no training example has."""
        unknown = next((name for name in called if name not in self.levels), None)
        if unknown is not None:
            raise SupportError(
                f"{source.name} has examples of the class {unknown!r}, which no training example has"
                f"{hint(unknown, self.levels)}; leave them out, or empty their label: there are {listed(self.levels)}"
            )


class OwnLabels(Labelling):
    """The labels that the data come with."""

    kind: Literal["own"] = "own"

    @property
    def told(self) -> str:
        return "labels of the data"

    def of(self, source: Source) -> Source:
        if source.label is None:
            return source
        found, back = source.label.unique(return_inverse=True)
        called = ["" if code < 0 else class_name(source, code) for code in found.tolist()]
        self.refuse_unknown(source, [name for name in called if name])
        places = torch.tensor([self.levels.index(name) if name else -1 for name in called], dtype=torch.int64)
        return self.named(source, places[back])


class ColumnLabels(Labelling):
    """A column of the table, empty where the class is unknown."""

    kind: Literal["column"] = "column"
    table: dict[str, Any]  # the schema of this column
    at: int = Field(ge=0, le=2**20)  # its place among all columns, from 0 on
    cells: tuple[float, ...] = Field(max_length=MOST_CLASSES)  # what stands in it for each class, as it is stored

    @model_validator(mode="after")
    def _fits(self) -> ColumnLabels:
        if len(self.cells) != len(self.levels) or len(self.columns.columns) != 1:
            raise ValueError(f"{len(self.cells)} values for {len(self.levels)} classes; expected one column, one each")
        return self

    @property
    def columns(self) -> Schema:
        """The column."""
        return from_record(self.table, "the labels")

    @property
    def places(self) -> tuple[int, ...]:
        """The place of the column among all, as `ColumnsCondition` has several."""
        return (self.at,)

    @property
    def told(self) -> str:
        return f"column {self.columns.names[0]}"

    def whole(self, rest: Schema) -> Schema:
        """The columns of x and that of the labels, in the order of the table."""
        return whole_again(rest, self.places, self.columns.columns)

    def of(self, source: Source) -> Source:
        if self.columns.names[0] not in columns_in(source):
            return source
        cells, rest = taken_out(source, self.columns.names)
        return self.named(rest, self.labels(source, cells[:, 0]))

    def labels(self, source: Source, cells: Float[Tensor, " rows"]) -> Int64[Tensor, " rows"]:
        """The classes of the cells of the column."""
        found = torch.full((len(cells),), -1, dtype=torch.int64)
        for place, value in enumerate(self.cells):
            found[cells == value] = place
        strange = cells[(found < 0) & ~cells.isnan()]
        if len(strange):
            column = self.columns.columns[0]
            self.refuse_unknown(source, [cell_name(column, float(strange[0]))])
        return found


class FileLabels(Labelling):
    """A file with a label for each row of the data, empty, NaN or -1 where it is unknown."""

    kind: Literal["file"] = "file"
    file: str = Field(max_length=4096, pattern="^[^\0]*$")

    @property
    def told(self) -> str:
        return Path(self.file).name

    def of(self, source: Source) -> Source:
        words = words_beside(source, Path(self.file))
        self.refuse_unknown(source, sorted({word for word in words if word}))
        places = {name: place for place, name in enumerate(self.levels)}
        return self.named(source, torch.tensor([places.get(word, -1) for word in words], dtype=torch.int64))


AnyLabelling = Annotated[OwnLabels | ColumnLabels | FileLabels, Field(discriminator="kind")]


# files


def words_in(path: Path) -> list[str]:
    """The label of each row of a file as text, empty where it is unknown: an array of whole numbers or of text, or a
    table of one column with its name in the first line.

    Errors: `FormatError` for a file that holds something else.
    """
    if path.suffix.lower() == ".npy":
        array = array_in(path)
        if array.ndim != 1 or array.dtype.kind not in "buifUS":
            raise FormatError(
                f"{path} holds an array of shape {array.shape} and type {array.dtype}; labels are an array [examples] "
                "of whole numbers, -1 where unknown, or of text, empty where unknown"
            )
        return [word_of(cell) for cell in array.tolist()]
    rows = list(csv.reader(read_bytes(path).decode("utf-8-sig").splitlines()))
    if not rows or any(len(row) > 1 for row in rows):
        raise FormatError(
            f"{path}: labels are a table of one column, its name in the first line, a label or nothing in each further "
            "one; write such a file"
        )
    return [row[0].strip() if row else "" for row in rows[1:]]


def word_of(cell: object) -> str:
    """A label of an array as text; empty for -1, NaN and empty text. Errors: `FormatError` for other numbers."""
    if isinstance(cell, bytes):
        return cell.decode().strip()
    if isinstance(cell, str):
        return cell.strip()
    value = float(cell)  # type: ignore[bad-argument-type]
    if np.isnan(value) or value == -1:
        return ""
    if value < 0 or value != int(value):
        raise FormatError(f"a label is {cell}; expected whole numbers from 0 on, or -1 where it is unknown")
    return str(int(value))


def words_beside(source: Source, path: Path) -> list[str]:
    """The labels in a file that belong to the examples of a source, by their places in the data.

    Errors: those of `words_in`, and `ShapeError` for fewer rows.
    """
    words, rows = words_in(path), source.named.rows - 1
    if rows.max(initial=0) >= len(words):
        raise ShapeError(
            f"{path} has {counted(len(words), 'label')}, but {source.name} has at least {rows.max() + 1:,} rows; give "
            "one label, or nothing, for each row of the data, in their order"
        )
    return [words[row] for row in rows.tolist()]


# learned from training data


def learned_labelling(splits: Splits, asked: str, each: int | None, seed: int) -> Labelling:
    """The labels that a person names: `label`, a column of the table, or a file.

    Errors: `StateError`, `FormatError` or `ShapeError` for what these data do not have.
    """
    train = splits.train
    if train.windowing is not None:
        raise StateError(f"{train.name} are windows of sequences, which have no labels yet; leave them out (--labels)")
    columns = columns_in(train)
    how = {"each": each, "seed": seed if each else 0}
    if Path(asked).suffix.lower() in FILES and asked not in columns:
        return learned_file_labels(splits, Path(asked), how)
    if asked == LABEL and asked not in columns:
        return OwnLabels(levels=several([class_name(train, code) for code in own_codes(train)], train), **how)
    if not columns:
        raise StateError(
            f"{train.name} is no table, so it has no column {asked!r} of labels{hint(asked, (LABEL,))}; give label, or "
            "a file with a label for each example (.npy, .csv)"
        )
    return learned_column(train, asked, how)


def own_codes(train: Source) -> list[int]:
    """The classes that the labels of the data name. Errors: `StateError` where there are none."""
    codes = [] if train.label is None else [int(code) for code in train.label.unique().tolist() if code >= 0]
    if not codes:
        raise StateError(
            f"{train.name} has no labels; say where they are: a column of a table (--labels COLUMN), or a file with a "
            "label for each example (--labels FILE)"
        )
    return codes


def several(names: Sequence[str], train: Source) -> tuple[str, ...]:
    """The names of the classes. Errors: `StateError` for fewer than two of them, or too many."""
    if not 2 <= len(names) <= MOST_CLASSES:
        raise StateError(
            f"the labels of {train.name} name {counted(len(names), 'class', 'classes')} ({listed(names or ['none'])}); "
            f"expected 2 to {MOST_CLASSES:,}"
        )
    return tuple(names)


def learned_file_labels(splits: Splits, path: Path, how: dict[str, Any]) -> FileLabels:
    """The classes in a file beside the data. Errors: `StateError` for data that come in several parts."""
    rows_beside(splits, path, "labels")
    words = {word for word in words_beside(splits.train, path) if word}
    numbers = all(word.isdigit() for word in words)
    names = sorted(words, key=int) if numbers else sorted(words)
    return FileLabels(levels=several(names, splits.train), file=str(path.absolute()), **how)


def learned_column(train: Source, asked: str, how: dict[str, Any]) -> ColumnLabels:
    """The classes in a column of a table.

    Errors: `StateError` for a column that there is not, that has too many values, or beside which there is none.
    """
    schema = columns_of(train)
    if asked not in schema.names:
        raise StateError(
            f"{train.name} has no column {asked!r} of labels{hint(asked, schema.names)}; there are "
            f"{listed(schema.names)}"
        )
    if len(schema.columns) < 2:
        raise StateError(
            f"{train.name} has no column beside {asked!r}, so nothing is left to be modelled; add columns, or keep the "
            "labels in a file of their own (--labels FILE)"
        )
    at = schema.names.index(asked)
    cells = train.stored[:, at].double()
    values = cells[~cells.isnan()].unique()[: MOST_CLASSES + 1].tolist()
    column = schema.columns[at]
    names = several([cell_name(column, value) for value in values], train)
    return ColumnLabels(levels=names, table=as_record(Schema((column,))), at=at, cells=tuple(values), **how)


def cell_name(column: Column, value: float) -> str:
    """What a stored cell of a column is called."""
    if column.codes:
        return column.levels[int(value)] if int(value) < len(column.levels) else "other"
    return f"{value + (column.origin or 0):.12g}"


def labelled_splits(splits: Splits, labelling: Labelling | None) -> Splits:
    """All splits with their labels, and of training as many as are to be seen. Errors: those of `Labelling.of`."""
    if labelling is None:
        return splits
    found = splits.each(labelling.of)
    return replace(found, train=labelling.fewer(found.train))
