"""Every recipe is a run: it trains, is kept, and is loaded with the same weights; what it cannot be on is refused."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import vael
from vael import cli
from vael.cli.wording import objective
from vael.errors import StateError, VaelError
from vael.inference.parts import GradientAscentPart
from vael.specs import is_bound, prepare, request
from vael.specs.reading import examples_of
from vael.specs.recipes import ELSEWHERE, GROUPS, RECIPES
from vael.training import Lines
from vael.training.checkpoint import read_header

ROWS = {"gaussian-mixture", "bayesian-mixture", "full-covariance", "table", "gapped", "linear"}
SMALLER = {
    "vq-vae": {"algorithm.second_epochs": 1},
    "vq-vae-2": {"algorithm.second_epochs": 1},
    "stacked": {"algorithm.layer_epochs": 1, "model.features": (32, 8)},
    "residual": {"model.network.channels": (4, 8), "model.network.blocks": 1},
    "convolutional": {"model.network.channels": (4, 8)},
    "hierarchical": {"model.ladder.width": 16, "model.ladder.latents": (2, 2)},
    "hierarchical-hour": {"model.ladder.width": 32},
    "hierarchical-gpu": {"model.ladder.channels": 4, "model.ladder.latents": 2, "model.ladder.repeats": 1},
    "principal": {"model.latent": 8},
    "autoregressive": {"model.network.channels": (4, 8), "model.likelihood.width": 8},
}
OF_PAPERS = {name for name, recipe in RECIPES.items() if recipe().suits_data}  # on the network of the data
SMALLER |= {name: {"model.network.hidden": (8,), "model.latent": 2} for name in OF_PAPERS}
for name in ("miwae", "piwae"):
    SMALLER[name] |= {"algorithm.samples": 8}
# why digits are refused
NOT_HERE = {
    "autoregressive-binary": "0 or 1",
    "state-space": "over sequences",
    "kalman": "over sequences",
    "td-vae": "over sequences",
    "temporal": "over time",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Digits, some of them with their classes in a file, and rows of three columns of numbers."""
    rows = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, 10.0, 0.1] + [0.0, 50.0, 3.0]
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    np.savetxt(path, rows, delimiter=",", header="a,b,c", comments="", fmt="%.6f")
    digits, few = load_digits(), path.with_name("few.npz")
    np.savez(few, x=digits.images[:400].astype(np.uint8)[:, None], y=digits.target[:400])
    return {"rows": str(path), "digits": "digits", "few": str(few)}


