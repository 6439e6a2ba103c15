"""A command that takes long says so beforehand, once, beside its results; one that does not says nothing."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vael.cli import expecting, main, training
from vael.cli.expecting import KNOWN, LONG, ROWS, Expecting
from vael.counting import reported


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
    with Expecting("Filling", lambda: asked.append(1) or 4_000, nouns=ROWS) as time:
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


TABLE = "".join(f"{row % 7}.5,{row % 3},{'ab'[row % 2]}\n" for row in range(60))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expecting")  # training is most of the time of this file
    (folder / "rows.csv").write_text("x,n,k\n" + TABLE)
    (folder / "gaps.csv").write_text("x,n,k\n" + TABLE.replace("0.5,", ","))
    words = ["--epochs", "1", "--no-report", "--importance-samples", "2", "--quiet", "--run", str(folder / "run")]
    assert main(["train", str(folder / "gaps.csv"), *words, "--validation", "20", "--test", "20"]) == 0
    return folder


def test_what_comes_before_the_first_is_not_in_the_time(clock, capsys):
    """A command that reads and prepares for long says how long its examples take, whose number it is told."""
    with Expecting("Drawing") as time:
        clock.now += 1_000
        for part in reported([range(100), range(1_900)], time.tell):
            clock.now += 0.06 * len(part)
            if len(part) == 100:
                assert lines(capsys) == []
    assert lines(capsys) == ["Drawing 2,000 examples will take about 2 min."]


def test_what_reading_takes_is_shared_out_among_the_rows_of_a_piece(clock, capsys):
    """A piece of 1,000 rows that took 100 s to read, and 10 s for its first hundred rows: 20 s for a hundred."""
    piece = SimpleNamespace(source=range(1_000))

    def pieces():
        for _ in range(4):
            clock.now += 100
            yield piece

    with Expecting("Encoding", lambda: 4_000, nouns=ROWS) as time:
        for _ in time.reading(pieces()):
            for _ in range(10):
                clock.now += 10
                time.add(100)
    assert lines(capsys) == ["Encoding 4,000 rows will take about 13 min."]  # 800 s


LONG_ONES = {
    "impute": ("Filling", ("rows", 60)),
    "score": ("Scoring", ("rows", 60)),
    "encode": ("Encoding", ("rows", 60)),
    "reconstruct": ("Reconstructing", ("examples", 60)),
    "compress": ("Compressing", ("examples", 60)),
    "decompress": ("Decompressing", ("examples", 60)),
    "sample": ("Drawing", ("examples", 60)),
}


@pytest.fixture
def every_moment_is_long(monkeypatch):
    """And a block of examples is a few."""
    monkeypatch.setattr(expecting, "KNOWN", -1.0)
    monkeypatch.setattr(expecting, "LONG", 0.0)
    monkeypatch.setattr("vael.applications.imputation.LATENTS_AT_ONCE", 1)
    monkeypatch.setattr("vael.evaluation.rows.ROWS_AT_ONCE", 16)
    monkeypatch.setattr("vael.applications.generation.AT_ONCE", 16)
    monkeypatch.setattr("vael.compression.archive.MOST_CELLS", 48)


@pytest.fixture(scope="module")
def archive(run):
    """Of several blocks."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("vael.compression.archive.MOST_CELLS", 48)
        assert main(["compress", str(run / "run"), str(run / "gaps.csv"), "-o", str(run / "t.vael")]) == 0
        return run / "t.vael"


@pytest.mark.parametrize("name", LONG_ONES)
def test_commands_say_how_long_they_take(run, archive, name, capsys, every_moment_is_long):
    """As if every moment were long: for a file the rows that it has."""
    what, (noun, count) = LONG_ONES[name]
    given = {"decompress": [str(archive)], "sample": ["-n", "60"]}.get(name, [str(run / "gaps.csv")])
    form = "vael" if name == "compress" else "csv"
    command = [name, str(run / "run"), *given, "-o", str(run / f"{name}.{form}")]
    capsys.readouterr()
    assert main(command) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "will take about" in line]
    assert len(said) == 1
    assert said[0].startswith(f"{what} {count} {noun} will take about ")
    assert main([*command, "--quiet"]) == 0
    assert "about" not in capsys.readouterr().err
    assert main([*command, "--json"]) == 0
    captured = capsys.readouterr()
    assert command[-1] in str(json.loads(captured.out))
    assert not captured.err


def test_a_page_says_how_long_its_scores_take(run, capsys, every_moment_is_long):
    """Those that others are compared with, held-out rows twice, and the examples of the page."""
    command = ["explore", str(run / "run"), "--export", str(run / "page.html")]
    assert main(command) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "will take about" in line]
    assert len(said) == 1
    assert said[0].startswith("Scoring 80 examples will take about ")
    assert main([*command, "--json"]) == 0
    assert not capsys.readouterr().err


def test_forecasts_and_sweeps_say_how_long_they_take(tmp_path, capsys, every_moment_is_long, monkeypatch):
    """Of series and of points."""
    noise = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", noise.normal(size=(30, 8, 1)).cumsum(1))
    words = ["--epochs", "1", "--no-compile", "--importance-samples", "2", "--run"]
    run = str(tmp_path / "run")
    assert main(["train", str(tmp_path / "x.npy"), "--sequence", "--model", "kalman", "--no-report", *words, run]) == 0
    monkeypatch.setattr("vael.applications.sequences.NUMBERS_AT_ONCE", 2**14)
    capsys.readouterr()
    assert main(["forecast", run, str(tmp_path / "x.npy"), "-o", str(tmp_path / "f.npy")]) == 0
    assert "Forecasting 30 series will take about " in capsys.readouterr().err
    np.save(tmp_path / "two.npy", noise.normal(size=(60, 2)))
    monkeypatch.setattr(training, "write", lambda folder, points, title: folder)
    assert main(["sweep", str(tmp_path / "two.npy"), "--betas", "1", *words, str(tmp_path / "all")]) == 0
    assert "Training 3 points will take about " in capsys.readouterr().err
