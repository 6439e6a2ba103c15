"""A model that is worse than none is said to be so in the first line, of every kind of data; a better one is not."""

import json
import math

import numpy as np
import pytest

import vael
from vael.cli import main
from vael.cli.trivial import Against
from vael.report.record import TrivialModel

HOW = ["--epochs", "1", "--no-report", "--importance-samples", "2", "--latent", "2", "--hidden", "4", "--threads", "1"]


def data_of(kind, folder):
    """Numbers of which every value is as likely as every other, so that no model is needed."""
    noise = np.random.default_rng(0)
    if kind == "pixels":
        np.save(folder / "x.npy", noise.integers(0, 256, (60, 4, 4)).astype(np.uint8))
        return [str(folder / "x.npy")]
    if kind == "bits":
        np.save(folder / "x.npy", noise.integers(0, 2, (60, 4, 4)).astype(np.uint8))
        return [str(folder / "x.npy")]
    rows = noise.normal(size=(80, 3))
    head = "a,b,c" if kind == "rows" else "day,b,c"
    if kind == "series":
        rows[:, 0] = np.arange(80)
    np.savetxt(folder / "x.csv", rows, delimiter=",", header=head, comments="", fmt="%.4f")
    return [str(folder / "x.csv"), *(["--sequence", "day", "--window", "8"] if kind == "series" else [])]


@pytest.mark.parametrize("kind", ["pixels", "bits", "rows", "series"])
def test_worse_than_no_model_is_the_first_thing_said(kind, tmp_path, capsys):
    hidden = HOW[:7] + HOW[9:] if kind == "series" else HOW
    run = str(tmp_path / "run")
    assert main(["train", *data_of(kind, tmp_path), "--run", run, *hidden, "--lr", "1e-9", "--average", "0"]) == 0
    spoilt(run)
    capsys.readouterr()
    assert main(["evaluate", run, "--importance-samples", "2"]) == 0
    assert capsys.readouterr().out.startswith("WORSE THAN NO MODEL")
    assert main(["evaluate", run, "--importance-samples", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["worse_than_trivial"]
    assert found["log_likelihood"] <= found["trivial_log_likelihood"]
    if kind == "pixels":
        assert found["trivial_log_likelihood"] >= -16 * math.log(256)


@pytest.mark.parametrize(
    ("reached", "error", "said"),
    [
        (-4.33, 0.63, "WORSE THAN NO MODEL ON THESE EXAMPLES, by less than two standard errors: -4.33 ± 0.63 nats"),
        (-4.33, 0.009, "WORSE THAN NO MODEL: -4.33 ± 0.01 nats"),
        (-8.0, 0.63, "WORSE THAN NO MODEL: -8.00 ± 0.63 nats"),
        (-8.0, None, "WORSE THAN NO MODEL: -8.00 nats"),
        (-4.3, 0.0, ""),
    ],
)
def test_worse_is_said_beyond_two_standard_errors(reached, error, said):
    lines = Against(reached, TrivialModel(-4.31, "independent columns"), error).lines
    assert "".join(lines).startswith(said)
    assert bool(lines) == bool(said)


def test_a_model_that_overfits_is_not_to_be_trained_longer():
    said = {fall: Against(-9.0, TrivialModel(-4.3, "independent columns"), 0.1, fall).lines[0] for fall in (None, 3.5)}
    assert "train longer (--time-limit" in said[None]
    assert "fallen by 3.50 since its best" in said[3.5]
    assert "train longer" not in said[3.5]


def test_the_curve_of_a_run_decides_what_is_advised(tmp_path, capsys):
    """`vael evaluate` reads it in the folder: of a bound that rose longer training, of one that fell none."""
    run = tmp_path / "run"
    assert main(["train", *data_of("rows", tmp_path), "--run", str(run), *HOW]) == 0
    spoilt(run)
    row = next(one for one in map(json.loads, (run / "metrics.jsonl").open()) if one["split"] == "validation")
    for bounds, wanted in (((-9.0, -5.0), "train longer"), ((-5.0, -9.0), "not longer, as the validation bound")):
        lines = [json.dumps({**row, "step": step, "elbo": bound}) for step, bound in enumerate(bounds)]
        (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        capsys.readouterr()
        assert main(["evaluate", str(run), "--importance-samples", "2"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert said.startswith("WORSE THAN NO MODEL")
        assert wanted in said


def spoilt(folder):
    """The same run with weights that are far from any that training gives."""
    from pathlib import Path

    import torch

    from vael.training.checkpoint import write_tensors

    model = vael.load(folder).model
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(3.0)
    write_tensors(Path(folder) / "model.safetensors", model.state_dict(), {"step": 1})
    known = json.loads((Path(folder) / "run.json").read_text())
    known["weights_sha256"] = None
    (Path(folder) / "run.json").write_text(json.dumps(known))


def test_a_better_model_is_not_blamed(tmp_path, capsys):
    """Images that are all dark or all bright, 0 or 255: one latent says almost everything."""
    x = np.repeat(np.random.default_rng(0).integers(0, 2, (200, 1)), 16, 1).reshape(-1, 4, 4).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    how = ["--epochs", "50", "--no-report", "--latent", "2", "--hidden", "16", "--threads", "1"]
    how += ["--importance-samples", "20"]
    assert main(["train", str(tmp_path / "x.npy"), "--run", str(tmp_path / "run"), *how]) == 0
    assert "WORSE" not in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "run"), "--importance-samples", "20"]) == 0
    assert "WORSE" not in capsys.readouterr().out
