"""What holds for every run that is conditioned on something: c is obeyed by every part and every network, nothing that
goes with an example loses it, and nothing is done without one.
"""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import vael
from vael.applications import generation
from vael.cli.main import main
from vael.data.conditioning.columns import ColumnsCondition
from vael.errors import StateError, SupportError, VaelError
from vael.evaluation import evaluate
from vael.inference.bound import Bound
from vael.objectives import ELBO
from vael.probability import PerExample
from vael.specs import pieces, prepare, request, table_of
from vael.specs.recipes import RECIPES

TINY = {"epochs": 1, "batch": 32, "latent": 2, "hidden": (8,), "threads": 1, "device": "cpu", "compile": False}
ROWS = 150


def mixed_rows():
    """Weight depends on colour and height; age has gaps."""
    noise = np.random.default_rng(3)
    rows = []
    for _ in range(ROWS):
        colour, height = noise.integers(3), 150 + 40 * noise.random()
        weight = height / 2 + 20 * colour + noise.random()
        rows.append([f"{height:.1f}", ("red", "green", "blue")[colour], f"{weight:.2f}", f"{noise.integers(90)}"])
    for row in rows[::7]:
        row[3] = ""
    return rows


def written(path, rows, names=("height", "colour", "weight", "age")):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("conditions")
    written(place / "mixed.csv", mixed_rows())
    written(place / "plain.csv", [[row[0], row[2]] for row in mixed_rows()], ("height", "weight"))
    cells = np.random.default_rng(1).normal(size=(ROWS, 3)).astype(np.float32)
    np.save(place / "array.npy", cells)
    np.save(place / "beside.npy", cells.sum(1) + 1)
    for name, data, asked in (
        ("label", "digits", "label"),
        ("mixed", place / "mixed.csv", "colour,height"),
        ("plain", place / "plain.csv", "height"),
        ("array", place / "array.npy", str(place / "beside.npy")),
    ):
        vael.train(data, run=place / name, condition_on=asked, callbacks=(), **TINY)
    return place


RUNS = ("label", "mixed", "plain", "array")
NETWORKS = (("dense", {}), ("convolutional", {"channels": (4, 4)}), ("residual", {"channels": (4, 4), "blocks": 1}))


def built(model, options):
    return prepare(request("digits", condition_on="label", model=model, **{**TINY, "hidden": None, **options}))


@pytest.mark.parametrize(("model", "options"), [*NETWORKS, ("linear", {}), ("lecture", {})])
def test_every_network_obeys_the_condition_on_both_sides(model, options):
    prepared = built(model, options)
    source = prepared.splits.train
    batch = source.batch(torch.arange(6))
    other = replace(batch, context=batch.context.roll(1, 1))
    z = torch.zeros(1, 6, prepared.spec.model.latent)
    with torch.no_grad():
        moved = prepared.model.encode(batch) - prepared.model.encode(other)
        means = [prepared.model.decode((z,), one.context).mean for one in (batch, other)]
    assert float(moved.abs().amin(0).max()) > 0
    assert not torch.allclose(*means)


