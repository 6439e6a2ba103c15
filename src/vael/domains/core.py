"""What a kind of data must say to be one: everything that is particular to it stands in one class."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from vael.counting import counted
from vael.data import Column, ColumnKind, Kind, OnError, Schema, Source, Splits, Table, Windowing
from vael.data.matching import joined
from vael.domains.baselines import independent_elements
from vael.domains.coding import Coding
from vael.domains.described import MOST, DataSpec, Reading
from vael.domains.reading import (
    Lenience,
    Piece,
    array_pieces,
    given_array,
    in_condition,
    is_plain_array,
    loaded,
    matched,
    matching_examples,
    refuse_missing_table,
)
from vael.domains.recommendation import Recommendation
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.report.of_examples import drawings
from vael.report.record import Encoded, Headed, ReportInput, Subject, TrivialModel, View


@runtime_checkable
class Described(Protocol):
    """What a domain knows its data by: a source has it, and what run.json says of data."""

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of one example."""

    @property
    def has_schema(self) -> bool:
        """Whether columns are of several kinds, which a schema tells."""

    @property
    def windowing(self) -> Windowing | None:
        """How series were cut, of sequences."""

    @property
    def domain(self) -> str:
        """The kind, where it is not of this package."""


OWN: dict[str, type[Domain]] = {}  # kinds of data that are not of this package, by `module:Class`


