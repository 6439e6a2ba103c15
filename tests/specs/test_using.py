"""What a run is used for in Python is what the commands write, for data in memory as for files."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

import vael
from small_runs import series_run
from vael.cli.main import main
from vael.errors import FormatError, ShapeError, StateError, SupportError, VaelError

SMALL = {"epochs": 2, "hidden": (16,), "callbacks": ()}


def people(count, seed=0, gaps=0.1):
    noise = np.random.default_rng(seed)
    height = noise.normal(170, 10, count)
    weight = [None if noise.random() < gaps else round(one - 100 + noise.normal(0, 5), 1) for one in height]
    return pa.table(
        {
            "height": np.round(height, 1),
            "weight": pa.array(weight, pa.float64()),
            "size": ["tall" if one > 172 else "short" for one in height],
            "born": [f"19{60 + n % 40}-03-{1 + n % 28:02}" for n in range(count)],
        }
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("used")


@pytest.fixture(scope="module")
def rows(place):
    pa.csv.write_csv(people(300), place / "people.csv")
    return vael.train(place / "people.csv", run=place / "people", latent=3, **SMALL | {"epochs": 15})


@pytest.fixture(scope="module")
def numbers(place):
    noise = np.random.default_rng(0)
    x = noise.normal(size=(300, 2)).round(2)
    lines = ["a,b,c", *(f"{a},{b},{a + b:.2f}" for a, b in x)]
    (place / "numbers.csv").write_text("\n".join(lines) + "\n")
    return vael.train(place / "numbers.csv", run=place / "numbers", latent=2, **SMALL)


@pytest.fixture(scope="module")
def pictures(place):
    return vael.train("digits", run=place / "digits", latent=3, binarize="dynamic", **SMALL)


@pytest.fixture(scope="module")
def series(place):
    return series_run(place)


def written(run, command, target, *words):
    assert main([command, str(run.folder), *map(str, words), "-o", str(target), "--quiet"]) == 0
    return pq.read_table(target) if target.suffix == ".parquet" else np.load(target)


def kinds_of_rows(table, path):
    """The same rows as a path, a frame, columns, and rows."""
    pq.write_table(table, path)
    return [path, table.to_pandas(), table.to_pydict(), table.to_pylist()]


# every form of rows with gaps, words and dates; forms of numbers alone go the same way: a file and a frame
FORMS = [
    pytest.param(of, form, marks=pytest.mark.slow if of == "numbers" and form > 1 else ())
    for of in ("rows", "numbers")
    for form in range(4)
]


@pytest.mark.parametrize(("of", "place_of"), FORMS)
def test_scores_and_codes_of_rows(request, of, place_of, tmp_path):
    run = request.getfixturevalue(of)
    table = people(40, 1) if of == "rows" else pa.csv.read_csv(run.spec.data.source).slice(10, 40)
    data = kinds_of_rows(table, tmp_path / "new.parquet")[place_of]
    told, found = written(run, "score", tmp_path / "scores.parquet", tmp_path / "new.parquet"), run.score(data)
    assert told["score"].to_pylist() == found.score.tolist()
    assert told["p_value"].to_pylist() == found.p_value.tolist()
    codes = written(run, "encode", tmp_path / "codes.npy", tmp_path / "new.parquet")
    assert np.array_equal(codes, run.encode(data).numpy())


def test_one_row_has_the_score_that_it_has_among_others(rows):
    table = people(40, 1)
    every = rows.score(table)
    for place in (0, 17):
        alone = rows.score(table.to_pylist()[place])
        assert alone.score.tolist() == every.score[[place]].tolist()
        assert alone.p_value.tolist() == every.p_value[[place]].tolist()


def test_gaps_are_filled_as_by_the_command(rows, tmp_path):
    table = people(40, 2, gaps=0.4)
    pq.write_table(table, tmp_path / "gaps.parquet")
    told = written(rows, "impute", tmp_path / "filled.parquet", tmp_path / "gaps.parquet", "--seed", 3)
    found = rows.impute(table.to_pylist(), seed=3)
    assert found.table.to_pydict() == told.to_pydict()
    assert found.gaps[:, 1].tolist() == [one is None for one in table["weight"].to_pylist()]
    assert (found.deviation[found.gaps] > 0).all()
    assert main(["impute", str(rows.folder), str(tmp_path / "gaps.parquet"), "-q", "--multiple", "2"]) == 0
    several = rows.impute(table.to_pylist(), draws=2)
    for number, draw in enumerate(several.draws, 1):
        assert draw.to_pydict() == pq.read_table(tmp_path / f"gaps-filled-{number}.parquet").to_pydict()


@pytest.mark.parametrize("column", ["height", "weight", "size", "born"])
def test_a_row_may_lack_any_cell(rows, column):
    row = {**people(40, 1, gaps=0).to_pylist()[3]}
    filled = rows.impute({**row, column: None}).table.to_pylist()
    assert filled[0][column] is not None
    assert {**filled[0], column: None} == {**row, column: None}


@pytest.mark.parametrize("of", ["rows", "numbers"])
def test_rows_are_drawn_as_by_the_command(request, of, tmp_path):
    run = request.getfixturevalue(of)
    told = written(run, "sample", tmp_path / "drawn.parquet", "-n", 30, "--seed", 5)
    assert run.sample(30, 5).table.to_pydict() == told.to_pydict()


def test_pictures_in_memory_are_those_of_an_array(pictures, tmp_path):
    x = np.random.default_rng(0).integers(0, 17, (12, 1, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "new.npy", x)
    told = written(pictures, "score", tmp_path / "scores.npy", tmp_path / "new.npy")
    for data in (x, x.tolist(), torch.from_numpy(x)):
        assert np.array_equal(told[:, 1], pictures.score(data).score.numpy())
        assert np.array_equal(written(pictures, "encode", tmp_path / "c.npy", tmp_path / "new.npy"), pictures.encode(x))
    assert pictures.score(x[0]).score.shape == (1,)
    assert np.array_equal(written(pictures, "sample", tmp_path / "s.npy", "-n", 5), pictures.sample(5).x.numpy())


def test_a_forecast_of_series_in_memory_is_that_of_a_file(series, tmp_path):
    table = pa.csv.read_csv(series.spec.data.source).slice(0, 80)
    pq.write_table(table, tmp_path / "new.parquet")
    told = written(series, "forecast", tmp_path / "ahead.parquet", tmp_path / "new.parquet", "--steps", 3)
    assert series.forecast(table.to_pylist(), steps=3).to_pydict() == told.to_pydict()


def test_classes_are_told_as_by_the_command(place, tmp_path):
    run = vael.train(
        "digits", model="semi-supervised", labelled=5, run=place / "classes", epochs=1, latent=2, callbacks=()
    )
    x = np.random.default_rng(0).integers(0, 17, (6, 1, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "new.npy", x)
    told = written(run, "classify", tmp_path / "shares.npy", tmp_path / "new.npy")
    assert np.array_equal(told, run.classify(x).numpy())
    assert run.use.classes == tuple(map(str, range(10)))


def test_a_condition_stands_beside_what_is_drawn(place, tmp_path):
    run = vael.train(place / "people.csv", condition_on="size", run=place / "by size", latent=2, **SMALL)
    told = written(run, "sample", tmp_path / "drawn.parquet", "-n", 7, "--where", "size=tall")
    assert run.sample(7, where={"size": "tall"}).table.to_pydict() == told.to_pydict()
    assert set(told["size"].to_pylist()) == {"tall"}
    told = written(run, "sample", tmp_path / "any.parquet", "-n", 7)
    assert run.sample(7).table.to_pydict() == told.to_pydict()


@pytest.mark.parametrize(
    ("of", "data", "error", "said"),
    [
        ("rows", {"height": 170.0}, ShapeError, "weight"),
        ("rows", [{"height": [1], "weight": 1.0, "size": "tall", "born": "1970-03-01"}], VaelError, "height"),
        ("rows", {"height": "tall", "weight": 1.0, "size": "tall", "born": "1970-03-01"}, SupportError, "height"),
        ("rows", {"height": 170.0, "weight": 1.0, "size": "huge", "born": "1970-03-01"}, SupportError, "huge"),
        ("rows", [], FormatError, "rows"),
        ("rows", 3, VaelError, "numbers|shape"),
        ("numbers", {"a": 1.0, "b": None, "c": 1.0}, SupportError, "b"),
        ("pictures", [[1, 2], [3]], ShapeError, "1, 8, 8"),
        ("pictures", "not there.npy", FormatError, "not there"),
        ("pictures", [["a"]], FormatError, "numbers"),
        ("pictures", np.zeros((2, 1, 9, 8)), ShapeError, "9"),
        ("pictures", np.full((1, 8, 8), 99), SupportError, "99"),
        ("pictures", {"a": 1}, VaelError, "numbers|shape"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_message(request, of, data, error, said):
    run = request.getfixturevalue(of)
    with pytest.raises(error, match=said):
        run.score(data)


def test_what_a_run_cannot_do_is_refused(rows, pictures):
    with pytest.raises(StateError, match="classes"):
        rows.classify(people(3))
    with pytest.raises(StateError, match="sequences"):
        rows.forecast(people(3))
    with pytest.raises(StateError, match="rows of a table"):
        pictures.impute(np.zeros((1, 1, 8, 8)))
    with pytest.raises(StateError, match="conditioned on nothing"):
        pictures.sample(2, where={"label": 3})
