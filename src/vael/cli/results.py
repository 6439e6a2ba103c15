"""What commands write about a run, and where: examples as the extension of the file says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vael import domains, specs
from vael.applications import generation
from vael.applications.generation import write
from vael.cli.expecting import ROWS, Expecting
from vael.cli.formats import ARRAY, Result, Target, format_of
from vael.cli.options.parser import UsageError
from vael.cli.options.places import formats_of
from vael.cli.options.shared import BesideOptions, CommandOptions, ResultOptions, RunOptions
from vael.cli.options.using import ClassifyOptions, EncodeOptions, ScoreOptions
from vael.cli.reasons import with_reasons
from vael.cli.telling import said
from vael.counting import counted
from vael.data import OnError, Source
from vael.data.keys import with_keys
from vael.data.tabular import about_rows
from vael.domains import Domain
from vael.report import display_of, save_grid
from vael.specs import Piece, Prepared, Run, examples_of, pieces
from vael.tables import columnwise as pc
from vael.tables.as_text.output import CellFile, RowFile, cell_file, row_file
from vael.tables.constraints import columns_of, enforced
from vael.tables.reading import Skipped, Table
from vael.tables.schema import Schema
from vael.tables.typed import typed_table
from vael.tables.writing import write_rows

if TYPE_CHECKING:
    from vael.cli.reasons import Reason
    from vael.specs import Piece


LISTED = 10  # rows that were skipped, on the screen


def loaded(options: RunOptions) -> Run:
    """The run that a command reads, with the array of conditions that was given for its data.

    Errors: `UsageError` for one without data that it could be beside; as `Run.beside`.
    """
    run = specs.load(options.run)
    if not isinstance(options, BesideOptions) or options.condition_on is None:
        return run
    if not options.has_rows:
        raise UsageError(
            "--condition-on FILE stands beside data that are given (DATA); the run finds that of its own data by itself"
        )
    return run.beside(options.condition_on)


def shows_images(run: Run) -> bool:
    """Whether examples of a run can be looked at."""
    return domain_of(run).shows_images(run.spec.data)


def domain_of(run: Run | Prepared) -> Domain:
    """The kind of a run's data."""
    return domains.of(run.spec.data)


def target_of(run: Run, options: ResultOptions, name: str) -> Target:
    """The file that was given or, in the folder of the run, one of this name in the first of the formats that the
    command offers and its data can have. Errors: `FormatError` for another ending.
    """
    possible = [one for one in formats_of(options, "output") if not one.pictured or shows_images(run)]
    path = options.output or run.inside(name + possible[0].endings[0])
    return Target(path, format_of(path, possible))


def opened(options: ResultOptions, name: str) -> tuple[Run, Target]:
    """The run of a command and where its result goes. Errors: those of `loaded` and `target_of`."""
    run = loaded(options)
    return run, target_of(run, options, name)


def elements(run: Run, x: Tensor) -> Result:
    """Examples as numbers, under the names of their columns, and images side by side; rows of a table with a schema
    in the units, types, digits and the range of their columns.
    """
    schema = run.spec.data.row_schema
    if schema is not None:
        return replace(typed_rows(schema, enforced(schema, x), 0), picture=partial(grid, run, x))
    return Result(
        array=lambda path: generation.write(path, x),
        table=lambda path: generation.write(path, x, run.spec.data.columns),
        picture=partial(grid, run, x),
    )


def grid(run: Run, x: Tensor, path: Path, *, columns: int | None = None) -> Path:
    """Images in `columns` (None: nearly square), as grey as the data were."""
    return save_grid(path, x, display_of(run.splits().train), columns=columns)


def typed_rows(schema: Schema, x: Tensor, seed: int) -> Result:
    """Rows of a table in the types and digits of their columns, or as codes and numbers."""
    return Result(
        array=lambda path: write(path, torch.from_numpy(np.stack(columns_of(schema, x), axis=1)), schema.names),
        table=lambda path: write_rows(path, schema, x, seed=seed),
    )


def examples(run: Run, data: str | None) -> Source:
    """The run's test split, or all examples of other data.

    Errors: `ShapeError`, `SupportError` if the model cannot take them.
    """
    return run.split()[1] if data is None else examples_of(run.spec, data)


def rows(run: Run, data: str | None, on_error: str | None = None, *, clip: bool = False) -> Iterator[Piece]:
    """The run's test split, or all examples of other data a block at a time; `clip` as in `vael.specs.pieces`.

    Errors: as `examples`.
    """
    if data is not None:
        return pieces(run.spec, data, on_error=OnError(on_error or "stop"), clip=clip)
    source = run.split()[1]
    return iter([Piece(source, source.named.rows)])


