"""`vael sweep`: what each term of the loss does, in one command."""

import json
import math

import numpy as np
import pytest
import torch
from test_main import SMALL

from vael import specs
from vael.cli import main, training
from vael.errors import StateError
from vael.models import Terms
from vael.objectives import ELBO, Beta, SampledELBO
from vael.objectives.parts import ELBOPart
from vael.specs import read_spec
from vael.specs.recipes import RECIPES


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps") / "digits"
    options = ["--hidden", "32", "--epochs", "5", "--betas", "1,8", "--no-compile", "--importance-samples", "20"]
    assert main(["sweep", "digits", "--binarize", "threshold", "--run", str(folder), *options]) == 0
    return folder


def test_every_point_is_a_run_and_the_page_shows_them(swept):
    names = {"reconstruction-only", "beta-1", "beta-8", "divergence-only"}
    assert {path.name for path in swept.iterdir() if path.is_dir()} == {*names, "figures"}
    assert {name: read_spec(swept / name).algorithm.objective.terms for name in names} == {
        "reconstruction-only": "reconstruction",
        "beta-1": "both",
        "beta-8": "both",
        "divergence-only": "divergence",
    }
    assert read_spec(swept / "beta-8").algorithm.objective.beta == 8
    page = (swept / "sweep.html").read_text()
    for figure in ("rate_distortion", "sweep_reconstructions", "sweep_samples", "sweep_maps"):
        assert (swept / "figures" / f"{figure}.svg").stat().st_size > 5000
        assert (swept / "figures" / f"{figure}.png").exists()
        assert f'id="{figure}"' in page


def test_levels_of_latents_are_swept_as_they_are_and_their_rates_told(tmp_path, capsys):
    """Where they are what the data come to, too: then nothing says how many latents there are."""
    noise = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", noise.integers(0, 2, (60, 8, 8)).astype(np.uint8))
    how = ["--model", "hierarchical", "--set", "model.ladder.latents=3,2", "--set", "model.ladder.width=8"]
    words = ["sweep", str(tmp_path / "x.npy"), *how, "--epochs", "1", "--betas", "1", "--run", str(tmp_path / "all")]
    assert main([*words, "--no-compile", "--importance-samples", "2"]) == 0
    assert "Every point is hierarchical" in capsys.readouterr().out
    page = (tmp_path / "all" / "sweep.html").read_text()
    assert "level 2, nats" in page
    assert "side by side" in page
    assert "holds 95 % of the prior" not in page


def test_two_latents_are_for_models_of_one_vector():
    assert training.sized({"data": "digits"}) == {"data": "digits", "latent": 2}
    assert training.sized({"data": "digits", "latent": 5}) == {"data": "digits", "latent": 5}
    leveled = {"data": "digits", "model": "hierarchical"}
    assert training.sized(leveled) == leveled


def test_a_sweep_is_of_pixels_that_do_not_tell_of_each_other(tmp_path):
    """But where pixels in turn are asked for."""
    grey = np.resize(np.arange(256, dtype=np.uint8), (13_000, 20, 20))
    np.save(tmp_path / "grey.npy", grey)
    asked = {"data": str(tmp_path / "grey.npy"), "binarize": "dynamic"}
    assert specs.prepare(specs.request(**asked)).spec.recipe == "autoregressive-binary"
    found = specs.prepare(specs.request(**training.sized(asked))).spec
    assert (found.recipe, found.model.latent, found.model.likelihood.name) == ("dense", 2, "bernoulli")
    assert training.sized(asked | {"latent": 3})["latent"] == 3
    assert training.sized(asked | {"model": "autoregressive-binary"})["model"] == "autoregressive-binary"


def test_each_term_does_what_the_lecture_says(swept):
    """Reconstruction alone pays most for its codes; the divergence alone pays nothing and reconstructs worst;
    weight one has the best bound.
    """
    points = {point["climbed"]: point for point in json.loads((swept / "sweep.json").read_text())}
    free, both, heavy, collapsed = (
        points[name] for name in ("reconstruction only", "β = 1", "β = 8", "divergence only")
    )
    assert free["divergence"] > both["divergence"] > heavy["divergence"] > collapsed["divergence"]
    assert collapsed["divergence"] < 0.01
    assert collapsed["distortion"] > heavy["distortion"] > both["distortion"]
    assert both["elbo"] == max(point["elbo"] for point in points.values())
    for point in points.values():
        assert point["elbo"] == pytest.approx(-point["distortion"] - point["divergence"], abs=1e-6)


@pytest.mark.parametrize(
    ("option", "word"),
    [
        (["--beta", "2"], "--beta"),
        (["--resume"], "--resume"),
        (["--betas", "1,-1"], "above 0"),
        (["--betas", "x"], "0.25,1,4"),
        (["--no-report"], "--no-report"),
    ],
)
def test_what_makes_no_sense_is_refused(option, word, capsys, tmp_path):
    assert main(["sweep", "digits", "--run", str(tmp_path / "run"), *SMALL[:4], *option]) == 2
    assert word in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_term_alone_takes_no_weight():
    with pytest.raises(ValueError, match="leave one out"):
        ELBOPart(beta=2.0, terms="divergence")
    with pytest.raises(StateError, match="infinite"):
        Beta(math.inf, warmup=0.1)


@pytest.mark.parametrize("kind", [ELBO, SampledELBO])
def test_an_infinite_weight_climbs_the_divergence_alone(kind):
    """Logged is the bound; what is climbed has a gradient of exactly zero to the reconstruction."""
    log_likelihood, log_posterior, log_prior, divergence = (
        torch.tensor([[-3.0, -1.0]], requires_grad=True) for _ in range(4)
    )
    terms = Terms(log_likelihood, log_prior[None], log_posterior[None], divergence[None])
    value = kind(Beta(math.inf))(terms, progress=0.3)
    slopes = torch.autograd.grad(value.surrogate.sum(), log_likelihood, retain_graph=True)
    assert torch.equal(slopes[0], torch.zeros(1, 2))
    assert torch.equal(value.bound, kind()(terms, progress=0.3).bound)
    assert torch.equal(
        value.surrogate, -kind()(terms, progress=0.3).bound.new_tensor([-3.0, -1.0]) if kind is ELBO else torch.zeros(2)
    )


@pytest.mark.parametrize("model", sorted(RECIPES))
def test_every_recipe_is_swept_or_refused_before_anything_is_trained(model, tmp_path, monkeypatch, capsys):
    """A sweep that ends at a later point has trained the others for nothing."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 2, (60, 1, 8, 8), np.uint8))
    begun = []

    def trained(folder, label, *others):
        begun.append(label)
        raise StateError("far enough")

    monkeypatch.setattr(training, "trained", trained)
    words = ["--run", str(tmp_path / "run"), "--model", model, "--no-compile", "--betas", "0.5,4"]
    assert main(["sweep", str(tmp_path / "x.npy"), *words]) == 2
    said = capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert ("far enough" in said) == bool(begun)
    if model == "autoencoder":
        assert begun == []
        assert "--model" in said or "objective" in said
