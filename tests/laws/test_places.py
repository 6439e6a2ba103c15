"""No command writes over what it reads: one law over every command with every pair of an input and an output, so
that a new one cannot forget it.
"""

import functools
import importlib
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vael import files
from vael.cli import main
from vael.cli.main import COMMANDS
from vael.cli.options.places import places_of
from vael.data.catalog.named import NAMED
from vael.domains.described import DataSpec, SplitSpec
from vael.errors import StateError
from vael.inference.parts import GradientAscentPart
from vael.models.likelihoods.parts import GaussianPart
from vael.models.parts import VAEPart
from vael.options.declaring import made, options_of
from vael.specs.spec import RunSpec, TrainingSpec, Versions, write_spec

NO_PATHS = set(  # what options take that name no file or folder
    re.split(
        "  ",
        "N  N,N  NxN  N|HxW  H  K  M  P  T  T,T  A  B  B,B  ROW  NAME  CLASS  RATE  SHARE  SECONDS  STEPS  HOW  WHICH  "
        "RECIPE  COLUMN  ADDRESS  USER/NAME  SHELL  MB",
    )
) | {"COLUMN=VALUE", "NAME=VALUE", "LEAF=VALUE", "MODULE", "DECAY", "stop|skip", "list | info", "Y0:Y1,X0:X1"}


RECORDS = {name: COMMANDS[name].record(name) for name in COMMANDS}
OPTIONS = {name: list(options_of(record)) for name, record in RECORDS.items()}
INPUTS = {name: [one.name for one in options if one.option.called] for name, options in OPTIONS.items()}
OUTPUTS = {name: [one.name for one in options if one.option.written] for name, options in OPTIONS.items()}
WRITERS = [(name, output) for name in COMMANDS for output in OUTPUTS[name]]
PAIRS = [(name, given, output) for name, output in WRITERS for given in INPUTS[name] if given != "run"]
FROM_RUNS = [(name, output) for name, output in WRITERS if "run" in INPUTS[name]]


def ending(name, output):
    """One that the command writes."""
    formats = next(one.option.formats for one in OPTIONS[name] if one.name == output)
    return formats[0].endings[0] if formats else ".csv"


def words(name, values):
    """A command line with these values, and with others where something must be given."""
    line, given = [name], dict(values)
    if name == "data":
        given["action"] = "info"
    if name == "impute" and "data" not in given:
        given["data"] = given.get("spare")
    if name == "decompress" and "file" not in given:
        given["file"] = given.get("spare")
    for one in sorted(OPTIONS[name], key=lambda one: not one.option.placed):  # arguments first, in their order
        if one.name in given:
            line += [*([] if one.option.placed else one.names[:1]), str(given[one.name])]
    return line


@pytest.fixture
def called(monkeypatch):
    """Function: whether a command line got as far as the command, and what was said."""

    def run(line):
        seen = []
        module = importlib.import_module(f"vael.cli.{COMMANDS[line[0]].module}")
        with monkeypatch.context() as patch:
            patch.setattr(
                module, line[0], functools.wraps(getattr(module, line[0]))(lambda given: seen.append(given) or 0)
            )
            status = main(line)
        return bool(seen), status

    return run


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, with a run on a table, a run on images, and files of data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "images" / "1.png")
    for name in ("own.csv", "data.csv", "spare.csv"):
        (tmp_path / name).write_text("a\n" + "".join(f"{number % 7}\n" for number in range(30)))
    for name, source in (("run", "own.csv"), ("pictures", "images")):
        part = SplitSpec(examples=1, fingerprint="")
        data = DataSpec(name=name, source=str(tmp_path / source), kind="real", event=(1,), train=part, held_out=part)
        training = TrainingSpec(device="cpu", precision="float32", compiled=False)
        parts = {"model": VAEPart(likelihood=GaussianPart()), "algorithm": GradientAscentPart()}
        how = {"recipe": "dense", "parameters": 0, "training": training}
        write_spec(
            tmp_path / name,
            RunSpec(data=data, **parts, **how, versions=Versions(vael="", torch="", python="")),
        )
    return tmp_path


