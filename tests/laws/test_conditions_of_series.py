"""What holds for runs on sequences that are conditioned on something: one value for each series, obeyed by every model
that takes it, there in every command, and refused where it is missing, unknown or not one for a whole series.
"""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

import vael
from vael.cli.main import main
from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.evaluation import evaluate
from vael.inference.bound import Bound
from vael.objectives import ELBO
from vael.probability import PerExample
from vael.specs import prepare, request

SMALL = {"latent": 2, "epochs": 1, "threads": 1, "precision": "float32", "device": "cpu", "compile": False}
STEPS, SERIES = 8, 24


def lines():
    """Waves and ramps, of which the second channel is as large as `size` says; some elements were not seen."""
    noise = np.random.default_rng(0)
    yield "who,day,shape,size,a,b"
    for one in range(SERIES):
        shape, size, shift = ("wave", "ramp")[one % 2], 10 + one % 5, noise.uniform(0, 6)
        for day in range(STEPS):
            a = np.sin(day + shift) if shape == "wave" else (day + shift) % 3
            seen = "" if (one + day) % 9 == 0 else f"{a + noise.normal(0, 0.1):.3f}"
            yield f"p{one},{day},{shape},{size},{seen},{a * size + noise.normal(0, 0.1):.3f}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series-conditions")
    (folder / "s.csv").write_text("\n".join(lines()) + "\n")
    cells = np.array([line.split(",")[4:] for line in list(lines())[1:]])
    x = np.where(cells == "", "nan", cells).astype(np.float32).reshape(SERIES, STEPS, 2)
    np.save(folder / "s.npy", x)
    np.save(folder / "other.npy", x[::-1])
    label = np.array(["wave", "ramp"])[np.arange(SERIES) % 2]
    np.savez(folder / "labelled.npz", x=x, y=label)
    np.save(folder / "named.npy", x)
    np.save(folder / "named_labels.npy", label)
    np.save(folder / "c.npy", np.array([(one % 2, 10 + one % 5) for one in range(SERIES)], np.float32))
    return folder


HOW = {
    "columns": ("s.csv", {"sequence": "day", "id": "who", "window": STEPS, "condition_on": "shape,size"}),
    "file": ("s.npy", {"sequence": True, "window": 4, "condition_on": "c.npy"}),
    "labels": ("labelled.npz", {"sequence": True, "window": 4, "condition_on": "label"}),
}


def how_of(place, name):
    data, how = HOW[name]
    asked = str(place / "c.npy") if name == "file" else how["condition_on"]
    return place / data, {**SMALL, **how, "condition_on": asked}


@pytest.fixture(scope="module")
def runs(place):
    made = {}
    for name in HOW:
        data, how = how_of(place, name)
        made[name] = vael.train(data, run=place / name, callbacks=(), **how)
    return made


@pytest.mark.parametrize("name", HOW)
def test_every_window_has_the_condition_of_its_series(name, runs, place):
    run = runs[name]
    train, condition = run.splits().train, run.spec.data.condition
    assert train.conditions == condition.names
    series = [int(one) for one in train.named.rows]
    series = [(row - 1) // STEPS for row in series] if name == "columns" else [row - 1 for row in series]
    for number, c in list(zip(series, train.context, strict=True))[::5]:
        values = (number % 2 if name == "file" else ("wave", "ramp")[number % 2], 10 + number % 5)
        assert torch.equal(c, run.condition(dict(zip(condition.names, values, strict=False))))
    again = prepare(request(*how_of(place, name)[:1], **how_of(place, name)[1]))
    assert again.spec.data == run.spec.data


@pytest.mark.parametrize("model", ["kalman", "state-space", "temporal"])
def test_every_model_of_series_obeys_the_condition_on_both_sides(model, place):
    data, how = how_of(place, "columns")
    prepared = prepare(request(data, model=model, **how))
    made, batch = prepared.model, prepared.splits.train.batch(torch.arange(6))
    with torch.no_grad():  # networks that begin at 0 say nothing of c yet
        for weights in made.parameters():
            weights.add_(0.1 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(1)))
        other = replace(batch, context=batch.context.roll(1, 1))
        noise = [torch.Generator().manual_seed(0) for _ in range(2)]
        own, moved = (made(one, generator=seed) for one, seed in zip((batch, other), noise, strict=True))
        assert not torch.allclose(own.latent[-1], moved.latent[-1])
        means = [made.decode(own.latent, one.context).mean for one in (batch, other)]
        assert not torch.allclose(*means)
        c = batch.context[0]
        noise = [torch.Generator().manual_seed(5) for _ in range(2)]
        given = made.sample(5, generator=noise[0], context=c.expand(5, -1))
        assert torch.equal(made.at(c).sample(5, generator=noise[1]), given)
        same = replace(batch, context=c.expand(6, -1))
        terms = [
            one(part, generator=torch.Generator().manual_seed(2))
            for one, part in ((made, same), (made.at(c), replace(batch, context=None)))
        ]
        assert torch.allclose(terms[0].log_likelihood, terms[1].log_likelihood, atol=1e-5)