class Domain(View):
    """Abstract: one kind of data. Its names, words, baseline and figures are those of a `View`."""

    channels_last: ClassVar[bool] = False  # whether the last axis of an example is its channels
    element: ClassVar[str] = "element"  # what is one of those along `axis` of an example, where they have no names
    axis: ClassVar[int] = 0
    in_arrays: ClassVar[bool] = False  # whether arrays and images hold examples just as a model takes them

    def __init_subclass__(cls, **how: object) -> None:
        """Remember a kind of data that is defined outside of this package."""
        super().__init_subclass__(**how)
        if cls.__module__.split(".")[0] != __name__.split(".")[0]:
            OWN[f"{cls.__module__}:{cls.__qualname__}"] = cls

    @property
    def name(self) -> str:
        """`module:Class` of a person's own kind of data; empty for those of this package, which are told by their
        shapes.
        """
        return next((name for name, kind in OWN.items() if kind is type(self)), "")

    def holds(self, data: Described) -> bool:
        """Whether such data are of this kind."""
        return data.domain == self.name

    @abstractmethod
    def recommend(self, source: Source) -> Recommendation:
        """Likelihood, network and sizes that follow training data, and why.

        Errors: `SupportError` where the likelihood cannot take the data (`Head.check`).
        """

    @abstractmethod
    def reads(self, how: Reading) -> bool:
        """Whether data that are to be read so are of this kind, as far as can be told before they are."""

    def read(self, how: Reading) -> Splits:
        """The data as training, validation and test split. Errors: `FormatError` for what cannot be read."""
        return loaded(how)

    def splits(self, how: Reading) -> Splits:
        """What `read` gives, with the name of its kind."""
        if how.images.patches is not None and not self.pictured:
            raise StateError(
                f"patches (--patches) are cut from pictures, but {how.source} holds none; leave them out, or give a "
                "folder of pictures"
            )
        found = self.read(how)
        return found.each(lambda one: replace(one, domain=self.name)) if self.name else found

    def subject(self, source: Source) -> Subject:
        return Subject()

    def names(self, source: Source) -> tuple[str, ...]:
        return source.columns or tuple(f"{self.element} {place + 1}" for place in range(source.event[self.axis]))

    def baseline(self, record: ReportInput) -> TrivialModel | None:
        return independent_elements(record)

    def figures(self, record: ReportInput, seen: Encoded | None, folder: Path) -> Headed:
        return drawings(record, seen, folder, None)

    def pieces(self, known: DataSpec, data: str, how: Lenience) -> Iterator[Piece]:
        """All examples of a file as consecutive rows, as the run that `known` describes has them; of data with a test
        split of their own, that one. Files are read as needed where they allow it.

        Errors: `ShapeError`, `SupportError` or `FormatError` for data that the model of the run cannot take.
        """
        refuse_missing_table(Path(data))
        if self.in_arrays and is_plain_array(known, Path(data)):
            yield from array_pieces(known, Path(data), clip=how.clip)
        else:
            source = self.examples(known, data, clip=how.clip)
            yield Piece(source, np.arange(1, len(source) + 1))

    def given(self, known: DataSpec, data: object, how: Lenience) -> Piece:
        """Examples in memory as `pieces` has those of a file: an array `[examples, *event]`, or one example.

        Errors: as `pieces`, and `FormatError` for what is no array, `StateError` for a kind that is read from files
        only.
        """
        if not self.in_arrays:
            raise StateError(f"the run was trained on {known.name}, which is read from files; give the path of one")
        try:
            x = np.asarray(data)
        except ValueError as error:  # lists of several lengths
            raise ShapeError(
                f"the examples given are no array ({error}); give numbers of shape [examples, "
                f"{', '.join(map(str, known.event))}]"
            ) from error
        if x.dtype.kind not in "buif":
            raise FormatError(
                f"the examples given are an array of type {x.dtype}; give numbers of shape [examples, "
                f"{', '.join(map(str, known.event))}]"
            )
        return given_array(known, x[None] if x.shape == known.event else x, clip=how.clip)

    def examples(self, known: DataSpec, data: str, *, clip: bool = False) -> Source:
        """The test split of data that have their own, else all examples in their order, in the units of a run's own.

        Errors: `ShapeError` or `SupportError` for data that its model cannot take.
        """
        if self.in_arrays and matched(known, data):
            return matching_examples(known, data, clip=clip)
        how = replace(known.reading, source=data, validation=None, test=None, by_test=False)
        found = in_condition(known, joined(self.splits(how)), data)
        if found.event != known.event:
            raise ShapeError(
                f"{data} has examples of shape {found.event}, but the run was trained on {known.event}; give data of "
                "that shape"
            )
        return found

    def rows(self, known: DataSpec, data: object, schema: Schema | None, on_error: OnError) -> tuple[Source, Table]:
        """The rows of a table by the schema of a run, or one made for it, and the table as it came, all at once.

        Errors: `StateError` for a run that was not trained on such a table, and those of `vael.data.read_table`.
        """
        raise StateError(
            f"the run was trained on {known.name}, whose examples of shape {known.event} have no schema; give data of "
            "that kind"
        )

    def coding(self, known: DataSpec) -> Coding:
        """How examples are compressed without loss. Errors: `SupportError` for a kind that is not."""
        raise SupportError(
            f"there is no compressed file of data such as {known.name}; images, arrays and tables are compressed"
        )

    def told(self, known: DataSpec) -> str:
        """What one example is, in few words."""
        size = " × ".join(map(str, known.event))
        return f"{size}, {f'{known.levels:,} levels' if known.levels else known.kind}"

    def shows_images(self, data: Described) -> bool:
        """Whether examples are images, `[channels, height, width]`, which can be looked at."""
        return self.pictured and len(data.event) == 3

    def in_rows(self, data: Described) -> bool:
        """Whether an example is a row of numbers, as those of tables are."""
        return len(data.event) == 1

    def in_time(self, data: Described) -> bool:
        """Whether examples are windows of series."""
        return data.windowing is not None

    def columns(self, known: DataSpec) -> Schema | None:
        """What the columns or channels of an example are, as they are written; None for data that have none."""
        return Schema(tuple(Column(name, ColumnKind.REAL) for name in known.columns)) if known.columns else None

    def rules(self, known: DataSpec, train: Callable[[], Source]) -> Schema | None:
        """The rules that rows keep: those of their schema, else ranges and decimals of the rows that `train` gives;
        None where examples are no rows.
        """
        return None

    def sizes(self, known: DataSpec) -> tuple[int, ...]:
        """The shape of an example as its names have it; empty where there are none."""
        return (len(known.columns),) if known.columns else ()

    def refuse_misfit(self, known: DataSpec, where: str) -> None:
        """Errors: `FormatError` for a run.json whose data cannot be."""
        named = self.sizes(known)
        if math.prod(known.event) > MOST or (named and known.event != named):
            said = f" and {counted(named[-1], 'column')}" if known.columns else ""
            raise FormatError(
                f"{where} tells of examples of shape {known.event}{said}, which cannot be; restore the file as `vael "
                "train` wrote it"
            )
        if (known.kind == Kind.MIXED.value) != (known.table is not None):
            raise FormatError(
                f"{where} says that cells are {known.kind} {'without' if known.table is None else 'with'} a schema; "
                "restore the file"
            )
