"""Every kind of data with every kind of condition and every recipe: a run that lives to its end, or one message before
anything is trained. The table is made of what there is, not written by hand.
"""

import csv
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import vael
from vael.cli.main import main
from vael.data import OnError, blocks
from vael.data.conditioning.conditions import FileCondition
from vael.errors import FormatError, ShapeError, StateError, SupportError, VaelError
from vael.evaluation import evaluate
from vael.specs import pieces, prepare, request
from vael.specs.recipes import RECIPES

ROWS, STEPS = 48, 4
TINY = {"epochs": 1, "threads": 1, "device": "cpu", "compile": False, "precision": "float32"}
CLASS = np.arange(ROWS) % 3
COLOURS = np.array(["red", "green", "blue"])


def cells(shape, levels=None):
    noise = np.random.default_rng(0)
    if levels:
        return noise.integers(0, levels, (ROWS, *shape)).astype(np.uint8)
    return (noise.normal(size=(ROWS, *shape)) + CLASS.reshape(-1, *[1] * len(shape))).astype(np.float32)


def rows_of(names, columns):
    """A writer of a table."""

    def write(path, chosen):
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([names, *zip(*([*map(str, one[chosen])] for one in columns), strict=True)])

    return write


def arrays_of(x, *, labelled):
    """A writer of an array with labels in the same file, or beside it."""

    def write(path, chosen):
        if labelled:
            np.savez(path, x=x[chosen], y=COLOURS[CLASS[chosen]])
        else:
            np.save(path, x[chosen])
            np.save(path.with_name(f"{path.stem}_labels.npy"), CLASS[chosen])

    return write


def series_of(path, chosen):
    """Rows of series one after another, in no order of time."""
    x = cells((STEPS, 2))
    with open(path, "w", newline="") as file:
        rows = [
            [f"s{one}", step, CLASS[one], *x[one, step].tolist()] for one in chosen.tolist() for step in (2, 0, 3, 1)
        ]
        csv.writer(file).writerows([["who", "t", "colour", "a", "b"], *rows])


NUMBERS = cells((3,)).round(2)
KINDS = {  # of data: a name, how they are written, and how they are read
    "pictures": ("p.npz", arrays_of(cells((1, 4, 4), 16), labelled=True), {}),
    "numbers": ("n.npy", arrays_of(NUMBERS, labelled=False), {}),
    "table": ("t.csv", rows_of(("a", "b", "colour"), (*NUMBERS.T[:2], COLOURS[CLASS])), {}),
    "plain table": ("u.csv", rows_of(("a", "b", "colour"), (*NUMBERS.T[:2], NUMBERS[:, 2])), {}),
    "series": ("s.csv", series_of, {"sequence": "t", "id": "who", "window": STEPS}),
    "array of series": ("x.npz", arrays_of(cells((STEPS, 2)), labelled=True), {"sequence": True}),
}
CONDITIONS = ("label", "colour", "file")
LENGTH = {"series": STEPS}  # rows of one example, where there are several
WHOLE = np.arange(ROWS)
SOME = WHOLE[::-1][:30]  # other data: some of the same examples in another order


def beside(kind, chosen):
    """A row of numbers for each row of the data."""
    found = np.stack((CLASS + 1.0, 10.0 * CLASS), 1)[chosen]
    return found.repeat(LENGTH.get(kind, 1), 0).astype(np.float32)


def names_of(kind):
    """What the classes of the examples are called."""
    return CLASS.astype("U") if kind == "numbers" else COLOURS[CLASS]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("everywhere")
    for kind, (name, write, _) in KINDS.items():
        for part, chosen in (("", WHOLE), ("other-", SOME)):
            write(folder / f"{part}{name}", chosen)
            np.save(folder / f"{part}{kind}-c.npy", beside(kind, chosen))
    return folder


def asked(place, kind, condition):
    name, _, how = KINDS[kind]
    on = str(place / f"{kind}-c.npy") if condition == "file" else condition
    return place / name, {**TINY, **how, "condition_on": on}


@pytest.fixture(scope="module")
def trained(place):
    """Each combination as a run, made when it is first asked for; None where it is refused."""

    @cache
    def run(kind, condition):
        data, how = asked(place, kind, condition)
        try:
            return vael.train(data, callbacks=(), **how)
        except VaelError as error:
            return error

    return run