@pytest.mark.parametrize("name", HOW)
def test_padding_and_company_change_nothing(name, runs):
    run = runs[name]
    source, bound, index = run.splits().train, Bound(run.model, ELBO()), torch.arange(6)
    padded = torch.cat((index, index[:1].expand(3)))
    filled = replace(source.batch(padded), weight=(torch.arange(9) < 6).float())
    with torch.no_grad():
        alone = bound(source.batch(index), 0.0, PerExample(4, index))[1]
        among = bound(filled, 0.0, PerExample(4, padded))[1]
    assert torch.allclose(alone, among, rtol=1e-5)
    found = [evaluate(run.model, source, importance_samples=10, batch=size).log_likelihood for size in (5, 40)]
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def test_commands_take_the_condition_from_the_data_and_write_it(runs, place, tmp_path, capsys):
    run, data = str(runs["columns"].folder), str(place / "s.csv")
    for command in ("score", "encode", "reconstruct", "impute", "forecast"):
        assert main([command, run, data, "-o", str(tmp_path / f"{command}.csv")]) == 0
    assert main(["evaluate", run, data, "--importance-samples", "5"]) == 0
    assert "log p(x | c)" in capsys.readouterr().out
    assert main(["report", run, "--importance-samples", "5"]) == 0
    assert "conditioned on shape, size" in (runs["columns"].folder / "report.html").read_text()
    with open(tmp_path / "impute.csv") as file:
        filled = list(csv.reader(file))
    assert all(all(row) for row in filled)
    assert [row[:4] for row in filled] == [line.split(",")[:4] for line in lines()]


