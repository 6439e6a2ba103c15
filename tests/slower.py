"""Tests that `make slow` alone runs although `make test` ran them once, and which test of `make test` holds each law
meanwhile.

They stand in `slower.txt`, and not at each test, so that what `make test` leaves out is seen in one place: files; below
each the tests, or some of their members (`*` for any characters, as in names of files); below these, after `=`, the
test that stays. `test_slower.py` holds every line to tests that exist. Tests that were never quick are marked where
they stand.
"""

import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).resolve().parent
OTHERS = "the other members"


class Line(NamedTuple):
    test: str
    members: str
    stays: str  # OTHERS, or file::test


def lines_of(text):
    """From each file its lines."""
    found, waiting, file = {}, [], ""
    for row in text.splitlines():
        words = row.strip()
        if not row.startswith(" "):
            file = words
        elif words.startswith("= "):
            found.setdefault(file, []).extend(Line(*one, words[2:]) for one in waiting)
            waiting = []
        else:
            test, bracket, members = words.partition("[")
            waiting.append((test, members.removesuffix("]") if bracket else "*"))
    assert waiting == [], f"no test is named that holds meanwhile what these say: {waiting}"
    return found


MOVED = lines_of((HERE / "slower.txt").read_text())


def is_moved(file, test, member):
    """Whether `make slow` alone runs this member of a test (an empty text where it has no members)."""
    return any(
        fnmatch.fnmatchcase(test, line.test) and fnmatch.fnmatchcase(member, line.members)
        for line in MOVED.get(file, ())
    )


def place_of(item):
    """File under this folder, test, member."""
    name = item.name.removeprefix(item.originalname)
    return item.path.relative_to(HERE).as_posix(), item.originalname, name[1:-1]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Before `-m` asks for the mark."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.is_relative_to(HERE) and is_moved(*place_of(item)):
            item.add_marker(pytest.mark.slow)
