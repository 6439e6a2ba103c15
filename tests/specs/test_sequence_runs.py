"""Runs on sequences: from a table of times or an array through training, loading, evaluation and the report."""

import json
import math

import numpy as np
import pytest
import torch

import vael
from vael.cli.main import main
from vael.errors import StateError

QUICK = {"epochs": 2, "callbacks": (), "precision": "float32"}


def waves(path, steps=220, gaps=True, seed=0):
    """A day a row: a wave and noise in one column, half of it with an empty cell now and then in another."""
    rng = np.random.default_rng(seed)
    first = np.datetime64("2020-01-01")
    lines = ["day,high,low"]
    for t in range(steps):
        value = math.sin(t / 5) + 0.1 * rng.normal()
        low = "" if gaps and rng.random() < 0.1 else f"{value / 2 + 10:.3f}"
        lines.append(f"{first + t},{value:.3f},{low}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    data = waves(folder / "waves.csv")
    return vael.train(data, sequence="day", window=10, stride=5, run=folder / "run", **QUICK)


def test_the_recommended_model_is_a_state_space_of_the_channels(run):
    assert run.spec.recipe == "state-space"
    assert run.spec.data.columns == ("high", "low")
    assert run.spec.data.event == (10, 2)
    assert run.spec.data.gaps
    known = json.loads(run.inside("run.json").read_text())["data"]["sequence"]
    assert (known["time"], known["id"], known["window"], known["stride"]) == ("day", "", 10, 5)
    assert run.model.head.shift.shape == (1, 2)
    assert run.model.head.spread.log_scale.shape == (2,)


def test_it_is_loaded_as_it_was_and_finds_its_data_again(run):
    again = vael.load(run.folder)
    x = run.split("test")[1].batch(torch.arange(2))
    assert torch.equal(again.model.encode(x), run.model.encode(x))
    assert again.split("test")[1].fingerprint == run.spec.data.test.fingerprint


def test_evaluate_says_nats_per_step(run, capsys):
    assert main(["evaluate", str(run.folder), "--importance-samples", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 10  # a day without any cell does not occur here
    assert found["log_likelihood_per_step"] == pytest.approx(found["log_likelihood"] / 10)
    assert found["elbo_per_step"] == pytest.approx(found["elbo"] / 10)
    assert found["bits_per_dim"] is None
    assert main(["evaluate", str(run.folder), "--importance-samples", "20"]) == 0
    assert "per step" in capsys.readouterr().out


def test_the_report_shows_windows_with_their_channels(run):
    assert main(["report", str(run.folder), "--importance-samples", "10"]) == 0
    page = run.inside("report.html").read_text()
    for word in ("Windows and reconstructions", "Samples from the prior", "middle 90%", "a window of 10 steps"):
        assert word in page
    assert run.inside("figures/reconstructions.svg").exists()
    assert run.inside("figures/samples.svg").exists()


def test_it_goes_on_where_it_was_and_no_other_cut_is_taken(run, tmp_path):
    data = waves(tmp_path / "waves.csv")
    options = {"sequence": "day", "window": 10, "stride": 5}
    long = vael.train(data, run=tmp_path / "long", **options, **{**QUICK, "epochs": 4})
    vael.train(data, run=tmp_path / "short", **options, **QUICK)
    on = vael.train(run=tmp_path / "short", resume=True, epochs=4, callbacks=())
    assert on.history[-1].step == long.history[-1].step
    with pytest.raises(StateError, match="stride"):
        vael.train(run=tmp_path / "short", resume=True, stride=2, callbacks=())


@pytest.mark.parametrize(("kind", "likelihood"), [("bits", "bernoulli"), ("levels", "discretized-logistic")])
def test_arrays_of_whole_numbers_have_bits(kind, likelihood, tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2 if kind == "bits" else 5, (40, 6, 2)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    run = vael.train(tmp_path / "x.npy", sequence=True, run=tmp_path / "run", **QUICK)
    assert run.spec.model.likelihood_name == likelihood
    assert main(["evaluate", str(run.folder), "--importance-samples", "10", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bits_per_dim"] == pytest.approx(-found["log_likelihood"] / (12 * math.log(2)))
    assert main(["report", str(run.folder), "--importance-samples", "10"]) == 0


def test_a_dense_vae_takes_windows_with_gaps_too(tmp_path):
    data = waves(tmp_path / "waves.csv")
    run = vael.train(data, sequence="day", window=10, model="dense", latent=3, run=tmp_path / "run", **QUICK)
    assert main(["evaluate", str(run.folder), "--importance-samples", "10", "--json"]) == 0
    assert main(["report", str(run.folder), "--importance-samples", "10"]) == 0


def test_what_makes_no_sense_of_sequences_is_refused(run, tmp_path, capsys):
    data = waves(tmp_path / "waves.csv", steps=120)
    for options, word in (
        ({"window": 5}, "--sequence"),
        ({"sequence": "day", "binarize": "dynamic"}, "--binarize"),
        ({"sequence": "day", "condition_on": "high"}, "--condition-on"),
        ({"sequence": "day", "contamination": 0.1}, "--contamination"),
        ({"sequence": "day", "model": "convolutional"}, "convolutional"),
        ({"sequence": "day", "window": 90}, "120 steps"),
        ({"sequence": True}, "--sequence COLUMN"),
    ):
        with pytest.raises(vael.errors.VaelError) as caught:
            vael.train(data, run=tmp_path / "run", **options, **QUICK)
        assert word in str(caught.value)
    for command in ("compress", "encode", "export"):
        rest = ["x.npy"] if command == "compress" else []
        assert main([command, str(run.folder), *rest]) == 2
        assert "trained on sequences" in capsys.readouterr().err
