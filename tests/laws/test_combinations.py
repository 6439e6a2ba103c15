"""A table of parts: whatever fits together trains, is kept, comes back, is judged and reported; and whatever climbs by
gradients goes on after a kill as if nothing had happened, to the last bit.

The quick tests take each part once, beside the usual ones, and report a few; `slow` takes every combination
(but of optimisers, which see gradients only).
"""

import itertools
import os
import signal

import numpy as np
import pytest
import torch

import vael
from vael.evaluation import evaluate
from vael.inference.parts import GradientAscentPart, OptimizerPart
from vael.models.families import LikelihoodPart, PosteriorPart, PriorPart
from vael.networks.parts import NetworkPart
from vael.objectives.parts import ObjectivePart
from vael.parts import members
from vael.specs.composing import CLOSED
from vael.specs.recipes import RECIPES
from vael.training import Callback

USUAL = {
    "prior": "standard-normal",
    "posterior": "gaussian",
    "likelihood": "bernoulli",
    "network": "dense",
    "objective": "elbo",
    "optimizer": "adamw",
}
FAMILY = {
    "prior": PriorPart,
    "posterior": PosteriorPart,
    "likelihood": LikelihoodPart,
    "network": NetworkPart,
    "objective": ObjectivePart,
    "optimizer": OptimizerPart,
}
PARTS = {role: members(family) for role, family in FAMILY.items()}
OF_CLASSES = {"semi-supervised"}  # needs labels; its whole life stands in the tests of the model
KINDS = {role: [kind for kind in parts if ":" not in kind and kind not in OF_CLASSES] for role, parts in PARTS.items()}
# the data that a likelihood is for; any other is for real numbers
DATA = {
    **dict.fromkeys(("bernoulli", "autoregressive-bernoulli", "categorical"), "binary"),
    **dict.fromkeys(
        (
            "discretized-logistic",
            "discretized-logistic-mixture",
            "autoregressive-mixture",
            "coupled-logistic",
            "coupled-logistic-mixture",
            "tabulated-mixture",
            "zero-inflated-poisson",
        ),
        "whole",
    ),
    "columns": "mixed",
    "gaussian-full-covariance": "table",
}
OF_SERIES = {"bernoulli", "discretized-logistic", "gaussian", "gaussian-per-channel"}  # tried on sequences
SMALLER = {
    ("prior", "vamp"): {"model.prior.components": 5},
    ("prior", "flow"): {"model.prior.flow.layers": 2, "model.prior.flow.hidden": (4,)},
    ("prior", "autoregressive"): {"model.prior.components": 2, "model.prior.hidden": (4,)},
    ("posterior", "flow"): {"model.posterior.flow.hidden": (4,), "model.posterior.context": 2},
    ("posterior", "refined"): {"model.posterior.steps": 2, "model.posterior.in_training": True},
    ("network", "convolutional"): {"model.network.channels": (4, 8)},
}
COUNTED = {"bits": "bernoulli", "categories": "categorical"}  # the prior over latents that are no real numbers


def fits(chosen):
    """Whether the table allows a combination."""
    prior, posterior, objective = (PARTS[role][chosen[role]] for role in ("prior", "posterior", "objective"))
    rows = DATA.get(chosen["likelihood"]) in ("mixed", "table")
    return (
        prior.latents == posterior.latents
        and posterior.reparameterized == objective.pathwise
        and (posterior.exact_paths or objective().build().requires <= CLOSED)
        and not (chosen["objective"] == "total-correlation" and chosen["posterior"] == "flow")  # marginals not known
        and not (chosen["objective"] == "reconstruction" and chosen["prior"] != "standard-normal")  # it learns none
        and not (chosen["objective"] == "mean-discrepancy" and chosen["prior"] not in ("standard-normal", "gaussian"))
        and not (prior.conditional and chosen["network"] == "convolutional-1d")
        and not (rows and chosen["network"] == "convolutional")
        and not (chosen["network"] == "convolutional-1d" and chosen["likelihood"] not in OF_SERIES)
        and not (chosen["prior"] == "vamp" and chosen["likelihood"] == "columns")  # its levels are no numbers
    )


def one_of_each():
    """Each part once, with what it needs beside it."""
    for role, kinds in KINDS.items():
        for kind in kinds:
            chosen = USUAL | {role: kind}
            if role == "posterior" and members(PosteriorPart)[kind].latents in COUNTED:
                chosen |= {"prior": COUNTED[members(PosteriorPart)[kind].latents]}
            if role == "prior" and kind in COUNTED.values():
                chosen |= {"posterior": kind}
            if not members(PosteriorPart)[chosen["posterior"]].reparameterized:
                chosen |= {"objective": "score-function"}
            scored = not members(ObjectivePart)[chosen["objective"]].pathwise
            if scored and members(PosteriorPart)[chosen["posterior"]].reparameterized:
                chosen |= {"prior": "bernoulli", "posterior": "bernoulli"}
            yield chosen


