"""`vael impute`."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vael.cli import series
from vael.cli.parser import Parser, number, one_of
from vael.cli.places import RUN_FOLDER, Given, given_path
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


def impute_options(parser: Parser) -> None:
    """Everything that `vael impute` takes."""
    parser.epilog = (
        "Cells that were seen stay exactly as they came. A cell is taken to be missing at random, given the cells that "
        "were seen."
    )
    parser.reads("run", metavar="RUN", type=Path, called=RUN_FOLDER, help="run folder")
    parser.reads("data", metavar="TABLE", type=Path, help="a table with empty cells: .csv or .parquet")
    parser.writes(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        files=answers_of,
        help=".csv or .parquet; default TABLE-filled beside the table",
    )
    parser.option("--samples", metavar="N", type=number(int, 1), help="latents for each row; default 200")
    parser.option(
        "--multiple",
        metavar="M",
        type=number(int, 1),
        help="write M tables (-1, -2 ...), each with draws of the missing cells",
    )
    parser.writes(
        "--uncertainty",
        metavar="FILE",
        type=Path,
        help="a table of how unsure each filled cell is: deviation; 1 - probability of levels",
    )
    parser.option(
        "--fitted", action="store_true", help="proposals fitted to each row: slower, for rows whose weights are few"
    )
    parser.option("--seed", metavar="N", type=number(int, 0), help="seed of the draws; default 0")
    parser.option(
        "--on-error",
        type=one_of("stop", "skip"),
        metavar="stop|skip",
        help="what to do with a row that cannot be read; default stop",
    )
    parser.option("--json", action="store_true", help="print one JSON object")


def impute(given: argparse.Namespace) -> int:
    """The table with its gaps filled, a block of rows at a time."""
    from vael import specs
    from vael.cli.places import known_ending
    from vael.data import OnError
    from vael.data.tabular import is_table_file

    options = vars(given)
    path = options["data"]
    target = target_of(options)
    run = specs.load(options["run"])
    if run.spec.data.sequence is not None:
        return series.impute(run, target, options)
    if "output" not in options and path.is_file() and not is_table_file(path):
        raise FormatError(f"{path} is no table that can be read; save it as .csv or .parquet")
    for one in (target, options.get("uncertainty")):
        if one is not None:
            known_ending(one, (".csv", ".tsv", ".txt", ".data", ".parquet"))
    rules = schema_of(run)
    answers = answers_of(options)
    counts = Counts()
    with ExitStack() as files:
        sheets = Sheets(files, answers, options.get("uncertainty"))
        for piece in specs.pieces(run.spec, str(path), on_error=OnError(options.get("on_error", "stop")), schema=rules):
            filled(run, piece, sheets, counts, options)
    say(answers, counts, bool(options.get("json")))
    return 0


def target_of(given: Given) -> Path:
    """The file given, or one beside the table; what came compressed is written as it is inside."""
    from vael.tables.as_text.compressed import plain_name

    table = Path(str(given["data"]))
    plain = plain_name(table)
    return given_path(given, "output") or table.with_name(f"{plain.stem}-filled{plain.suffix}")


def answers_of(given: Given) -> list[Path]:
    """The filled tables that are written."""
    target, multiple = target_of(given), int(str(given.get("multiple", 0)))
    return [target.with_name(f"{target.stem}-{one}{target.suffix}") for one in range(1, multiple + 1)] or [target]


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

    @property
    def typed(self) -> bool:
        """Whether the files keep types, so that text is to become numbers and dates."""
        return self.paths[0].suffix.lower() == ".parquet"

    def add(self, tables: list[pa.Table], unsure: pa.Table, table: Table) -> None:
        """The same rows of every answer, made of those of `table`."""
        from vael.tables.as_text.output import cell_file

        if not self.sheets:
            self.sheets = [self.files.enter_context(cell_file(path, table.layout)) for path in self.paths]
            if self.uncertainty is not None:
                self.sheets.append(self.files.enter_context(cell_file(self.uncertainty)))
        written = None if self.typed else table.kept
        for sheet, rows in zip(self.sheets, tables, strict=False):
            sheet.add(rows, written)
        if self.uncertainty is not None:
            self.sheets[-1].add(unsure)


def filled(run: Run, piece: Piece, sheets: Sheets, counts: Counts, options: dict[str, Any]) -> None:
    """Some rows with their gaps filled."""
    import pyarrow as pa
    import torch

    from vael.applications.imputation import impute as fill
    from vael.tables.constraints import enforced
    from vael.tables.typed import typed_table
    from vael.tables.writing import completed

    table = piece.table
    if table is None:
        raise StateError(f"{options['data']} is no table, but gaps are filled in tables: give a .csv or .parquet file")
    counts.skipped += table.skipped
    if not len(table.x):
        return
    seed = options.get("seed", 0)
    how = {
        "samples": options.get("samples", 200),
        "draws": options.get("multiple", 0),
        "seed": seed,
        "fitted": bool(options.get("fitted")),
    }
    parts = list(fill(run.model, piece.source, **how, keys=counts.keys))
    draws = (
        torch.cat([part.draws for part in parts], dim=1)
        if options.get("multiple")
        else torch.cat([part.x for part in parts])[None]
    )
    deviation = torch.cat([part.deviation for part in parts]).double().numpy()
    unsure = pa.table({name: deviation[:, place] for place, name in enumerate(table.schema.names)})
    # rare levels share a code, and which of them a cell is is drawn for each table anew
    answers = [completed(table, enforced(table.schema, x), seed_of(seed, number)) for number, x in enumerate(draws)]
    if sheets.typed and table.layout is not None:
        answers = [typed_table(answer, table.schema, table.forms) for answer in answers]
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
    from vael.cli.using import list_skipped

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
