"""`vael impute`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pyarrow as pa

from vael import specs
from vael.applications.imputation import Imputed
from vael.applications.imputation import impute as fill
from vael.applications.synthesis import schema_of as made
from vael.cli.expecting import ROWS, Expecting
from vael.cli.formats import LAID_OUT, format_of
from vael.cli.options.using import ImputeOptions
from vael.cli.results import add_completed, domain_of, lines_of, loaded
from vael.cli.telling import said
from vael.counting import counted
from vael.data import OnError, Schema
from vael.data.tabular import about_rows, is_table_file
from vael.errors import FormatError, StateError
from vael.evaluation import RowKeys
from vael.specs import Piece, Run
from vael.specs.using import Filled, filled_rows
from vael.stored import check_file
from vael.tables import ranges, unfilled
from vael.tables.as_text.output import CellFile, cell_file
from vael.tables.ranges import Outside
from vael.tables.reading import Skipped, Table
from vael.tables.unfilled import Unfilled

FEW = 10.0  # effective samples below which a row's answer hangs on few latents


def impute(options: ImputeOptions) -> int:
    """The table with its gaps filled, a block of rows at a time."""
    path, target, answers = options.data, options.target, options.answers
    run = loaded(options)
    if options.output is None and path.is_dir():
        check_file(path)
    if options.output is None and path.is_file() and not is_table_file(path):
        raise FormatError(f"{path} is no table that can be read; save it as .csv or .parquet")
    format_of(target, (LAID_OUT,))
    rules = schema_of(run)
    counts = Counts()
    with ExitStack() as files, Expecting("Filling", partial(about_rows, path), silent=options.json, nouns=ROWS) as time:
        sheets = Sheets(files, answers, options.uncertainty)
        pieces = specs.pieces(run.spec, str(path), on_error=OnError(options.on_error or "stop"), schema=rules)
        for piece in time.reading(pieces):
            filled(run, piece, sheets, counts, options, time)
    return say(answers, counts, options.json)


class Counts:
    """What was filled, and which rows came before, so that rows that are alike in later blocks have other draws."""

    def __init__(self) -> None:
        self.rows, self.cells, self.all_cells, self.few = 0, 0, 0, 0
        self.skipped: list[Skipped] = []
        self.left: tuple[Unfilled, ...] = ()
        self.outside: tuple[Outside, ...] = ()
        self.keys = RowKeys()

    def look(self, table: Table, found: Filled) -> None:
        """More rows: what was filled, gaps that stay, and cells beside gaps that are far from all that training saw."""
        self.rows += len(found.gaps)
        self.cells += int(found.gaps.sum())
        self.all_cells += found.gaps.numel()
        self.few += int((found.effective_samples[found.gaps.any(1)] < FEW).sum())
        self.outside = ranges.summed((*self.outside, *ranges.beside_gaps(table.schema, table.x, table.rows)))
        self.left = unfilled.summed((*self.left, *unfilled.unfilled(table)))


class Sheets:
    """The files that the answers go to, all of them whole at the end or none there; they begin with the first rows,
    whose layout is theirs.
    """

    def __init__(self, files: ExitStack, answers: list[Path], uncertainty: Path | None) -> None:
        self.files, self.paths, self.uncertainty = files, answers, uncertainty
        self.sheets: list[CellFile] = []

    def add(self, tables: list[pa.Table], unsure: pa.Table, table: Table) -> None:
        """The same rows of every answer, made of those of `table`."""
        if not self.sheets:
            self.sheets = [self.files.enter_context(cell_file(path, table.layout)) for path in self.paths]
            if self.uncertainty is not None:
                self.sheets.append(self.files.enter_context(cell_file(self.uncertainty)))
        for sheet, rows in zip(self.sheets, tables, strict=False):
            add_completed(sheet, table, rows)
        if self.uncertainty is not None:
            self.sheets[-1].add(unsure)


def filled(run: Run, piece: Piece, sheets: Sheets, counts: Counts, options: ImputeOptions, time: Expecting) -> None:
    """Some rows with their gaps filled."""
    table = piece.table
    if table is None:
        raise StateError(f"{options.data} is no table, but gaps are filled in tables: give a .csv or .parquet file")
    counts.skipped += table.skipped
    if not len(table.x):
        return
    how = {"samples": options.samples, "draws": options.multiple or 0, "seed": options.seed, "fitted": options.fitted}
    parts: list[Imputed] = []
    for part in fill(run.model, piece.source, **how, keys=counts.keys):
        parts.append(part)
        time.add(len(part.x))
    found = filled_rows(table, parts, options.seed)
    deviation = found.deviation.double().numpy()
    unsure = pa.table({name: deviation[:, place] for place, name in enumerate(table.schema.names)})
    sheets.add(list(found.draws or (found.table,)), unsure, table)
    counts.look(table, found)


def schema_of(run: Run) -> Schema | None:
    """The rules of a run's columns, for runs on plain numbers too."""
    if not domain_of(run).in_rows(run.spec.data):
        raise StateError(
            f"the run was trained on {run.spec.data.name}, whose examples of shape {run.spec.data.event} are no rows "
            "of a table; give a run on one"
        )
    return None if run.spec.data.table is not None else made(run.splits().train)


def say(answers: list[Path], counts: Counts, as_json: bool) -> int:
    """What was filled."""
    share, many = counts.cells / max(1, counts.all_cells), sum(one.gaps for one in counts.left)
    left = (
        f"note: {many:,} gaps are left: {', '.join(map(str, counts.left))}; fill them in another way, or train on "
        "columns that can be modelled (a schema says what a column is)"
    )
    few = (
        f"note: {counts.few:,} rows have fewer than {FEW:.0f} effective samples: their answers hang on few latents; "
        "try --fitted, or more --samples"
    )
    return said(
        as_json,
        {
            "files": [str(file) for file in answers],
            "examples": counts.rows,
            "filled": counts.cells,
            "left": [vars(one) for one in counts.left],
            "outside": [vars(one) for one in counts.outside],
            "rows_with_few_effective_samples": counts.few,
            "skipped": [vars(one) for one in counts.skipped],
        },
        f"{', '.join(map(str, answers))}: {counted(counts.rows, 'row')}, {counted(counts.cells, 'cell')} filled "
        f"({share:.1%})",
        *lines_of(counts.skipped),
        *(f"note: {one.beside_gaps}" for one in counts.outside),
        *([left] if counts.left else []),
        *([few] if counts.few else []),
    )