TABLE = [(kind, condition) for kind in KINDS for condition in CONDITIONS]


@pytest.mark.parametrize(("kind", "condition"), TABLE)
def test_a_condition_is_there_for_the_whole_life_of_a_run_or_refused_at_once(kind, condition, place, trained):
    run, other = trained(kind, condition), str(place / f"other-{KINDS[kind][0]}")
    if isinstance(run, VaelError):
        assert "condition" in str(run)
        assert condition != "file"  # an array goes beside all that have rows
        return
    known = run.spec.data.condition
    train = run.splits().train
    assert train.context.shape == (len(train), run.model.context) == (len(train), known.features)
    use = run.beside(place / f"other-{kind}-c.npy") if condition == "file" else run
    source = torch.cat([piece.source.context for piece in pieces(use.spec, other)])
    wanted = {  # what c of the examples is, by their order in the other data
        "file": lambda: known.numbers(torch.from_numpy(np.stack((CLASS + 1.0, 10.0 * CLASS), 1)[SOME])),
        "label": lambda: torch.stack([known.encode({"label": name}) for name in names_of(kind)[SOME]]),
        "colour": lambda: None,
    }[condition]()
    assert len(source) == len(SOME)
    assert wanted is None or torch.equal(source, wanted)
    piece = next(iter(pieces(use.spec, other)))
    judged = evaluate(run.model, piece.source, importance_samples=3)
    assert judged.conditioned_on == known.names
    assert np.isfinite(judged.log_likelihood)
    assert len(use.sample(len(beside(kind, SOME)) if condition == "file" else 5, seed=1).x) >= 5
    first = piece.source.subset(torch.arange(3))
    alone = replace(first, context=None)
    moved = evaluate(run.model.at(first.context[0]), alone, importance_samples=3)
    own = evaluate(run.model, first, importance_samples=3)
    assert moved.log_likelihood_per_example[0] == pytest.approx(float(own.log_likelihood_per_example[0]), rel=1e-5)


QUICK = ("table",)  # with every recipe at each change; the others with all the slow tests
MARKED = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@pytest.mark.parametrize("model", sorted(RECIPES))
@pytest.mark.parametrize("kind", MARKED)
def test_every_recipe_takes_the_condition_or_refuses_it_before_training(kind, model, place):
    """What is refused with a condition and taken without says that the condition is why."""
    data, how = asked(place, kind, "file")
    try:
        prepared = prepare(request(data, model=model, **how))
    except VaelError as refused:
        if "condition" not in str(refused):
            with pytest.raises(VaelError):
                prepare(request(data, model=model, **{**how, "condition_on": None}))
        return
    assert prepared.model.context == 2
    assert prepared.splits.train.context.shape[1] == 2