SEEN_BY_ALL = ("elbo", "score-function", "total-correlation", "reconstruction")
QUICK = [dict(items) for items in dict.fromkeys(tuple(chosen.items()) for chosen in one_of_each())]
ALL = [
    chosen
    for kinds in itertools.product(*(KINDS | {"optimizer": [USUAL["optimizer"]]}).values())
    if fits(chosen := dict(zip(KINDS, kinds, strict=True)))
    # an objective sees numbers per example, whatever likelihood and network they come from: each with the usual ones
    and (chosen["objective"] in SEEN_BY_ALL or (chosen["likelihood"], chosen["network"]) == ("bernoulli", "dense"))
]
PAGES = [
    chosen
    for chosen in ALL
    if chosen["network"] == "dense" and chosen["objective"] in ("elbo", "score-function", "total-correlation")
]


def said(chosen):
    return "-".join(kind for role, kind in chosen.items() if kind != USUAL[role]) or "usual"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixty examples of each kind."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    np.save(folder / "binary.npy", (rng.random((60, 1, 8, 8)) > 0.5).astype(np.uint8))
    np.save(folder / "whole.npy", rng.integers(0, 12, (60, 1, 8, 8)).astype(np.int32))
    np.save(folder / "real.npy", rng.random((60, 1, 8, 8)).astype(np.float32))
    for kind in ("binary", "whole", "real"):  # the same numbers as sequences of eight steps of two channels
        np.save(folder / f"series-{kind}.npy", np.load(folder / f"{kind}.npy").reshape(60, 8, 8)[..., :2])
    np.save(folder / "table.npy", rng.normal(size=(60, 3)).astype(np.float32))
    np.save(folder / "condition.npy", rng.normal(size=(60, 2)).astype(np.float32))
    rows = [f"{a},{b:.3f}" for a, b in zip(rng.choice(["ash", "oak"], 60), rng.normal(size=60), strict=True)]
    (folder / "mixed.csv").write_text("\n".join(["tree,height", *rows]) + "\n")
    np.savez(folder / "labelled.npz", x=np.load(folder / "real.npy"), y=np.arange(60) % 3)
    return {path.stem: path for path in folder.iterdir()}


def trained(chosen, data, listening=(), **more):
    leaves = {"model.network": chosen["network"]}
    leaves |= {"model.network.hidden": (4,)} if chosen["network"] == "dense" else {}
    leaves |= {name: value for one in chosen.items() for name, value in SMALLER.get(one, {}).items()}
    options = {role: kind for role, kind in chosen.items() if role != "network"}
    how = {"model": "dense", "latent": 2, "epochs": 2, "batch": 64, "precision": "float32", "compile": False}
    kind = DATA.get(chosen["likelihood"], "real")
    if chosen["network"] == "convolutional-1d":
        kind, how = f"series-{kind}", how | {"sequence": True}
    if members(PriorPart)[chosen["prior"]].conditional:
        how |= {"condition_on": str(data["condition"])}
    return vael.train(data[kind], callbacks=listening, set=leaves, **options, **(how | more))


def lives(chosen, data, folder):
    """Two steps, kept, loaded, judged, drawn from."""
    run = trained(chosen, data, run=folder)
    again = vael.load(folder)
    assert again.spec == run.spec
    found = again.model.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in run.model.state_dict().items())
    judged = evaluate(again.model, again.split()[1], importance_samples=4)
    assert np.isfinite(judged.elbo)
    if again.spec.data.condition is None:
        drawn = again.model.sample(3, generator=torch.Generator().manual_seed(0))
        assert drawn.shape == (3, *again.split()[1].event)
    return folder


