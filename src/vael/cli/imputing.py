"""`vael impute`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli.formats import ARRAY, LAID_OUT, format_of
from vael.cli.options.declaring import argument, flag, option
from vael.cli.options.shared import ResultOptions, on_error, result, seed
from vael.cli.options.values import whole
from vael.cli.results import add_completed, domain_of, lines_of, loaded
from vael.cli.telling import said
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


@dataclass(frozen=True, kw_only=True)
class ImputeOptions(ResultOptions):
    """What `vael impute` takes."""

    notes = (
        "Cells that were seen stay exactly as they came. A cell is taken to be missing at random, given the cells that "
        "were seen."
    )
    data: Path = argument("TABLE", "a table with empty cells: .csv or .parquet", Path, called="the data themselves")
    output: Path | None = result(
        ".csv or .parquet; default TABLE-filled beside the table",
        lambda options: options.answers,
        formats=(LAID_OUT, ARRAY),
    )
    samples: int = option("N", "latents for each row", whole, default=200)
    multiple: int | None = option(
        "M", "write M tables (-1, -2 ...), each with draws of the missing cells; default one table of means", whole
    )
    uncertainty: Path | None = option(
        "FILE",
        "a table of how unsure each filled cell is: deviation; 1 - probability of levels",
        Path,
        written=True,
        formats=(LAID_OUT,),
    )
    fitted: bool = flag("proposals fitted to each row: slower, for rows whose weights are few")
    seed: int = seed("the draws")
    on_error: str | None = on_error()

    @property
    def target(self) -> Path:
        """The file given, or one beside the table; what came compressed is written as it is inside."""
        from vael.tables.as_text.compressed import plain_name

        plain = plain_name(self.data)
        return self.output or self.data.with_name(f"{plain.stem}-filled{plain.suffix}")

    @property
    def answers(self) -> list[Path]:
        """The filled tables that are written."""
        target, tables = self.target, range(1, (self.multiple or 0) + 1)
        return [target.with_name(f"{target.stem}-{one}{target.suffix}") for one in tables] or [target]


def impute(options: ImputeOptions) -> int:
    """The table with its gaps filled, a block of rows at a time."""
    from vael import specs
    from vael.data import OnError
    from vael.data.tabular import is_table_file

    path, target, answers = options.data, options.target, options.answers
    run = loaded(options)
    if options.output is None and path.is_file() and not is_table_file(path):
        raise FormatError(f"{path} is no table that can be read; save it as .csv or .parquet")
    format_of(target, (LAID_OUT,))
    rules = schema_of(run)
    counts = Counts()
    with ExitStack() as files:
        sheets = Sheets(files, answers, options.uncertainty)
        for piece in specs.pieces(run.spec, str(path), on_error=OnError(options.on_error or "stop"), schema=rules):
            filled(run, piece, sheets, counts, options)
    return say(answers, counts, options.json)


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
            add_completed(sheet, table, rows)
        if self.uncertainty is not None:
            self.sheets[-1].add(unsure)


def filled(run: Run, piece: Piece, sheets: Sheets, counts: Counts, options: ImputeOptions) -> None:
    """Some rows with their gaps filled."""
    import pyarrow as pa
    import torch

    from vael.applications.imputation import impute as fill
    from vael.specs.using import table_seed
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
    answers = [completed(table, enforced(table.schema, x), table_seed(seed, number)) for number, x in enumerate(draws)]
    sheets.add(answers, unsure, table)
    counts.look(table)
    gaps = torch.from_numpy(table.gaps)
    counts.rows, counts.cells, counts.all_cells = (
        counts.rows + len(gaps),
        counts.cells + int(gaps.sum()),
        counts.all_cells + gaps.numel(),
    )
    counts.few += int((torch.cat([part.effective_samples for part in parts])[gaps.any(1)] < FEW).sum())


def schema_of(run: Run) -> Schema | None:
    """The rules of a run's columns, for runs on plain numbers too."""
    from vael.applications.synthesis import schema_of as made

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
