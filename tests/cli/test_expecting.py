"""A command that takes long says so beforehand, once, beside its results; one that does not says nothing."""

import json

import pytest

from vael.cli import expecting, main
from vael.cli.expecting import KNOWN, LONG, Expecting


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("vael.cli.expecting.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def lines(capsys):
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err.splitlines()


def test_the_time_of_the_first_rows_says_that_of_all(clock, capsys):
    asked = []
    with Expecting("Filling", lambda: asked.append(1) or 4_000) as time:
        clock.now += KNOWN / 2
        time.add(50)
        assert lines(capsys) == []  # too early to tell
        clock.now += KNOWN / 2 + 4
        time.add(50)
        assert lines(capsys) == ["Filling 4,000 rows will take about 4 min."]  # 6 s for 100 of them
        clock.now += 100
        time.add(1_000)
    assert lines(capsys) == []
    assert asked == [1]


@pytest.mark.parametrize(("total", "seconds", "silent"), [(4_000, 6, True), (100, 6, False), (None, 60, False)])
def test_nothing_is_said_where_it_is_over_soon_or_not_known_or_not_wanted(clock, capsys, total, seconds, silent):
    with Expecting("Filling", lambda: total, silent=silent) as time:
        clock.now += seconds
        time.add(90)
        clock.now += LONG
        time.add(5)
    assert lines(capsys) == []


ROWS = "".join(f"{row % 7}.5,{row % 3},{'ab'[row % 2]}\n" for row in range(60))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expecting")  # training is most of the time of this file
    (folder / "rows.csv").write_text("x,n,k\n" + ROWS)
    (folder / "gaps.csv").write_text("x,n,k\n" + ROWS.replace("0.5,", ","))
    words = ["--epochs", "1", "--no-report", "--importance-samples", "2", "--quiet", "--run", str(folder / "run")]
    assert main(["train", str(folder / "gaps.csv"), *words, "--validation", "20", "--test", "20"]) == 0
    return folder


COMMANDS = {"impute": "Filling", "score": "Scoring", "encode": "Encoding"}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_on_rows_say_how_long_they_take(run, name, capsys, monkeypatch):
    """As if every moment were long: for a file the rows that it has."""
    monkeypatch.setattr(expecting, "KNOWN", -1.0)
    monkeypatch.setattr(expecting, "LONG", 0.0)
    monkeypatch.setattr("vael.applications.gaps.LATENTS_AT_ONCE", 1)  # a block is a row
    monkeypatch.setattr("vael.evaluation.rows.ROWS_AT_ONCE", 16)
    command = [name, str(run / "run"), str(run / "gaps.csv"), "-o", str(run / f"{name}.csv")]
    assert main(command) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "will take about" in line]
    assert len(said) == 1
    assert said[0].startswith(f"{COMMANDS[name]} 60 rows will take about ")
    assert main([*command, "--quiet"]) == 0
    assert "about" not in capsys.readouterr().err
    assert main([*command, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["examples"] == 60
    assert not captured.err
