"""`vael compress` and `vael decompress` of tables as a person meets them: every cell comes back, whatever it is."""

import csv
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vael
from vael.cli import main
from vael.errors import FormatError
from vael.specs import archives

ROWS = 400


def table(rows, seed=0):
    """Columns of every kind with gaps, a spike, rare levels, a column that counts the rows and one of identifiers."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, rows)
    age = (20 + 15 * group + rng.poisson(6, rows)).astype(str)
    age[rng.random(rows) < 0.1] = ""
    gain = np.where(rng.random(rows) < 0.7, 0, rng.integers(1, 40, rows) * 100).astype(str)
    rare = np.array(["north", "south", "east"], dtype=object)[group]
    rare[::50] = [f"isle {number % 4}" for number in range(len(rare[::50]))]
    where = np.where(rng.random(rows) < 0.05, "?", rare)
    day = np.datetime64("2020-01-01") + rng.integers(0, 700, rows)
    return {
        "number": np.arange(1, rows + 1).astype(str),
        "age": age,
        "height": [f"{value:.2f}" for value in 1.4 + 0.2 * group + 0.05 * rng.standard_normal(rows)],
        "gain": gain,
        "where": where,
        "member": np.where(group == 1, "yes", "no"),
        "since": day.astype(str),
        "name": [f"person {rng.integers(1 << 40)}" for _ in range(rows)],
    }


def written(path, columns, **how):
    """A CSV file."""
    with open(path, "w", newline="", encoding=how.pop("encoding", "utf-8")) as file:
        writer = csv.writer(file, **{"lineterminator": "\n", **how})
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on the table."""
    folder = tmp_path_factory.mktemp("tables")
    written(folder / "t.csv", table(ROWS))
    vael.train(
        folder / "t.csv", run=folder / "run", latent=2, hidden=(16,), epochs=8, compile=False, precision="float32"
    )
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return vael.load(folder / "run")


def there_and_back(run, data, tmp_path, ending=".csv"):
    made = archives.compress(run, data, tmp_path / "x.vael")
    archives.decompress(run, tmp_path / "x.vael", tmp_path / f"back{ending}")
    return made, tmp_path / f"back{ending}"


def test_a_file_comes_back_byte_for_byte(folder, tmp_path, capsys):
    file = written(tmp_path / "new.csv", table(300, seed=1))
    assert main(["compress", str(folder / "run"), str(file), "-o", str(tmp_path / "new.vael")]) == 0
    said = capsys.readouterr().out
    for word in (
        "net rate",
        "-ELBO",
        "gross rate",
        "bits/row",
        "bits/cell",
        "beside",
        "byte for byte",
        "name: not in the model",
    ):
        assert word in said
    assert main(["decompress", str(folder / "run"), str(tmp_path / "new.vael"), "-o", str(tmp_path / "back.csv")]) == 0
    assert (tmp_path / "back.csv").read_bytes() == file.read_bytes()
    assert "300 rows" in capsys.readouterr().out


def test_the_rate_is_the_bound(run, folder, tmp_path):
    made, _ = there_and_back(run, folder / "t.csv", tmp_path)
    assert made.net_bits_per_dim == pytest.approx(made.elbo_bits_per_dim, rel=0.005)
    assert made.raw == ()
    assert made.cells == 6


@pytest.mark.parametrize(
    "how",
    [
        {"lineterminator": "\r\n"},
        {"delimiter": ";"},
        {"delimiter": "\t"},
        {"quoting": csv.QUOTE_ALL},
        {"encoding": "utf-8-sig"},
        {"encoding": "utf-16"},
    ],
)
def test_files_in_other_forms_come_back_byte_for_byte(run, tmp_path, how):
    file = written(tmp_path / "x.csv", table(40, seed=2), **how)
    assert there_and_back(run, file, tmp_path)[1].read_bytes() == file.read_bytes()


def test_what_training_did_not_know_comes_back_too(run, tmp_path):
    """Levels, numbers and dates that the schema has not, other words for nothing, other digits, quotes, and columns
    in another order.
    """
    columns = table(60, seed=3)
    columns["age"][:6] = ["-3", "1000000", "NA", "007", "2.5", "ninety"]
    columns["height"][:4] = ["1.5", "1e3", "-0.00", "1.23456"]
    columns["where"][:4] = ['a "new" place, far', "NORTH", "n/a", "two\nlines"]
    columns["since"][:3] = ["1066-10-14", "some day", ""]
    file = written(tmp_path / "x.csv", {"extra": ["ü"] * 60, **dict(reversed(columns.items()))})
    made, back = there_and_back(run, file, tmp_path)
    assert back.read_bytes() == file.read_bytes()
    assert made.raw == ()
    assert "kept beside" in made.layout.note


