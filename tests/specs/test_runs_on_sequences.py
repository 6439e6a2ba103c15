"""Runs on sequences: from a table of times or an array through training, loading, evaluation and the report."""

import gzip
import json
import math
import re

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
    assert run.spec.recipe == "kalman"
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


@pytest.mark.parametrize("model", ["dense", "temporal"])
def test_other_networks_take_windows_with_gaps_too(model, tmp_path):
    data = waves(tmp_path / "waves.csv")
    run = vael.train(data, sequence="day", window=11, model=model, latent=3, run=tmp_path / "run", **QUICK)
    filled = str(tmp_path / "y.csv")
    for command in (["score"], ["impute", str(data), "-o", filled], ["sample", "-n", "2"], ["encode"], ["reconstruct"]):
        assert main([command[0], str(run.folder), *command[1:]]) == 0
    assert main(["evaluate", str(run.folder), "--importance-samples", "10", "--json"]) == 0
    assert main(["report", str(run.folder), "--importance-samples", "10"]) == 0
    assert main(["forecast", str(run.folder), "--steps", "4"]) == 0
    assert main(["forecast", str(run.folder), "--steps", "11"]) == 2  # a window that is filled in has 11 steps


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
    for command in ("compress", "interpolate"):
        rest = ["x.npy"] if command == "compress" else []
        assert main([command, str(run.folder), *rest]) == 2
        assert "trained on sequences" in capsys.readouterr().err


def test_drawn_windows_have_the_channels_and_decimals_of_the_data(run, tmp_path, capsys):
    assert main(["sample", str(run.folder), "-n", "3", "-o", str(tmp_path / "x.npy")]) == 0
    x = np.load(tmp_path / "x.npy")
    assert x.shape == (3, 10, 2)
    assert main(["sample", str(run.folder), "-n", "3", "-o", str(tmp_path / "x.csv")]) == 0
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0] == "sample,step,high,low"
    assert [line.split(",")[:2] for line in lines[1:]] == [[str(n), str(t)] for n in (1, 2, 3) for t in range(1, 11)]
    written = np.array([[float(cell) for cell in line.split(",")[2:]] for line in lines[1:]])
    assert np.abs(written - x.reshape(30, 2)).max() < 1e-3
    assert main(["sample", str(run.folder), "--mean", "-o", str(tmp_path / "y.csv")]) == 2
    assert "--mean" in capsys.readouterr().err


