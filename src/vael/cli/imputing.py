"""`vael impute`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli.parser import Parser, number, one_of

if TYPE_CHECKING:
    from torch import Tensor

    from vael.data import Schema
    from vael.data.tables import Table
    from vael.specs import Run

FEW = 10.0  # effective samples below which a row's answer hangs on few latents
SHOWN = 10


def impute_options(parser: Parser) -> None:
    """Everything that `vael impute` takes."""
    parser.epilog = "Cells that were seen stay exactly as they came. A cell is taken to be missing at random, given the cells that were seen."
    parser.option("run", metavar="RUN", type=Path, help="run folder")
    parser.option("data", metavar="TABLE", type=Path, help="a table with empty cells: .csv or .parquet")
    parser.option("-o", "--output", metavar="FILE", type=Path, help=".csv or .parquet; default TABLE-filled beside the table")
    parser.option("--samples", metavar="N", type=number(int, 1), help="latents for each row; default 200")
    parser.option("--multiple", metavar="M", type=number(int, 1), help="write M tables (-1, -2 ...), each with draws of the missing cells")
    parser.option("--uncertainty", metavar="FILE", type=Path, help="a table of how unsure each filled cell is: deviation; 1 - probability of levels")
    parser.option("--fitted", action="store_true", help="proposals fitted to each row: slower, for rows whose weights are few")
    parser.option("--seed", metavar="N", type=number(int, 0), help="seed of the draws; default 0")
    parser.option("--on-error", type=one_of("stop", "skip"), metavar="stop|skip", help="what to do with a row that cannot be read; default stop")
    parser.option("--json", action="store_true", help="print one JSON object")


def impute(given: argparse.Namespace) -> int:
    """The table with its gaps filled."""
    import torch

    from vael import specs
    from vael.applications.imputation import impute as fill
    from vael.cli.using import known_ending
    from vael.data.tables import completed, write_arrow

    options = vars(given)
    path = options["data"]
    target = options.get("output") or path.with_name(f"{path.stem}-filled{path.suffix}")
    for one in (target, options.get("uncertainty")):
        if one is not None:
            known_ending(one, (".csv", ".tsv", ".txt", ".data", ".parquet"))
    run = specs.load(options["run"])
    source, table = specs.table_of(run.spec, str(path), skip=options.get("on_error") == "skip", schema=schema_of(run))
    how = {"samples": options.get("samples", 200), "draws": options.get("multiple", 0), "seed": options.get("seed", 0)}
    parts = list(fill(run.model, source, fitted=bool(options.get("fitted")), **how))
    gaps = torch.isnan(table.x)
    answers = [target]
    if options.get("multiple"):
        draws = torch.cat([part.draws for part in parts], dim=1)
        answers = [target.with_name(f"{target.stem}-{number}{target.suffix}") for number in range(1, len(draws) + 1)]
        for file, x in zip(answers, draws, strict=True):
            write_arrow(file, completed(table, within(table, x), how["seed"]), table.layout)
    else:
        write_arrow(target, completed(table, within(table, torch.cat([part.x for part in parts])), how["seed"]), table.layout)
    if options.get("uncertainty"):
        write_uncertainty(options["uncertainty"], table, torch.cat([part.deviation for part in parts]))
    few = int((torch.cat([part.effective_samples for part in parts])[gaps.any(1)] < FEW).sum())
    say(answers, table, int(gaps.sum()), few, bool(options.get("json")))
    return 0


def schema_of(run: Run) -> Schema | None:
    """The rules of a run's columns, for runs on plain numbers too."""
    from vael.applications.synthesis import schema_of as made

    return None if run.spec.data.table is not None else made(run.splits().train)


def within(table: Table, x: Tensor) -> Tensor:
    """Numbers with the decimals and in the range of their columns."""
    from vael.data.constraints import enforced

    return enforced(table.schema, x)


def write_uncertainty(path: Path, table: Table, deviation: Tensor) -> None:
    """A column for each column, 0 where the cell was seen."""
    import pyarrow as pa

    from vael.data.tables import write_arrow

    write_arrow(path, pa.table({name: deviation[:, place].double().numpy() for place, name in enumerate(table.schema.names)}))


def say(answers: list[Path], table: Table, cells: int, few: int, as_json: bool) -> None:
    """What was filled."""
    if as_json:
        record = {"files": [str(file) for file in answers], "examples": len(table.x), "filled": cells, "rows_with_few_effective_samples": few}
        print(json.dumps({**record, "skipped": [vars(one) for one in table.skipped]}))
        return
    print(f"{', '.join(map(str, answers))}: {len(table.x):,} rows, {cells:,} cells filled ({cells / table.x.numel():.1%})")
    for one in table.skipped[:SHOWN]:
        print(f"  row {one.row:,} was skipped: {one.reason}")
    if few:
        print(f"note: {few:,} rows have fewer than {FEW:.0f} effective samples: their answers hang on few latents; try --fitted, or more --samples")