def reported(folder):
    from vael.cli import main

    assert main(["report", str(folder), "--importance-samples", "4"]) == 0
    assert (folder / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("chosen", QUICK, ids=said)
def test_each_part_has_a_whole_life(chosen, data, tmp_path):
    assert fits(chosen)
    lives(chosen, data, tmp_path / "run")


def test_every_part_is_in_the_table():
    assert all(kind in [chosen[role] for chosen in QUICK] for role, kinds in KINDS.items() for kind in kinds)


def test_a_composition_of_unusual_parts_is_reported(data, tmp_path):
    chosen = USUAL | {"prior": "mixture", "objective": "total-correlation", "likelihood": "zero-inflated-poisson"}
    reported(lives(chosen, data, tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("chosen", ALL, ids=said)
def test_every_combination_has_a_whole_life(chosen, data, tmp_path):
    lives(chosen, data, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("chosen", PAGES, ids=said)
def test_every_combination_of_distributions_is_reported(chosen, data, tmp_path):
    reported(lives(chosen, data, tmp_path / "run"))


UNUSUAL = (
    {"prior": "flow", "posterior": "flow"},
    {"prior": "autoregressive", "posterior": "refined"},
    {"prior": "categorical", "posterior": "gumbel-softmax"},
)

# killed and resumed

# those that take the network of the data are VAEs of parts that stand in the combinations above
COMPOSED = {name: recipe() for name, recipe in RECIPES.items()}
GRADIENT = [
    name for name, one in COMPOSED.items() if isinstance(one.algorithm, GradientAscentPart) and not one.suits_data
]
ROWS = {"full-covariance", "table", "gapped", "linear"}
SERIES = {"state-space", "kalman", "temporal", "td-vae"}
LITTLE = {
    "vq-vae": {"algorithm.second_epochs": 1},
    "vq-vae-2": {"algorithm.second_epochs": 1},
    "stacked": {"algorithm.layer_epochs": 1, "model.features": (16, 4)},
    "residual": {"model.network.channels": (4, 8), "model.network.blocks": 1},
    "convolutional": {"model.network.channels": (4, 8)},
    "hierarchical-hour": {"model.ladder.width": 32},
    "hierarchical-gpu": {"model.ladder.channels": 4, "model.ladder.latents": 2, "model.ladder.repeats": 1},
    "principal": {"model.latent": 4},
    "autoregressive": {"model.network.channels": (4, 8)},
    "autoregressive-binary": {"model.network.hidden": (16,), "model.latent": 3},
}
KINDS_OF = {
    "bernoulli-latents": "binary",
    "autoregressive-binary": "binary",
    "autoregressive": "whole",
    "principal": "whole",
}


class KillOnce(Callback):
    """Ends the process as a terminal would, after the second epoch."""

    def row(self, row) -> None:
        if row.epoch == 2 and row.split == "train":
            os.kill(os.getpid(), signal.SIGTERM)


# What a run keeps to go on is that of its parts, and others have them: vq-vae and hierarchical have those of the first
# four, residual those of convolutional, dense those of the five of one dense network that climb the same bound, and
# contractive the code and the penalties of sparse.
LONG = {"vq-vae-2", "hierarchical-convolutional", "hierarchical-gpu", "hierarchical-hour", "convolutional"}
LONG |= {"table", "linear", "lecture", "kingma-welling", "burda", "sparse"}


@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.slow if one in LONG else ()) for one in GRADIENT])
def test_a_killed_run_goes_on_to_equal_weights(name, data, tmp_path):
    """Model, averages, optimiser, moving parts, second stages: to the last bit, with the same curves."""
    if name in SERIES:
        series = np.random.default_rng(0).normal(size=(60, 6, 2)).astype(np.float32)
        np.save(tmp_path / "series.npy", series)
    usual = "table" if name in ROWS else "real"
    kind = tmp_path / "series.npy" if name in SERIES else data[KINDS_OF.get(name, usual)]
    more = {"sequence": True} if name in SERIES else {}
    if name == "semi-supervised":
        kind, more = data["labelled"], {"labelled": 3}
    how = {"epochs": 4, "batch": 32, "precision": "float32", "compile": False, "set": LITTLE.get(name, {}), **more}
    whole = vael.train(kind, model=name, run=tmp_path / "whole", callbacks=(), **how)
    killed = vael.train(kind, model=name, run=tmp_path / "half", callbacks=(KillOnce(),), **how)
    assert killed.history[-1].epoch < 4
    resumed = vael.train(run=tmp_path / "half", resume=True, callbacks=())
    found = resumed.model.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in whole.model.state_dict().items())
    assert [(r.step, r.split, r.elbo) for r in resumed.history] == [(r.step, r.split, r.elbo) for r in whole.history]


@pytest.mark.parametrize("chosen", UNUSUAL, ids=said)
def test_a_killed_run_of_unusual_distributions_goes_on_to_equal_weights(chosen, data, tmp_path):
    chosen = USUAL | chosen
    whole = trained(chosen, data, run=tmp_path / "whole", epochs=3)
    trained(chosen, data, run=tmp_path / "half", epochs=3, listening=(KillOnce(),))
    resumed = vael.train(run=tmp_path / "half", resume=True, callbacks=())
    found = resumed.model.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in whole.model.state_dict().items())
    assert [(r.step, r.split, r.elbo) for r in resumed.history] == [(r.step, r.split, r.elbo) for r in whole.history]
