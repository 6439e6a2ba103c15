"""Lines for a person are cut between words, and only errors and answers are left where nothing else is wanted."""

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
