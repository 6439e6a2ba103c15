"""Everything that can be wrong with a file that a run is used on: one message that names column and row, or the row
listed; no file half written.
"""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from vael.cli.main import main

VERBS = ("score", "encode", "impute")
NAMES = ["kind", "height", "nests"]


def good(rows=60, seed=0):
    random = np.random.default_rng(seed)
    kind = random.integers(0, 3, rows)
    return [
        [["ash", "oak", "elm"][one], f"{4 * one + random.normal():.2f}", str(random.poisson(1 + 2 * one))]
        for one in kind
    ]


def write_csv(path, cells, names=NAMES, mark=",", encoding="utf-8"):
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=mark).writerows([names, *cells])
    return path


def write_parquet(path, cells, names=NAMES, text=False):
    columns = [[cell or None for cell in column] for column in zip(*cells, strict=True)] or [[] for _ in names]
    typed = [columns[0]] + [
        column if text else [None if cell is None else float(cell) for cell in column] for column in columns[1:]
    ]
    pa.parquet.write_table(pa.Table.from_arrays([pa.array(column) for column in typed], names=names), path)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_csv(folder / "t.csv", good(200))
    np.savetxt(
        folder / "n.csv",
        np.random.default_rng(0).normal(size=(200, 2)),
        delimiter=",",
        header="a,b",
        comments="",
        fmt="%.3f",
    )
    np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 17, (60, 8, 8)).astype(np.uint8))
    short = ["--epochs", "1", "--no-report", "--importance-samples", "2"]
    for data, run in (("t.csv", "run"), ("n.csv", "plain"), ("images.npy", "grey")):
        assert main(["train", str(folder / data), "--run", str(folder / run), *short]) == 0
    return folder


def used(verb, run, path, out, *more):
    return main([verb, str(run), str(path), "-o", str(out), *(("--samples", "4") if verb == "impute" else ()), *more])


def refused(runs, tmp_path, capsys, path, words, verbs=VERBS, run="run"):
    """The words are in the message of every command, and nothing is written."""
    capsys.readouterr()
    for verb in verbs:
        assert used(verb, runs / run, path, tmp_path / "out.csv") == 2
        shown = capsys.readouterr().err
        for word in words:
            assert word in shown, (verb, shown)
        assert not (tmp_path / "out.csv").exists()