def test_every_recipe_has_a_line_that_fits_a_terminal(capsys, monkeypatch):
    """80 columns: its name, what it is for, and the paper with its year where it has the name of one."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda stream: True)
    assert cli.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    lines = lines[: lines.index("likelihoods (--likelihood)")]
    found = {name: [line for line in lines if re.match(rf" {{2}}{name} {{2,}}", line)] for name in RECIPES}
    assert {name for name, shown in found.items() if len(shown) != 1} == set()
    place = {name: lines.index(shown) for name, (shown,) in found.items()}
    whole = [name for name in RECIPES if place[name] + 1 < len(lines) and lines[place[name] + 1].startswith("    ")]
    assert whole == []  # of none does the line go on below
    assert {name for name in OF_PAPERS if not re.search(r"\(.+ (19|20)\d\d\)$", found[name][0])} == set()
    assert [name for group in GROUPS.values() for name in group] == list(RECIPES)


def test_what_is_in_a_recipe_is_told(capsys):
    assert cli.main(["models", "Beta_VAE", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["leaves"]["algorithm.objective.beta"] == 4
    assert cli.main(["models", "iwae"]) == 0
    said = capsys.readouterr().out
    assert "Burda, Grosse & Salakhutdinov 2016" in said
    assert re.search(r"--samples +5", said)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_of_a_paper_that_is_no_recipe_says_what_to_do(name, capsys):
    assert cli.main(["train", "digits", "--model", name]) == 2
    said = capsys.readouterr().err
    named = re.findall(r"--model ([\w-]+)", said)
    assert all(one in RECIPES for one in named)
    assert "--" in said


@pytest.mark.parametrize("name", sorted(OF_PAPERS))
def test_a_paper_changes_what_it_is_about_and_takes_the_rest_from_the_data(name):
    asked = {"device": "cpu", "compile": False, "threads": 1}
    usual = prepare(request("digits", **asked)).spec
    spec = prepare(request("digits", model=name, **asked)).spec
    own = RECIPES[name]()
    fixed = own.model.model_fields_set - {"kind"}
    for field in set(type(spec.model).model_fields) - fixed:
        assert getattr(spec.model, field) == getattr(usual.model, field), field
    for field in fixed - {"likelihood"}:
        assert getattr(spec.model, field) == getattr(own.model, field)
    assert spec.algorithm.optimizer == usual.algorithm.optimizer
    assert type(spec.algorithm.objective) is type(own.algorithm.objective)
    assert spec.algorithm.samples == own.algorithm.samples


@pytest.mark.parametrize("name", RECIPES)
def test_it_trains_and_is_loaded_as_it_was(name, data, tmp_path):
    options = {"epochs": 1, "compile": None, "precision": "float32", "set": SMALLER.get(name, {})}
    if name in OF_PAPERS:
        options |= {"batch": 512}
    if name in NOT_HERE:
        with pytest.raises(VaelError, match=NOT_HERE[name]):
            vael.train("digits", model=name, **options)
        return
    if "mixture" in name:
        options["components"] = 2
    kind = "rows" if name in ROWS else "few"
    lines = []
    run = vael.train(data[kind], model=name, run=tmp_path / name, callbacks=(Lines(lines.append),), **options)
    assert run.spec.recipe == name
    a_bound_is_called_one_and_nothing_else_is(run, tmp_path / name, "\n".join(lines))
    assert all(torch.isfinite(weight).all() for weight in run.model.state_dict().values())
    again = vael.load(tmp_path / name)
    assert again.spec == run.spec
    known = again.model.state_dict()
    assert known.keys() == run.model.state_dict().keys()
    assert all(torch.equal(weight, known[key]) for key, weight in run.model.state_dict().items())
    x = run.split()[1].batch(torch.arange(3))
    ways = [way for way in ("encode", "codes", "reconstruct") if hasattr(run.model, way)]
    for way in ways:
        try:
            found = getattr(run.model, way)(x)
        except StateError:
            continue
        assert torch.equal(found, getattr(again.model, way)(x))


CALLED = re.compile(r"(?<!no )\bbound\b|elbo|evidence", re.IGNORECASE)


def a_bound_is_called_one_and_nothing_else_is(run, folder, lines):
    """Rows of metrics, lines of progress, and the words for what is climbed. Logged is the bound, whatever is climbed:
    minus distortion and divergence, where it is that of one sample.
    """
    bound = is_bound(run.spec)
    texts = {"metrics": (folder / "metrics.jsonl").read_text(), "lines": lines, "objective": objective(run.spec)}
    called = {place: bool(CALLED.search(text)) for place, text in texts.items()}
    assert called["metrics"] == called["lines"] == bound
    assert not called["objective"] or bound
    assert {row.is_bound for row in run.history} == {bound}
    how = run.spec.algorithm
    if bound and isinstance(how, GradientAscentPart) and how.samples == 1:
        for row in run.history:
            assert row.elbo == pytest.approx(-row.distortion - row.divergence, rel=1e-5)


@pytest.mark.parametrize(("name", "kind"), [("gaussian-mixture", "digits"), ("vq-vae", "rows")])
def test_what_a_model_cannot_be_on_is_refused_before_training(name, kind, data, tmp_path):
    with pytest.raises(VaelError):
        vael.train(data[kind], model=name, epochs=1, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["autoencoder", "vq-vae"])
def test_the_second_stage_gives_something_to_sample_from(name, data):
    run = vael.train(data["few"], model=name, epochs=2, precision="float32", set=SMALLER.get(name, {}), callbacks=())
    drawn = run.model.sample(5, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 1, 8, 8)
    assert torch.isfinite(drawn).all()


def test_weights_after_a_second_stage_name_the_step_that_they_are_of(tmp_path):
    """The last one where the last is kept, though an earlier one was better on the validation split."""
    run = vael.train(
        "digits",
        model="autoencoder",
        epochs=4,
        lr=0.3,
        keep="last",
        run=tmp_path / "run",
        precision="float32",
        callbacks=(),
    )
    held_out = [row for row in run.history if row.split == "validation"]
    assert max(held_out, key=lambda row: row.elbo).step < held_out[-1].step  # or nothing is shown
    assert read_header(tmp_path / "run" / "model.safetensors").facts["step"] == held_out[-1].step


def test_the_second_stage_moves_the_density_and_nothing_else(data):
    stages = {name: f"stage-{name}" for name in ("one", "two")}
    kinds = {"one": {"algorithm.second_epochs": 1}, "two": {"algorithm.second_epochs": 3}}
    found = {
        name: vael.train(data["few"], model="vq-vae", epochs=1, precision="float32", set=kinds[name], callbacks=())
        for name in stages
    }
    one, two = (found[name].model.state_dict() for name in stages)
    moved = {key.split(".")[0] for key in one if not torch.equal(one[key], two[key])}
    assert moved == {"prior"}


def test_an_algorithm_that_takes_all_at_once_says_so(data):
    with pytest.raises(StateError, match="all 160 examples at once"):
        vael.train(data["rows"], model="gaussian-mixture", batch=16)
    with pytest.raises(StateError, match="cannot be compiled"):
        vael.train("digits", model="vq-vae", compile=True)


def test_a_run_is_described_by_its_parts(data, tmp_path):
    vael.train(data["rows"], model="bayesian-mixture", components=2, epochs=2, run=tmp_path / "run", callbacks=())
    known = json.loads((tmp_path / "run" / "run.json").read_text())
    assert known["model"]["kind"] == "bayesian-mixture"
    assert len(known["model"]["mean"]) == 3
    assert known["algorithm"]["kind"] == "coordinate-ascent"


DRAWN = {"full-covariance", "bernoulli-latents", "hierarchical"}  # whose judging takes draws of latents
ACTED_ON = ["autoencoder", "vq-vae", "gaussian-mixture", "full-covariance", "bernoulli-latents", "hierarchical"]


@pytest.mark.parametrize("name", ACTED_ON)
def test_a_command_does_its_work_or_refuses_in_one_message(name, data, tmp_path, capsys):
    """Whatever a model has not, is refused by what it has not: nowhere a traceback, nothing half-written."""
    kind = data["rows"] if name in ROWS else data["few"]
    options = {"components": 2} if "mixture" in name else {}
    if name == "bernoulli-latents":
        options["binarize"] = "threshold"
    how = {"epochs": 1, "precision": "float32", "set": SMALLER.get(name, {}), "callbacks": ()}
    vael.train(kind, model=name, run=tmp_path / "run", **how, **options)
    run, out = str(tmp_path / "run"), tmp_path / "out"
    out.mkdir()
    for words in (
        ["sample", run, "-n", "3", "-o", str(out / "sample.npy")],
        ["reconstruct", run, "-o", str(out / "again.npy")],
        ["encode", run, "-o", str(out / "codes.csv")],
        ["score", run, kind, "-o", str(out / "scores.csv")],
        ["compress", run, kind, "-o", str(out / "small.vael")],
        ["evaluate", run, "--json", *(["--importance-samples", "2"] if name in DRAWN else [])],
    ):
        before = set(out.iterdir())
        status = cli.main(words)
        found = capsys.readouterr()
        said = found.err
        assert status in (0, 2), (words, said)
        assert status == 0 or words[0] != "evaluate", said
        assert "unexpected" not in said, (words, said)
        if status:
            assert said.startswith("vael: ")
            assert set(out.iterdir()) == before
        elif words[0] == "compress":
            assert "went raw" not in found.out, name  # what cannot be coded is refused
            assert cli.main(["decompress", run, words[-1], "-o", str(out / "again-whole.npy")]) == 0, name
            expected = examples_of(vael.load(run).spec, kind).x.flatten(1)
            expected = expected > 8 if "binarize" in options else expected  # of 16
            assert np.array_equal(np.load(out / "again-whole.npy").reshape(len(expected), -1), expected.numpy())
            capsys.readouterr()
