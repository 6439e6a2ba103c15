"""What is wrong with a series is said in one message that names it, with exit status 2, before anything is trained."""

import math

import numpy as np
import pytest

from vael.cli.main import main


def table(rows=120, **columns):
    """A CSV text of days and two waves, with columns replaced."""
    first = np.datetime64("2021-01-01")
    found = {
        "day": [str(first + t) for t in range(rows)],
        "high": [f"{math.sin(t / 5):.3f}" for t in range(rows)],
        "low": [f"{math.cos(t / 7):.3f}" for t in range(rows)],
    } | columns
    return "\n".join([",".join(found), *(",".join(row) for row in zip(*found.values(), strict=True))]) + "\n"


def twice():
    first = np.datetime64("2021-01-01")
    return table(day=[str(first + min(t, 90)) for t in range(120)])


BAD = {  # text, options, words of the message
    "a time twice": (twice(), (), ("rows 91 and 92", "2021-04-01", "--id")),
    "no such time": (table(), ("--sequence", "date"), ("no column 'date'", "day")),
    "no such id": (table(), ("--id", "name"), ("no column 'name'",)),
    "a channel of text": (table(low=["calm", "storm"] * 60), (), ("'low'", "no numbers")),
    "a time of text": (table(day=[f"the {t}th" for t in range(120)]), (), ("'day'", "neither a date nor a number")),
    "a row without a time": (
        table(day=["", *(str(np.datetime64("2021-01-02") + t) for t in range(119))]),
        (),
        ("row 1",),
    ),
    "a window longer than all series": (table(), ("--window", "200"), ("120 steps", "200")),
    "too few rows": (table(rows=12), (), ("12 steps", "--window")),
    "nothing but the time": ("day\n" + "".join(f"2021-01-{1 + t:02d}\n" for t in range(28)), (), ("no column beside",)),
    "nothing that varies": (table(high=["1"] * 120, low=["2"] * 120), (), ("'day' ever varies", "high", "low")),
    "a window of one step": (table(), ("--window", "1"), ("window",)),
    "a stride of nothing": (table(), ("--stride", "0"), ("stride",)),
    "a channel as its own time": (table(), ("--id", "day"), ("both as the time",)),
}


@pytest.mark.parametrize("what", BAD)
def test_it_is_refused_by_one_message_that_names_it(what, tmp_path, capsys):
    text, options, words = BAD[what]
    path = tmp_path / "series.csv"
    path.write_text(text)
    given = [] if "--sequence" in options else ["--sequence", "day"]
    status = main(["train", str(path), *given, *options, "--run", str(tmp_path / "run"), "--epochs", "1"])
    said = capsys.readouterr().err
    assert status == 2
    assert said.startswith("vael: ")
    assert "Traceback" not in said
    said = " ".join(said.split())
    for word in words:
        assert word in said, said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((5, 4)), "[examples, time, channels]"),
        (np.zeros((5, 1, 2)), "at least two steps"),
        (np.full((20, 6, 1), np.nan), "no element that was seen"),
        (np.full((20, 6, 1), np.inf), "finite numbers"),
        (np.full((20, 6, 1), 2.5), "every element that was seen is 2.5"),
    ],
)
def test_arrays_of_no_sequences_are_refused(x, words, tmp_path, capsys):
    np.save(tmp_path / "x.npy", x)
    assert main(["train", str(tmp_path / "x.npy"), "--sequence", "--run", str(tmp_path / "run")]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


TAKEN = {  # what is no fault, and what is said of it
    "rows in any order": (lambda rows: [rows[0], *rows[:0:-1]], ""),
    "days that are left out": (lambda rows: [rows[0], *rows[1:40], *rows[47:]], "steps of day are not equally long"),
}


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_no_fault_is_taken(what, tmp_path, capsys):
    change, note = TAKEN[what]
    path = tmp_path / "series.csv"
    path.write_text("\n".join(change(table().splitlines())) + "\n")
    options = ["--sequence", "day", "--window", "8", "--epochs", "1", "--importance-samples", "2"]
    assert main(["train", str(path), *options, "--run", str(tmp_path / "run")]) == 0
    assert note in " ".join(capsys.readouterr().out.split())


def test_series_of_several_lengths_and_a_channel_that_never_varies_are_taken(tmp_path, capsys):
    lengths = [30, 5, 18, 44]
    rows = [
        f"{name},{t},{math.sin(t + name):.3f},{t % 3 if t else 0.5},7,north"
        for name, n in enumerate(lengths)
        for t in range(n)
    ]
    path = tmp_path / "series.csv"
    path.write_text("\n".join(["who,t,a,b,same,place", *rows]) + "\n")
    run = tmp_path / "run"
    options = ["--sequence", "t", "--id", "who", "--window", "6", "--epochs", "1", "--importance-samples", "2"]
    assert main(["train", str(path), *options, "--run", str(run)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "left out: same" in said
    assert "left out: place (never varies" in said
    for command in ("encode", "reconstruct", "score", "forecast"):
        target = tmp_path / f"{command}.csv"
        assert main([command, str(run), str(path), "-o", str(target)]) == 0
        lines = target.read_text().splitlines()
        assert len(lines) - 1 == (sum(lengths) if command != "forecast" else len(lengths))
        assert lines[0].split(",")[:2] == (["who", "t"] if command == "forecast" else ["row", "who"])
