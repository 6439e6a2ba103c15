"""The Fréchet distance of draws by `vael evaluate --frechet`: against its formula, with its floor, by its name."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch

import vael
from vael.applications.generation import samples
from vael.cli import main
from vael.cli import trivial as module
from vael.evaluation import classifier_features, train_classifier

HOW = {"binarize": "threshold", "latent": 8, "hidden": (64,), "batch": 128, "callbacks": (), "compile": False}
PLAIN = {"precision": "float32", "threads": 1, "seed": 0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run after one step or so, and one that is trained."""
    folder = tmp_path_factory.mktemp("likeness")
    vael.train("digits", run=folder / "untrained", epochs=1, average=0, **HOW, **PLAIN)
    vael.train("digits", run=folder / "trained", epochs=20, lr=0.006, average=0, **HOW, **PLAIN)
    return folder


KEPT = []  # the classifier of the digits, which takes seconds to train


def kept_classifier(*given):
    """Trained once for the tests that do not ask whether it is the same every time."""
    if not KEPT:
        source, settings = given
        KEPT.append(train_classifier(source, replace(settings, epochs=min(settings.epochs, 12))))
    return KEPT[0]


def judged(run, capsys, *words):
    assert main(["evaluate", str(run), "--importance-samples", "2", "--frechet", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)["frechet"]


def test_training_brings_draws_nearer_and_real_examples_are_nearest(runs, capsys, monkeypatch):
    monkeypatch.setattr(module, "train_classifier", kept_classifier)
    before, after = (judged(runs / name, capsys) for name in ("untrained", "trained"))
    assert before["squared_distance"] > 1.5 * after["squared_distance"]
    assert after["squared_distance"] > after["floor"] > 0
    assert before["floor"] == after["floor"]  # the same classifier, the same examples
    assert before["classifier_accuracy"] > 0.8
    assert after["draws"] == after["held_out"]


def test_it_is_the_formula_in_the_features_of_the_classifier(runs, capsys, monkeypatch):
    """|m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½) by scipy, of features that are computed again."""
    monkeypatch.setattr(module, "train_classifier", kept_classifier)
    found, run = judged(runs / "trained", capsys), vael.load(runs / "trained")
    test = run.splits().test
    real = test.batch(torch.arange(len(test))).x
    one, two = (classifier_features(KEPT[0], x).double().numpy() for x in (samples(run.model, found["draws"], 0), real))
    first, second = np.cov(one.T), np.cov(two.T)
    root = scipy.linalg.sqrtm(first @ second).real
    exact = np.square(one.mean(0) - two.mean(0)).sum() + np.trace(first + second - 2 * root)
    assert found["squared_distance"] == pytest.approx(exact, rel=1e-3)  # the root of a singular matrix
    assert found["dimensions"] == one.shape[1]
    assert found["examples"] == len(real)


def test_a_person_reads_features_sizes_and_floor_and_no_other_name(runs, capsys, monkeypatch):
    monkeypatch.setattr(module, "train_classifier", kept_classifier)
    assert main(["evaluate", str(runs / "trained"), "--importance-samples", "2", "--frechet"]) == 0
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if "Fréchet" in line)
    for said in ("180 draws", "180 examples", "last hidden layer of a classifier", "trained neither model"):
        assert said in " ".join(shown.split())
    assert "squared distance" in line
    assert "FID" not in shown


@pytest.mark.parametrize("kind", ["labels", "condition"])
def test_what_cannot_be_measured_is_refused(kind, tmp_path, capsys):
    if kind == "labels":
        np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 2, (90, 8, 8)).astype(np.uint8))
        vael.train(tmp_path / "x.npy", run=tmp_path / "run", latent=2, hidden=(8,), epochs=1, callbacks=())
    else:
        vael.train("digits", condition_on="label", run=tmp_path / "run", epochs=1, **HOW)
    assert main(["evaluate", str(tmp_path / "run"), "--frechet", "--importance-samples", "2"]) == 2
    error = capsys.readouterr().err
    assert {"labels": "has no label for each", "condition": "draws at a condition"}[kind] in " ".join(error.split())


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_that_made_the_classifier_or_the_floor_is_refused(split, runs, capsys):
    """Its distance would be no distance of new examples, and the floor of the validation split zero."""
    words = ["--split", split, "--frechet", "--importance-samples", "2"]
    assert main(["evaluate", str(runs / "untrained"), *words]) == 2
    assert "take the test split" in " ".join(capsys.readouterr().err.split())