def refused(called, capsys, line, *said):
    capsys.readouterr()
    assert called([str(word) for word in line]) == (False, 2), line
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for word in said:
        assert word in err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_that_names_a_file_says_whether_it_is_read_or_written(name):
    for one in OPTIONS[name]:
        how = one.option
        undeclared = how.takes is not None and not how.called and not how.written
        assert not (undeclared and (how.read is Path or how.takes not in NO_PATHS)), (
            f"`vael {name}` takes {how.takes} for {one.name}: declare that it is read (called=...) or written, or add "
            "what it takes to NO_PATHS"
        )


def base(name, place):
    """What must be given anyway."""
    return {**({"run": place / "run"} if "run" in INPUTS[name] else {}), "spare": place / "spare.csv"}


@pytest.mark.parametrize(("name", "given", "output"), PAIRS)
def test_no_output_is_an_input_under_any_name(name, given, output, place, called, capsys):
    target = place / "data.csv"
    names = {"itself": target, "relative": Path("data.csv"), "roundabout": place / "run" / ".." / "data.csv"}
    if os.name != "nt":
        os.link(target, place / "second.csv")
        (place / "link.csv").symlink_to(target)
        (place / "linked").symlink_to(place, target_is_directory=True)
        names |= {
            "hard link": place / "second.csv",
            "link": place / "link.csv",
            "through a folder": place / "linked" / "data.csv",
        }
    before = target.read_bytes()
    if output == "run":  # a folder: what is there already is refused by the command itself
        return
    for one in names.values():
        values = {**base(name, place), given: target}
        refused(called, capsys, words(name, {**values, output: one}))
        refused(called, capsys, words(name, {**values, given: one, output: target}))
    assert target.read_bytes() == before
    assert called(
        words(name, {**base(name, place), given: target, output: place / "new" / f"result{ending(name, output)}"})
    ) == (True, 0)


@pytest.mark.parametrize(("name", "output"), FROM_RUNS)
def test_no_output_is_what_a_run_is_made_of_or_was_made_from(name, output, place, called, capsys):
    parts = (
        "run.json",
        "model.safetensors",
        "metrics.jsonl",
        "left-out.json",
        "portable.safetensors",
        "checkpoint/state.safetensors",
    )
    for folder in ("run", "pictures"):  # its own, and another
        for part in parts:
            refused(called, capsys, words(name, {**base(name, place), output: place / folder / part}), "run")
    if name != "export":
        refused(called, capsys, words(name, {**base(name, place), output: place / "own.csv"}), "trained on")
        values = {**base(name, place), "run": place / "pictures"}
        refused(called, capsys, words(name, {**values, output: place / "images" / "1.png"}), "would become a part")
        refused(
            called, capsys, words(name, {**values, output: place / "images" / "deep" / "2.png"}), "would become a part"
        )
    assert called(
        words(name, {**base(name, place), output: place / "run" / "results" / f"x{ending(name, output)}"})
    ) == (True, 0)


@pytest.mark.parametrize(("name", "output"), FROM_RUNS)
def test_what_is_written_where_nothing_was_said_is_no_input_either(name, output, place, called, capsys):
    """`vael score RUN RUN/scores.csv`, `vael reconstruct RUN RUN/reconstructions.csv` ..."""
    readable = set(INPUTS[name]) - {"run", "calibrate"}
    options = made(
        RECORDS[name],
        {**base(name, place), "data": place / "spare.csv" if name == "impute" else None, "file": place / "spare.csv"},
    )
    one = next(one for one in OPTIONS[name] if one.name == output)
    paths = one.option.files(options) if one.option.files else []
    for path in paths if readable and name != "impute" else []:
        path.parent.mkdir(exist_ok=True)
        path.write_text("a\n1\n")
        refused(called, capsys, words(name, {**base(name, place), min(readable): path}), "themselves")


@pytest.mark.parametrize("name", [name for name in COMMANDS if len(OUTPUTS[name]) > 1])
def test_two_outputs_have_two_names(name, place, called, capsys):
    outputs = OUTPUTS[name]
    for one, other in [
        ("o.csv", "o.csv"),
        ("o.csv", place / "run" / ".." / "o.csv"),
        ("o.csv", "O.CSV"),
        ("o.csv", Path("o.csv") / "deep.csv"),
    ]:
        values = {**base(name, place), "data": place / "data.csv", outputs[0]: one, outputs[1]: other}
        refused(
            called,
            capsys,
            words(name, {key: value for key, value in values.items() if key != "data" or "data" in INPUTS[name]}),
            "two",
        )


