"""`vael evaluate` on data that the run did not set aside."""

import json

import numpy as np
import pytest

from vael.cli import main
from vael.specs import load


def rows(seed: int, count: int, shift: float = 0.0) -> np.ndarray:
    draws = np.random.default_rng(seed)
    first = draws.normal(shift, 1, count)
    return np.stack([first, first + draws.normal(0, 0.3, count), draws.normal(0, 1, count)], 1).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judging")
    np.save(folder / "data.npy", rows(0, 400))
    assert main(["train", str(folder / "data.npy"), "--run", str(folder / "run"), "--epochs", "2", "--no-report"]) == 0
    return folder / "run"


def found(capsys, run, *arguments):
    assert main(["evaluate", str(run), *map(str, arguments), "--importance-samples", "20", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_other_data_are_judged_as_the_split_that_they_equal(run, tmp_path, capsys):
    """The rows of the test split in a file of their own have the figures of the split, to the last digit."""
    _, split = load(run).split()
    np.save(tmp_path / "same.npy", split.x.numpy())
    own, other = found(capsys, run), found(capsys, run, tmp_path / "same.npy")
    assert (own["split"], other["split"], other["data"]) == ("test", None, "same.npy")
    for name in ("log_likelihood", "elbo", "distortion", "divergence", "standard_error", "examples"):
        assert own[name] == other[name]
    assert not [note for note in other["notes"] if "training data" in note]


def test_rows_that_trained_the_model_are_counted(run, tmp_path, capsys):
    train = load(run).splits().train.x.numpy()
    np.save(tmp_path / "mixed.npy", np.concatenate([train[:7], rows(1, 13)]))
    assert "7 of 20 examples stand in the training data too" in " ".join(
        found(capsys, run, tmp_path / "mixed.npy")["notes"]
    )
    np.save(tmp_path / "all.npy", train[:7])
    assert "all of these examples stand" in " ".join(found(capsys, run, tmp_path / "all.npy")["notes"])


def test_data_that_are_unlike_are_found_less_likely_and_compared_with_their_own_baseline(run, tmp_path, capsys):
    np.save(tmp_path / "near.npy", rows(2, 100))
    np.save(tmp_path / "far.npy", rows(2, 100, shift=4.0))
    near, far = (found(capsys, run, tmp_path / name) for name in ("near.npy", "far.npy"))
    assert far["log_likelihood"] < near["log_likelihood"] - 2
    assert far["trivial_log_likelihood"] != near["trivial_log_likelihood"]
    assert main(["evaluate", str(run), str(tmp_path / "far.npy"), "--importance-samples", "20"]) == 0
    assert "far.npy, 100 examples; nats per example" in capsys.readouterr().out


def test_a_split_of_other_data_is_refused(run, tmp_path, capsys):
    np.save(tmp_path / "new.npy", rows(2, 30))
    np.save(tmp_path / "wide.npy", np.zeros((5, 9), np.float32))
    assert main(["evaluate", str(run), str(tmp_path / "new.npy"), "--split", "validation"]) == 2
    said = capsys.readouterr().err
    assert "--split validation" in said
    assert "new.npy" in said
    assert main(["evaluate", str(run), str(tmp_path / "wide.npy")]) == 2
    assert "9" in capsys.readouterr().err
