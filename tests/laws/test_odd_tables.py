"""What a later command refuses is said before training: tables of few rows, of few cells, of equal rows, of
enormous numbers, of one column.
"""

import contextlib
import csv
import io

import numpy as np
import pytest

from vael.cli.main import main

NOISE = np.random.default_rng(0)


def numbers(rows, columns=3):
    return {f"x{place}": [f"{value:.3f}" for value in NOISE.normal(size=rows)] for place in range(columns)}


def mixed(rows):
    return {**numbers(rows, 2), "kind": list(NOISE.choice(["oak", "ash"], rows))}


def emptied(columns, share):
    return {
        name: ["" if NOISE.random() < share and row else cell for row, cell in enumerate(cells)]
        for name, cells in columns.items()
    }


def last_gone(rows):
    """A column whose only cells are in rows that one split has."""
    return {**numbers(rows), "late": ["1.5", "2.5", *[""] * (rows - 2)]}


TABLES = {
    "2 rows": numbers(2),
    "3 rows": mixed(3),
    "12 rows": numbers(12),
    "40 rows": mixed(40),
    "120 rows": mixed(120),
    "mostly empty": emptied(mixed(60), 0.9),
    "numbers with gaps": emptied(numbers(60), 0.3),
    "equal rows": {"a": ["1.5"] * 40, "b": ["x"] * 40},
    "equal numbers": {"a": ["1.5"] * 40, "b": ["2"] * 40},
    "ids only": {"id": [f"T{row:04d}" for row in range(40)]},
    "collinear": {
        "a": [f"{row}.5" for row in range(40)],
        "b": [f"{2 * row}.0" for row in range(40)],
        "c": [f"{-row}.25" for row in range(40)],
    },
    "one level": {"kind": ["oak"] * 40},
    "one column": numbers(40, 1),
    "one column of levels": {"kind": list(NOISE.choice(["oak", "ash"], 40))},
    "huge": {**numbers(40, 1), "big": [f"{value:.3e}" for value in 1e30 * NOISE.normal(size=40)]},
    "too huge": {**numbers(40, 1), "big": [f"{value:.3e}" for value in 1e35 * NOISE.normal(size=40)]},
    "cells in one split": last_gone(40),
    "bits": {f"b{place}": list(NOISE.choice(["0", "1"], 40)) for place in range(4)},
}
QUICK = {"2 rows", "mostly empty"}  # the others are slow: seconds each
AFTER = {
    "evaluate": ("--importance-samples", "2"),
    "score": ("DATA", "-o", "OUT"),
    "encode": ("DATA", "-o", "OUT"),
    "sample": ("-n", "5", "-o", "OUT"),
    "report": (),
    "impute": ("DATA", "-o", "OUT", "--samples", "4"),
    "reconstruct": ("-o", "OUT"),
    "compress": ("DATA", "-o", "ARCHIVE"),
}


def called(*words):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(list(words))
    return status, out.getvalue() + err.getvalue()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in TABLES]
)
def test_a_command_that_refuses_was_named_before_training(name, tmp_path, monkeypatch):
    """Only rows without any modelled cell may be refused without that: they are a matter of the rows that are given."""
    monkeypatch.setattr("vael.models.likelihoods.columns.FITTING", 4)
    with open(tmp_path / "data.csv", "w", newline="") as file:
        csv.writer(file).writerows([tuple(TABLES[name]), *zip(*TABLES[name].values(), strict=True)])
    run, small = str(tmp_path / "run"), ("--latent", "1", "--epochs", "1", "--importance-samples", "2", "--no-report")
    status, said = called("train", str(tmp_path / "data.csv"), "--run", run, *small)
    if status:
        assert status == 2
        assert "unexpected" not in said
        assert not (tmp_path / "run").exists()
        return
    before = said.partition("epoch ")[0]
    for verb, words in AFTER.items():
        places = {
            "DATA": str(tmp_path / "data.csv"),
            "OUT": str(tmp_path / f"{verb}.csv"),
            "ARCHIVE": str(tmp_path / "a.vael"),
        }
        status, answer = called(verb, run, *(places.get(word, word) for word in words))
        assert (
            status == 0
            or (status == 2 and f"`vael {verb}` will refuse" in before)
            or "every cell of the row is missing" in answer
        ), answer
    assert called("train", "--run", run, "--resume", *small[2:])[0] == 0
