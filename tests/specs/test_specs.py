"""Specs: run.json and back, names, and the same in Python."""

import json

import numpy as np
import pytest
import torch

import vael
from vael import specs
from vael.errors import FormatError, StateError, SupportError
from vael.models.likelihoods.parts import BernoulliPart
from vael.objectives import ELBO, Beta, ImportanceWeighted, SampledELBO
from vael.specs import names
from vael.specs.preparing import batch_for
from vael.specs.recipes import RECIPES
from vael.specs.recipes.networks import dense

SMALL = {"binarize": "threshold", "latent": 2, "hidden": (16,), "epochs": 1, "compile": False, "precision": "float32"}


@pytest.fixture(scope="module")
def prepared():
    return specs.prepare(specs.request("digits", **SMALL))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return vael.train("digits", run=tmp_path_factory.mktemp("runs") / "digits", **SMALL)


def test_a_spec_survives_run_json(prepared, tmp_path):
    specs.write_spec(tmp_path, prepared.spec)
    assert specs.read_spec(tmp_path) == prepared.spec


def test_a_spec_holds_what_was_chosen(prepared):
    spec = prepared.spec
    assert (spec.data.name, spec.data.binarize, spec.data.event) == ("digits", "threshold", (1, 8, 8))
    assert spec.data.train.examples + spec.data.held_out.examples + spec.data.test.examples == 1797
    assert spec.data.train.fingerprint == prepared.splits.train.fingerprint
    assert (spec.recipe, spec.model.likelihood) == ("dense", BernoulliPart())
    assert (spec.model.latent, spec.model.network.hidden) == (2, (16,))
    assert spec.model.posterior.name == "gaussian-full-covariance"
    assert spec.parameters == sum(p.numel() for p in prepared.model.parameters())
    assert (spec.training.precision, spec.training.compiled, spec.training.epochs) == ("float32", False, 1)
    assert spec.versions.vael == vael.__version__


def test_building_gives_equal_weights_and_leaves_the_global_state_alone(prepared, random_state_untouched):
    first, second = specs.build(prepared.spec), specs.build(prepared.spec)
    for name, p in first.named_parameters():
        assert torch.equal(p, dict(second.named_parameters())[name])
    seed = prepared.spec.training.model_copy(update={"seed": 5})
    other = specs.build(prepared.spec.model_copy(update={"training": seed}))
    assert any(not torch.equal(p, q) for p, q in zip(first.parameters(), other.parameters(), strict=True))


def test_levels_and_sizes_of_splits_are_kept_with_the_run(tmp_path):
    np.save(tmp_path / "deep.npy", np.random.default_rng(0).integers(0, 901, (60, 4, 4)).astype(np.uint16))
    for levels, found in ((None, 1024), (4096, 4096)):
        asked = specs.request(
            tmp_path / "deep.npy", **SMALL | {"binarize": None}, test=20, validation=10, levels=levels
        )
        prepared = specs.prepare(asked)
        assert prepared.spec.data.levels == found
        assert (len(prepared.splits.train), len(prepared.splits.validation), len(prepared.splits.test)) == (30, 10, 20)
        again = specs.prepare_again(prepared.spec)
        assert (again.splits.test.levels, len(again.splits.test)) == (found, 20)


def test_training_in_python_gives_a_run_that_loads_as_it_was(run):
    again = vael.load(run.folder)
    assert again.spec == run.spec
    assert again.history == run.history
    for name, weight in run.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name
    assert not again.model.training
    x = run.split()[1].batch(torch.arange(3))
    assert torch.equal(run.model.encode(x), again.model.encode(x))


def test_training_in_memory_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert vael.train("digits", **SMALL).folder is None
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(StateError, match="did you mean latent"):
        vael.train("digits", latents=3)
    with pytest.raises(StateError, match="run="):
        vael.train(resume=True)
    with pytest.raises(FormatError, match="no such folder"):
        vael.load(tmp_path / "nowhere")


def test_data_that_changed_since_are_refused(run, tmp_path):
    spec = json.loads((run.folder / "run.json").read_text())
    spec["data"]["test"]["fingerprint"] = "0" * 64
    changed = vael.RunSpec.model_validate(spec)
    with pytest.raises(StateError, match="test split is no longer"):
        specs.prepare_again(changed)


def test_a_likelihood_that_does_not_fit_the_data_is_refused():
    with pytest.raises(SupportError, match="binarize"):
        specs.prepare(specs.request("digits", likelihood="bernoulli"))


def test_names_stand_for_objects():
    def built(**asked):
        return specs.prepare(specs.request("digits", **SMALL | asked)).algorithm.objective

    assert built(estimator="closed-form", beta=2.0, warmup=0.1) == ELBO(Beta(2.0, 0.1))
    assert built(estimator="sampled", warmup=0) == SampledELBO()
    assert built(estimator="Importance_Weighted") == ImportanceWeighted()
    assert built(objective="importance_weighted") == ImportanceWeighted()
    assert names.precision("bf16") is torch.bfloat16
    assert names.meant("Kingma_Welling", RECIPES, "recipe") == "kingma-welling"
    with pytest.raises(StateError, match="importance-weighted has no beta"):
        built(estimator="importance-weighted", beta=4.0)
    with pytest.raises(FormatError, match="did you mean dense"):
        names.meant("dens", RECIPES, "recipe")


def test_short_sets_get_enough_epochs_unless_told():
    asked = specs.request("digits", binarize="threshold", compile=False)
    training = specs.prepare(asked).spec.training
    assert training.epochs * -(-1437 // training.batch) >= 2000
    told = specs.prepare(specs.request("digits", binarize="threshold", time_limit=5.0)).spec.training
    assert (told.epochs, told.time_limit) == (None, 5.0)


def test_a_recipe_is_trained_as_it_usually_is_unless_told():
    def asked(**options):
        return specs.prepare(specs.request("digits", compile=False, epochs=1, **options)).spec

    assert asked().algorithm == dense().algorithm
    told = asked(lr=0.01, weight_decay=0, warmup=0, batch=64)
    assert (told.algorithm.optimizer.learning_rate, told.algorithm.optimizer.weight_decay) == (0.01, 0)
    assert (told.algorithm.objective.warmup, told.training.batch) == (0, 64)
    plain = asked(estimator="importance-weighted").algorithm
    assert (plain.objective.name, plain.samples) == ("importance-weighted", 5)
    assert asked(terms="reconstruction").algorithm.objective.warmup == 0  # of what is not weighed
    assert asked(model="lecture").algorithm.optimizer.learning_rate == 1e-3
    assert asked(optimizer="rmsprop").algorithm.optimizer.name == "rmsprop"


def test_few_examples_get_small_batches():
    assert [batch_for(examples) for examples in (3, 320, 1437, 2048, 60_000)] == [16, 16, 64, 128, 128]


def test_a_run_on_pictures_of_sixteen_bits_is_read_again(tmp_path):
    """The likelihood of each pixel given others has a network of its own, whose sizes are no sides of a table of
    65,536 levels.
    """
    x = np.random.default_rng(0).integers(0, 65_536, (12, 3, 8, 8)).astype(np.uint16)
    x[0, 0, 0, 0] = 65_535
    np.save(tmp_path / "x.npy", x)
    likelihood = {"likelihood": "autoregressive-mixture", "compile": False}
    run = vael.train(tmp_path / "x.npy", epochs=1, run=tmp_path / "run", callbacks=(), **likelihood)
    assert vael.load(tmp_path / "run").spec == run.spec
