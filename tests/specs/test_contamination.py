"""Runs on data of which a share does not belong: the strangest rows are not learned from, and the folder knows
which.
"""

import json

import numpy as np
import pytest
import torch

from vael import specs
from vael.cli.main import main
from vael.errors import FormatError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contaminated")
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 1)) @ np.array([[1.0, 2, -1, 1]]) + 0.1 * random.normal(size=(400, 4))
    x[::20] = random.normal(size=(20, 4)) * 2
    np.savetxt(folder / "x.csv", x, delimiter=",", header="a,b,c,d", comments="", fmt="%.4f")
    command = [
        "train",
        str(folder / "x.csv"),
        "--run",
        str(folder / "run"),
        "--contamination",
        "0.05",
        "--epochs",
        "6",
        "--no-report",
    ]
    assert main([*command, "--importance-samples", "2"]) == 0
    return folder


def test_the_strangest_rows_are_left_out_of_training_and_validation(folder):
    run = specs.load(folder / "run")
    splits, whole = run.splits(), run.spec.data
    assert (len(splits.train), len(splits.validation)) == (whole.train.examples - 16, whole.held_out.examples - 2)
    assert len(splits.test) == 40
    x = np.loadtxt(folder / "x.csv", delimiter=",", skiprows=1, dtype=np.float32)
    learned = {tuple(row) for row in splits.train.x[splits.train.rows].tolist()}
    belongs = [tuple(row) in learned for row in x.tolist()]
    bad = np.arange(400) % 20 == 0
    assert np.mean(np.array(belongs)[bad]) < 0.4  # of all bad rows, a tenth each in validation and test besides
    assert np.mean(np.array(belongs)[~bad]) > 0.75


def test_it_goes_on_with_the_same_rows(folder):
    before = json.loads((folder / "run" / "left-out.json").read_text())
    assert (
        main(
            [
                "train",
                "--run",
                str(folder / "run"),
                "--resume",
                "--epochs",
                "8",
                "--no-report",
                "--importance-samples",
                "2",
            ]
        )
        == 0
    )
    assert json.loads((folder / "run" / "left-out.json").read_text()) == before
    (folder / "run" / "left-out.json").write_text("[]")
    with pytest.raises(FormatError, match="does not list the rows"):
        specs.load(folder / "run")
    (folder / "run" / "left-out.json").write_text(json.dumps(before))


def test_its_p_values_leave_the_strangest_test_rows_out(folder, tmp_path):
    assert (
        main(
            ["score", str(folder / "run"), str(folder / "x.csv"), "-o", str(tmp_path / "s.csv"), "--threshold", "0.03"]
        )
        == 0
    )
    found = np.loadtxt(tmp_path / "s.csv", delimiter=",", skiprows=1)
    bad = np.arange(400) % 20 == 0
    assert found[bad, 4].mean() > 0.7
    assert found[~bad, 4].mean() < 0.1


def test_a_run_in_memory_leaves_them_out_too(folder):
    run = specs.train(folder / "x.csv", contamination=0.05, epochs=1)
    assert len(run.splits().train) == 304
    assert all(bool(torch.isfinite(weight).all()) for weight in run.model.parameters())
