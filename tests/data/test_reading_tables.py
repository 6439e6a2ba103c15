"""Tables as people have them: what columns are taken for, what is written back, and every slip named by column and
row.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from vael.cli.main import main
from vael.data import ColumnKind, Kind, OnError, load, load_table, read_table
from vael.errors import FormatError, ShapeError, SupportError
from vael.tables.inference import infer_schema
from vael.tables.schema_file import from_record, read_schema, write_schema
from vael.tables.writing import completed, write_arrow, write_rows

LINES = [
    f"{['ash', 'oak', 'elm'][i % 3]}|{2 * i / 10:.1f}|{i % 7}|{'yes' if i % 5 else 'no'}|2001-{1 + i % 12:02}-03"
    for i in range(60)
]


def table(path, mark=",", lines=LINES, names="kind|height|nests|alive|planted", encoding="utf-8", gap="?"):
    rows = [line.split("|") for line in ([names, *lines] if names else lines)]
    rows[5][0], rows[6][1], rows[7][4] = "", gap, "NA"
    path.write_bytes("\n".join(mark.join(row) for row in rows).encode(encoding))
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_kinds_are_told_in_any_separator_and_encoding(tmp_path, mark, encoding):
    lines = [line.replace("ash", "früh") for line in LINES]
    found = read_table(table(tmp_path / "t.csv", mark, lines, encoding=encoding))
    kinds = [column.kind for column in found.schema.columns]
    assert kinds == [ColumnKind.CATEGORICAL, ColumnKind.REAL, ColumnKind.COUNT, ColumnKind.BOOLEAN, ColumnKind.DATE]
    assert found.schema.columns[0].levels == ("elm", "früh", "oak")
    assert found.schema.columns[1].decimals == 1
    assert [int(gaps) for gaps in torch.isnan(found.x).sum(0)] == [1, 1, 0, 0, 1]
    assert [column.missing for column in found.schema.columns] == [True, True, False, False, True]


def test_a_table_without_names_and_with_spaces(tmp_path):
    (tmp_path / "g.data").write_text("\n".join(f"A1{i % 3} {i} {i * 1.5}" for i in range(1, 30)))
    found = read_table(tmp_path / "g.data")
    assert found.schema.names == ("column 1", "column 3")
    assert found.schema.left_out == ("column 2",)  # it counts the rows


@pytest.mark.parametrize(
    ("cells", "values"), [(("1,5", "2,25", "-3"), (1.5, 2.25, -3)), (("1.234,5", "7", "0,5"), (1234.5, 7, 0.5))]
)
def test_decimal_commas(tmp_path, cells, values):
    (tmp_path / "t.csv").write_text("a;b\n" + "".join(f"{cell};x\n" for cell in cells))
    np.testing.assert_allclose(read_table(tmp_path / "t.csv").x[:, 0], values)


def test_thousands(tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1,234;x\n12,345,678;y\n7;x\n")
    np.testing.assert_allclose(read_table(tmp_path / "t.csv").x[:, 0], [1234, 12345678, 7])


def test_frames_and_parquet_say_the_same(tmp_path):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = pandas.DataFrame(
        {"a": [1.5, None, 2.5] * 10, "b": pandas.Categorical(["x", "y", "x"] * 10), "c": [True, False, True] * 10}
    )
    frame["when"] = pandas.to_datetime("2020-01-01") + pandas.to_timedelta(np.arange(30) % 9, unit="D")
    first = read_table(frame)
    assert [column.kind.value for column in first.schema.columns] == ["real", "categorical", "boolean", "date"]
    second = read_table(polars.from_pandas(frame))
    torch.testing.assert_close(first.x, second.x, equal_nan=True)
    frame.to_parquet(tmp_path / "t.parquet")
    torch.testing.assert_close(read_table(tmp_path / "t.parquet", first.schema).x, first.x, equal_nan=True)
    grades = pandas.Categorical(["low", "high", "mid"] * 9, ["low", "mid", "high"], ordered=True)
    ordered = pandas.DataFrame({"grade": grades, "v": [1.0, 2.5, 3.1] * 9})
    column = read_table(ordered).schema.columns[0]
    assert (column.kind, column.levels) == (ColumnKind.ORDINAL, ("low", "mid", "high"))
    assert load_table(frame).train.kind is Kind.MIXED


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_rows_are_written_as_they_came(tmp_path, ending):
    found = read_table(table(tmp_path / "t.csv"))
    write_rows(tmp_path / f"again{ending}", found.schema, found.x)
    again = read_table(tmp_path / f"again{ending}", found.schema)
    torch.testing.assert_close(again.x, found.x, equal_nan=True)
    if ending == ".csv":
        before, after = ((tmp_path / name).read_text().split("\n") for name in ("t.csv", "again.csv"))
        assert after[0] == before[0]
        assert after[20] == before[20]


def test_seen_cells_of_every_type_stay_what_they_were(tmp_path):
    columns = {
        "f": pa.array([1.25, None, 3.5, 7.125] * 6, pa.float32()),
        "i": pa.array([1, 2, None, 9] * 6, pa.int16()),
        "s": pa.array(["a", None, "b", "a"] * 6, pa.large_string()),
        "d": pa.array(["x", "y", None, "x"] * 6).dictionary_encode(),
        "t": pa.array([18000, 18001, None, 18004] * 6, pa.date32()),
        "b": pa.array([True, None, False, True] * 6),
    }
    found = read_table(pa.table(columns))
    full = completed(found, torch.nan_to_num(found.x, nan=0.0))
    write_arrow(tmp_path / "full.parquet", full)
    back = pyarrow.parquet.read_table(tmp_path / "full.parquet")
    for name, before in columns.items():
        assert back.column(name).null_count == 0
        for one, other in zip(before.to_pylist(), back.column(name).to_pylist(), strict=True):
            assert one is None or one == other


@pytest.mark.parametrize(
    ("change", "words", "error"),
    [
        (
            (3, 0, "birch"),
            r"row 3, column 'kind': 'birch' is no level that was seen in training \(ash, elm, oak\)",
            SupportError,
        ),
        ((9, 1, "tall"), "row 9, column 'height': 'tall' is no finite number", SupportError),
        ((9, 1, "inf"), "row 9, column 'height': 'inf' is no finite number", SupportError),
        ((4, 2, "1.5"), "row 4, column 'nests': '1.5' is no whole number", SupportError),
        ((8, 4, "03/04/2001"), "row 8, column 'planted': '03/04/2001' is no date written as %Y-%m-%d", SupportError),
    ],
)
def test_cells_that_do_not_fit_are_named_or_their_rows_listed(tmp_path, change, words, error):
    schema = read_table(table(tmp_path / "t.csv")).schema
    row, column, cell = change
    lines = [line.split("|") for line in LINES]
    lines[row - 1][column] = cell
    path = tmp_path / "bad.csv"
    path.write_text("kind,height,nests,alive,planted\n" + "\n".join(",".join(line) for line in lines))
    with pytest.raises(error, match=words):
        read_table(path, schema)
    kept = read_table(path, schema, on_error=OnError.SKIP)
    assert [one.row for one in kept.skipped] == [row]
    assert len(kept.x) == 59
    assert row not in kept.rows


def test_columns_go_by_name_in_any_order_and_missing_ones_are_named(tmp_path):
    path = table(tmp_path / "t.csv")
    found = read_table(path)
    shuffled = found.original.select(["planted", "nests", "kind", "alive", "height"]).append_column(
        "extra", pa.array(["e"] * 60)
    )
    torch.testing.assert_close(read_table(shuffled, found.schema).x, found.x, equal_nan=True)
    with pytest.raises(ShapeError, match="no column 'height', which the model was trained on; did 'heights' mean it"):
        read_table(found.original.rename_columns(["kind", "heights", "nests", "alive", "planted"]), found.schema)
    with pytest.raises(SupportError, match="row 2, every cell of the row is missing"):
        read_table(
            pa.table({name: pa.array(["1" if name == "nests" else "", ""]) for name in found.schema.names}),
            found.schema,
        )


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"kind": "colour"}, "column 'kind' has the kind 'colour'; expected one of real"),
        ({"levels": ["a", "a"]}, "each once was expected"),
        ({"levels": []}, "is categorical and has 0 levels"),
        ({"minimum": 3, "maximum": 1}, "minimum of 3 above its maximum of 1"),
        ({"decimal": 2}, "has the entry 'decimal'; there are"),
        ({"decimals": "two"}, "decimals is 'two'"),
    ],
)
def test_a_schema_goes_to_json_and_back_and_slips_are_named(tmp_path, edit, words):
    schema = read_table(table(tmp_path / "t.csv")).schema
    write_schema(tmp_path / "s.json", schema)
    assert read_schema(tmp_path / "s.json") == schema
    record = json.loads((tmp_path / "s.json").read_text())
    record["columns"][0] |= edit
    with pytest.raises(FormatError, match=words):
        from_record(record)
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(FormatError, match="not JSON"):
        read_schema(tmp_path / "s.json")
    with pytest.raises(FormatError, match="no such schema"):
        read_schema(Path("nowhere.json"))


def test_spikes_rare_levels_and_identifiers():
    random = np.random.default_rng(0)
    levels = np.where(
        random.random(2000) < 0.98, random.choice(list("abcdefghijkl"), 2000), [f"rare{i % 20}" for i in range(2000)]
    )
    cells = {
        "gain": np.where(random.random(2000) < 0.9, 0, random.integers(1, 9000, 2000)),
        "level": levels,
        "name": [f"n{i}" for i in range(2000)],
        "same": np.full(2000, 3.0),
    }
    found = read_table(pa.table(cells))
    gain, level, same = found.schema.columns
    assert gain.spikes == (0.0,)
    assert len(level.levels) == 12
    assert sum(count for _, count in level.rare) == int((found.x[:, 1] == 12).sum()) > 0
    assert found.schema.left_out == ("name",)
    assert (same.minimum, same.maximum) == (3.0, 3.0)


def test_plain_tables_stay_plain_and_others_are_mixed(tmp_path):
    (tmp_path / "plain.csv").write_text("a,b\n" + "".join(f"{i / 3},{i * i}\n" for i in range(40)))
    assert load(tmp_path / "plain.csv").train.kind is Kind.REAL
    (tmp_path / "gaps.csv").write_text("a,b\n" + "".join(f"{i / 3},{i * i if i % 4 else ''}\n" for i in range(40)))
    train = load(tmp_path / "gaps.csv").train
    assert (train.kind, train.gaps, train.columns) == (Kind.MIXED, True, ("a", "b"))
    assert bool((train.batch(torch.arange(5)).observed == ~torch.isnan(train.x[:5])).all())


def test_data_info_shows_and_writes_the_schema(tmp_path, capsys):
    path = table(tmp_path / "t.csv")
    assert main(["data", "info", str(path), "--schema", str(tmp_path / "s.json")]) == 0
    out = capsys.readouterr().out
    assert "categorical  3 levels: ash, elm, oak; 1.7% missing" in out
    assert "2001-01-03 to 2001-12-03" in out
    assert read_schema(tmp_path / "s.json").names == ("kind", "height", "nests", "alive", "planted")
    assert main(["data", "info", "digits", "--schema", str(tmp_path / "s2.json")]) == 2


def test_codes_of_digits_that_begin_with_0_are_names():
    cells = {
        "postcode": ["04109", "10115", "80331", "04109"] * 10,
        "count": ["0", "10", "20", "3"] * 10,
        "share": ["0.5", "01.5", "2", "0"] * 10,
    }
    schema, _ = infer_schema(pa.table(cells))
    assert [column.kind for column in schema.columns] == [ColumnKind.CATEGORICAL, ColumnKind.COUNT, ColumnKind.REAL]
    assert schema.columns[0].levels == ("04109", "10115", "80331")