def test_files_that_are_written_besides_are_outputs_too(place, called, capsys):
    for number in (1, 2):
        (place / f"out-{number}.csv").write_text("a\n1\n")
        refused(
            called, capsys, ["impute", "run", f"out-{number}.csv", "-o", "out.csv", "--multiple", "2"], "themselves"
        )
    refused(
        called,
        capsys,
        ["impute", "run", "data.csv", "-o", "out.csv", "--multiple", "2", "--uncertainty", "out-2.csv"],
        "two",
    )
    assert called(["impute", "run", "out-1.csv", "-o", "out.csv"]) == (True, 0)
    (place / "s-why.png").write_bytes(b"")
    refused(called, capsys, ["score", "pictures", "s-why.png", "-o", "s.csv", "--explain"], "themselves")
    assert called(["score", "pictures", "s-why.png", "-o", "s.csv"]) == (True, 0)
    (place / "x_labels.npy").write_bytes(b"")
    (place / "x.npy").write_bytes(b"")
    refused(called, capsys, ["encode", "run", "x.npy", "-o", "x_labels.npy"], "themselves")
    refused(called, capsys, ["export", "run", "-o", "data.csv"], "no folder")


def test_runs_are_not_put_among_the_pictures_that_they_are_trained_on(place, called, capsys, monkeypatch):
    refused(called, capsys, ["train", "images", "--run", "images/run"], "would become a part")
    refused(called, capsys, ["sweep", "images", "--run", "images/run"], "would become a part")
    assert called(["train", "images", "--run", "images/.run"]) == (True, 0)  # what is hidden is not read
    monkeypatch.chdir(place / "images")
    refused(called, capsys, ["train", "."], "would become a part")
    assert called(["train", ".", "--run", "../trained"]) == (True, 0)


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_run_may_be_called_as_the_named_data_that_it_is_trained_on(command, place, called):
    for name in NAMED:
        assert called([command, name, "--run", name]) == (True, 0)
        assert called([command, name, "--run", str(place / name)]) == (True, 0)
    (place / "digits").write_text("a file hides nothing, and is not written over")
    assert called([command, "digits", "--run", "digits"]) == (False, 2)


def test_what_no_file_can_be_is_said_before_the_work(place, called, capsys):
    (place / "folder.csv").mkdir()
    refused(called, capsys, ["score", "run", "data.csv", "-o", "folder.csv"], "is a folder")
    refused(called, capsys, ["score", "run", "data.csv", "-o", "data.csv/x.csv"], "no folder")
    refused(called, capsys, ["score", "run", "data.csv", "-o", "n" * 300 + ".csv"], "too long")
    assert called(["decompress", "run", "spare.csv", "-o", "new"]) == (True, 0)


def test_a_command_cannot_write_over_its_input_in_another_way_either(place):
    """Whatever a command forgets to say that it writes: the writing itself refuses."""
    from vael.cli.options.places import Places, Read, kept_apart

    with kept_apart(Places((Read(place / "data.csv", "the data"),), ())):
        files.write_bytes(place / "other.csv", b"")
    places = Places(
        (Read(place / "data.csv", "the data"),),
        places_of(RECORDS["score"](run=place / "run")).writes,
    )
    with kept_apart(places), pytest.raises(StateError, match="made from"):
        files.write_bytes(place / "data.csv", b"")


def test_a_schema_that_was_edited_is_not_undone(place, capsys):
    assert main(["data", "info", "data.csv", "--schema", "s.json"]) == 0
    assert main(["data", "info", "data.csv", "--schema", "s.json"]) == 0  # the same again changes nothing
    edited = (place / "s.json").read_text().replace('"count"', '"real"')
    (place / "s.json").write_text(edited + "\n")
    capsys.readouterr()
    assert main(["data", "info", "data.csv", "--schema", "s.json"]) == 2
    assert "already" in capsys.readouterr().err
    assert (place / "s.json").read_text() == edited + "\n"
