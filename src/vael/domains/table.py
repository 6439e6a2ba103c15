"""Rows of tables: by a schema, whose columns are of several kinds, or of plain numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch

from vael.applications.synthesis import schema_of
from vael.counting import counted
from vael.data import ColumnKind, Kind, OnError, Schema, Source, Splits, Table, load_table, read_table, statistics
from vael.data.blocks import Like, table_blocks
from vael.data.facts import facts_from
from vael.data.keys import Keys
from vael.data.tabular import is_table_file
from vael.domains.baselines import independent_columns, independent_elements
from vael.domains.coding import Coding, ColumnCoding, ElementCoding
from vael.domains.core import Described, Domain
from vael.domains.described import DataSpec, Reading
from vael.domains.reading import (
    Lenience,
    Piece,
    in_condition,
    like_of,
    loaded,
    refuse_length,
    refuse_missing_table,
    refuse_test_as_validation,
)
from vael.domains.recommendation import Choice, Recommendation, chosen, likelihood, power_of_two, refuse_unfit, values
from vael.errors import FormatError
from vael.models import ColumnsHead, head_of
from vael.models.likelihoods.parts import ColumnsPart, GaussianPerChannelPart
from vael.networks.parts import DensePart
from vael.report.of_examples import Shown, drawings
from vael.report.record import Encoded, Headed, ReportInput, Subject, TrivialModel
from vael.report.tabular import columns as number_columns
from vael.report.tabular import mixed_columns
from vael.tables.given import as_table, in_memory

FEW = 5000  # rows of numbers with gaps below which one σ serves each column
ROWS = Subject(
    "columns",
    "row",
    "More rows, fewer latents (`--latent`), a smaller network (`--hidden`) or weight decay (`--weight-decay`) help.",
)
NUMBERS = Shown("Originals and reconstructions", number_columns.scatters, number_columns.against_samples)


def mixed(schema: Schema) -> Shown:
    """How rows of columns of several kinds are shown."""
    samples = partial(mixed_columns.against_samples, schema=schema)
    return Shown("Reconstruction of each column", partial(mixed_columns.returned, schema=schema), samples)


class TableDomain(Domain):
    """Rows of columns: dense networks, figures column by column."""

    in_arrays: ClassVar[bool] = True
    element: ClassVar[str] = "column"

    def holds(self, data: Described) -> bool:
        return not data.domain and data.windowing is None and (data.has_schema or len(data.event) == 1)

    def reads(self, how: Reading) -> bool:
        return how.sequence is None and (how.schema is not None or is_table_file(Path(how.source)))

    def read(self, how: Reading) -> Splits:
        if how.schema is None or how.binarize is not None or how.dequantize:
            return loaded(how)
        refuse_test_as_validation(how, "a table with a schema has")
        return load_table(how.source, schema=how.schema, seed=how.seed, validation=how.validation, test=how.test)

    def pieces(self, known: DataSpec, data: str, how: Lenience) -> Iterator[Piece]:
        path, (schema, like) = Path(data), self._rules(known, Path(data).name, how.schema)
        refuse_other_files(known, path)
        fits = like is None or (known.binarize is None and not known.dequantize and is_table_file(path))
        if schema is None or not path.is_file() or not fits:
            return super().pieces(known, data, how)
        return rows_in_file(known, path, schema, how.on_error, like)

    def _rules(self, known: DataSpec, name: str, schema: Schema | None) -> tuple[Schema | None, Like | None]:
        """The columns of data, those set apart among them, and what their numbers must be where they are plain ones."""
        columns = schema or self.columns(known)
        found = None if columns is None else whole(known, columns)
        plain = found is not None and schema is None and known.row_schema is None
        return found, numbers_like(known, name, found) if plain else None

    def given(self, known: DataSpec, data: object, how: Lenience) -> Piece:
        """Rows: a data frame, columns or one row as a dictionary, a list of rows; of plain numbers an array too."""
        schema, like = self._rules(known, TABLE, how.schema)
        if schema is None or not in_memory(data):
            return super().given(known, data, how)
        source, table = all_rows(known, data, schema, how.on_error, like)
        return Piece(source, table.rows, table)

    def rows(self, known: DataSpec, data: object, schema: Schema | None, on_error: OnError) -> tuple[Source, Table]:
        rules, like = self._rules(known, "", schema)
        if rules is None or like is not None:
            return super().rows(known, data, None, on_error)
        return all_rows(known, data, rules, on_error)

    def told(self, known: DataSpec) -> str:
        return counted(known.event[0], "column") if known.row_schema is None else known.row_schema.told

    def columns(self, known: DataSpec) -> Schema | None:
        return known.row_schema or super().columns(known)

    def rules(self, known: DataSpec, train: Callable[[], Source]) -> Schema | None:
        return known.row_schema or schema_of(train())

    def sizes(self, known: DataSpec) -> tuple[int, ...]:
        columns = self.columns(known)
        return () if columns is None else (len(columns.names),)

    def coding(self, known: DataSpec) -> Coding:
        schema = known.row_schema
        return ElementCoding(known, self.examples) if schema is None else ColumnCoding(known, schema)

    def recommend(self, source: Source) -> Recommendation:
        if source.schema is not None:
            return columns(source, source.schema)
        part, because = likelihood(source, source.event[0])
        refuse_unfit(part, source)
        choice = table(source)
        said = f"Data: {len(source)} rows of {counted(source.event[0], 'column')}; cells are {values(source)}."
        return chosen(choice, part, (said, because, choice.reason))

    def example(self, source: Source) -> str:
        what = counted(source.event[0], "column") if source.schema is None else source.schema.told
        return f"a row of {what}"

    def subject(self, source: Source) -> Subject:
        return ROWS

    def baseline(self, record: ReportInput) -> TrivialModel | None:
        head = head_of(record.model)
        return independent_columns(record, head) if isinstance(head, ColumnsHead) else independent_elements(record)

    def figures(self, record: ReportInput, seen: Encoded | None, folder: Path) -> Headed:
        schema = record.shown.schema
        return drawings(record, seen, folder, NUMBERS if schema is None else mixed(schema))


def table(source: Source) -> Choice:
    """Dense: width by columns and rows, so that few rows are not overfitted."""
    columns, rows = source.event[0], len(source)
    width = min(power_of_two(4 * columns, 32, 512), power_of_two(rows // 16, 32, 512))
    latent = max(
        1, min(max(columns // 2, min(columns, 4)), 32, rows // 50)
    )  # with one latent, three columns of two factors lose 0.3 to 0.6 nats
    reason = (
        f"Network: two dense hidden layers of {width} and {counted(latent, 'latent')}, because a table has no "
        "neighbourhoods; "
        f"width by {counted(columns, 'column')} and {counted(rows, 'row')}."
    )
    return Choice("dense", DensePart(hidden=(width, width)), {"latent": latent}, reason)


def columns(source: Source, schema: Schema) -> Recommendation:
    """A law for each column, and a network by columns and rows; of few rows of numbers with gaps one σ for each
    column.
    """
    if source.gaps and len(source) < FEW and plain_numbers(schema):
        return gapped_numbers(source)
    facts = facts_from(source, statistics(source))
    part = ColumnsPart().settled(facts)
    part.build(facts).check(source)
    number, rows = len(schema.columns), len(source)
    width = min(power_of_two(16 * number, 64, 256), power_of_two(rows // 8, 32, 256))
    latent = max(2, min(max(number, 4), 32, rows // 20))
    kinds = Counter(column.kind.value for column in schema.columns)
    several = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    missing = float(torch.isnan(source.x).float().mean()) if source.gaps else 0.0
    reasons = (
        f"Data: {counted(rows, 'row')} of {counted(number, 'column')}: {several}"
        + (f"; {missing:.1%} of the cells are missing." if source.gaps else "; no cell is missing."),
        "Likelihood: a law for each column by its kind, numbers as mixtures of five logistics, levels by their "
        "probabilities; the bound counts the "
        "cells that were seen.",
        f"Network: two dense hidden layers of {width} and {counted(latent, 'latent')}, by "
        f"{counted(number, 'column')} and {counted(rows, 'row')}; the "
        "encoder sees which cells are "
        "missing.",
    )
    return chosen(Choice("table", DensePart(hidden=(width, width)), {"latent": latent}, ""), part, reasons)


def plain_numbers(schema: Schema) -> bool:
    """Whether columns are nothing but numbers, not all of them whole."""
    kinds = {column.kind for column in schema.columns}
    return kinds <= {ColumnKind.REAL, ColumnKind.POSITIVE, ColumnKind.COUNT} and kinds != {ColumnKind.COUNT}


def gapped_numbers(source: Source) -> Recommendation:
    """What fills gaps best: half of the cells of breast cancer, mean squared error 0.27 where a law for each column
    gives 0.35 (docs/lab-book.md).
    """
    part = GaussianPerChannelPart(channels=source.event[0])
    refuse_unfit(part, source)
    missing = float(torch.isnan(source.x).float().mean())
    reasons = (
        f"Data: {counted(len(source), 'row')} of {counted(source.event[0], 'column')} of numbers; {missing:.1%} of "
        "the cells are missing.",
        "Likelihood: Gaussian with one learned σ for each column, because rows are few: a law that changes from row to "
        "row overfits them; the "
        "bound, of importance weights, counts the cells that were seen.",
        "Network: one dense hidden layer of 128 and 10 latents, by what fills gaps best; the encoder sees which cells "
        "are missing.",
    )
    return chosen(Choice("gapped", DensePart(hidden=(128,)), {"latent": 10}, ""), part, reasons)


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
