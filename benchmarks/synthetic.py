"""Synthetic tables under the protocols of SDGym 0.2 (Xu, Skoularidou, Cuesta-Infante & Veeramachaneni 2019), from file
to file.

    python benchmarks/synthetic.py [adult] [grid] [gridr] [ring] [asia] [alarm] [child] [insurance] [--seeds 3]
    [--epochs N] [--option NAME=VALUE ...]

Each synthesizer is given a CSV of the training rows and gives a CSV of as many rows; `vael` does so by its own
commands, `vael train` and `vael sample`, with default settings unless options are given. Adult: 22,561 rows of
adult.data to train on and 10,000 to test on (shuffled by the seed); accuracy and F1 of ">50K", means over four
classifiers. Simulated sets: 10,000 rows to train on and to test on, drawn anew by each seed; L_syn is the
log-likelihood of the synthetic rows under the truth, or what SDGym takes for it (Gaussian mixtures fitted to the test
rows; Bayesian network: the true one), L_test that of the test rows under the same family of models fitted to the
synthetic rows. `true` is the mean log-density of the synthetic rows under the true density, floored at -50, beside its
value for real rows. Data come from $VAEL_DATA. Means and standard deviations over seeds.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import itertools
import math
import os
import shlex
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from networks import Network, asia, shipped
from vael.cli import main
from vael.evaluation.tabular.efficacy import efficacy, sdgym_learners
from vael.tables.reading import read_table
from vael.tables.schema import Column, ColumnKind, Schema
from vael.tables.schema_file import write_schema

PUBLISHED = {  # SDGym 0.2.1: (real rows, TVAE)
    "adult": ((0.8256, 0.6616), (0.8108, 0.6302)),
    "grid": ((-3.477, -3.503), (-3.388, -5.190)),
    "gridr": ((-3.608, -3.636), (-3.821, -3.725)),
    "ring": ((-1.713, -1.704), (-1.654, -1.933)),
    "asia": ((-2.251, -2.241), (-2.353, -2.267)),
    "alarm": ((-10.234, -10.302), (-11.357, -10.755)),
    "child": ((-12.046, -12.042), (-12.285, -12.248)),
    "insurance": ((-12.850, -12.959), (-14.293, -13.823)),
}
EDUCATION = (
    "Preschool",
    "1st-4th",
    "5th-6th",
    "7th-8th",
    "9th",
    "10th",
    "11th",
    "12th",
    "HS-grad",
    "Prof-school",
    "Assoc-voc",
    "Assoc-acdm",
    "Some-college",
    "Bachelors",
    "Masters",
    "Doctorate",
)
ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "label",
]
NUMBERS = {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
Rows = list[list[str]]


@dataclass(frozen=True)
class Problem:
    """Rows as text, and how a table of as many synthetic rows is judged: two numbers and what else is to be said."""

    names: list[str]
    train: Rows
    judge: Callable[[Rows], tuple[float, float, str]]


# Adult


def adult(seed: int) -> Problem:
    path = Path(os.environ["VAEL_DATA"]) / "tabular" / "adult" / "adult.data"
    rows = [[cell.strip(" .\t") for cell in line.split(",")] for line in path.read_text().splitlines() if line.strip()]
    rows = [
        [cell if cell != "?" else "unknown" for cell in row] for row in rows
    ]  # SDGym has it as a level, not as a gap
    order = np.random.default_rng(seed).permutation(len(rows))
    schema = adult_schema(rows)
    train, test = ([rows[place] for place in part] for part in (order[:-10_000], order[-10_000:]))
    matrices = matrix(schema, train), matrix(schema, test)

    def judge(synthetic: Rows) -> tuple[float, float, str]:
        found = efficacy(schema, "label", matrix(schema, synthetic), *matrices, learners=sdgym_learners, seed=seed)
        return (
            found.value[0],
            found.f1[0],
            ", ".join(f"{one.learner} {one.value:.4f}/{one.f1:.4f}" for one in found.synthetic),
        )

    return Problem(ADULT, train, judge)


def adult_schema(rows: Rows) -> Schema:
    """As SDGym has it: levels by frequency, education in its own order."""
    columns = []
    for name, cells in zip(ADULT, zip(*rows, strict=True), strict=True):
        levels, counts = np.unique(cells, return_counts=True)
        often = tuple(str(level) for level in levels[np.argsort(-counts, kind="stable")])
        if name in NUMBERS:
            columns.append(Column(name, ColumnKind.REAL))
        elif name == "education":
            columns.append(Column(name, ColumnKind.ORDINAL, levels=EDUCATION))
        else:
            columns.append(
                Column(name, ColumnKind.BOOLEAN if len(often) == 2 else ColumnKind.CATEGORICAL, levels=often)
            )
    return Schema(tuple(columns))


def matrix(schema: Schema, rows: Rows) -> torch.Tensor:
    cells = [
        [column.levels.index(cell) if column.levels else float(cell) for cell in (row[place] for row in rows)]
        for place, column in enumerate(schema.columns)
    ]
    return torch.tensor(np.array(cells).T, dtype=torch.float32)


# mixtures of Gaussians in the plane


def centres(kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind == "ring":
        h = math.sqrt(0.5)
        return np.array([[-1, 0], [1, 0], [0, -1], [0, 1], [-h, -h], [h, h], [-h, h], [h, -h]])
    grid = np.array(list(itertools.product(range(-4, 5, 2), repeat=2)), float)
    return grid if kind == "grid" else grid + rng.random((25, 2)) - 0.5


def plane(kind: str) -> Callable[[int], Problem]:
    def make(seed: int) -> Problem:
        rng = np.random.default_rng(seed)
        means = centres(kind, rng)
        which = rng.permutation(np.arange(20_000) * len(means) // 20_000)  # equally many rows of each component
        x = means[which] + math.sqrt(0.05) * rng.normal(size=(20_000, 2))
        train, test = x[:10_000], x[10_000:]

        def true(rows: np.ndarray) -> float:
            exponents = -((rows[:, None] - means) ** 2).sum(-1) / 0.1
            densities = np.exp(exponents).mean(1) / (2 * math.pi * 0.05)
            return float(np.log(np.maximum(densities, math.exp(-50))).mean())

        def judge(synthetic: Rows) -> tuple[float, float, str]:
            rows = np.array(synthetic, float)
            found = [
                (
                    GaussianMixture(k, covariance_type="diag", random_state=seed).fit(test).score(rows),
                    GaussianMixture(k, covariance_type="diag", random_state=seed).fit(rows).score(test),
                )
                for k in (10, 30)
            ]
            syn, held = (statistics.fmean(one[side] for one in found) for side in (0, 1))
            return syn, held, f"true {true(rows):.3f}, of test rows {true(test):.3f}"

        return Problem(["a", "b"], [[repr(float(cell)) for cell in row] for row in np.round(train, 6)], judge)

    return make


# Bayesian networks


def levels(network: Callable[[], Network]) -> Callable[[int], Problem]:
    def make(seed: int) -> Problem:
        rng, truth = np.random.default_rng(seed), network()
        train, test = truth.sample(10_000, rng), truth.sample(10_000, rng)
        names = list(truth.nodes)

        def judge(synthetic: Rows) -> tuple[float, float, str]:
            cells = {
                name: np.array([int(cell[1:]) for cell in column])
                for name, column in zip(names, zip(*synthetic, strict=True), strict=True)
            }
            return truth.log_prob(cells), truth.fitted(cells).log_prob(test), f"truth {truth.log_prob(test):.3f}"

        rows = [
            [f"v{code}" for code in row] for row in np.stack([train[name] for name in names], 1)
        ]  # some of pgmpy's names read as gaps
        return Problem(names, rows, judge)

    return make


# synthesizers


def identity(problem: Problem, seed: int) -> Rows:
    """The training rows themselves: what a perfect synthesizer would reach."""
    return problem.train


def independent(problem: Problem, seed: int) -> Rows:
    """Each column shuffled by itself."""
    rng = np.random.default_rng(seed)
    return [
        list(row)
        for row in zip(
            *([column[place] for place in rng.permutation(len(column))] for column in zip(*problem.train, strict=True)),
            strict=True,
        )
    ]


def trained(problem: Problem, seed: int, given: argparse.Namespace, folder: Path) -> Path:
    """The run that `vael train` makes of the training rows, with a law for each column (as a schema asks for, for
    plain numbers too).
    """
    table, run = folder / "train.csv", folder / "run"
    with open(table, "w", newline="") as file:
        csv.writer(file).writerows([problem.names, *problem.train])
    write_schema(folder / "schema.json", read_table(table).schema)
    options = " ".join(f"--{one.replace('=', ' ')}" for one in given.option) + (
        f" --epochs {given.epochs}" if given.epochs else ""
    )
    command(f"train {table} --schema {folder}/schema.json --run {run} --seed {seed} --importance-samples 1 {options}")
    return run


def drawn(problem: Problem, run: Path, seed: int, sampler: str) -> Rows:
    """By `vael sample`."""
    path = run.parent / f"{sampler}.csv"
    command(f"sample {run} -n {len(problem.train)} --seed {seed} -o {path} --sampler {sampler}")
    with open(path, newline="") as file:
        names, *rows = csv.reader(file)
    places = [names.index(name) for name in problem.names]
    return [[row[place] for place in places] for row in rows]


def command(line: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(shlex.split(line))
    if status:
        raise SystemExit(f"`vael {line}` ended with {status}\n{printed.getvalue()}")


PROBLEMS = {"adult": adult, **{name: plane(name) for name in ("grid", "gridr", "ring")}, "asia": levels(asia)}
PROBLEMS |= {name: levels(partial(shipped, name)) for name in ("alarm", "child", "insurance")}
SIMPLE = {"real rows": identity, "independent": independent}
SAMPLERS = ("prior", "mixture")


def measured(name: str, given: argparse.Namespace) -> None:
    real, tvae = PUBLISHED[name]
    what = "accuracy, F1" if name == "adult" else "L_syn, L_test"
    print(
        f"\n{name} ({what}): published real rows {real[0]}, {real[1]}; published TVAE {tvae[0]}, {tvae[1]}", flush=True
    )
    found: dict[str, list[tuple[float, float]]] = {}
    seconds = []
    for seed in range(given.seeds):
        problem = PROBLEMS[name](seed)
        for label, synthesize in SIMPLE.items():
            told(found, label, seed, problem.judge(synthesize(problem, seed)))
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            run = trained(problem, seed, given, Path(folder))
            seconds.append(time.perf_counter() - begun)
            for sampler in SAMPLERS:
                told(found, f"vael, {sampler}", seed, problem.judge(drawn(problem, run, seed, sampler)))
    for label, figures in found.items():
        said = "  ".join(
            f"{statistics.fmean(one):8.4f} ± {statistics.stdev(one) if len(one) > 1 else 0:.4f}"
            for one in zip(*figures, strict=True)
        )
        print(f"{name:<6} {label:<14} {said}", flush=True)
    print(f"{name:<6} training took {statistics.fmean(seconds):.0f} s a seed on average", flush=True)


def told(found: dict[str, list[tuple[float, float]]], label: str, seed: int, judged: tuple[float, float, str]) -> None:
    found.setdefault(label, []).append(judged[:2])
    print(f"  seed {seed} {label:<14} {judged[0]:8.4f} {judged[1]:8.4f}   {judged[2]}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", choices=[*PROBLEMS, []], help="default all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--option", action="append", default=[], help="NAME=VALUE, passed on to `vael train`")
    arguments = parser.parse_args()
    for chosen in arguments.problems or PROBLEMS:
        measured(chosen, arguments)
