"""`vael explore --export` where it cannot be had: one message each, and nothing is written."""

import json

import pytest

from vael.cli import main

pytestmark = pytest.mark.usefixtures("_operators_listed_once")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    small = ["--latent", "2", "--hidden", "16", "--no-compile", "--no-report"]
    small += ["--importance-samples", "2"]
    assert main(["train", "digits", "--epochs", "1", "--run", str(folder), *small]) == 0
    return folder


def refused(capsys, *words):
    """What is said on standard error."""
    capsys.readouterr()
    assert main(["explore", *map(str, words)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return " ".join(said.err.split())


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["--export", "page.txt"], "it must be .html, .htm, not .txt"),
        (["--export", "page"], "not missing"),
        (["--size", "3"], "name the file by --export"),
        (["--without-examples"], "name the file by --export"),
        (["--export", "page.html", "--port", "8000"], "leave one out"),
        (["--export", "page.html", "--size", "0"], "expected a number above 0"),
        (["--export", "page.html", "--size", "many"], "expected a number above 0"),
        (
            ["--export", "page.html", "--size", "0.001"],
            "for the weights alone, and 0.001 MB were given; allow more (--size",
        ),
        (["--export", "run.json/page.html"], "run.json"),
        (["--export", "page.html", "--split", "second"], "train, validation, test"),
    ],
)
def test_what_cannot_be_written_is_refused(run, tmp_path, monkeypatch, capsys, words, about):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    assert about in refused(capsys, run, *words)
    assert [one.name for one in tmp_path.iterdir()] == ["run.json"]


def test_a_part_of_the_run_is_not_written_over(run, capsys):
    said = refused(capsys, run, "--export", run / "checkpoint" / "page.html")
    assert "is a part of the run" in said
    assert not (run / "checkpoint" / "page.html").exists()


def test_a_run_that_is_none_or_damaged_or_still_training_is_refused(run, tmp_path, capsys):
    path = tmp_path / "page.html"
    assert "no such folder" in refused(capsys, tmp_path / "none", "--export", path) or not path.exists()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text(json.dumps({"schema": 2})[:-3])
    assert "run.json" in refused(capsys, tmp_path / "damaged", "--export", path)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run.json").write_bytes((run / "run.json").read_bytes())
    assert "begun" in refused(capsys, tmp_path / "begun", "--export", path)
    assert not path.exists()
