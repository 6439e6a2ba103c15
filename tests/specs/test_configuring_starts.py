"""Runs that begin with the weights of a finished run: the same figures before the first step, climbing on other data in
the units of the first, resumed bit for bit, and refused in one message where they do not fit.
"""

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import vael
from vael import specs
from vael.cli import main
from vael.errors import FormatError, StateError, SupportError
from vael.specs.configuring import START
from vael.training import Callback

HOW = {"epochs": 2, "batch": 64, "seed": 5, "compile": False, "callbacks": (), "precision": "float32", "threads": 1}
SMALL = {"binarize": "threshold", "latent": 2, "hidden": (8,), **HOW}
NO_STEP = {"time_limit": 1e-6, "callbacks": ()}
ROWS = 160


def rows():
    """Lines of a table with numbers, levels and gaps."""
    noise = np.random.default_rng(3)
    levels = ["red", "green", "blue"]
    yield "size,weight,colour"
    for row in range(ROWS):
        size = noise.normal(50, 9)
        yield f"{size:.2f},{'' if row % 9 == 0 else f'{2 * size + noise.normal():.1f}'},{levels[int(size) % 3]}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data of several kinds, and other data of the same kinds."""
    folder = tmp_path_factory.mktemp("starting")
    lines = list(rows())
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    (folder / "table-new.csv").write_text("\n".join([lines[0], *reversed(lines[40:])]) + "\n")
    noise = np.random.default_rng(0)
    np.save(folder / "numbers.npy", noise.normal(3, 2, (120, 4)).astype(np.float32))
    np.save(folder / "numbers-new.npy", noise.integers(0, 9, (90, 4)).astype(np.int64))
    np.save(folder / "series.npy", noise.normal(size=(80, 6, 2)).astype(np.float32))
    np.save(folder / "series-new.npy", noise.normal(1, 1, size=(60, 6, 2)).astype(np.float32))
    np.save(folder / "digits-new.npy", 16 - load_digits().images[:600].astype(np.uint8))
    return folder


KINDS = {
    "digits": ("digits", "digits-new.npy", SMALL),
    "conditional": ("digits", "digits", {**SMALL, "condition_on": "label", "validation": 200}),
    "table": ("table.csv", "table-new.csv", {"latent": 2, "hidden": (8,), **HOW}),
    "given columns": ("table.csv", "table-new.csv", {"latent": 2, "hidden": (8,), "condition_on": "colour", **HOW}),
    "numbers": ("numbers.npy", "numbers-new.npy", {"latent": 2, "hidden": (8,), **HOW}),
    "series": ("series.npy", "series-new.npy", {"sequence": True, "latent": 2, **HOW}),
}


def path_of(place, data):
    return str(place / data) if (place / data).exists() else data


@pytest.fixture(scope="module")
def first(place):
    """The first run on a kind of data, trained once."""
    made = {}

    def of(kind):
        if kind not in made:
            data, _, how = KINDS[kind]
            made[kind] = vael.train(path_of(place, data), run=place / f"run-{kind}", **how)
        return made[kind]

    return of


