"""One cell of each column of a mixed table swapped for that of a row of another kind: the row is flagged, and the
reason names the cell.
"""

import csv

import numpy as np
import pyarrow.csv
import pytest

from vael.cli.main import main

COLUMNS = ("kind", "height", "nests", "alive", "width")


def columns(rows, seed):
    random = np.random.default_rng(seed)
    kind = random.integers(0, 3, rows)
    height = 4 * kind + 0.7 * random.normal(size=rows)
    nests = random.poisson(np.array([0.5, 6, 20])[kind])
    width = np.exp(0.4 * height + 0.2 * random.normal(size=rows))
    return kind, [
        np.array(["ash", "oak", "elm"])[kind],
        height.round(2),
        nests,
        np.where(height > 4, "yes", "no"),
        width.round(3),
    ]


def write(path, cells):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *zip(*cells, strict=True)])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    write(folder / "t.csv", columns(1500, 0)[1])
    options = ["--epochs", "25", "--batch", "64", "--no-report", "--importance-samples", "2"]
    assert main(["train", str(folder / "t.csv"), "--run", str(folder / "run"), *options]) == 0
    return folder


@pytest.mark.slow
def test_the_planted_cell_is_the_reason(folder, tmp_path):
    """A hundred ash and elm trees, a cell of each exchanged for that of a tree of the other kind. A cell of five is
    named in 20 % by chance; measured: all flagged, 97 % named (85 % of the counts, 99 to 100 % of the others).
    """
    kind, cells = columns(1000, 1)
    ash, elm = np.flatnonzero(kind == 0)[:50], np.flatnonzero(kind == 2)[:50]
    rows, others = np.concatenate((ash, elm)), np.concatenate((elm, ash))
    named, flagged = [], []
    for place, name in enumerate(COLUMNS):
        changed = [column[others if number == place else rows] for number, column in enumerate(cells)]
        path = write(tmp_path / "q.csv", changed)
        command = [
            "score",
            str(folder / "run"),
            str(path),
            "-o",
            str(tmp_path / "s.csv"),
            "--threshold",
            "0.05",
            "--reasons",
            "1",
        ]
        assert main(command) == 0
        found = pyarrow.csv.read_csv(tmp_path / "s.csv").to_pylist()
        flagged.append(np.mean([one["flag"] for one in found]))
        named.append(np.mean([one["reason_1"] == name for one in found if one["flag"]]))
    assert min(flagged) > 0.9
    assert min(named) > 0.7
    assert np.mean(named) > 0.9
