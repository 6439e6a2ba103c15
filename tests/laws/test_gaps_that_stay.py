"""No gap stays without a word: of whatever kind a column is, it is filled, left out with a warning, or named with
its gaps and the reason.
"""

import csv
import json
import warnings

import numpy as np
import pytest

from vael.cli.main import main
from vael.errors import SupportError
from vael.estimators import VAEImputer

ROWS = 40
SIZES = np.round(np.random.default_rng(0).normal(size=ROWS), 2)
KINDS = np.where(SIZES > 0, "oak", "ash")
GAPS = np.array([3, 8, 21, 34])  # where cells are missing

OF_FRAMES = {  # cells without gaps, a part of the reason where they stay
    "identifiers": ([f"T{row:03d}" for row in range(ROWS)], "differs in most rows"),
    "free text": ([f"the tree of row {row} " * 3 for row in range(ROWS)], "differs in most rows"),
    "a constant number": ([7.5] * ROWS, None),
    "a constant level": (["park"] * ROWS, None),
    "lists": ([[row, 1] for row in range(ROWS)], "list<"),
    "bytes": ([b"%d" % row for row in range(ROWS)], "binary"),
    "numbers": (list(SIZES * 2), None),
    "two levels": (["y" if row % 3 else "n" for row in range(ROWS)], None),
}


def with_gaps(cells):
    return [None if row in GAPS else cell for row, cell in enumerate(cells)]


def is_gap(cell):
    return cell is None or (isinstance(cell, float) and np.isnan(cell))


@pytest.fixture(autouse=True)
def quick_laws(monkeypatch):
    monkeypatch.setattr("vael.models.likelihoods.columns.FITTING", 4)


def imputer(**more):
    return VAEImputer(max_iter=1, batch_size=64, hidden_layer_sizes=4, random_state=0, **more)


@pytest.fixture(scope="module")
def fitted():
    """One imputer of a frame with all kinds of columns, trained once, in which they have gaps."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"size": SIZES, "kind": KINDS, **{name: with_gaps(cells) for name, (cells, _) in OF_FRAMES.items()}}
    )
    return frame, imputer().fit(frame)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_every_gap_of_a_frame_is_filled_or_named(library, fitted):
    frame, model = fitted
    made = pytest.importorskip(library)
    given = (
        frame
        if library == "pandas"
        else made.DataFrame({name: [None if is_gap(cell) else cell for cell in frame[name]] for name in frame})
    )
    with pytest.warns(UserWarning, match="gaps are left") as told:
        filled = model.transform(given)
    said = str(told[0].message)
    for name, (cells, why) in OF_FRAMES.items():
        left = sum(is_gap(cell) for cell in filled[name].to_list())
        assert (f"{left} of {name} (not in the model: " in said) == bool(left) == (why is not None)
        assert why is None or why in said or (library, name) == ("polars", "bytes")  # polars hands bytes over as text
        if "constant" in name:
            assert set(filled[name].to_list()) == set(cells)
    assert "16 gaps are left" in said


def test_a_frame_without_gaps_in_such_columns_is_filled_without_a_warning(fitted):
    frame, model = fitted
    whole = frame.assign(**{name: cells for name, (cells, _) in OF_FRAMES.items()})
    whole.loc[2, "size"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert not model.transform(whole).isna().any().any()


@pytest.mark.parametrize("empty", [float("nan"), None])
def test_columns_without_any_cell_go_or_become_0_as_in_simple_imputer(empty):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"size": np.where(np.arange(ROWS) == 4, np.nan, SIZES), "gone": [empty] * ROWS, "kind": KINDS}
    )
    for given, names in ((frame, ["size", "gone", "kind"]), (frame[["size", "gone"]].astype(float), ["size", "gone"])):
        left, kept = (imputer(keep_empty_features=keep).fit(given) for keep in (False, True))
        with pytest.warns(UserWarning, match="left out: gone;"):
            found = left.set_output(transform="pandas").transform(given)
        assert list(found.columns) == list(left.get_feature_names_out()) == [name for name in names if name != "gone"]
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            whole = kept.set_output(transform="pandas").transform(given)
            seen = kept.transform(given.assign(gone=[5.0, *[np.nan] * (ROWS - 1)]))
        assert list(whole.columns) == list(kept.get_feature_names_out()) == names
        assert not whole.isna().any().any()
        assert (whole["gone"] == 0).all()
        assert seen["gone"].to_list() == [5.0] + [0.0] * (ROWS - 1)
    with pytest.raises(SupportError, match="nothing to learn from"):
        imputer().fit(pandas.DataFrame({"a": pandas.Series([None] * 9, dtype="string")}))


OF_FILES = {  # of a text table
    "id": ([f"T{row:03d}" for row in range(ROWS)], "differs in most rows"),
    "note": ([f"the tree of row {row}" for row in range(ROWS)], "differs in most rows"),
    "gone": ([""] * ROWS, "no cell that is not missing"),
    "lead": (["<0.5" if row % 5 == 0 else f"{row / 3:.2f}" for row in range(ROWS)], "limits such as <0.5"),
    "kind": (list(KINDS), None),
    "park": (["north"] * ROWS, None),
    "size": ([f"{size:.2f}" for size in SIZES], None),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gaps")
    columns = {
        name: ["" if row in GAPS and name != "size" else cell for row, cell in enumerate(cells)]
        for name, (cells, _) in OF_FILES.items()
    }
    columns["size"][5] = columns["size"][9] = ""
    with open(folder / "trees.csv", "w", newline="") as file:
        csv.writer(file).writerows([tuple(columns), *zip(*columns.values(), strict=True)])
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
    assert main(["train", str(folder / "trees.csv"), *options]) == 0
    return folder


def test_the_command_names_the_gaps_that_it_leaves(run, capsys):
    capsys.readouterr()
    command = ["impute", str(run / "run"), str(run / "trees.csv"), "-o", str(run / "full.csv"), "--samples", "4"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    left = {one["column"]: one for one in json.loads(capsys.readouterr().out)["left"]}
    names, *rows = csv.reader((run / "full.csv").open())
    for name, (_, why) in OF_FILES.items():
        cells = [row[names.index(name)] for row in rows]
        gaps = sum(cell in ("", "<0.5") for cell in cells)
        assert (name in left) == bool(gaps) == (why is not None)
        assert why is None or (
            left[name]["gaps"] == gaps and why in left[name]["why"] and f"{gaps} of {name} (" in said
        )
    assert f"{sum(one['gaps'] for one in left.values())} gaps are left" in said


def test_a_table_with_all_of_its_gaps_filled_says_nothing(run, capsys):
    with open(run / "more.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [tuple(OF_FILES), ["T1", "a", "x", "1.5", "oak", "north", ""], ["T2", "b", "y", "", "", "", "0.3"]]
        )
    capsys.readouterr()
    assert (
        main(["impute", str(run / "run"), str(run / "more.csv"), "-o", str(run / "more-full.csv"), "--samples", "4"])
        == 0
    )
    assert "left" not in capsys.readouterr().out