def equal(one, other):
    found = other.model.state_dict()
    return all(torch.equal(weight, found[name]) for name, weight in one.model.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_first_step_weights_and_figures_are_those_of_the_first_run(kind, first, place):
    """On its own data; on others the weights too, so shifts and scales stay those of the first data."""
    run = first(kind)
    again = vael.train(from_=run.folder, **NO_STEP)
    assert equal(run, again)
    judged = [vael.evaluate(one.model, one.split()[1], importance_samples=5) for one in (run, again)]
    assert judged[0].elbo == judged[1].elbo
    other = vael.train(path_of(place, KINDS[kind][1]), from_=run.folder, **NO_STEP)
    assert equal(run, other)
    assert other.spec.model == run.spec.model
    assert other.spec.start.fingerprint == run.spec.data.train.fingerprint
    assert other.spec.start.weights_sha256 == run.spec.weights_sha256
    assert other.spec.start.run == run.folder.name


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_on_other_data_climbs_on_them_and_is_loaded_again(kind, first, place, tmp_path):
    """The bound on validation data of the new kind, at the first weights and after training."""
    run, data = first(kind), path_of(place, KINDS[kind][1])
    before = vael.train(data, from_=run.folder, **NO_STEP)
    vael.train(data, from_=run.folder, run=tmp_path / "new", epochs=12, lr=0.01, average=0, callbacks=())
    after = vael.load(tmp_path / "new")
    assert after.spec.training.epochs == 12
    assert after.history[-1].elbo > before.history[-1].elbo
    assert len(after.splits().train) == after.spec.data.train.examples
    assert after.spec.data.levels == run.spec.data.levels


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_does_not_end_below_the_weights_that_it_began_with(kind, keep, first, tmp_path):
    """Steps so long that they only harm: on its own data the best weights stay those of the first run, their bound on
    the validation split the same to the last bit, as the noise is; the last weights are other ones.
    """
    run = first(kind)
    how = {"epochs": 2, "lr": 30.0, "average": 0, "keep": keep, "callbacks": ()}
    again = vael.train(from_=run.folder, run=tmp_path / "again", **how)
    begun, *others = [row for row in again.history if row.split == "validation"]
    assert (begun.step, begun.epoch) == (0, 0)
    assert begun.elbo == max(row.elbo for row in run.history if row.split == "validation")
    assert max(row.elbo for row in others) < begun.elbo
    assert equal(run, again) == (keep == "best")
    assert equal(again, vael.load(tmp_path / "again"))


def test_what_stayed_best_is_said(first, tmp_path, capsys):
    words = ["--from", str(first("digits").folder), "--run", str(tmp_path / "again"), "--no-report", "--json"]
    assert main(["train", *words, "--epochs", "1", "--lr", "1", "--importance-samples", "2"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["best_step"] == 0
    assert "The weights that the run began with stayed best on the validation split" in " ".join(told.err.split())


def test_the_divergence_is_not_warmed_up_again_unless_asked_for(first):
    """Latents that carry something already would lose it in the first epochs."""
    run = first("digits")
    assert run.spec.algorithm.objective.warmup > 0
    assert vael.train(from_=run.folder, **NO_STEP).spec.algorithm.objective.warmup == 0
    assert vael.train(from_=run.folder, warmup=0.3, **NO_STEP).spec.algorithm.objective.warmup == 0.3


class Stop(Callback):
    """A signal after the validation of an epoch, as a person gives it who presses Ctrl-C."""

    def row(self, row):
        if row.split != "train":
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("killed", ["before a checkpoint", "after a checkpoint"])
def test_a_killed_run_goes_on_to_the_same_weights_without_the_first_run(killed, first, place, tmp_path):
    data, gone = path_of(place, "digits-new.npy"), tmp_path / "gone"
    shutil.copytree(first("digits").folder, gone)
    how = {"from_": gone, "epochs": 4}
    whole = vael.train(data, run=tmp_path / "whole", callbacks=(), **how)
    if killed == "before a checkpoint":
        specs.begin(specs.prepare(specs.request(data, **how)), tmp_path / "cut")
    else:
        vael.train(data, run=tmp_path / "cut", callbacks=(Stop(),), **how)
        assert specs.read_spec(tmp_path / "cut").weights_sha256 != whole.spec.weights_sha256
    shutil.rmtree(gone)
    cut = vael.train(run=tmp_path / "cut", resume=True, callbacks=())
    assert equal(whole, cut)
    assert not equal(first("digits"), cut)
    assert cut.spec.start == whole.spec.start


def test_a_run_that_began_with_weights_is_repeated_from_its_folder(first, tmp_path):
    run = vael.train(from_=first("digits").folder, run=tmp_path / "second", callbacks=())
    assert equal(run, vael.train(config=run.folder, callbacks=()))
    with pytest.raises(StateError, match="began with the weights of run-digits, in the units of its data"):
        vael.train("mnist", config=run.folder, callbacks=())
    start = tmp_path / "second" / START
    start.write_bytes(start.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(FormatError, match="sha256 differs"):
        vael.train(config=run.folder, callbacks=())
    start.unlink()
    with pytest.raises(StateError, match=r"start\.safetensors does not lie beside it"):
        vael.train(config=run.folder, callbacks=())


REFUSED = {
    "shape": (["shape.npy"], "(1, 8, 7), but the run was trained on (1, 8, 8)"),
    "levels": (["levels.npy"], "stored as 0 to 16"),
    "model": (["--latent", "3"], "latent (--latent) changes the model"),
    "recipe": (["--model", "dense"], "model (--model) changes the model"),
    "posterior": (["--correlated"], "correlated (--correlated) changes the model"),
    "leaf": (["--set", "model.latent=4"], "model.latent (--set) changes the model"),
    "reading": (["--binarize", "static"], "binarize (--binarize) says how data are read"),
    "split": (["--test", "30"], "would train on what judged it"),
    "two": (["--config", "{run}"], "were both given"),
    "objective": (["--objective", "score-function"], "would count twice"),
    "slip": (["--set", "training.epoch=3"], "did you mean epochs"),
    "missing": (["nowhere.npy"], "nowhere.npy"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_before_anything_is_made(name, first, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    np.save("shape.npy", noise.integers(0, 17, (50, 8, 7)).astype(np.uint8))
    np.save("levels.npy", noise.integers(0, 200, (50, 8, 8)).astype(np.uint8))
    run = first("digits").folder
    words, says = REFUSED[name]
    words = [word.format(run=run) for word in words]
    assert main(["train", *words, "--from", str(run), "--run", "new", "--no-report"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert says in error
    assert "Traceback" not in error
    assert not (tmp_path / "new").exists()


def test_a_level_that_the_run_does_not_know_is_refused(first, place, tmp_path):
    lines = list(rows())
    (tmp_path / "pink.csv").write_text("\n".join([*lines, "50.1,100.2,pink"]) + "\n")
    with pytest.raises(SupportError, match="'pink' is no level that was seen in training"):
        vael.train(tmp_path / "pink.csv", from_=first("table").folder, run=tmp_path / "new", callbacks=())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("what", ["more values", "gaps"])
def test_cells_that_the_data_of_the_run_did_not_have_are_refused(what, tmp_path):
    """Whole numbers in a run on zeros and ones, and gaps in a run on a table without."""
    noise, how = np.random.default_rng(0), {"latent": 2, "hidden": (4,), "epochs": 1, "callbacks": ()}
    if what == "gaps":
        lines = [line for line in rows() if ",," not in line]
        (tmp_path / "old.csv").write_text("\n".join(lines) + "\n")
        (tmp_path / "new.csv").write_text("\n".join([*lines, "50.00,,red"]) + "\n")
        ending, says = "csv", "some of them missing"
    else:
        np.save(tmp_path / "old.npy", noise.integers(0, 2, (90, 8, 8)).astype(np.uint8))
        np.save(tmp_path / "new.npy", noise.integers(0, 9, (90, 8, 8)).astype(np.uint8))
        ending, says = "npy", "holds integer cells of 9 levels, but the run was trained on binary cells"
    vael.train(tmp_path / f"old.{ending}", run=tmp_path / "run", **how)
    with pytest.raises(SupportError, match=says):
        vael.train(tmp_path / f"new.{ending}", from_=tmp_path / "run", run=tmp_path / "no", callbacks=())
    assert not (tmp_path / "no").exists()


def test_runs_without_weights_to_begin_with_are_refused(first, place, tmp_path):
    """One that is not finished, one that begins from the data, a folder that is none, one that is resumed."""
    run = first("digits").folder
    open_one = shutil.copytree(run, tmp_path / "open")
    spec = json.loads((open_one / "run.json").read_text())
    (open_one / "run.json").write_text(json.dumps({**spec, "weights_sha256": None}))
    with pytest.raises(StateError, match="has not ended yet"):
        vael.train(from_=open_one)
    how = {name: HOW[name] for name in ("epochs", "callbacks")}
    vael.train(place / "numbers.npy", model="gaussian-mixture", components=2, run=tmp_path / "mixture", **how)
    with pytest.raises(StateError, match="finds where to begin from the data"):
        vael.train(from_=tmp_path / "mixture")
    with pytest.raises(FormatError, match="no such folder; give the folder"):
        vael.train(from_=tmp_path / "nowhere")
    with pytest.raises(StateError, match="resume without others"):
        vael.train(run=run, resume=True, from_=run)


def test_rows_in_memory_and_the_rows_left_out_begin_with_the_weights_too(first, place, tmp_path):
    """Rows are kept in the new folder; where a share is left out, both trainings begin with the weights."""
    run = first("table")
    frame = [dict(zip(("size", "weight", "colour"), line.split(","), strict=True)) for line in list(rows())[30:]]
    frame = [{**row, "size": float(row["size"]), "weight": float(row["weight"] or "nan")} for row in frame]
    again = vael.train(frame, from_=run.folder, run=tmp_path / "new", **NO_STEP)
    assert equal(run, again)
    assert vael.load(tmp_path / "new").splits().train.schema == run.splits().train.schema
    strange = {**KINDS["numbers"][2], "contamination": 0.1}
    vael.train(place / "numbers.npy", run=tmp_path / "strange", **strange)
    assert equal(vael.load(tmp_path / "strange"), vael.train(from_=tmp_path / "strange", **NO_STEP))