def test_irregular_lines_come_back_as_they_are(run, tmp_path):
    """Spaces and quotes in some lines only; blank lines between rows cost the bytes, but no cell."""
    file = written(tmp_path / "x.csv", table(40, seed=4))
    text = file.read_text()
    file.write_text(text.replace(",yes", ",  yes", 5).replace("north", '"north"', 3))
    _, back = there_and_back(run, file, tmp_path)
    assert back.read_bytes() == file.read_bytes()
    file.write_text(text.replace("\n3,", "\n\n\n3,"))
    made, back = there_and_back(run, file, tmp_path)
    assert "not spaces" in made.layout.note
    assert back.read_text() == text


def test_typed_columns_come_back_with_their_types(run, tmp_path):
    text = table(80, seed=5)
    given = pa.table(
        {
            "member": pa.array(text["member"]).dictionary_encode(),
            "age": pa.array([int(age) if age else None for age in text["age"]], pa.int16()),
            "height": pa.array([*map(float, text["height"][:-4]), float("nan"), -0.0, 0.1 + 0.2, None], pa.float64()),
            "gain": pa.array(text["gain"].astype(float), pa.float32()),
            "where": pa.array([None if where == "?" else where for where in text["where"]], pa.large_string()),
            "since": pa.array(np.array(text["since"], "datetime64[D]")),
            "other": pa.array([b"x"] * 80),
        }
    )
    pq.write_table(given, tmp_path / "x.parquet")
    made, back = there_and_back(run, tmp_path / "x.parquet", tmp_path, ".parquet")
    found = pq.read_table(back)
    assert found.schema.names == given.schema.names
    for name in given.schema.names:
        assert found.schema.field(name).type == given.schema.field(name).type, name
        assert repr(found.column(name).to_pylist()) == repr(given.column(name).to_pylist()), name
    assert made.raw == ()
    assert np.signbit(found.column("height").to_numpy()[-3])


def test_text_comes_out_as_typed_columns(run, folder, tmp_path):
    _, back = there_and_back(run, folder / "t.csv", tmp_path, ".parquet")
    found, text = pq.read_table(back), table(ROWS)
    assert [str(field.type) for field in found.schema] == [
        "int64",
        "int64",
        "double",
        "int64",
        "string",
        "string",
        "date32[day]",
        "string",
    ]
    assert found.column("height").to_pylist() == [float(cell) for cell in text["height"]]
    assert found.column("age").null_count == sum(cell == "" for cell in text["age"])
    assert found.column("where").null_count == sum(cell == "?" for cell in text["where"])


def test_the_test_split_and_frames_are_taken(run, tmp_path):
    made, back = there_and_back(run, None, tmp_path, ".parquet")
    assert pq.read_table(back).num_rows == made.examples == len(run.split()[1])
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table(50, seed=6))
    _, back = there_and_back(run, frame, tmp_path)
    assert pandas.read_csv(back, dtype=str, keep_default_na=False).equals(frame.astype(str))


def test_a_column_of_free_precision_is_kept_beside_and_named(tmp_path, capsys):
    columns = {name: cells for name, cells in table(150).items() if name in ("age", "member")}
    columns["mass"] = [repr(float(value)) for value in np.random.default_rng(0).standard_normal(150)]
    file = written(tmp_path / "t.csv", columns)
    vael.train(file, run=tmp_path / "run", latent=1, hidden=(4,), epochs=1, compile=False, precision="float32")
    assert main(["compress", str(tmp_path / "run"), str(file), "-o", str(tmp_path / "t.vael")]) == 0
    assert "mass: no declared precision" in capsys.readouterr().out
    archives.decompress(vael.load(tmp_path / "run"), tmp_path / "t.vael", tmp_path / "back.csv")
    assert (tmp_path / "back.csv").read_bytes() == file.read_bytes()


