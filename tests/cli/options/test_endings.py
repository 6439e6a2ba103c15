"""Endings of files that are written: each says one thing, in any case of letters, and what is not known is refused."""

from pathlib import Path

import pytest

from vael.cli.options.endings import FILMS, OF, ROWS, TABLES, Ending, ending_of, known_ending
from vael.errors import FormatError


def test_every_ending_says_one_thing():
    assert len(OF) == sum(len(form.value) for form in Ending)
    assert set(OF) == {*FILMS, *ROWS, *TABLES, *Ending.PICTURE.value}


@pytest.mark.parametrize(("ending", "form"), OF.items())
def test_capitals_say_the_same(ending, form):
    assert ending_of(Path(f"x{ending}")) is ending_of(Path(f"x{ending.upper()}")) is form


@pytest.mark.parametrize("name", ["x", "x.csv.gz", "x.doc", ".csv"])
def test_other_endings_say_nothing_and_are_refused_by_name(name):
    assert ending_of(Path(name)) is None
    with pytest.raises(FormatError, match=r"\.npy, \.csv, \.parquet"):
        known_ending(Path(name), ROWS)
