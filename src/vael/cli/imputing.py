"""`vael impute`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli import series
from vael.cli.filling import ImputeOptions
from vael.cli.formats import LAID_OUT, format_of
from vael.cli.telling import tell
from vael.counting import counted
from vael.errors import FormatError, StateError

if TYPE_CHECKING:
    import pyarrow as pa

    from vael.data import Schema
    from vael.specs import Piece, Run
    from vael.tables.as_text.output import CellFile
    from vael.tables.ranges import Outside
    from vael.tables.reading import Skipped, Table
    from vael.tables.unfilled import Unfilled

FEW = 10.0  # effective samples below which a row's answer hangs on few latents


def impute(options: ImputeOptions) -> int:
    """The table with its gaps filled, a block of rows at a time."""
    from vael import specs
    from vael.data import OnError
    from vael.data.tabular import is_table_file

    path, target, answers = options.data, options.target, options.answers
    run = specs.load(options.run)
    if series.takes(run):
        return series.impute(run, target, options)
    if options.output is None and path.is_file() and not is_table_file(path):
        raise FormatError(f"{path} is no table that can be read; save it as .csv or .parquet")
    format_of(target, (LAID_OUT,))
    rules = schema_of(run)
    counts = Counts()
    with ExitStack() as files:
        sheets = Sheets(files, answers, options.uncertainty)
        for piece in specs.pieces(run.spec, str(path), on_error=OnError(options.on_error or "stop"), schema=rules):
            filled(run, piece, sheets, counts, options)
    say(answers, counts, options.json)
    return 0


class Counts:
    """What was filled, and which rows came before, so that rows that are alike in later blocks have other draws."""

    def __init__(self) -> None:
        from vael.evaluation import RowKeys

        self.rows, self.cells, self.all_cells, self.few = 0, 0, 0, 0
        self.skipped: list[Skipped] = []
        self.left: tuple[Unfilled, ...] = ()
        self.outside: tuple[Outside, ...] = ()
        self.keys = RowKeys()

    def look(self, table: Table) -> None:
        """More rows: gaps that stay, and cells beside gaps that are far from all that training saw."""
        from vael.tables import ranges, unfilled

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
        from vael.tables.as_text.output import cell_file

        if not self.sheets:
            self.sheets = [self.files.enter_context(cell_file(path, table.layout)) for path in self.paths]
            if self.uncertainty is not None:
                self.sheets.append(self.files.enter_context(cell_file(self.uncertainty)))
        for sheet, rows in zip(self.sheets, tables, strict=False):
            series.add_completed(sheet, table, rows)
        if self.uncertainty is not None:
            self.sheets[-1].add(unsure)


def filled(run: Run, piece: Piece, sheets: Sheets, counts: Counts, options: ImputeOptions) -> None:
    """Some rows with their gaps filled."""
    import pyarrow as pa
    import torch

    from vael.applications.imputation import impute as fill
    from vael.tables.constraints import enforced
    from vael.tables.writing import completed

    table = piece.table
    if table is None:
        raise StateError(f"{options.data} is no table, but gaps are filled in tables: give a .csv or .parquet file")
    counts.skipped += table.skipped
    if not len(table.x):
        return
    seed = options.seed
    how = {
        "samples": options.samples,
        "draws": options.multiple or 0,
        "seed": seed,
        "fitted": options.fitted,
    }
    parts = list(fill(run.model, piece.source, **how, keys=counts.keys))
    draws = (
        torch.cat([part.draws for part in parts], dim=1)
        if options.multiple
        else torch.cat([part.x for part in parts])[None]
    )
    deviation = torch.cat([part.deviation for part in parts]).double().numpy()
    unsure = pa.table({name: deviation[:, place] for place, name in enumerate(table.schema.names)})
    # rare levels share a code, and which of them a cell is is drawn for each table anew
    answers = [completed(table, enforced(table.schema, x), seed_of(seed, number)) for number, x in enumerate(draws)]
    sheets.add(answers, unsure, table)
    counts.look(table)
    gaps = torch.from_numpy(table.gaps)
    counts.rows, counts.cells, counts.all_cells = (
        counts.rows + len(gaps),
        counts.cells + int(gaps.sum()),
        counts.all_cells + gaps.numel(),
    )
    counts.few += int((torch.cat([part.effective_samples for part in parts])[gaps.any(1)] < FEW).sum())


def seed_of(seed: int, table: int) -> int:
    """The seed of one of several tables; of the first the seed itself."""
    import numpy as np

    return int(np.random.SeedSequence((seed, table)).generate_state(1, np.uint64)[0]) if table else seed


def schema_of(run: Run) -> Schema | None:
    """The rules of a run's columns, for runs on plain numbers too."""
    from vael.applications.synthesis import schema_of as made

    if len(run.spec.data.event) != 1:
        raise StateError(
            f"the run was trained on {run.spec.data.name}, whose examples of shape {run.spec.data.event} are no rows "
            "of a table; give a run on one"
        )
    return None if run.spec.data.table is not None else made(run.splits().train)


def say(answers: list[Path], counts: Counts, as_json: bool) -> None:
    """What was filled."""
    from vael.cli.results import list_skipped

    if as_json:
        record = {
            "files": [str(file) for file in answers],
            "examples": counts.rows,
            "filled": counts.cells,
            "left": [vars(one) for one in counts.left],
            "outside": [vars(one) for one in counts.outside],
            "rows_with_few_effective_samples": counts.few,
        }
        print(json.dumps({**record, "skipped": [vars(one) for one in counts.skipped]}))
        return
    share = counts.cells / max(1, counts.all_cells)
    tell(
        f"{', '.join(map(str, answers))}: {counted(counts.rows, 'row')}, {counted(counts.cells, 'cell')} filled "
        f"({share:.1%})"
    )
    list_skipped(counts.skipped)
    for one in counts.outside:
        tell(f"note: {one.beside_gaps}")
    if counts.left:
        many = sum(one.gaps for one in counts.left)
        tell(
            f"note: {many:,} gaps are left: {', '.join(map(str, counts.left))}; fill them in another way, or train on "
            "columns that can be modelled "
            "(a schema says what a column is)"
        )
    if counts.few:
        tell(
            f"note: {counts.few:,} rows have fewer than {FEW:.0f} effective samples: their answers hang on few "
            "latents; "
            "try --fitted, or more --samples"
        )