def test_json_is_one_object(folder, tmp_path, capsys):
    assert main(["compress", str(folder / "run"), str(folder / "t.csv"), "-o", str(tmp_path / "x.vael"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["examples"], told["cells"], told["bytes"]) == (ROWS, 6, (tmp_path / "x.vael").stat().st_size)
    assert told["beside_bytes"] > 0


def test_what_cannot_be_used_is_refused_in_one_message(folder, tmp_path, capsys):
    columns = table(60)
    run = str(folder / "run")
    file = written(tmp_path / "t.csv", columns)
    short = written(tmp_path / "short.csv", {name: cells for name, cells in columns.items() if name != "height"})
    (tmp_path / "empty.csv").write_text(",".join(columns) + "\n")
    numbers = written(
        tmp_path / "numbers.csv", {"a": np.random.default_rng(0).normal(size=80), "b": np.arange(80) % 7 + 0.5}
    )
    vael.train(numbers, run=tmp_path / "plain", latent=1, hidden=(4,), epochs=1, compile=False, precision="float32")
    assert main(["compress", run, str(file), "-o", str(tmp_path / "t.vael")]) == 0
    torn = bytearray((tmp_path / "t.vael").read_bytes())
    torn[len(torn) // 2] ^= 4
    (tmp_path / "torn.vael").write_bytes(torn)
    for arguments, word in [
        (["compress", run, str(short), "-o", "x"], "no column 'height'"),
        (["compress", run, str(tmp_path / "empty.csv"), "-o", "x"], "no rows"),
        (["compress", run, str(tmp_path / "none.csv"), "-o", "x"], "no such file"),
        (["compress", run, str(tmp_path), "-o", "x"], "a folder"),
        (["compress", run, str(tmp_path / "t.vael"), "-o", "x"], "no table"),
        (["compress", run, str(file), "-o", "x", "--level", "portable"], "level safe"),
        (["compress", str(tmp_path / "plain"), str(numbers), "-o", "x"], "--schema"),
        (["decompress", run, str(tmp_path / "t.vael"), "-o", "x.npy"], ".parquet"),
        (["decompress", run, str(tmp_path / "torn.vael"), "-o", "x.csv"], "damaged"),
        (["decompress", str(tmp_path / "plain"), str(tmp_path / "t.vael"), "-o", "x.csv"], "another model"),
        (["compress", run, str(file), "-o", str(file)], "the data themselves"),
    ]:
        capsys.readouterr()
        assert main(arguments) == 2, arguments
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1), err
        assert word in err
    assert not list(tmp_path.glob("x*"))


def test_another_schema_is_another_model(run, folder, tmp_path):
    """Levels that were renamed in run.json would come out as other words."""
    archives.compress(run, folder / "t.csv", tmp_path / "x.vael")
    renamed = json.loads(json.dumps(run.spec.data.table).replace('"north"', '"NORTH"'))
    assert renamed != run.spec.data.table
    other = replace(run, spec=run.spec.model_copy(update={"data": run.spec.data.model_copy(update={"table": renamed})}))
    with pytest.raises(FormatError, match="another model"):
        archives.decompress(other, tmp_path / "x.vael", tmp_path / "x.parquet")


def test_a_row_without_a_cell_and_one_row_alone_come_back(run, tmp_path):
    columns = table(3, seed=7)
    alone = written(tmp_path / "one.csv", {name: cells[:1] for name, cells in columns.items()})
    assert there_and_back(run, alone, tmp_path)[1].read_bytes() == alone.read_bytes()
    columns = {name: ["", *cells[1:]] for name, cells in columns.items()}
    file = written(tmp_path / "x.csv", columns)
    assert there_and_back(run, file, tmp_path)[1].read_bytes() == file.read_bytes()


def test_a_run_on_other_data_refuses_a_frame(tmp_path):
    np.save(tmp_path / "bars.npy", np.random.default_rng(0).integers(0, 2, (60, 3, 3), np.uint8))
    run = vael.train(
        tmp_path / "bars.npy",
        run=tmp_path / "bars",
        latent=1,
        hidden=(4,),
        epochs=1,
        compile=False,
        precision="float32",
    )
    with pytest.raises(vael.errors.SupportError, match="a table was given"):
        archives.compress(run, pa.table({"a": [1, 2]}), tmp_path / "x.vael")
    with pytest.raises(FormatError, match="no such file"):
        archives.decompress(run, tmp_path / "x.vael", tmp_path / "x.csv")


def test_units_and_marks_are_no_cells_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    amount = [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) + " €" for value in rng.normal(0, 4000, 200)]
    moments = np.datetime64("2024-03-01T00:00") + rng.integers(0, 9000, 200)
    columns = {
        "a": amount,
        "b": [f"{value} %" for value in rng.integers(0, 100, 200)],
        "t": [f"{moment.item():%d.%m.%Y %H:%M}" for moment in moments],
    }
    file = written(tmp_path / "t.csv", columns, delimiter=";")
    run = vael.train(file, run=tmp_path / "run", latent=1, hidden=(4,), epochs=1, compile=False, precision="float32")
    made, back = there_and_back(run, file, tmp_path)
    assert back.read_bytes() == file.read_bytes()
    assert "kept beside" not in made.layout.note  # every cell is coded