BAD = {  # arrays that stand beside no data, and what is said of them
    "short": (lambda c: c[:-1], ShapeError, "one row for each row"),
    "long": (lambda c: np.concatenate((c, c)), ShapeError, "one row for each row"),
    "wide": (lambda c: np.concatenate((c, c), 1), ShapeError, "conditioned on 2 numbers"),
    "NaN": (lambda c: np.where(np.arange(len(c))[:, None] == 1, np.nan, c), SupportError, "has to be known"),
    "text": (lambda c: c.astype("U"), FormatError, "array of numbers"),
    "deep": (lambda c: c[None], FormatError, "array of numbers"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("kind", KINDS)
def test_an_array_that_does_not_fit_is_refused_in_training_and_afterwards(kind, name, place, trained, tmp_path):
    change, error, said = BAD[name]
    np.save(tmp_path / "c.npy", change(beside(kind, WHOLE)))
    if name != "wide":  # what is learned from it decides how wide it is
        data, how = asked(place, kind, "file")
        with pytest.raises(error, match=said):
            prepare(request(data, **{**how, "condition_on": str(tmp_path / "c.npy")}))
    np.save(tmp_path / "c.npy", change(beside(kind, SOME)))
    with pytest.raises(error, match=said):
        list(pieces(trained(kind, "file").beside(tmp_path / "c.npy").spec, str(place / f"other-{KINDS[kind][0]}")))


def test_an_array_that_is_not_there_is_refused_with_its_name(place, trained, tmp_path):
    (tmp_path / "folder.npy").mkdir()
    for name, said in (("none.npy", "there is no such file"), ("folder.npy", "is a folder")):
        data, how = asked(place, "table", "file")
        with pytest.raises(FormatError, match=f"{name}.*{said}"):
            prepare(request(data, **{**how, "condition_on": str(tmp_path / name)}))
        with pytest.raises(FormatError, match=f"{name}.*{said}"):
            trained("table", "file").beside(tmp_path / name)


def test_rows_that_are_left_out_take_their_conditions_with_them(place, trained, tmp_path, monkeypatch):
    """By blocks of seven rows, of which some cannot be read: each has the row of the array that stands beside it."""
    monkeypatch.setattr(blocks, "ROWS", 7)
    lines = (place / "t.csv").read_text().split("\n")
    lines[5], lines[20], lines[ROWS] = "x,1,red", "1,x,red", "x,x,red"
    (tmp_path / "t.csv").write_text("\n".join(lines))
    numbers = np.stack((np.arange(ROWS), np.zeros(ROWS)), 1)
    run = trained("table", "file").beside(numbers)
    found = list(pieces(run.spec, str(tmp_path / "t.csv"), on_error=OnError.SKIP))
    rows = np.concatenate([piece.rows for piece in found])
    assert len(found) > 3
    assert len(rows) == ROWS - 3
    wanted = run.spec.data.condition.numbers(torch.from_numpy(numbers[rows - 1]))
    assert torch.equal(torch.cat([piece.source.context for piece in found]), wanted)
    with pytest.raises(ShapeError, match="one row for each row"):
        list(pieces(run.beside(numbers[:-1]).spec, str(tmp_path / "t.csv"), on_error=OnError.SKIP))


def test_rows_in_memory_have_conditions_in_memory(trained):
    run = trained("table", "file").beside(beside("table", WHOLE[:4]))
    columns = {"a": NUMBERS[:4, 0], "b": NUMBERS[:4, 1], "colour": COLOURS[CLASS[:4]]}
    assert len(run.encode({name: list(one) for name, one in columns.items()})) == 4
    with pytest.raises(ShapeError, match="has 3"):
        run.encode({name: list(one[:3]) for name, one in columns.items()})
    with pytest.raises(ShapeError, match="to be drawn"):
        run.sample(5)


def test_an_array_of_conditions_is_for_models_that_have_one(trained, place):
    for kind, condition in (("table", "colour"), ("pictures", "label")):
        with pytest.raises(StateError, match="which data tell themselves"):
            trained(kind, condition).beside(place / "table-c.npy")
    assert isinstance(trained("table", "file").spec.data.condition, FileCondition)


def test_rows_of_a_series_that_differ_are_no_condition_of_it(place, trained, tmp_path):
    c = beside("series", WHOLE)
    c[5] += 1
    np.save(tmp_path / "c.npy", c)
    data, how = asked(place, "series", "file")
    with pytest.raises(SupportError, match="within the series 's1'"):
        prepare(request(data, **{**how, "condition_on": str(tmp_path / "c.npy")}))


def test_commands_take_the_array_by_one_option(place, tmp_path, capsys):
    data, how = asked(place, "table", "file")
    run = vael.train(data, run=tmp_path / "run", validation=10, test=10, callbacks=(), **how)
    other, array = str(place / "other-t.csv"), ["--condition-on", str(place / "other-table-c.npy")]
    for command in ("score", "encode", "impute"):
        target = ["-o", str(tmp_path / f"{command}.csv")]
        assert main([command, str(run.folder), other, *target]) == 2
        assert "--condition-on FILE.npy" in capsys.readouterr().err
        assert main([command, str(run.folder), other, *array, *target]) == 0
    assert main(["sample", str(run.folder), *array, "-o", str(tmp_path / "drawn.csv")]) == 0
    assert len((tmp_path / "drawn.csv").read_text().split()) == len(SOME) + 1
    capsys.readouterr()
    assert main(["encode", str(run.folder), *array, "-o", str(tmp_path / "no.csv")]) == 2
    assert "DATA" in capsys.readouterr().err
    assert main(["sample", str(run.folder), *array, "-n", "3", "-o", str(tmp_path / "no.csv")]) == 2
    assert "30 rows" in capsys.readouterr().err
    assert not (tmp_path / "no.csv").exists()
