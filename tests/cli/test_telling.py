"""Lines for a person are cut between words, and only errors and answers are left where nothing else is wanted."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vael.cli import main
from vael.cli.telling import LEAST, wrapped

WORDS = st.lists(st.text("abc-(),.", min_size=1, max_size=LEAST // 2), min_size=1, max_size=40)


@given(
    WORDS,
    st.sampled_from(["", "  - ", "network     ", "vael: ", "  row 12: ", "  log p(x)   -3.1 ± 0.2   "]),
    st.integers(LEAST, 120),
)
def test_no_word_is_cut_and_none_is_lost(words, head, width):
    line = head + " ".join(words)
    lines = wrapped(line, width)
    assert max(map(len, lines)) <= width
    assert " ".join(lines).split() == line.split()


def test_what_follows_stands_below_the_text():
    line = "note        " + "word " * 20
    _, *rest = wrapped(line, 40)
    assert rest
    assert all(part.startswith(" " * 12 + "word") for part in rest)


def test_a_line_in_a_file_stays_whole_and_on_a_narrow_terminal_is_wrapped(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["models"]) == 0
    whole = capsys.readouterr().out
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda stream: True)
    assert main(["models"]) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 60 < max(map(len, whole.splitlines()))
    assert narrow.split() == whole.split()


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_by_both_names(option, capsys):
    assert main([option]) == 0
    assert capsys.readouterr().out.startswith("vael ")


def test_quiet_leaves_errors_and_answers(tmp_path, capsys):
    quick = [
        "--epochs",
        "1",
        "--hidden",
        "8",
        "--latent",
        "2",
        "--precision",
        "float32",
        "--no-compile",
        "--no-report",
        "--importance-samples",
        "2",
    ]
    run = str(tmp_path / "run")
    assert main(["train", "digits", "--run", run, *quick, "--quiet"]) == 0
    assert main(["sample", run, "-q", "-n", "3"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["evaluate", run, "-q", "--importance-samples", "2"]) == 0
    assert "log p(x)" in capsys.readouterr().out
    assert main(["encode", run, "-q", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 180
    assert main(["sample", str(tmp_path / "no"), "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("vael: ")


SAID = (["--help"], ["models"], ["data", "list"], ["train", "--help"], ["nothing"], ["data", "info", "ünbekannt×.csv"])


@pytest.mark.parametrize("words", SAID, ids=" ".join)
@pytest.mark.parametrize("closed", ["stdout", "stderr", "both"])
def test_a_closed_stream_changes_no_exit_status(closed, words, monkeypatch, capsys):
    """As after `>&-` in a shell; what is wrong is not said on the other stream."""
    expected = main(words)
    out = capsys.readouterr().out
    for name in ("stdout", "stderr") if closed == "both" else (closed,):
        monkeypatch.setattr(sys, name, None)
    assert main(words) == expected
    assert (sys.stdout is None, sys.stderr is None) == (closed != "stderr", closed != "stdout")
    assert capsys.readouterr().out == (out if closed == "stderr" else "")


@pytest.mark.parametrize("words", SAID, ids=" ".join)
def test_letters_that_an_encoding_has_not_are_written_as_numbers(words, monkeypatch, capsys):
    """LANG=C, or a console of an older kind: never an error, and nothing changed for the caller."""
    expected = main(words)
    told = capsys.readouterr()
    streams = {name: io.TextIOWrapper(io.BytesIO(), "ascii", newline="\n") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    assert main(words) == expected
    for name, stream in streams.items():
        assert (sys.__dict__[name], stream.errors) == (stream, "strict")
        stream.flush()
        assert stream.buffer.getvalue().decode() == getattr(told, name[3:]).encode("ascii", "backslashreplace").decode()
