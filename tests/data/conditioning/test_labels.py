"""Labels of runs: where they come from, which are given, and a run of them from training to a class for every row."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch

import vael
from vael.cli.main import main
from vael.data.conditioning.labels import words_in
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.specs import prepare, request

ROWS = 240
TINY = {"epochs": 2, "batch": 32, "latent": 2, "hidden": (8,), "threads": 1, "device": "cpu", "callbacks": ()}
SORTS = ("oak", "elm", "yew")


def rows():
    """Three sorts that differ in height and girth; every third sort is unknown, and every seventh girth."""
    noise = np.random.default_rng(4)
    found = []
    for row in range(ROWS):
        sort = int(noise.integers(3))
        height, girth = 10 * sort + noise.random(), 3 - sort + noise.random()
        found.append([f"{height:.2f}", SORTS[sort] if row % 3 else "", f"{girth:.2f}" if row % 7 else ""])
    return found


def written(path, found, names=("height", "sort", "girth")):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([names, *found])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("labels")
    written(place / "trees.csv", rows())
    vael.train(place / "trees.csv", model="semi-supervised", labels="sort", run=place / "trees", **TINY)
    return place


def test_a_column_with_gaps_is_labels_and_no_part_of_x(folder):
    run = vael.load(folder / "trees")
    labelling, splits = run.spec.data.labelling, run.splits()
    assert sorted(labelling.levels) == sorted(SORTS)
    assert splits.train.columns == ("height", "girth") == run.spec.data.columns
    share = float((splits.train.label < 0).double().mean())
    assert 0.2 < share < 0.5
    known = {row[0]: row[1] for row in rows()}
    keys = splits.test.named.rows - 1
    told = [rows()[row][1] for row in keys]
    assert splits.test.label_texts(torch.arange(len(told))) == told
    assert len(known) > 1
    assert run.model.shares.weight.sum() == pytest.approx(1)


def test_its_life_from_evaluation_to_a_class_for_every_row(folder, tmp_path, capsys):
    shutil.copytree(folder / "trees", tmp_path / "run")
    run = str(tmp_path / "run")
    assert main(["evaluate", run, "--importance-samples", "3", "--linear-classifier", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["classification"]["examples"] < told["examples"]
    assert told["elbo"] <= told["log_likelihood"] + 1
    assert 0 <= told["linear_classifier"]["accuracy"] <= 1
    for by in ("classifier", "bound"):
        target = tmp_path / f"{by}.csv"
        assert main(["classify", run, str(folder / "trees.csv"), "--by", by, "-o", str(target)]) == 0
        with open(target) as file:
            found = list(csv.DictReader(file))
        assert len(found) == ROWS
        assert {row["class"] for row in found} <= set(SORTS)
        assert all(sum(float(row[f"p({sort})"]) for sort in SORTS) == pytest.approx(1, abs=1e-5) for row in found)
    assert main(["classify", run, "-o", str(tmp_path / "shares.npy")]) == 0
    assert np.load(tmp_path / "shares.npy").shape[1] == 3
    assert main(["sample", run, "--class", "elm", "-n", "5", "-o", str(tmp_path / "elms.csv")]) == 0
    assert main(["sample", run, "--class", "ash", "-n", "5"]) == 2
    assert "no class 'ash'" in capsys.readouterr().err
    for command in (["encode"], ["score"], ["reconstruct"], ["report", "--importance-samples", "3"]):
        assert main([command[0], run, *command[1:]]) == 0, command
    assert "classes told" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_goes_on_with_its_labels_and_refuses_others(folder, tmp_path):
    shutil.copytree(folder / "trees", tmp_path / "run")
    run = vael.train(run=tmp_path / "run", resume=True, epochs=3, labels="sort", callbacks=())
    assert run.history[-1].epoch == 3
    with pytest.raises(StateError, match="labels is sort in run"):
        vael.train(run=tmp_path / "run", resume=True, labels="girth")


def prepared(data, **options):
    return prepare(
        request(data, model="semi-supervised", **{k: v for k, v in TINY.items() if k != "callbacks"}, **options)
    )


def test_so_many_labels_of_each_class_are_given_to_training_alone():
    few = prepared("digits", labelled=3, seed=1)
    assert few.splits.train.label.clamp(min=-1).ge(0).sum() == 30
    assert few.splits.train.label[few.splits.train.label >= 0].bincount().tolist() == [3] * 10
    assert (few.splits.validation.label >= 0).all()
    assert not torch.equal(few.splits.train.label, prepared("digits", labelled=3, seed=2).splits.train.label)
    assert torch.equal(few.splits.train.label, prepared("digits", labelled=3, seed=1).splits.train.label)
    with pytest.raises(StateError, match="labels of each class were asked for; ask for fewer"):
        prepared("digits", labelled=1000)


@pytest.mark.parametrize("kind", ["npy", "text.npy", "csv"])
def test_labels_in_a_file(kind, tmp_path):
    cells = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    np.save(tmp_path / "cells.npy", cells)
    label = np.array([row % 3 - 1 for row in range(60)])
    path = tmp_path / f"labels.{kind}"
    words = ["" if one < 0 else str(one) for one in label]
    if kind == "csv":
        written(path, [[word] for word in words], ("label",))
    else:
        np.save(path, label if kind == "npy" else np.array(words))
    found = prepared(str(tmp_path / "cells.npy"), labels=str(path))
    train = found.splits.train
    assert found.spec.data.labelling.levels == ("0", "1")
    assert train.label.tolist() == label[train.named.rows - 1].tolist()


def test_what_are_no_labels_is_refused_in_words(folder, tmp_path):
    trees = str(folder / "trees.csv")
    for match, error, options in (
        ("no column 'sorts' of labels; did you mean sort", StateError, {"labels": "sorts"}),
        ("is for a model that learns classes", StateError, {"labels": "sort", "model": "table"}),
        ("has no labels; say where they are", StateError, {"labels": None}),
        ("expected 2 to", StateError, {"labels": "one"}),
    ):
        asked = {"model": "semi-supervised", **options}
        data = written(
            tmp_path / "one.csv",
            [[*row[:2], "1" if number % 2 else ""] for number, row in enumerate(rows())],
            ("height", "sort", "one"),
        )
        with pytest.raises(error, match=match):
            prepare(request(str(data) if options.get("labels") == "one" else trees, **asked))
    np.save(tmp_path / "half.npy", np.array([0.5, 1]))
    np.save(tmp_path / "wide.npy", np.zeros((2, 2)))
    for name in ("half", "wide"):
        with pytest.raises(FormatError, match="label"):
            words_in(tmp_path / f"{name}.npy")
    np.save(tmp_path / "few.npy", np.array([0, 1]))
    with pytest.raises(ShapeError, match="2 labels, but"):
        prepare(request(trees, model="semi-supervised", labels=str(tmp_path / "few.npy")))
    with pytest.raises(StateError, match="leave one of the two out"):
        prepare(request(trees, model="semi-supervised", labels="sort", condition_on="girth"))


def test_a_class_that_training_never_saw_is_refused(folder, tmp_path):
    strange = written(tmp_path / "more.csv", [["1.0", "elm", "2.0"], ["2.0", "ash", "1.0"]])
    with pytest.raises((SupportError, vael.errors.VaelError)):
        list(vael.specs.pieces(vael.load(folder / "trees").spec, str(strange)))
