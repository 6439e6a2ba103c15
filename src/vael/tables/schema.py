"""What the columns of a table are: the agreement between the data a model was trained on and the data it is used on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from vael.counting import counted
from vael.visible import html_table


class ColumnKind(Enum):
    """What a column measures: it decides which likelihood its cells have."""

    REAL = "real"  # any number
    POSITIVE = "positive"  # a real number above 0, perhaps of many magnitudes
    COUNT = "count"  # a whole number with an order and distances
    ORDINAL = "ordinal"  # levels with an order, without distances
    CATEGORICAL = "categorical"  # levels without an order
    BOOLEAN = "boolean"  # two levels
    DATE = "date"  # days, with their fraction, since `origin`


MOST_DIGITS = 20  # after the point of a number, as many as the fifteen digits of programs reach where it is small
LEVELS = frozenset({ColumnKind.ORDINAL, ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN})


@dataclass(frozen=True)
class Column:
    """One column. In the matrix a cell is a float32: the code of its level, or its value minus `origin`; NaN where
    it is missing.
    """

    name: str
    kind: ColumnKind
    levels: tuple[str, ...] = ()  # as they are written, in the order of their codes; for the kinds that have levels
    rare: tuple[
        tuple[str, int], ...
    ] = ()  # levels that were too rare for a code of their own, with their counts: they share the last code
    # subtracted before a value becomes float32, so that no digits are lost; for a date, its days since 1970-01-01
    origin: float = 0.0
    minimum: float | None = None  # least and largest value seen in training, origin not subtracted; samples keep within
    maximum: float | None = None
    decimals: int | None = None  # digits after the point that the values have, at most; None for as many as it takes
    spikes: tuple[float, ...] = ()  # single values that many cells have (a zero, a cap), origin not subtracted
    usual: tuple[
        float, ...
        # least and largest of the values that are no spikes, where a spike lies beyond: draws that are none keep within
    ] = ()
    missing: bool = False  # whether cells were missing in training
    pattern: str = ""  # how a date is written, as strftime has it; of a number, 1234.5 as its cells have it
    step: float | None = None  # seconds between moments that a date tells apart: with a time of day, or of a week
    months: int | None = None  # from one date to the next where all are first days of one; below 0 where last days
    type: str = ""  # the Arrow type of the training data, so that new rows have it; empty where they were text

    @property
    def codes(self) -> int:
        """How many codes the cells of a column with levels can have; 0 for numbers."""
        return len(self.levels) + bool(self.rare) if self.kind in LEVELS else 0


@dataclass(frozen=True)
class Schema:
    """All columns, in the order of the table."""

    columns: tuple[Column, ...]
    left_out: tuple[str, ...] = ()  # columns of the data that are no part of the model: texts that name rows

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def told(self) -> str:
        """How many columns there are of each kind, the commonest first: 4 columns: 2 real, 1 date, 1 categorical."""
        kinds = Counter(column.kind.value for column in self.columns)
        return (
            f"{counted(len(self.columns), 'column')}: "
            f"{', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}"
        )

    def _repr_html_(self) -> str:
        """A line for each column."""
        rows = [(one.name, one.kind.value, told_values(one), "yes" if one.missing else "no") for one in self.columns]
        return html_table(self.told, rows, ("column", "kind", "values in training", "missing"))


MOST_LEVELS = 6  # that are listed


def told_values(column: Column) -> str:
    """The levels or the range that training saw, in few words."""
    if column.levels:
        more = len(column.levels) + len(column.rare) - MOST_LEVELS
        listed = ", ".join(column.levels[:MOST_LEVELS])
        return f"{listed}, and {counted(more, 'further level')}" if more > 0 else listed
    if column.kind is ColumnKind.DATE:
        return f"written as {column.pattern}" if column.pattern else ""
    return "" if column.minimum is None or column.maximum is None else f"{column.minimum:g} to {column.maximum:g}"
