"""Draws are chosen only where a model has some: every command that takes their number refuses it otherwise, in one
message, before it does anything.
"""

import numpy as np
import pytest

from vael.cli.main import main

WITHOUT = ("autoencoder", "k-sparse", "stacked", "vq-vae", "gaussian-mixture", "bayesian-mixture")
ROWS = ("gaussian-mixture", "bayesian-mixture")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    np.save(folder / "rows.npy", rng.normal(size=(60, 3)))
    np.save(folder / "images.npy", rng.random((60, 1, 8, 8)).astype(np.float32))
    return folder


@pytest.mark.parametrize("model", WITHOUT)
def test_training_refuses_a_number_of_draws_before_anything_is_written(model, data, tmp_path, capsys):
    file = data / ("rows.npy" if model in ROWS else "images.npy")
    asked = ["train", str(file), "--model", model, "--run", str(tmp_path / "run"), "--importance-samples", "50"]
    assert main(asked) == 2
    found = capsys.readouterr()
    assert found.err.count("\n") == 1
    assert (
        f"--importance-samples choose draws of latents, but the numbers of this model ({model}) take none" in found.err
    )
    assert found.out == ""
    assert not (tmp_path / "run" / "run.json").exists()


def test_so_do_going_on_evaluation_and_the_report(data, tmp_path, capsys):
    run = str(tmp_path / "run")
    small = ["--epochs", "1", "--no-report", "--latent", "2", "--hidden", "4", "--no-compile"]
    assert main(["train", str(data / "images.npy"), "--model", "denoising", "--run", run, *small]) == 0
    for command in (["evaluate", run], ["report", run], ["train", "--run", run, "--resume"]):
        capsys.readouterr()
        assert main([*command, "--importance-samples", "50"]) == 2
        assert "choose draws of latents" in capsys.readouterr().err