@pytest.mark.parametrize("name", RUNS)
def test_padding_company_and_order_change_nothing(folder, name):
    run = vael.load(folder / name)
    source, bound = run.splits().train, Bound(run.model, ELBO())
    index = torch.arange(8)
    batch = source.batch(index, PerExample(0, index))
    padded = torch.cat((index, index[:1].expand(5)))
    weight = (torch.arange(13) < 8).float()
    filled = replace(source.batch(padded, PerExample(0, padded)), weight=weight)
    with torch.no_grad():
        alone = bound(batch, 0.0, PerExample(4, index))[1]
        among = bound(filled, 0.0, PerExample(4, padded))[1]
        back = bound(source.subset(index.flip(0)).batch(index), 0.0, PerExample(4, index.flip(0)))[1]
    assert torch.allclose(alone, among, rtol=1e-5)
    assert torch.allclose(alone, back, rtol=1e-5)
    found = [
        evaluate(run.model, source.subset(torch.arange(40)), importance_samples=20, batch=size) for size in (7, 40)
    ]
    assert found[0].log_likelihood == pytest.approx(found[1].log_likelihood, abs=1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_finds_its_conditions_again(folder, name):
    run, prepared = vael.load(folder / name), None
    train = run.splits().train
    assert train.context.shape == (len(train), run.model.context)
    assert evaluate(run.model, train, importance_samples=5).conditioned_on == run.spec.data.condition.names
    prepared = prepare(request(run.spec.data.source, condition_on=asked_of(folder, run), **TINY))
    assert prepared.spec.data == run.spec.data
    assert torch.equal(prepared.splits.train.context, train.context)


def asked_of(folder, run):
    condition = run.spec.data.condition
    return str(folder / "beside.npy") if condition.kind == "file" else ",".join(condition.names)


def test_a_changed_array_beside_the_data_is_noticed(folder, tmp_path):
    cells = np.load(folder / "array.npy")
    np.save(tmp_path / "x.npy", cells)
    np.save(tmp_path / "c.npy", cells[:, 0])
    vael.train(tmp_path / "x.npy", run=tmp_path / "run", condition_on=str(tmp_path / "c.npy"), callbacks=(), **TINY)
    np.save(tmp_path / "c.npy", cells[::-1, 0])
    with pytest.raises(StateError, match="no longer what the run was trained on"):
        vael.load(tmp_path / "run").splits()


def test_rows_of_a_file_have_the_condition_that_they_had_in_training(folder):
    for name in ("mixed", "plain"):
        run = vael.load(folder / name)
        condition, train = run.spec.data.condition, run.splits().train
        assert isinstance(condition, ColumnsCondition)
        (piece,) = pieces(run.spec, str(folder / f"{name}.csv"))
        rows = torch.from_numpy(train.named.rows - 1)
        assert torch.equal(piece.source.context[rows], train.context)
        assert torch.equal(piece.source.x[rows].nan_to_num(), train.x.nan_to_num())
        assert not set(condition.names) & set(piece.table.schema.names)
    run = vael.load(folder / "mixed")
    source, table = table_of(run.spec, folder / "mixed.csv")
    assert table.schema.names == source.schema.names == ("weight", "age")


def test_rows_without_a_condition_or_with_an_unknown_one_are_refused(folder, tmp_path):
    run = vael.load(folder / "mixed")
    for column, cell, said in (
        (1, "", "without 'colour'"),
        (1, "gren", "gren"),
        (0, "", r"without 'height' \(row 5\)"),
    ):
        rows = mixed_rows()
        rows[4][column] = cell
        written(tmp_path / "some.csv", rows)
        with pytest.raises(SupportError, match=said):
            list(pieces(run.spec, str(tmp_path / "some.csv")))


def test_an_array_stands_beside_its_own_data_alone(folder, tmp_path):
    run = vael.load(folder / "array")
    (own,) = pieces(run.spec, str(folder / "array.npy"))
    train = run.splits().train
    assert torch.equal(own.source.context[torch.from_numpy(train.named.rows - 1)], train.context)
    np.save(tmp_path / "array.npy", np.load(folder / "array.npy"))
    with pytest.raises(StateError, match="beside its own data"):
        list(pieces(run.spec, str(tmp_path / "array.npy")))


def test_a_model_at_a_condition_is_the_model_given_that_condition(folder):
    run = vael.load(folder / "label")
    c = run.condition(label=7)
    noise = [torch.Generator().manual_seed(5) for _ in range(2)]
    given = run.model.sample(9, generator=noise[0], context=c.expand(9, -1))
    assert torch.equal(run.model.at(c).sample(9, generator=noise[1]), given)
    source = run.splits().train.subset((run.splits().train.label == 7).nonzero()[:5, 0])
    batch = source.batch(torch.arange(5))
    assert torch.allclose(run.model.at(c).encode(replace(batch, context=None)), run.model.encode(batch), atol=1e-6)
    assert not torch.equal(
        generation.samples(run.model.at(run.condition(label=1)), 9), generation.samples(run.model.at(c), 9)
    )


def test_conditions_that_were_learned_matter(folder):
    """Digits after 15 epochs: with the labels of other examples log p(x | c) is lower by far more than its error."""
    run = vael.train("digits", condition_on="label", callbacks=(), **{**TINY, "epochs": 15, "hidden": (64,)})
    source = run.split("validation")[1]
    shuffled = replace(source, context=source.context[torch.arange(len(source)).roll(3)])
    own, other = (evaluate(run.model, one, importance_samples=50) for one in (source, shuffled))
    assert own.log_likelihood > other.log_likelihood + 6 * other.standard_error


def test_a_model_without_a_condition_has_none(folder):
    run = vael.train(folder / "plain.csv", callbacks=(), **TINY)
    assert run.spec.data.condition is None
    with pytest.raises(StateError, match="conditioned on nothing"):
        run.condition(label=1)


@pytest.mark.parametrize(
    ("run", "words", "said"),
    [
        ("label", ["--class", "17"], "no class '17'"),
        ("label", ["--where", "lable=7"], "no condition 'lable'; did you mean label"),
        ("label", ["--where", "label"], "write NAME=VALUE"),
        ("label", ["--temperature", "0.5"], "--temperature needs one condition"),
        ("mixed", ["--where", "colour=red"], "no value was given for height"),
        ("mixed", ["--where", "colour=rde", "--where", "height=160"], "did you mean red"),
        ("mixed", ["--where", "colour=red", "--where", "colour=blue"], "was given before"),
        ("mixed", ["--quality", "page.html"], "--quality knows of no condition"),
        ("mixed", ["--sampler", "mixture"], "--sampler knows of no condition"),
    ],
)
def test_a_condition_that_is_missing_or_unknown_is_refused_on_the_command_line(folder, capsys, run, words, said):
    assert main(["sample", str(folder / run), *words]) == 2
    assert said in capsys.readouterr().err


def test_rows_are_written_with_the_columns_of_their_condition(folder, tmp_path, capsys):
    target = tmp_path / "rows.csv"
    words = ["sample", str(folder / "mixed"), "-n", "20", "-o", str(target)]
    assert main([*words, "--where", "colour=blue", "--where", "height=171.5"]) == 0
    with open(target) as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["height", "colour", "weight", "age"]
    assert {(row["height"], row["colour"]) for row in found} == {("171.5", "blue")}
    assert main(words) == 0
    assert "that of a training row drawn at random" in capsys.readouterr().err
    with open(target) as file:
        drawn = {(row[0], row[1]) for row in csv.reader(file)} - {("height", "colour")}
    assert drawn <= {(row[0], row[1]) for row in mixed_rows()}
    assert len(drawn) > 5


@pytest.mark.parametrize("name", ["mixed", "plain"])
def test_commands_take_the_condition_from_the_data(folder, tmp_path, name):
    data, run = folder / f"{name}.csv", str(folder / name)
    for command in (["encode", run, str(data)], ["score", run, str(data)], ["reconstruct", run, str(data)]):
        assert main([*command, "-o", str(tmp_path / f"{command[0]}.csv")]) == 0
    assert main(["evaluate", run, str(data), "--importance-samples", "5"]) == 0
    if name == "mixed":
        assert main(["impute", run, str(data), "-o", str(tmp_path / "filled.csv")]) == 0
        with open(tmp_path / "filled.csv") as file:
            filled = list(csv.reader(file))[1:]
        assert all(all(row) for row in filled)
        assert [row[:3] for row in filled] == [row[:3] for row in mixed_rows()]


def test_an_evaluation_says_what_it_is_given(folder, capsys):
    assert main(["evaluate", str(folder / "mixed"), "--importance-samples", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["conditioned_on"] == ["height", "colour"]
    assert main(["evaluate", str(folder / "mixed"), "--importance-samples", "5"]) == 0
    assert "log p(x | c)" in capsys.readouterr().out


def test_another_condition_is_refused_on_resuming(folder):
    with pytest.raises(StateError, match="condition-on is"):
        vael.train(run=folder / "label", resume=True, condition_on="colour")


def test_a_run_goes_on_with_its_condition(folder, tmp_path):
    source = folder / "mixed.csv"
    vael.train(source, run=tmp_path / "run", condition_on="height,colour", callbacks=(), **TINY)
    longer = vael.train(run=tmp_path / "run", resume=True, epochs=2, condition_on="colour,height", callbacks=())
    assert longer.history[-1].epoch == 2
    assert longer.splits().train.conditions == ("height", "colour")


def test_a_report_says_what_it_is_given_and_colours_its_map_by_it(folder):
    for name, said in (("label", "label"), ("mixed", "height, colour")):
        assert main(["report", str(folder / name), "--importance-samples", "5"]) == 0
        page = (folder / name / "report.html").read_text()
        assert f"conditioned on {said}" in page
        assert "condition, which the model is given" in page
        assert "which the model never saw" not in page


@pytest.mark.parametrize("model", sorted(RECIPES))
def test_every_recipe_is_conditioned_or_refuses_the_condition_before_training(model):
    how = {"model": model, "threads": 1, "device": "cpu", "compile": False}
    try:
        prepared = prepare(request("digits", condition_on="label", **how))
    except VaelError as refused:
        if "condition" not in str(refused):
            with pytest.raises(type(refused)):
                prepare(request("digits", **how))
        return
    assert prepared.model.context == prepared.splits.train.context.shape[1] == 10


COMMANDS = {  # with data, how each command is asked
    "encode": [],
    "score": [],
    "reconstruct": [],
    "interpolate": [],
    "attribute": ["--give", "1"],
    "inpaint": ["--region", "0:4,0:4"],
    "impute": [],
    "compress": [],
}


@pytest.fixture(scope="module")
def without(folder):
    """The data of each run without what it is conditioned on."""
    np.save(folder / "unlabelled.npy", np.random.default_rng(0).integers(0, 17, (20, 1, 8, 8)).astype(np.uint8))
    written(folder / "uncoloured.csv", [[row[0], row[2], row[3]] for row in mixed_rows()], ("height", "weight", "age"))
    written(folder / "light.csv", [[row[2]] for row in mixed_rows()], ("weight",))
    np.save(folder / "alone.npy", np.zeros((20, 3), np.float32))
    return {"label": "unlabelled.npy", "mixed": "uncoloured.csv", "plain": "light.csv", "array": "alone.npy"}


LACKS = {"label": "label", "mixed": "colour", "plain": "height", "array": "beside its own data"}
SAYS = ("condition", "no images", "no rows", "no probabilities", "no such option", "labels", "no vector")  # or the kind


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", RUNS)
def test_data_without_the_condition_are_refused_by_every_command(folder, without, tmp_path, capsys, name, command):
    target = tmp_path / ("x.vael" if command == "compress" else "x.npy" if command == "inpaint" else "x.csv")
    words = [str(folder / without[name]), *COMMANDS[command], "-o", str(target)]
    assert main([command, str(folder / name), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("vael: ")
    assert "unexpected" not in said
    assert LACKS[name] in said or any(word in said for word in SAYS), said
    assert list(tmp_path.iterdir()) == []
