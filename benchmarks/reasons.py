"""How often the cell that is wrong is the first reason of a flagged row: errors planted into real tables, one cell a
row.

    python benchmarks/reasons.py [adult] [california_housing] [--rows 8000] [--epochs 20] [--planted 200]

A model is trained on `--rows` rows with the defaults of `vael train` but for the epochs, and `--planted` rows that it
has not seen get an error in one column each, in turn: a number is multiplied by ten, or moved to the value of another
row; a level becomes one of the others. Printed are the share of rows flagged at p <= 0.05, and among these the share
whose first reason, and whose first three, name the cell; beside them the same for the surprise given the other cells
alone, and for the surprise in its own column alone. Data come from $VAEL_DATA.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from vael import specs
from vael.applications.anomaly import AnomalyDetector
from vael.cli.main import main
from vael.data import Source
from vael.tables.schema import LEVELS

ADULT = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital",
    "occupation",
    "relationship",
    "race",
    "sex",
    "gain",
    "loss",
    "hours",
    "country",
    "income",
)


def rows_of(name: str) -> tuple[tuple[str, ...], list[list[str]]]:
    """Names and cells, shuffled."""
    folder = Path(os.environ["VAEL_DATA"]) / "tabular" / name
    with open(folder / ("adult.data" if name == "adult" else "housing.csv"), encoding="utf-8") as file:
        cells = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    names, cells = (ADULT, cells) if name == "adult" else (tuple(cells[0]), cells[1:])
    return names, [cells[place] for place in np.random.default_rng(0).permutation(len(cells))]


def planted(source: Source, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows with one wrong cell each, its column, and whether it is grossly wrong (tenfold) or another row's."""
    r = np.random.default_rng(seed)
    x, columns = source.x.clone(), source.schema.columns
    place, gross = torch.arange(len(x)) % len(columns), torch.zeros(len(x), dtype=torch.bool)
    for row, at in enumerate(place.tolist()):
        column, other = columns[at], x[int(r.integers(len(x))), at]
        if column.kind in LEVELS:
            choices = [code for code in range(column.codes) if code != int(x[row, at].nan_to_num(-1))]
            x[row, at] = float(r.choice(choices))
        elif row // len(columns) % 2 and x[row, at] + column.origin != 0:
            x[row, at], gross[row] = 10 * (x[row, at] + column.origin) - column.origin, True
        else:
            x[row, at] = other
    changed = ~torch.isclose(x, source.x, equal_nan=True).all(1)
    return x[changed], place[changed], gross[changed]


def judge(name: str, options: argparse.Namespace) -> None:
    """Train, plant, explain, print."""
    names, cells = rows_of(name)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "t.csv"
        with open(table, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names, *cells[: options.rows]])
        command = [
            "train",
            str(table),
            "--run",
            f"{folder}/run",
            "--epochs",
            str(options.epochs),
            "--no-report",
            "--importance-samples",
            "2",
        ]
        main([*command, "--precision", "float32"])
        run = specs.load(Path(folder) / "run")
        splits = run.splits()
    detector = AnomalyDetector(run.model, splits.train, splits.validation, calibration=splits.test)
    held = splits.test.subset(torch.arange(min(len(splits.test), options.planted)))
    clean = Source(
        name,
        held.batch(torch.arange(len(held))).x,
        held.kind,
        "",
        gaps=held.gaps,
        schema=splits.train.schema,
        columns=held.columns,
    )
    x, place, gross = planted(clean, 1)
    source = Source(name, x, held.kind, "", gaps=held.gaps, schema=splits.train.schema, columns=held.columns)
    flagged = torch.cat([verdict.flagged(0.05) for verdict in detector.judge(source)])
    reasons = detector.explain(source, torch.zeros_like(x))
    for what, kept in (("tenfold numbers", gross), ("other levels or other rows' numbers", ~gross)):
        seen = kept & flagged
        order = reasons[seen].argsort(1, descending=True)
        hit = order == place[seen][:, None]
        print(
            f"{name:20} {what:36} {int(kept.sum()):4} rows, flagged {float(flagged[kept].double().mean()):.2f}; "
            f"first reason {float(hit[:, 0].double().mean()):.2f}, among three "
            f"{float(hit[:, :3].any(1).double().mean()):.2f}"
        )
    every = reasons.argsort(1, descending=True)[:, 0] == place
    print(f"{name:20} all planted rows, flagged or not: first reason {float(every.double().mean()):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=["adult", "california_housing"])
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--planted", type=int, default=400)
    given = parser.parse_args()
    for one in given.names:
        judge(one, given)
