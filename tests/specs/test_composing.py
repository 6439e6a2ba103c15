"""What is asked for beside the data decides which of the recommended models is composed."""

import numpy as np
import pytest

from vael.specs.asked import request
from vael.specs.preparing import prepare

ASKED_FOR = {  # what leaves the recommended model the one that it is
    "latent": 3,
    "hidden": (8,),
    "prior": "mixture",
    "posterior": "gaussian",
    "correlated": False,
    "objective": "importance-weighted",
    "beta": 2.0,
    "lr": 1e-3,
    "set": {"model.likelihood.width": 8, "model.network.hidden": [8]},
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


@pytest.mark.parametrize("name", ASKED_FOR)
def test_what_is_asked_for_beside_it_leaves_the_recommended_recipe(pictures, name):
    found = prepared(pictures, **{name: ASKED_FOR[name]}).spec
    assert (found.recipe, found.model.likelihood.name) == ("autoregressive-binary", "autoregressive-bernoulli")


def test_pixels_in_turn_are_for_many_pictures_that_are_drawn_anew(pictures):
    """By its name the recipe has the same sizes; every other recipe has those that are recommended without it."""
    own = prepared(pictures)
    assert (own.spec.recipe, own.spec.model.likelihood.name) == ("autoregressive-binary", "autoregressive-bernoulli")
    assert any("given those above and left of it" in reason for reason in own.reasons)
    assert prepared(pictures, model="autoregressive-binary").spec.model == own.spec.model
    dense = prepared(pictures, model="dense")
    assert (dense.spec.recipe, dense.spec.model.latent) == ("dense", 24)
    assert dense.spec.model.posterior.name == "gaussian-full-covariance"
    assert dense.spec.model.network == own.spec.model.network
    assert prepared(pictures, likelihood="bernoulli").spec.model == dense.spec.model
    assert prepared(pictures, model="vamp").spec.model.network == dense.spec.model.network
    assert prepared(pictures, model="vamp").spec.model.likelihood.name == "bernoulli"
    for binarize in ("static", "threshold"):
        assert prepared(pictures, binarize=binarize).spec.model == dense.spec.model
    assert prepared(pictures, test=4000).spec.recipe == "dense"  # too few are left to train on


def test_levels_have_the_sizes_that_were_measured_on_such_pictures(pictures):
    ladder = prepared(pictures, model="hierarchical").spec.model.ladder
    assert (ladder.latents, ladder.width) == ((24, 24), 400)
    assert prepared(pictures, model="hierarchical", binarize="static").spec.model.ladder.width != 400


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