def skipped(runs, tmp_path, capsys, path, rows, left, run="run", verbs=VERBS):
    """The rows are listed, and all others answered."""
    for verb in verbs:
        assert used(verb, runs / run, path, tmp_path / f"{verb}.csv", "--on-error", "skip", "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert [one["row"] for one in found["skipped"]] == rows
        assert len((tmp_path / f"{verb}.csv").read_text().strip().split("\n")) == 1 + left


@pytest.mark.parametrize("write", [write_csv, write_parquet])
@pytest.mark.parametrize(
    ("place", "cell", "words"),
    [
        ((3, 0), "birch", "row 4, column 'kind': 'birch' is no level that was seen in training (ash, elm, oak)"),
        ((9, 1), "inf", "row 10, column 'height': "),
        ((9, 2), "1.5", "row 10, column 'nests': "),
        ((0, None), "", "row 1, every cell of the row is missing"),
    ],
)
def test_a_cell_that_does_not_fit_is_named_or_its_row_listed(runs, tmp_path, capsys, write, place, cell, words):
    cells = good(20, 1)
    row, column = place
    cells[row] = ["", "", ""] if column is None else [*cells[row][:column], cell, *cells[row][column + 1 :]]
    path = write(tmp_path / ("b.csv" if write is write_csv else "b.parquet"), cells)
    refused(runs, tmp_path, capsys, path, [words, "--on-error skip"])
    skipped(runs, tmp_path, capsys, path, [row + 1], 19)


def test_a_word_among_numbers(runs, tmp_path, capsys):
    cells = good(20, 1)
    cells[6][1] = "tall"
    path = write_csv(tmp_path / "b.csv", cells)
    refused(runs, tmp_path, capsys, path, ["row 7, column 'height': 'tall' is no finite number"])
    skipped(runs, tmp_path, capsys, path, [7], 19)


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_columns_that_are_missing_or_doubled(runs, tmp_path, capsys, write):
    ending = "csv" if write is write_csv else "parquet"
    path = write(tmp_path / f"missing.{ending}", [[one[0], one[2]] for one in good(20)], ["kind", "nests"])
    refused(
        runs,
        tmp_path,
        capsys,
        path,
        ["has no column 'height', which the model was trained on", "there are kind, nests"],
    )
    path = write(tmp_path / f"twice.{ending}", [[*one, one[1]] for one in good(20)], [*NAMES, "height"])
    refused(runs, tmp_path, capsys, path, ["columns 2 and 4 are both called 'height'", "rename one"])


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_a_column_of_another_type(runs, tmp_path, capsys, write):
    path = write(
        tmp_path / ("b.csv" if write is write_csv else "b.parquet"), [[one[0], one[1], "2.5"] for one in good(20)]
    )
    refused(
        runs, tmp_path, capsys, path, ["row 1, column 'nests': ", "is no whole number, as the column is in training"]
    )
    refused_all = used("score", runs / "run", path, tmp_path / "out.csv", "--on-error", "skip")
    assert refused_all == 2
    assert "none of the 20 rows fits the model; row 1: column 'nests'" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_empty_files_and_single_rows(runs, tmp_path, capsys, write):
    ending = "csv" if write is write_csv else "parquet"
    refused(runs, tmp_path, capsys, write(tmp_path / f"no-rows.{ending}", []), ["has no rows"])
    (tmp_path / f"empty.{ending}").write_bytes(b"")
    refused(
        runs,
        tmp_path,
        capsys,
        tmp_path / f"empty.{ending}",
        ["is empty" if ending == "csv" else "is no whole Parquet file"],
    )
    skipped(runs, tmp_path, capsys, write(tmp_path / f"one.{ending}", good(1)), [], 1)


@pytest.mark.parametrize(("mark", "encoding"), [(";", "utf-16"), ("\t", "cp1252"), ("|", "utf-8-sig")])
def test_other_encodings_and_delimiters_give_the_same_answers(runs, tmp_path, mark, encoding):
    write_csv(tmp_path / "usual.csv", good(20))
    write_csv(tmp_path / "other.csv", good(20), mark=mark, encoding=encoding)
    for verb in ("score", "encode"):
        for name in ("usual", "other"):
            assert used(verb, runs / "run", tmp_path / f"{name}.csv", tmp_path / f"{name}-{verb}.csv") == 0
        assert (tmp_path / f"usual-{verb}.csv").read_bytes() == (tmp_path / f"other-{verb}.csv").read_bytes()


def test_numbers_as_text_are_numbers(runs, tmp_path):
    write_parquet(tmp_path / "typed.parquet", good(20))
    write_parquet(tmp_path / "text.parquet", good(20), text=True)
    for name in ("typed", "text"):
        assert used("encode", runs / "run", tmp_path / f"{name}.parquet", tmp_path / f"{name}.csv") == 0
    assert (tmp_path / "typed.csv").read_bytes() == (tmp_path / "text.csv").read_bytes()


@pytest.mark.parametrize("verb", VERBS)
def test_a_table_given_to_images_and_images_to_a_table(runs, tmp_path, capsys, verb):
    table = (
        "are no rows of a table"
        if verb == "impute"
        else "is a table, but the run was trained on images of shape (1, 8, 8)"
    )
    refused(runs, tmp_path, capsys, runs / "t.csv", [table], [verb], "grey")
    refused(
        runs,
        tmp_path,
        capsys,
        runs / "images.npy",
        ["is an array, but the run was trained on a table with the columns kind, height, nests"],
        [verb],
    )
    refused(runs, tmp_path, capsys, runs, ["is a folder, but the run was trained on a table"], [verb])


def test_rows_of_a_run_on_plain_numbers(runs, tmp_path, capsys):
    lines = ["a,b", "1,2", "1,", "3,inf", "4,5,6", "7,8"]
    (tmp_path / "b.csv").write_text("\n".join(lines))
    (tmp_path / "c.csv").write_text("\n".join(lines[:3]))
    refused(runs, tmp_path, capsys, tmp_path / "b.csv", ["row 4: 3 cells, but 2 were expected"], run="plain")
    refused(
        runs,
        tmp_path,
        capsys,
        tmp_path / "c.csv",
        ["row 2, column 'b': an empty cell came"],
        ("score", "encode"),
        run="plain",
    )
    skipped(runs, tmp_path, capsys, tmp_path / "b.csv", [2, 3, 4], 2, run="plain", verbs=("score", "encode"))
    np.save(tmp_path / "three.npy", np.zeros((4, 3), np.float32))
    refused(
        runs,
        tmp_path,
        capsys,
        tmp_path / "three.npy",
        ["examples of shape (3,), but the model takes (2,)"],
        ("score", "encode"),
        run="plain",
    )
