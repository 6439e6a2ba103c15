"""Gaps that stay: in columns that the model does not have, and cells that are limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch

from vael.tables import columnwise as pc
from vael.tables.inference import NO_CELL, why_left_out
from vael.tables.missing import missing_text
from vael.tables.reading import Table
from vael.tables.values.arrow_types import is_text

LIMITS = "limits such as <0.5, which stay as they are"


@dataclass(frozen=True)
class Unfilled:
    """How many gaps of a column no model fills, and why."""

    column: str
    gaps: int
    why: str

    def __str__(self) -> str:
        return f"{self.gaps:,} of {self.column} ({self.why})"


def unfilled(table: Table, modelled: tuple[str, ...] | None = None) -> tuple[Unfilled, ...]:
    """The gaps of a table that stay, column by column; those that have none are not named.

    `modelled` are the columns that are filled.
    """
    names = table.schema.names if modelled is None else modelled
    left = [_left(table, name) for name in table.original.column_names if name not in names]
    bounds = torch.isnan(table.x).numpy() & ~table.gaps
    limited = [
        Unfilled(name, int(count), LIMITS) for name, count in zip(table.schema.names, bounds.sum(0), strict=True)
    ]
    return tuple(one for one in (*left, *limited) if one.gaps)


def _left(table: Table, name: str) -> Unfilled:
    cells = table.original.column(name)
    why = why_left_out(cells, name) if name in table.schema.left_out else ""
    return Unfilled(
        name, int(gaps_of(cells, table.layout is None).sum()), f"not in the model: {why}" if why else "not in the model"
    )


def gaps_of(cells: pa.ChunkedArray, typed: bool) -> np.ndarray:
    """Which cells of a column are missing: null or NaN where cells have types, words for it too in a table of text."""
    if not typed and is_text(cells.type):
        return missing_text(pc.cast(cells, pa.string()))
    return np.asarray(cells.is_null(nan_is_null=True).to_numpy())


def summed(parts: Iterable[Unfilled]) -> tuple[Unfilled, ...]:
    """Parts of one table as one; of the reasons of a column the first that its cells show."""
    found: dict[str, Unfilled] = {}
    for part in parts:
        known = found.get(part.column, replace(part, gaps=0))
        why = part.why if known.why.endswith(NO_CELL) else known.why
        found[part.column] = Unfilled(part.column, known.gaps + part.gaps, why)
    return tuple(found.values())