def test_windows_are_drawn_at_a_condition_and_written_with_it(runs, tmp_path, capsys):
    target, run = tmp_path / "drawn.csv", str(runs["columns"].folder)
    words = ["sample", run, "-n", "3", "-o", str(target)]
    assert main([*words, "--where", "shape=ramp", "--where", "size=12"]) == 0
    with open(target) as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["sample", "step", "shape", "size", "a", "b"]
    assert {(row["shape"], row["size"]) for row in found} == {("ramp", "12")}
    assert main(words) == 0
    assert "that of a training row drawn at random" in capsys.readouterr().err
    for where, said in (("shape=rmp", "did you mean ramp"), ("shape=ramp", "no value was given for size")):
        assert main([*words, "--where", where, *(["--where", "size=12"] if "rmp" in where else [])]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    again = runs["columns"].sample(3, where={"shape": "ramp", "size": 12})
    assert again.x.shape == (3, STEPS, 2)


def test_series_with_labels_go_through_every_command(runs, place, tmp_path, capsys):
    run, data = str(runs["labels"].folder), str(place / "labelled.npz")
    for command in ("score", "encode", "reconstruct", "forecast"):
        assert main([command, run, data, "-o", str(tmp_path / f"{command}.csv")]) == 0
    assert main(["impute", run, data, "-o", str(tmp_path / "filled.npy")]) == 0
    x, filled = np.load(place / "s.npy"), np.load(tmp_path / "filled.npy")
    assert np.array_equal(filled[~np.isnan(x)], x[~np.isnan(x)])
    assert not np.isnan(filled).any()
    assert main(["evaluate", run, str(place / "named.npy"), "--importance-samples", "5"]) == 0
    assert "log p(x | c)" in capsys.readouterr().out
    assert main(["report", run, "--importance-samples", "5"]) == 0
    assert "conditioned on label" in (runs["labels"].folder / "report.html").read_text()
    words = ["sample", run, "-n", "3", "-o", str(tmp_path / "drawn.npy")]
    assert main([*words, "--class", "ramp"]) == 0
    ramps = np.load(tmp_path / "drawn.npy")
    assert main([*words, "--where", "label=ramp"]) == 0
    assert np.array_equal(np.load(tmp_path / "drawn.npy"), ramps)
    assert main([*words, "--class", "rmp"]) == 2
    assert "did you mean ramp" in capsys.readouterr().err
    assert main(["score", run, str(place / "s.npy"), "-o", str(tmp_path / "none.csv")]) == 2
    assert "no labels" in capsys.readouterr().err
    assert main([*words[:1], str(runs["columns"].folder), *words[2:], "--class", "ramp"]) == 2


def test_windows_of_a_class_are_those_of_the_model_at_it(runs):
    """log p(x | c) of windows with their labels, and of the model at a class for the windows that have it."""
    run, source = runs["labels"], runs["labels"].splits().train
    chosen = (source.label == 1).nonzero()[:, 0]
    given = evaluate(run.model, source.subset(chosen), importance_samples=20)
    alone = replace(source.subset(chosen), context=None)
    held = evaluate(run.model.at(run.condition(label="wave")), alone, importance_samples=20)
    assert held.log_likelihood == pytest.approx(given.log_likelihood, rel=1e-6)
    other = evaluate(run.model.at(run.condition(label="ramp")), alone, importance_samples=20)
    assert other.log_likelihood != pytest.approx(given.log_likelihood, rel=1e-6)


BAD_LABELS = {
    "too few": (np.arange(SERIES - 1), "one label for each example"),
    "no numbers": (np.full(SERIES, np.nan), "whole numbers or words"),
    "for each step": (np.zeros((SERIES, STEPS), int), "one label for each example"),
    "unknown": (np.full(SERIES, -1), "no labels"),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_labels_that_do_not_fit_their_series_are_refused(name, place, tmp_path):
    label, said = BAD_LABELS[name]
    np.savez(tmp_path / "x.npz", x=np.load(place / "s.npy"), y=label)
    with pytest.raises((StateError, ShapeError, FormatError, SupportError), match=said):
        prepare(request(tmp_path / "x.npz", sequence=True, condition_on="label", **SMALL))


def test_a_class_that_training_never_saw_is_refused(runs, place, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.load(place / "s.npy"), y=np.full(SERIES, "wavy"))
    with pytest.raises(SupportError, match="did you mean wave"):
        runs["labels"].use.future(tmp_path / "x.npz", 2)


def test_an_array_beside_series_is_known_of_their_own_data_alone(runs, place, tmp_path, capsys):
    run = str(runs["file"].folder)
    assert main(["score", run, str(place / "s.npy"), "-o", str(tmp_path / "x.csv")]) == 0
    assert main(["score", run, str(place / "other.npy"), "-o", str(tmp_path / "y.csv")]) == 2
    assert "beside its own data" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "y.csv").exists()


CHANGED = {
    "no column": (lambda text: "\n".join(",".join(np.delete(one.split(","), 2)) for one in text.split()), "'shape'"),
    "unknown": (lambda text: text.replace("wave", "wavy"), "wavy"),
    "missing": (lambda text: text.replace(",ramp,", ",,"), "without 'shape'"),
    "changes": (lambda text: text.replace("p0,3,wave", "p0,3,ramp"), "within the series 'p0'"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_series_without_their_condition_are_refused(name, runs, place, tmp_path):
    change, said = CHANGED[name]
    (tmp_path / "new.csv").write_text(change((place / "s.csv").read_text()) + "\n")
    with pytest.raises((ShapeError, SupportError, StateError), match=said):
        runs["columns"].use.future(tmp_path / "new.csv", 2)
    assert main(["score", str(runs["columns"].folder), str(tmp_path / "new.csv"), "-o", str(tmp_path / "x.csv")]) == 2
    assert not (tmp_path / "x.csv").exists()


REFUSED = {
    "misspelt": ("columns", {"condition_on": "shap"}, "did you mean 'shape'"),
    "id": ("columns", {"condition_on": "who"}, "the name of a series"),
    "time": ("columns", {"condition_on": "day"}, "the time"),
    "one series": ("columns", {"id": None, "condition_on": "shape"}, "all rows are one series"),
    "labels of an array": ("file", {"condition_on": "label"}, "has no labels"),
    "columns of an array": ("file", {"condition_on": "lable"}, "did you mean label"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_condition_that_series_cannot_have_is_refused_before_training(name, place):
    kind, changes, said = REFUSED[name]
    data, how = how_of(place, kind)
    with pytest.raises((StateError, ShapeError, SupportError), match=said):
        prepare(request(data, **{**how, **changes}))


def test_a_run_goes_on_with_its_condition_and_with_no_other(runs, place, tmp_path):
    data, how = how_of(place, "columns")
    vael.train(data, run=tmp_path / "run", callbacks=(), **how)
    longer = vael.train(run=tmp_path / "run", resume=True, epochs=2, condition_on="size,shape", callbacks=())
    assert longer.history[-1].epoch == 2
    with pytest.raises(StateError, match="condition-on is"):
        vael.train(run=tmp_path / "run", resume=True, condition_on="size")
    begun = vael.train(data, from_=tmp_path / "run", epochs=1, callbacks=())
    assert begun.spec.data.condition == longer.spec.data.condition
