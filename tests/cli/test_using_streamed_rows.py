"""Tables of any length through a model: the same answers, bit for bit, in blocks and at once; rows that cannot be
read listed by their numbers.
"""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch

from vael.cli.main import main
from vael.data import OnError, read_table
from vael.data.blocks import table_blocks
from vael.tables.as_text.text import TextTable

ROWS = 700


def columns(rows=ROWS, seed=0, gaps=True):
    random = np.random.default_rng(seed)
    kind = random.integers(0, 3, rows)
    height = 5 + 4 * kind + random.normal(size=rows)
    nests = random.poisson(1 + 2 * kind)
    table = {
        "kind": np.array(["ash", "oak, red", "früh"], dtype=object)[kind],
        "height": [f"{cell:.2f}" for cell in height],
        "nests": [str(cell) for cell in nests],
        "alive": ["yes" if cell > 4 else "no" for cell in height],
    }
    cells = {name: np.array(list(column), dtype=object) for name, column in table.items()}
    if gaps:
        for name in cells:
            cells[name][random.random(rows) < 0.1] = ""
        cells["height"][(cells["kind"] == "") & (cells["nests"] == "") & (cells["alive"] == "")] = "7.00"
    return cells


def written(path, cells, mark=",", encoding="utf-8", named=True):
    with open(path, "w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=mark)
        if named:
            writer.writerow(cells)
        writer.writerows(zip(*cells.values(), strict=True))
    return path


def as_parquet(path, cells):
    numbers = {"height": float, "nests": int}
    made = {
        name: pa.array([None if cell == "" else numbers.get(name, str)(cell) for cell in column], from_pandas=True)
        for name, column in cells.items()
    }
    made["kind"] = made["kind"].dictionary_encode()
    pa.parquet.write_table(pa.table(made), path, row_group_size=150)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    written(folder / "t.csv", columns())
    options = ["--epochs", "2", "--no-report", "--importance-samples", "2"]
    assert main(["train", str(folder / "t.csv"), "--run", str(folder / "run"), *options]) == 0
    written(folder / "new.csv", columns(500, 1))
    as_parquet(folder / "new.parquet", columns(500, 1))
    return folder


def small_blocks(monkeypatch, rows):
    """Every file in blocks of some hundred bytes of text, and of so many rows."""
    whole = TextTable.blocks
    monkeypatch.setattr(TextTable, "blocks", lambda self, size=0: whole(self, 300))
    monkeypatch.setattr("vael.data.blocks.ROWS", rows)


@pytest.mark.parametrize(("mark", "encoding"), [(",", "utf-8"), (";", "utf-16"), ("\t", "cp1252"), ("|", "utf-8-sig")])
@pytest.mark.parametrize("rows", [1, 37, 100_000])
def test_blocks_are_the_table(tmp_path, monkeypatch, mark, encoding, rows):
    cells = columns(200)
    path = written(tmp_path / "t.csv", cells, mark, encoding)
    whole = read_table(path)
    again = read_table(path, whole.schema)
    small_blocks(monkeypatch, rows)
    found = list(table_blocks(path, whole.schema, rows=rows))
    assert [len(one.x) for one in found[:-1]] == [rows] * (len(found) - 1)
    assert torch.equal(torch.cat([one.x for one in found]).nan_to_num(-9), again.x.nan_to_num(-9))
    assert pa.concat_tables([one.original for one in found]).equals(again.original.combine_chunks())
    assert np.concatenate([one.rows for one in found]).tolist() == list(range(1, 201))


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        (["a;b", *["1,5;x"] * 40, "1.234,5;y"], [1.5] * 40 + [1234.5]),
        (["a;b", *["1,234;x"] * 40, "7.5;y"], [1234.0] * 40 + [7.5]),
        (
            ["a;b", *["1,234;x"] * 40, "7,5;y"],
            [1.234] * 40 + [7.5],
        ),  # a comma that is the decimal mark in one cell is it in all
        (["a;b", *["1,234;x"] * 40, "7,5;y", "much;y"], [1.234] * 40 + [7.5]),
    ],
)
def test_the_form_of_numbers_is_that_of_the_whole_column(tmp_path, monkeypatch, lines, values):
    (tmp_path / "t.csv").write_text("\n".join(lines))
    schema = read_table(pa.table({"a": pa.array([1.5, 2.25] * 20), "b": pa.array(["x", "y"] * 20)})).schema
    small_blocks(monkeypatch, 7)
    found = torch.cat([one.x for one in table_blocks(tmp_path / "t.csv", schema, on_error=OnError.SKIP, rows=7)])
    np.testing.assert_allclose(found[:, 0], values)
    np.testing.assert_allclose(read_table(tmp_path / "t.csv", schema, on_error=OnError.SKIP).x[:, 0], values)


# from the one to the other, in the quick tests both readers and both writers
FROM_AND_TO = [
    pytest.param(ending, output, marks=() if ending != output else pytest.mark.slow)
    for ending in ("csv", "parquet")
    for output in ("csv", "parquet")
]


