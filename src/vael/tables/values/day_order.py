"""Dates such as 01/02/2024, in which a day and a month could each be either: which is which, and by what that is
known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64

from vael.tables import columnwise as pc
from vael.tables.schema import Column, ColumnKind, Schema
from vael.tables.values.arrow_types import is_text
from vael.tables.values.date_patterns import as_written, told_dates
from vael.tables.values.dates import moment_of, no_day, parsed_dates, with_zeros, written_date

ORDER = re.compile(r"%([dm])([/-])%([dm])\2%[Yy]")  # with points the day stands first
FEW = 5  # different dates from which their being in order says something
ODDS = 20.0  # how much likelier one reading must make the days of the month
LONGEST = 31  # days of a month; of months there are 12

Absent = Callable[[pa.ChunkedArray], Bool[np.ndarray, " rows"]]


@dataclass(frozen=True)
class DateReading:
    """Dates by one of two readings that every cell allows."""

    days: Float64[np.ndarray, " rows"]
    pattern: str
    other: str  # the pattern of the other reading
    reason: str
    known: bool  # whether there is a reason beyond custom


def day_first(pattern: str) -> bool | None:
    """Whether the day stands before the month in a pattern of numbers; None where neither can be taken for the
    other.
    """
    found = ORDER.match(pattern)
    return None if found is None else found[1] == "d"


def swapped(pattern: str) -> str:
    """The pattern with day and month exchanged."""
    return ORDER.sub(
        lambda found: found[0].replace("%d", "%?").replace("%m", "%d").replace("%?", "%m"), pattern, count=1
    )


def plain_text(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column of text that is no dictionary; None for others."""
    return pc.cast(column, pa.string()) if is_text(column.type) and not pa.types.is_dictionary(column.type) else None


def day_order(table: pa.Table, absent: Absent) -> bool | None:
    """Whether the day stands first in the dates of a table of text: as the columns say in which only one reading is
    possible; else None.
    """
    said = set()
    for column in map(plain_text, table.columns):
        if column is not None and not (gone := absent(column)).all():
            days, pattern = told_dates(column, gone)
            if days is None or day_first(pattern) is None:
                continue
            if _other(column, np.isnan(days), pattern) is None:
                said.add(day_first(pattern))
    return said.pop() if len(said) == 1 else None


def _other(column: pa.ChunkedArray, absent: np.ndarray, pattern: str) -> np.ndarray | None:
    """The days of the other reading, None where a cell does not allow it."""
    days = parsed_dates(column, absent, swapped(pattern))
    return None if np.isnan(days[~absent]).any() else days


def reading(
    column: pa.ChunkedArray, absent: np.ndarray, found: tuple[np.ndarray, str], table: bool | None, comma: bool
) -> DateReading | None:
    """Which of two readings dates have, `found` being the one of custom; None where only one is possible.

    By the first of these that tells: only one of them has the rows in order; the one with few days of the month in many
    months is likelier by `ODDS` (twelve different numbers that are never above 12 are months, not days); the other
    dates of the table (`table`: the day stands first); commas as decimal marks, which are not American.
    """
    days, pattern = found
    first = day_first(pattern)
    other = None if first is None else _other(column, absent, pattern)
    if first is None or other is None or (other[~absent] == days[~absent]).all():
        return None
    both = {first: days, not first: other}
    said, reason = _said(both[True][~absent], both[False][~absent], table, comma)
    chosen = first if said is None else said
    patterns = {first: pattern, not first: swapped(pattern)}
    return DateReading(both[chosen], patterns[chosen], patterns[not chosen], reason, said is not None)


def _said(one: np.ndarray, other: np.ndarray, table: bool | None, comma: bool) -> tuple[bool | None, str]:
    """Whether the day stands first, and why; `one` is read so."""
    inorder = [_in_order(days) for days in (one, other)]
    if inorder[0] != inorder[1]:
        return inorder[0], "only so are its rows in order"
    odds = [_chance(len(np.unique(parts))) for parts in _days_of_months(one, other)]
    if max(odds) >= ODDS * min(odds):
        return odds[0] > odds[1], "only so does it have few days of the month and many months"
    if table is not None:
        return table, "so are the other dates of the table"
    return (True, "commas are decimal marks in the table") if comma else (None, "as is usual with such marks")


def _in_order(days: np.ndarray) -> bool:
    steps = np.diff(days)
    return len(np.unique(days)) >= FEW and bool((steps >= 0).all() or (steps <= 0).all())


def _days_of_months(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The day of the month of each date by either reading: the month of the other."""
    found = [days.astype("datetime64[D]") for days in (np.floor(one), np.floor(other))]
    first, second = ((days - days.astype("datetime64[M]")).astype(int) for days in found)
    return first, second


def _chance(days: int) -> float:
    """The chance that so many different days of the month are all among the first twelve."""
    return math.comb(12, min(days, 12)) / math.comb(LONGEST, min(days, 12))


def order_notes(table: pa.Table, schema: Schema, absent: Absent, comma: bool) -> Iterator[str]:
    """What is to be said of columns whose dates could be read in another way."""
    order = None
    for column in schema.columns:
        place = table.schema.get_field_index(column.name)
        if column.kind is ColumnKind.DATE and day_first(with_zeros(column.pattern)) is not None and place >= 0:
            cells = plain_text(table.column(place))
            order = day_order(table, absent) if order is None else order
            yield from () if cells is None else _note(cells, column, absent, order, comma)


def _note(cells: pa.ChunkedArray, column: Column, absent: Absent, order: bool | None, comma: bool) -> Iterator[str]:
    gone, pattern = absent(cells) | no_day(cells), with_zeros(column.pattern)
    found = None if gone.all() else reading(cells, gone, (parsed_dates(cells, gone, pattern), pattern), order, comma)
    if found is None:
        return
    other = parsed_dates(cells, gone, found.other)
    row = int(np.flatnonzero(~gone & (found.days != other))[0])
    taken, left = (written_date(moment_of(float(days[row])), "%d %B %Y").lstrip("0") for days in (found.days, other))
    way = as_written(cells.filter(pa.array(~gone)), found.other)
    yield (
        f"{column.name}: {str(cells[row])!r} could be {taken} or {left}, as every date of the column; read as {taken}: "
        f"{found.reason if found.known else 'nothing in the table tells, and that is usual with such marks'}. If it is "
        f"{left}, write "
        f'"pattern": "{way}" for the column in a schema (`vael data info TABLE --schema schema.json` writes '
        "one, `--schema` takes it)"
    )
