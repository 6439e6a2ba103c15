"""A value that training never came near is refused, or answered with its range: in each kind of column, at both
ends, wherever one is given.
"""

import csv
import json
import warnings

import numpy as np
import pytest
import torch

import vael
from vael.applications.conditional import conditional_samples
from vael.cli.main import main
from vael.data import Column, ColumnKind, Schema
from vael.estimators import VAEImputer
from vael.tables.ranges import outside

ROWS = 60
NOISE = np.random.default_rng(0)
COLUMNS = {
    "size": [f"{value:.2f}" for value in NOISE.normal(size=ROWS).clip(-2, 2)],
    "age": [str(value) for value in NOISE.integers(10, 50, ROWS)],
    "price": [f"{value:.2f}" for value in np.exp(NOISE.normal(size=ROWS) * 3).clip(0.05)],
    "day": [f"2020-{1 + row % 12:02d}-{1 + row % 28:02d}" for row in range(ROWS)],
    "level": ["ab"[row % 2] for row in range(ROWS)],
    "sensor": [
        "-999" if row % 9 == 0 else f"{value:.2f}" for row, value in enumerate(NOISE.normal(size=ROWS).clip(-2, 2))
    ],
    "park": ["3"] * ROWS,
}
WARNED = (  # the condition, and the range that is named
    ("size=9", " to "),
    ("size=-2.5", " to "),
    ("age=500", "10 to 49"),
    ("age=-3", "10 to 49"),
    ("age=9", "10 to 49"),
    ("price=1e9", "0.10 to"),
    ("day=2031-05-01", "2020-01-01 to 2020-12-"),
    ("day=1850-01-01", "2020-01-01 to 2020-12-"),
    ("sensor=-400", "-2"),
    ("park=4", "3 to 3"),
)
REFUSED = (
    ("price=-1", "no number above 0"),
    ("price=0", "no number above 0"),
    ("age=10.5", "no whole number"),
    ("day=2020-13-01", "no date"),
    ("day=0000-01-01", "no date"),
    ("day=12020-01-01", "no date"),
    ("level=c", "no level"),
    ("size=1e39", "no finite number"),
    ("size=inf", "no"),
)
INSIDE = ("size=0.5", "age=10", "age=49", "price=0.7", "day=2020-07-02", "sensor=-999", "sensor=1", "park=3", "level=a")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranges")
    with open(folder / "trees.csv", "w", newline="") as file:
        csv.writer(file).writerows([tuple(COLUMNS), *zip(*COLUMNS.values(), strict=True)])
    options = [
        "--run",
        str(folder / "run"),
        "--no-report",
        "--epochs",
        "1",
        "--latent",
        "1",
        "--hidden",
        "4",
        "--importance-samples",
        "2",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vael.models.likelihoods.columns.FITTING", 4)
        assert main(["train", str(folder / "trees.csv"), *options]) == 0
    return folder


def sampled(run, *given):
    words = [word for one in given for word in ("--given", one)]
    return main(["sample", str(run / "run"), "-n", "3", "-o", str(run / "out.csv"), *words])


@pytest.mark.parametrize(("condition", "ends"), WARNED)
def test_a_condition_out_of_range_is_answered_with_the_range(run, condition, ends, capsys):
    capsys.readouterr()
    status, said = sampled(run, condition), capsys.readouterr().err
    assert f"--given {condition.split('=')[0]} = " in said
    assert "in training" in said
    assert ends in said
    assert status == 0 or "no probability" in said


@pytest.mark.parametrize(("condition", "why"), REFUSED)
def test_a_condition_that_cannot_be_is_refused(run, condition, why, capsys):
    capsys.readouterr()
    assert sampled(run, condition) == 2
    assert why in capsys.readouterr().err


def test_conditions_within_the_range_are_answered_without_a_word_of_it(run, capsys):
    capsys.readouterr()
    for condition in INSIDE:
        assert sampled(run, condition) == 0
    assert "in training" not in capsys.readouterr().err


def test_python_is_warned_too(run):
    model = vael.load(run / "run").model
    given = torch.full((len(COLUMNS),), torch.nan)
    given[1] = 20.0
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        conditional_samples(model, given, 2)
    given[1] = 300.0
    with pytest.warns(UserWarning, match="age = 300 lies outside of 10 to 49"):
        conditional_samples(model, given, 2)


def test_impute_names_cells_far_out_of_range_in_rows_with_gaps(run, capsys):
    usual = dict(zip(COLUMNS, ("0.5", "20", "1.5", "2020-02-02", "a", "-999", "3"), strict=True))
    rows = [
        usual | {"size": ""},
        usual | {"age": "4000", "size": ""},
        usual | {"age": "4000"},
        usual | {"age": "5000", "day": "1850-01-01", "level": ""},
    ]
    with open(run / "more.csv", "w", newline="") as file:
        csv.writer(file).writerows([tuple(COLUMNS), *(tuple(row.values()) for row in rows)])
    capsys.readouterr()
    command = ["impute", str(run / "run"), str(run / "more.csv"), "-o", str(run / "full.csv"), "--samples", "4"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "row 2: age = 4000 lies outside of 10 to 49, which is its range in training (2 such cells" in said
    assert "row 4: day = 1850-01-01" in said
    assert main([*command, "--json"]) == 0
    assert [(one["column"], one["cells"], one["row"]) for one in json.loads(capsys.readouterr().out)["outside"]] == [
        ("age", 2, 2),
        ("day", 1, 4),
    ]


@pytest.mark.parametrize("form", ["array", "frame of numbers", "frame of kinds"])
def test_an_imputer_warns_of_cells_far_out_of_range_in_rows_with_gaps(form, tmp_path, recwarn):
    """As the command does: none of a row without gaps, nor of what lies less than the range's width beyond it; a saved
    imputer warns as the first does.
    """
    pandas = pytest.importorskip("pandas")
    x = np.stack([NOISE.uniform(0, 1, ROWS), NOISE.uniform(-5, 5, ROWS), np.full(ROWS, 3.0)], 1)
    x[::7, 0] = np.nan
    x[:2, 1] = -5, 5

    def shown(cells):
        if form == "array":
            return cells
        frame = pandas.DataFrame(cells, columns=list("abc"))
        return frame if form == "frame of numbers" else frame.assign(kind=np.resize(["oak", "ash"], len(cells)))

    imputer = VAEImputer(max_iter=1, batch_size=64, hidden_layer_sizes=4, random_state=0).fit(shown(x))
    imputer.save(tmp_path / "imputer")
    far = np.array([[np.nan, -14.9, 3], [np.nan, 15.5, 3], [0.5, 99, 3], [np.nan, -400, 3], [np.nan, 0, 4]])
    name, names = {"array": "x1", "frame of numbers": "b", "frame of kinds": "b"}[form], ("x2", "c")
    for one in (imputer, VAEImputer.load(tmp_path / "imputer")):
        one.transform(shown(x))
        assert not [str(said.message) for said in recwarn if "outside of" in str(said.message)]
        with pytest.warns(UserWarning, match="outside of") as told:
            one.transform(shown(far))
        said = [str(one.message) for one in told]
        assert len(said) == 2
        assert said[0].startswith(f"row 2: {name} = 15.5 lies outside of -5")
        assert "to 5" in said[0]
        assert "(2 such cells beside gaps)" in said[0]
        assert any(f"row 5: {named} = 4" in said[1] for named in names)
        assert "(1 such cell beside gaps)" in said[1]


def test_the_range_is_that_of_values_that_are_no_spikes():
    column = Column(
        "a",
        ColumnKind.REAL,
        origin=100.0,
        minimum=-999.0,
        maximum=105.0,
        spikes=(-999.0,),
        usual=(100.0, 105.0),
        decimals=1,
    )
    schema = Schema((column, Column("b", ColumnKind.BOOLEAN, levels=("n", "y"))))
    x = torch.tensor(
        [[0.0, 0.0], [-1099.0, 1.0], [5.0, 0.0], [-600.0, 0.0], [float("nan"), 0.0], [9.0, 0.0]], dtype=torch.float64
    )
    (found,) = outside(schema, x)
    assert (found.cells, found.row, found.value, found.least, found.most) == (2, 4, "-500.0", "100.0", "105.0")
    assert outside(schema, x[-1:], margin=1.0) == ()
    assert outside(schema, x, margin=1.0, rows=np.arange(10, 16))[0].row == 13
