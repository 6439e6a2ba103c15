"""Columns of a table as whole numbers: which cells a model can code, by what number, and what a number stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32

from vael.data import ColumnKind, Schema
from vael.tables.schema import LEVELS, Column

MISSING, ASIDE = -1, -2  # in place of a symbol: there is nothing; the cell is kept beside, and the model is shown a gap
WIDEST = 1 << 30  # steps between the least and the largest number that can be coded
MARGIN = 16  # steps beyond the range of training, at least
NEAR = 1e-9  # relative distance to a step within which a number stands on it
DAY = 86_400


@dataclass(frozen=True)
class CodingGrid:
    """The values that the cells of a column can be coded as: its levels (rare ones each), or (first + k) / rate for
    k from 0 to size - 1.
    """

    column: Column
    texts: tuple[str, ...] = ()
    rate: int = 1  # steps of a unit
    first: int = 0
    size: int = 0

    @property
    def free(self) -> bool:
        """Whether the column has no declared precision, so that all of its cells are kept beside."""
        return not self.size

    @property
    def depth(self) -> int:
        """Halvings that tell a step."""
        return max(self.size - 1, 0).bit_length()

    def symbols(self, values: Float[np.ndarray, " rows"]) -> Int32[np.ndarray, " rows"]:
        """Numbers as `vael.tables.reading.valued` gives them, NaN where missing and -inf where they do not fit; of
        levels the codes (see `codes`).
        """
        known = np.isfinite(values)
        steps = np.where(known, np.round(np.where(known, values, 0.0) * self.rate), 0.0)
        on = np.abs(steps / self.rate - np.where(known, values, 0.0)) <= NEAR * np.maximum(
            1.0, np.abs(np.where(known, values, 0.0))
        )
        place = steps - self.first
        fits = known & on & (place >= 0) & (place < self.size)
        return np.where(np.isnan(values), MISSING, np.where(fits, place, ASIDE)).astype(np.int32)

    def values(self, symbols: Int32[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        """The numbers of symbols, NaN where there is none."""
        return np.where(symbols < 0, np.nan, (symbols.astype(np.float64) + self.first) / self.rate)

    def shown(self, symbols: Int32[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        """What the model is shown: the code of a level, or the number without the origin as float32 has it; NaN in
        gaps.
        """
        if self.column.kind in LEVELS:
            return np.where(symbols < 0, np.nan, np.minimum(symbols, self.column.codes - 1))
        return (self.values(symbols) - self.column.origin).astype(np.float32).astype(np.float64)


def grids_of(schema: Schema) -> tuple[CodingGrid, ...]:
    """The grid of each column."""
    return tuple(_levels(column) if column.kind in LEVELS else _numbers(column) for column in schema.columns)


def _levels(column: Column) -> CodingGrid:
    texts = (*column.levels, *(level for level, _ in column.rare))
    return CodingGrid(column, texts, size=len(texts))


def _numbers(column: Column) -> CodingGrid:
    """The range of training and as much again on either side; of free precision where none is declared, or the
    range has too many steps.
    """
    rate = rate_of(column)
    if rate is None or column.minimum is None or column.maximum is None:
        return CodingGrid(column)
    least, most = math.floor(column.minimum * rate), math.ceil(column.maximum * rate)
    wide = min(most - least + MARGIN, (WIDEST - (most - least + 1)) // 2)
    if wide < 0:
        return CodingGrid(column)
    bottom = (
        0
        if column.kind is ColumnKind.COUNT and least >= 0
        else 1
        if column.kind is ColumnKind.POSITIVE
        else least - wide
    )
    first = max(least - wide, bottom)
    return CodingGrid(column, rate=rate, first=first, size=most + wide + 1 - first)


def rate_of(column: Column) -> int | None:
    """Steps of a unit: of a count 1, of a date as its pattern says, else by the decimals; None where there is no
    declared precision.
    """
    if column.kind is ColumnKind.COUNT:
        return 1
    if column.kind is not ColumnKind.DATE:
        return None if column.decimals is None else 10**column.decimals
    if column.decimals == 0:
        return 1
    return DAY if "%S" in column.pattern else DAY // 60 if "%M" in column.pattern else None
