"""A run again from its run.json: equal bit for bit, on its own data or on others, with leaves changed."""

import json
import shutil

import numpy as np
import pytest
import torch

import vael
from vael import specs
from vael.cli import main
from vael.errors import FormatError, StateError, SupportError

SMALL = {"binarize": "threshold", "latent": 2, "hidden": (4,), "epochs": 2, "batch": 512, "seed": 5, "compile": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    how = {"prior": "mixture", "objective": "total-correlation", "optimizer": "rmsprop", "validation": 100}
    return vael.train("digits", run=tmp_path_factory.mktemp("runs") / "first", callbacks=(), **SMALL, **how)


def equal(one, other):
    return all(torch.equal(weight, other.model.state_dict()[name]) for name, weight in one.model.state_dict().items())


@pytest.mark.parametrize("where", ["folder", "file", "another name"])
def test_a_run_is_repeated_by_one_command(run, where, tmp_path, capsys):
    """Weights and spec are those of the first, to the last bit; from Python and from the command line."""
    config = run.folder if where == "folder" else run.folder / "run.json"
    if where == "another name":
        config = shutil.copy(config, tmp_path / "of-a-friend.json")
    if where == "file":
        again = vael.train(config=config, run=tmp_path / "again", callbacks=())
    else:
        assert main(["train", "--config", str(config), "--run", str(tmp_path / "again"), "--no-report"]) == 0
        again = vael.load(tmp_path / "again")
        assert "has it" in capsys.readouterr().out
    assert equal(run, again)
    assert again.spec == run.spec


def test_a_start_on_the_data_is_repeated(tmp_path):
    """Weights that are set from the data before the first step, and a likelihood whose sizes follow them."""
    how = {"model": "principal", "latent": 3, "epochs": 1, "batch": 512, "compile": False, "callbacks": ()}
    first = vael.train("digits", run=tmp_path / "first", **how)
    assert equal(first, vael.train(config=tmp_path / "first", callbacks=()))


def test_leaves_are_changed_by_path_and_by_option(run):
    """A leaf of training too; whatever is not named stays."""
    for changes in (
        {"set": {"training.seed": 9, "training.epochs": 1, "model.latent": 3, "model.prior": "standard-normal"}},
        {"set": ("training.epochs=1", "model.latent=3", "training.seed=9", "model.prior=standard-normal")},
        {"seed": 9, "epochs": 1, "latent": 3, "prior": "standard-normal"},
    ):
        found = specs.prepare(specs.request(config=str(run.folder), **changes)).spec
        assert (found.training.seed, found.training.epochs, found.model.latent) == (9, 1, 3)
        assert found.model.prior.name == "standard-normal"
        assert (found.training.batch, found.algorithm) == (512, run.spec.algorithm)
        assert found.data == run.spec.data
    assert specs.prepare(specs.request(config=str(run.folder), seed=0)).spec.training.seed == 0


@pytest.mark.parametrize("leaf", ["training.batch=99", "training.keep=last", "training.compiled=false"])
def test_leaves_of_training_are_set_without_a_file_too(leaf):
    prepared = specs.prepare(specs.request("digits", binarize="threshold", latent=2, hidden=(4,), set=(leaf,)))
    path, value = leaf.split("=")
    found = json.loads(prepared.spec.training.model_dump_json())[path.removeprefix("training.")]
    assert str(found).lower() == value


def test_other_data_take_its_place(run, tmp_path):
    """Read in the same way, with the likelihood that the file says."""
    x = (np.random.default_rng(0).random((300, 8, 8)) > 0.5).astype(np.uint8) * 200
    np.save(tmp_path / "x.npy", x)
    again = vael.train(
        tmp_path / "x.npy", config=run.folder, callbacks=(), set={"training.batch": 20}, run=tmp_path / "again"
    )
    assert again.spec.data.binarize == "threshold"
    assert again.spec.data.train.examples < 300
    assert again.spec.algorithm == run.spec.algorithm
    assert vael.load(tmp_path / "again").spec == again.spec
    np.save(tmp_path / "y.npy", np.random.default_rng(0).normal(size=(300, 8, 8)))
    with pytest.raises((SupportError, StateError)):
        vael.train(tmp_path / "y.npy", config=run.folder, callbacks=())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"set": {"training.epoch": 3}}, "has no epoch; did you mean epochs"),
        ({"set": {"training.epochs": 0}}, "training.epochs 0: .*choose another value"),
        ({"set": {"training.processes": 2}}, "training.processes cannot be set; expected a leaf of model"),
        ({"set": {"data.seed": 2}}, "data.seed cannot be set"),
        ({"set": {"model.latnt": 2}}, "has no latnt; did you mean latent"),
        ({"set": ("model.latent",)}, "expected PATH=VALUE"),
        ({"set": {"model.prior": "mixtur"}}, "did you mean mixture"),
    ],
)
def test_slips_are_told(run, options, says):
    for more in ({"config": str(run.folder)}, {"data": "digits", "binarize": "threshold"}):
        with pytest.raises(StateError, match=says):
            specs.prepare(specs.request(**more, **options))


def test_what_cannot_be_changed_in_a_file_is_refused(run, tmp_path, capsys):
    with pytest.raises(StateError, match="binarize cannot change a run that is read from a file"):
        specs.request(config=str(run.folder), binarize="static")
    with pytest.raises(StateError, match="resume without another"):
        vael.train(run=run.folder, resume=True, config=run.folder)
    with pytest.raises(FormatError, match="no such file; give a run"):
        vael.train(config=tmp_path / "nowhere.json")
    spec = json.loads((run.folder / "run.json").read_text())
    spec["model"]["latent"] = 10**9
    (tmp_path / "huge.json").write_text(json.dumps(spec))
    assert main(["train", "--config", str(tmp_path / "huge.json"), "--run", str(tmp_path / "no")]) == 2
    assert "latent is 1,000,000,000" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("leaf", "said"),
    [
        ("model.prior.componets=3", "did you mean components, which autoregressive, mixture"),
        ("model.likelihood.chanels=3", "did you mean channels, which autoregressive-bernoulli, autoregressive-mixture"),
        ("model.latnt=3", "did you mean latent"),
    ],
)
def test_a_leaf_of_another_part_of_the_family_is_named(leaf, said):
    with pytest.raises(StateError, match=said):
        specs.prepare(specs.request("digits", set=(leaf,)))
