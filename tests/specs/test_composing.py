"""What is asked for beside the data decides which of the recommended models is composed."""

import numpy as np
import pytest

from vael.specs.asked import request
from vael.specs.preparing import prepare

ONE = {  # what a hierarchy has not, so that the model with one vector of latents is meant
    "latent": 3,
    "hidden": (8,),
    "prior": "mixture",
    "posterior": "gaussian",
    "correlated": False,
    "likelihood": "bernoulli",
    "objective": "importance-weighted",
    "estimator": "sampled",
    "set": {"model.network.hidden": [8]},
}
SEVERAL = {
    "beta": 2.0,
    "terms": "reconstruction",
    "warmup": 0.1,
    "lr": 1e-3,
    "samples": 2,
    "average": 0.0,
    "epochs": 3,
    "optimizer": "adam",
    "set": {"model.ladder.width": 16, "algorithm.objective.beta": 0.5},
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """14,000 grey pictures of 20 × 20: more to train on than levels of latents are recommended from."""
    path = tmp_path_factory.mktemp("pictures") / "many.npy"
    x = np.random.default_rng(0).integers(0, 256, (14, 20, 20), dtype=np.uint8)
    np.save(path, np.tile(x, (1000, 1, 1)))
    return str(path)


def prepared(pictures, **options):
    return prepare(request(pictures, binarize=options.pop("binarize", "dynamic"), **options))


@pytest.mark.parametrize("name", ONE)
def test_what_a_hierarchy_has_not_is_asked_of_one_vector_of_latents(pictures, name):
    found = prepared(pictures, **{name: ONE[name]})
    assert found.spec.recipe == "dense"
    assert not any("levels of" in reason for reason in found.reasons)


@pytest.mark.parametrize("name", SEVERAL)
def test_what_every_model_has_leaves_the_hierarchy(pictures, name):
    found = prepared(pictures, **{name: SEVERAL[name]})
    assert (found.spec.recipe, found.spec.model.name) == ("hierarchical", "hierarchical")


def test_levels_are_for_many_pictures_that_are_drawn_anew(pictures):
    """Sizes that were measured; by its name the recipe has them too, and what is named is taken."""
    own = prepared(pictures)
    assert own.spec.model.ladder.latents == (24, 24)
    assert own.spec.model.ladder.width == 400
    assert any("two levels of 24 latents" in reason for reason in own.reasons)
    assert prepared(pictures, model="hierarchical").spec.model == own.spec.model
    dense = prepared(pictures, model="dense")
    assert (dense.spec.recipe, dense.spec.model.latent) == ("dense", 24)
    assert dense.spec.model.posterior.name == "gaussian-full-covariance"
    assert prepared(pictures, model="vamp").spec.model.network == dense.spec.model.network
    for binarize in ("static", "threshold"):
        assert prepared(pictures, binarize=binarize).spec.model == dense.spec.model
    assert prepared(pictures, test=4000).spec.recipe == "dense"  # too few are left to train on


ASKED = {
    "latent": 3,
    "hidden": (8,),
    "correlated": True,
    "prior": "mixture",
    "set": {"model.network.activation": "relu"},
}


@pytest.mark.parametrize("name", ASKED)
def test_no_reason_is_given_for_a_model_that_is_not_the_recommended_one(name, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 4)))
    usual = prepare(request(tmp_path / "x.npy")).reasons
    asked = prepare(request(tmp_path / "x.npy", **{name: ASKED[name]})).reasons
    [sizes] = [one for one in usual if one.startswith("Network: two dense hidden layers of 32")]
    assert sizes not in asked
    assert usual[0] in asked  # of the likelihood
    [said] = [one for one in asked if "but for what was asked for" in one]
    assert (name if name != "set" else "model.network.activation") in said
