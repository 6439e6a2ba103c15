"""Data that a run is used on: any number of rows, read as those it was trained on, and what does not fit named."""

import csv

import numpy as np
import pytest

from vael.cli.main import main


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    x = np.random.default_rng(0).normal(size=(200, 3)) @ np.array([[1, 2, 0], [0, 1, 3], [1, 0, 1]])
    np.savetxt(folder / "x.csv", x, delimiter=",", header="a,b,c", comments="", fmt="%.4f")
    assert (
        main(
            [
                "train",
                str(folder / "x.csv"),
                "--run",
                str(folder / "run"),
                "--epochs",
                "2",
                "--no-report",
                "--importance-samples",
                "2",
            ]
        )
        == 0
    )
    return folder


def test_a_single_row_in_another_order_of_columns(plain):
    (plain / "one.csv").write_text("c,a,b\n0.5,1,2\n")
    (plain / "same.csv").write_text("a,b,c\n1,2,0.5\n")
    for name in ("one", "same"):
        assert (
            main(["encode", str(plain / "run"), str(plain / f"{name}.csv"), "-o", str(plain / f"{name}-codes.csv")])
            == 0
        )
        assert (
            main(["score", str(plain / "run"), str(plain / f"{name}.csv"), "-o", str(plain / f"{name}-scores.csv")])
            == 0
        )
    assert (plain / "one-codes.csv").read_text() == (plain / "same-codes.csv").read_text()
    with open(plain / "one-scores.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["row", "score", "bound", "p_value", "flag"]
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,3\n1,,3\n", "row 2, column 'b': an empty cell came, but the model was trained on finite numbers"),
        ("a,b,c\n1,2,3\n1,red,3\n", "row 2, column 'b': 'red' is no finite number"),
        ("a,b\n1,2\n", "no column 'c'"),
    ],
)
def test_rows_that_do_not_fit_are_named(plain, capsys, text, words):
    (plain / "bad.csv").write_text(text)
    assert main(["score", str(plain / "run"), str(plain / "bad.csv"), "-o", str(plain / "out.csv")]) == 2
    assert words in capsys.readouterr().err
    assert not (plain / "out.csv").exists()