def expecting(what: str, run: Run, options: EncodeOptions | ClassifyOptions | ScoreOptions) -> Expecting:
    """What says how long the rows of a command will take."""

    def total() -> int | None:
        return own.examples if options.data is None else about_rows(Path(options.data))

    own = run.spec.data.test or run.spec.data.held_out

    return Expecting(what, total, silent=options.json, nouns=ROWS)


def add_completed(file: CellFile, table: Table, answer: pa.Table) -> None:
    """Rows of a table with their gaps filled: cells of text that were seen as they are, or as their schema types
    them.
    """
    if file.typed and table.layout is not None:
        file.add(typed_table(answer, table.schema, table.forms))
    else:
        file.add(answer, table.kept)


def in_lines(
    run: Run,
    options: EncodeOptions | ClassifyOptions,
    target: Target,
    names: Sequence[str],
    answers: Callable[[Source], Iterable[np.ndarray]],
    what: str,
) -> int:
    """Write a line of results for each example, as `answers` gives them block by block, and say so."""
    skipped: list[Skipped] = []
    with sheet_of(target, names) as file, expecting(what, run, options) as time:
        for piece in time.reading(rows(run, options.data, options.on_error)):
            skipped, begin = [*skipped, *piece.skipped], 0
            for found in answers(piece.source):
                file.add(piece, begin, found)
                begin += len(found)
                time.add(len(found))
    return done(target.path, file.file.rows, options, None if options.on_error is None else skipped)


def done(path: Path, count: int, options: CommandOptions, skipped: Sequence[Skipped] | None = None) -> int:
    """Say what was written where, and which rows were not; `skipped` is None where rows cannot be."""
    listed = {} if skipped is None else {"skipped": [vars(one) for one in skipped]}
    return said(
        options.json,
        {"file": str(path), "examples": count, **listed},
        f"{path}: {counted(count, 'example')}",
        *lines_of(skipped or ()),
    )


def lines_of(skipped: Sequence[Skipped]) -> list[str]:
    """The first of the rows that were left out, and how many more there are."""
    found = [f"  row {one.row:,} was skipped: {one.reason}" for one in skipped[:LISTED]]
    if len(skipped) > LISTED:
        found.append(f"  ... and {len(skipped) - LISTED:,} more rows were skipped (all are listed with --json)")
    return found


WHOLE = "flag"  # a result that is a whole number


class Sheet(ABC):
    """Abstract: results of examples, some numbers with names for each, in `file`."""

    file: RowFile | CellFile

    @abstractmethod
    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        """The results `[examples, names]` of consecutive examples of a piece, from the one at `begin` on."""


class NumberSheet(Sheet):
    """Numbers alone; `numbered` says whether the row stands before them."""

    def __init__(self, file: RowFile, numbered: bool) -> None:
        self.file, self.numbered = file, numbered

    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        rows = piece.keys.take(np.arange(begin, begin + len(results))).rows
        self.file.add(np.column_stack((rows.astype(results.dtype), results)) if self.numbered else results)


class NamedSheet(Sheet):
    """Numbers under their names, beside what names the examples and, where they were looked for, reasons."""

    def __init__(self, file: CellFile, names: Sequence[str]) -> None:
        self.file, self.names, self.typed = file, tuple(names), file.typed

    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        index = np.arange(begin, begin + len(results))
        columns = {name: self._column(name, results[:, place]) for place, name in enumerate(self.names)}
        table = with_keys(piece.keys.take(index), piece.source.label_texts(torch.from_numpy(index)), columns)
        self.file.add(
            table if reasons is None else with_reasons(table, reasons.found, reasons.most, reasons.tell_usual)
        )

    def _column(self, name: str, values: np.ndarray) -> pa.Array:
        """A column typed, or as text with as many digits as the numbers have."""
        column = pa.array(values.astype(np.int64) if name == WHOLE else np.ascontiguousarray(values))
        return column if self.typed else pc.cast(column, pa.string())


@contextmanager
def sheet_of(target: Target, names: Sequence[str], *, numbered: bool = False) -> Iterator[Sheet]:
    """The sheet of the format that a target has, whole at the end of the block or not there at all; `numbered` as
    `NumberSheet` has it.
    """
    if target.form is ARRAY:
        with row_file(target.path) as lines:
            yield NumberSheet(lines, numbered)
    else:
        with cell_file(target.path) as cells:
            yield NamedSheet(cells, names)


class Reasoned:
    """Why some of the examples are strange, and how many columns of reasons there are."""

    def __init__(self, found: dict[int, list[Reason]], most: int, tell_usual: bool) -> None:
        self.found, self.most, self.tell_usual = found, most, tell_usual