def test_every_step_of_other_data_has_a_score_and_the_planted_one_stands_out(run, tmp_path, capsys):
    data = waves(tmp_path / "waves.csv", steps=73, seed=5)
    lines = data.read_text().splitlines()
    day, _, low = lines[41].split(",")
    lines[41] = f"{day},25.0,{low}"
    data.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")  # the last day first: rows are sorted by time
    assert main(["score", str(run.folder), str(data), "-o", str(tmp_path / "s.csv"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["strangest"][0]["strangest"]["at"] == day
    assert said["strangest"][0]["strangest"]["channel"] == "high"
    rows = [line.split(",") for line in (tmp_path / "s.csv").read_text().splitlines()]
    assert rows[0] == ["row", "day", "window", "score", "p_value", "nats high", "nats low"]
    assert [row[1] for row in rows[1:]] == [line.split(",")[0] for line in lines[1:]]
    assert [int(row[0]) for row in rows[1:]] == list(range(73, 0, -1))
    assert all((row[6] == "") == (line.split(",")[2] == "") for row, line in zip(rows[1:], lines[1:], strict=True))
    assert main(["score", str(run.folder), "-o", str(tmp_path / "own.npy")]) == 0
    assert np.load(tmp_path / "own.npy").shape == (len(run.split("test")[1]), 10, 2)
    assert main(["score", str(run.folder), "--score", "ratio"]) == 2
    assert "--score" in capsys.readouterr().err


def test_gaps_are_filled_and_every_other_cell_stays_byte_for_byte(run, tmp_path, capsys):
    data = waves(tmp_path / "waves.csv", steps=73, seed=6)
    before = data.read_text().splitlines()
    before[5] = before[5].replace(",", ",+", 1)  # a number that is written in another way
    shuffled = [before[0], *(before[1 + n] for n in np.random.default_rng(0).permutation(73))]
    data.write_text("\r\n".join(shuffled))
    target = tmp_path / "filled.csv"
    assert main(["impute", str(run.folder), str(data), "-o", str(target), "--json"]) == 0
    gaps = sum(line.endswith(",") for line in shuffled)
    assert json.loads(capsys.readouterr().out)["filled"] == gaps > 0
    after = target.read_bytes().decode().split("\r\n")
    assert len(after) == len(shuffled)
    for old, new in zip(shuffled, after, strict=True):
        assert new == old or (old.endswith(",") and new.startswith(old))
        if old.endswith(","):
            assert 7 < float(new.split(",")[2]) < 13
    packed = tmp_path / "waves.csv.gz"
    packed.write_bytes(gzip.compress(data.read_bytes()))
    assert main(["impute", str(run.folder), str(packed), "-o", str(tmp_path / "again.csv")]) == 0
    assert (tmp_path / "again.csv").read_bytes() == target.read_bytes()


def test_gaps_of_an_array_are_filled_and_nothing_else_moves(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(40, 6, 2)).cumsum(1)
    np.save(tmp_path / "x.npy", x)
    run = vael.train(tmp_path / "x.npy", sequence=True, run=tmp_path / "run", **QUICK)
    holes = x.copy()
    holes[::3, 2, 1] = np.nan
    np.save(tmp_path / "holes.npy", holes)
    assert main(["impute", str(run.folder), str(tmp_path / "holes.npy"), "-o", str(tmp_path / "y.npy")]) == 0
    assert "trained on series without gaps" in capsys.readouterr().out
    filled = np.load(tmp_path / "y.npy")
    assert filled.dtype == x.dtype
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[~np.isnan(holes)], x[~np.isnan(holes)])
    assert main(["score", str(run.folder), str(tmp_path / "holes.npy"), "-o", str(tmp_path / "s.csv")]) == 0
    assert (tmp_path / "s.csv").read_text().splitlines()[0].startswith("row,step,window")


def test_codes_and_reconstructions_have_a_line_for_each_step(run, tmp_path):
    data = waves(tmp_path / "waves.csv", steps=73, seed=5)
    days = [line.split(",")[0] for line in data.read_text().splitlines()[1:]]
    for command, names in (("encode", ["z1", "z2", "z3", "z4"]), ("reconstruct", ["high", "low"])):
        target = tmp_path / f"{command}.csv"
        assert main([command, str(run.folder), str(data), "-o", str(target)]) == 0
        rows = [line.split(",") for line in target.read_text().splitlines()]
        assert rows[0] == ["row", "day", *names]
        assert [row[1] for row in rows[1:]] == days
        assert main([command, str(run.folder), str(data), "-o", str(tmp_path / "x.npy")]) == 0
        written = np.load(tmp_path / "x.npy")
        assert written.shape == (73, len(names))
        assert np.abs(written - np.array([row[2:] for row in rows[1:]], float)).max() < 1e-2


def test_forecasts_go_on_where_the_series_ends(run, tmp_path, capsys):
    target = tmp_path / "f.csv"
    assert main(["forecast", str(run.folder), "--steps", "5", "-o", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 5
    rows = [line.split(",") for line in target.read_text().splitlines()]
    assert rows[0] == ["day", "high", "high 0.05", "high 0.95", "low", "low 0.05", "low 0.95"]
    last = np.datetime64("2020-01-01") + 219
    assert [row[0] for row in rows[1:]] == [str(last + n) for n in range(1, 6)]
    for row in rows[1:]:
        assert float(row[2]) < float(row[1]) < float(row[3])
        assert float(row[5]) < float(row[4]) < float(row[6])
    assert main(["forecast", str(run.folder), "--steps", "5", "--draws", "3", "-o", str(target)]) == 0
    drawn = [line.split(",") for line in target.read_text().splitlines()]
    assert drawn[0] == ["draw", "day", "high", "low"]
    assert [row[:2] for row in drawn[1:]] == [[str(n), row[0]] for n in (1, 2, 3) for row in rows[1:]]
    assert main(["forecast", str(run.folder), "-o", str(tmp_path / "f.npy")]) == 0
    assert np.load(tmp_path / "f.npy").shape == (1, 2, 2)


@pytest.mark.parametrize("form", ["{year}-{month:02d}", "{month}/{year}", "{year}-{month:02d}-01 00:00:00+02:00"])
def test_results_are_written_as_the_data_are(form, tmp_path):
    """Times in their pattern and zone, numbers with their decimals and units."""
    months = [form.format(year=2000 + n // 12, month=1 + n % 12) for n in range(158)]
    lines = [f"{month},{math.sin(n / 3):.4f},{n % 5}.{n % 9}5 %" for n, month in enumerate(months[:150])]
    data = tmp_path / "m.csv"
    data.write_text("\n".join(["month,a,b", *lines]) + "\n")
    run = vael.train(data, sequence="month", window=6, run=tmp_path / "run", **{**QUICK, "epochs": 1})
    wanted = {
        "forecast": (["--steps", "8"], months[150:]),
        "sample": (["-n", "2"], [str(step) for step in range(1, 7)] * 2),
        "reconstruct": ([str(data)], months[:150]),
    }
    for command, (options, times) in wanted.items():
        assert main([command, str(run.folder), *options, "-o", str(tmp_path / "f.csv")]) == 0
        names, *rows = (line.split(",") for line in (tmp_path / "f.csv").read_text().splitlines())
        assert [row[names.index("a") - 1] for row in rows] == times
        assert all(re.fullmatch(r"-?\d+\.\d{4}", row[names.index("a")]) for row in rows)
        shares = [place for place, name in enumerate(names) if name.startswith("b")]
        assert all(re.fullmatch(r"-?\d+\.\d\d %", row[place]) for row in rows for place in shares)


def test_evaluation_names_the_simplest_ways_beside_the_model(run, capsys):
    assert main(["evaluate", str(run.folder), "--importance-samples", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["task"] for one in found["compared"]} == {"gaps", "future"}
    assert "AR(1)" in found["simplest"]
    assert math.isfinite(found["simplest_log_likelihood"])
    assert main(["evaluate", str(run.folder), "--importance-samples", "20"]) == 0
    said = capsys.readouterr().out
    assert "a line between neighbours" in said
    assert "the last value" in said


def test_other_channels_are_refused_by_name(run, tmp_path, capsys):
    data = waves(tmp_path / "waves.csv", steps=73)
    data.write_text(data.read_text().replace("low", "depth", 1))
    assert main(["score", str(run.folder), str(data)]) == 2
    assert "'low'" in capsys.readouterr().err
    np.save(tmp_path / "x.npy", np.zeros((3, 10, 2)))
    assert main(["score", str(run.folder), str(tmp_path / "x.npy")]) == 2
