"""Whether the first line of a table as text holds names, told by what stands below it."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from vael.errors import ShapeError

MISSING = frozenset({"", "na", "nan", "n/a", "null", "none", "?", "-nan", "#n/a", "<na>", "nat"})
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?$|[+-]?inf(inity)?$", re.IGNORECASE)


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing."""
    return cell.strip().lower() in MISSING


def is_number(cell: str) -> bool:
    """Whether a cell is a number as programs write it."""
    return NUMBER.match(cell.strip()) is not None


def has_names(rows: list[list[str]]) -> bool:
    """Whether the first line holds names: it has no number where the lines below have only numbers, or its words do not
    come again below.

    Of a line with numbers among its cells more must be words above numbers than numbers above numbers.
    """
    top, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not any(cell.strip() for cell in top):
        return False
    if any(is_number(cell) for cell in top) and not numbered(top, below):
        above = [cell for cell, column in zip(top, zip(*below, strict=True), strict=False) if of_numbers(column)]
        return sum(not is_number(cell) and not is_missing(cell) for cell in above) > sum(
            is_number(cell) for cell in above
        )
    if not below:
        return all(not is_missing(cell) for cell in top)
    columns = list(zip(*below, strict=True))
    if any(all(is_number(cell) or is_missing(cell) for cell in column) for column in columns):
        return True
    return not any(
        cell.strip() in {value.strip() for value in column} for cell, column in zip(top, columns, strict=True)
    )


def names_in_quotes(rows: list[list[str]]) -> bool:
    """Whether the first line is all in quotes, as programs write names, above a column of numbers that are not: the
    numbers of the first line are names then too. `rows` are the cells as they are written.
    """
    top, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    bare = [of_numbers(column) for column in zip(*below, strict=True)]
    return any(bare) and all(cell.lstrip().startswith('"') for cell in top) and any(cell.strip('" ') for cell in top)


def of_numbers(cells: Sequence[str]) -> bool:
    """Whether some cells are numbers, but for missing ones."""
    return all(is_number(cell) or is_missing(cell) for cell in cells) and any(is_number(cell) for cell in cells)


def numbered(top: list[str], below: list[list[str]]) -> bool:
    """Whether the numbers of the first line are names: years in steps, or columns counted from 0 or 1 as programs
    do where there are no names.
    """
    places = [place for place, cell in enumerate(top) if cell.strip().isdecimal()]
    if sum(is_number(cell) for cell in top) != len(places) or not below:
        return False
    values = [int(top[place]) for place in places]
    words = [(place, cell.strip()) for place, cell in enumerate(top) if cell.strip() and place not in places]
    if any(cell in {row[place].strip() for row in below} for place, cell in words):
        return False
    if places == list(range(1, len(top))) and values == list(range(len(values))) and indexed(top[0], below):
        return True
    steps = {second - first for first, second in itertools.pairwise(values)}
    if all(1800 <= value <= 2100 for value in values):
        years = [
            cell
            for row in below
            for cell in (row[place].strip() for place in places)
            if cell.isdecimal() and 1800 <= int(cell) <= 2100
        ]
        return (
            len(values) > 1
            and len(steps) == 1
            and steps <= set(range(-10, 11)) - {0}
            and len(years) < 0.5 * len(below) * len(places)
        )
    unlike = len(values) > 4 or any(not cell.strip().isdecimal() for row in below for cell in row)
    return unlike and len(values) > 2 and len(places) >= len(top) - 1 and values[0] in (0, 1) and steps == {1}


def indexed(name: str, below: list[list[str]]) -> bool:
    """Whether a first column is the index of a data frame: numbers or dates, each once, below a word or nothing."""
    first = [row[0].strip() for row in below]
    numeric = all(re.match(r"[-+]?\d", cell) for cell in first) and not re.search(r"\d", name)
    return numeric and len(set(first)) == len(first) > 2


def check_names(where: object, names: list[str]) -> None:
    """Errors: `ShapeError` for two columns of one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = [str(place + 1) for place, name in enumerate(names) if name == twice[0]]
        raise ShapeError(
            f"{where}: columns {' and '.join(places)} are both called {twice[0]!r}; every column needs a name of its "
            "own: rename one"
        )