@pytest.mark.parametrize(("ending", "output"), FROM_AND_TO)
def test_commands_answer_the_same_in_blocks_and_at_once(mixed, tmp_path, monkeypatch, ending, output):
    data, run = str(mixed / f"new.{ending}"), str(mixed / "run")
    commands = {
        "score": ["score", run, data],
        "encode": ["encode", run, data],
        "impute": ["impute", run, data, "--samples", "16"],
    }

    def answers(folder):
        for name, command in commands.items():
            assert main([*command, "-o", str(tmp_path / f"{folder}-{name}.{output}")]) == 0
        kept = [tmp_path / f"{folder}-{name}.{output}" for name in commands]
        return [
            path.read_bytes()
            if output == "csv"
            else [*(found := pa.parquet.read_table(path)).to_pylist(), found.schema]
            for path in kept
        ]

    once = answers("once")
    small_blocks(monkeypatch, 128)
    for one, other in zip(once, answers("blocks"), strict=True):
        assert one == other


def test_rows_that_are_skipped_keep_their_numbers(mixed, tmp_path, monkeypatch, capsys):
    cells = columns(300, 2)
    cells["kind"][41], cells["height"][200] = "birch", "tall"
    for name in cells:
        cells[name][100] = ""
    path = written(tmp_path / "bad.csv", cells)
    lines = path.read_text().split("\n")
    lines[251] += ",more"
    path.write_text("\n".join(lines))
    small_blocks(monkeypatch, 50)
    capsys.readouterr()
    assert (
        main(["score", str(mixed / "run"), str(path), "-o", str(tmp_path / "s.csv"), "--on-error", "skip", "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert [one["row"] for one in found["skipped"]] == [42, 101, 201, 251]
    assert "'birch' is no level" in found["skipped"][0]["reason"]
    assert "5 cells, but 4 were expected" in found["skipped"][3]["reason"]
    rows = np.loadtxt(tmp_path / "s.csv", delimiter=",", skiprows=1)[:, 0]
    assert rows.tolist() == [row for row in range(1, 301) if row not in (42, 101, 201, 251)]
    for command in (["encode"], ["impute", "--samples", "5"]):
        verb, *more = command
        assert (
            main([verb, str(mixed / "run"), str(path), "-o", str(tmp_path / "o.csv"), "--on-error", "skip", *more]) == 0
        )
        assert "row 251 was skipped: 5 cells" in capsys.readouterr().out
        assert len((tmp_path / "o.csv").read_text().strip().split("\n")) == 297


@pytest.mark.parametrize("verb", ["score", "encode", "impute"])
def test_a_file_is_whole_or_not_there(mixed, tmp_path, monkeypatch, capsys, verb):
    """The wrong cell is in the last block: what was written before it goes."""
    cells = columns(300, 2)
    cells["kind"][299] = "birch"
    path = written(tmp_path / "bad.csv", cells)
    small_blocks(monkeypatch, 50)
    assert main([verb, str(mixed / "run"), str(path), "-o", str(tmp_path / "o.csv")]) == 2
    assert "row 300, column 'kind': 'birch' is no level" in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bad.csv"]


def test_reasons_stand_in_the_file(mixed, tmp_path, capsys):
    cells = columns(60, 4, gaps=False)
    cells["height"][7] = "95.00"
    path = written(tmp_path / "odd.csv", cells)
    for ending in ("csv", "parquet"):
        out = tmp_path / f"s.{ending}"
        command = ["score", str(mixed / "run"), str(path), "-o", str(out), "--threshold", "0.05", "--reasons", "2"]
        assert main([*command, "--calibrate", str(mixed / "t.csv")]) == 0
        found = (pa.csv.read_csv(out) if ending == "csv" else pa.parquet.read_table(out)).to_pylist()
        assert [*found[0]] == [
            "row",
            "score",
            "bound",
            "p_value",
            "flag",
            "reason_1",
            "surprise_1",
            "usual_1",
            "reason_2",
            "surprise_2",
            "usual_2",
        ]
        assert (found[7]["flag"], found[7]["reason_1"]) == (1, "height")
        assert found[7]["surprise_1"] > 5
        low, high = map(float, found[7]["usual_1"].split(" to "))
        assert 2 < low < 6 < high < 16
        assert all(not one["reason_1"] for one in found if not one["flag"])
    assert main([*command[:4], str(tmp_path / "s.npy"), "--reasons", "1"]) == 2
    assert "reasons are text" in capsys.readouterr().err


def test_few_rows_of_calibration_are_said(mixed, tmp_path, capsys):
    assert main(["score", str(mixed / "run"), str(mixed / "new.csv"), "-o", str(tmp_path / "s.csv")]) == 0
    out = capsys.readouterr().out
    assert "0 flagged" in out
    assert "70 held-out rows can give p-values from 0.014 on, so" in out
    assert "nothing is flagged; 99 rows or more would do" in out
    assert (
        main(
            [
                "score",
                str(mixed / "run"),
                str(mixed / "new.csv"),
                "-o",
                str(tmp_path / "s.csv"),
                "--calibrate",
                str(mixed / "t.csv"),
            ]
        )
        == 0
    )
    assert "cannot be reached" not in capsys.readouterr().out
