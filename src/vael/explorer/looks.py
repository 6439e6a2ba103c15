"""How examples look on the page: pictures as bytes, everything else as columns of text and numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from vael.report.grid import Display, to_bytes
from vael.tables.constraints import enforced
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema
from vael.tables.writing import arrow_cells, written_cells

DATES = frozenset({"%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y%m%d", ""})  # that the page knows
DIGITS = 4  # of a number whose column does not say how many it has


class Looks(ABC):
    """Abstract: what the page shows of examples of one kind."""

    kind: str  # by which the page chooses how to draw

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the page has to know before it draws one."""

    @abstractmethod
    def drawn(self, x: Shaped[Tensor, "count *event"]) -> dict[str, Any]:
        """Examples in a form that JSON has."""


@dataclass(frozen=True)
class PictureLooks(Looks):
    """Images: red, green and blue of each pixel, rows from the top, as hexadecimal text of one image after another."""

    event: tuple[int, ...]
    display: Display
    kind = "picture"

    def facts(self) -> dict[str, Any]:
        return {"kind": self.kind, "channels": self.event[0], "height": self.event[1], "width": self.event[2]}

    def drawn(self, x: Shaped[Tensor, "count *event"]) -> dict[str, Any]:
        return {"pixels": [one.tobytes().hex() for one in to_bytes(x, self.display)]}

    def cells(self, grey: Shaped[np.ndarray, " pixels"]) -> Tensor:
        """An image that was drawn by hand, 0 black to 1 white, in the units of the data, `[1, *event]`."""
        scaled = torch.from_numpy(grey).reshape(1, *self.event[1:]).expand(1, *self.event)
        return self.display.low + scaled * (self.display.high - self.display.low)


@dataclass(frozen=True)
class RowLooks(Looks):
    """RowLooks of columns, one for each example, or one for each of its steps: numbers, and how they are written."""

    schema: Schema
    kind = "rows"

    def facts(self) -> dict[str, Any]:
        columns = [column_as(column) for column in self.schema.columns]
        return {"kind": self.kind, "columns": columns}

    def drawn(self, x: Shaped[Tensor, "count *event"]) -> dict[str, Any]:
        rows = x.reshape(-1, len(self.schema.columns))
        numbers = [[None if np.isnan(cell) else cell for cell in row] for row in rows.double().tolist()]
        return {"rows": len(rows) // max(len(x), 1), "texts": self.texts(rows), "numbers": numbers}

    def texts(self, rows: Shaped[Tensor, "rows columns"]) -> list[list[str]]:
        """Every cell as it is written in the data; a number without decimals of its own to four digits."""
        table, columns = arrow_cells(self.schema, enforced(self.schema, rows.double())), []
        for place, column in enumerate(self.schema.columns):
            if column.decimals is None and not column.levels and not column.pattern:
                columns.append(
                    ["" if np.isnan(one) else f"{one + column.origin:.{DIGITS}g}" for one in rows[:, place].tolist()]
                )
            else:
                columns.append(written_cells(column, table.column(column.name).combine_chunks()))
        return [list(row) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class NumberLooks(Looks):
    """Examples that are neither: their elements as they come."""

    kind = "numbers"

    def facts(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def drawn(self, x: Shaped[Tensor, "count *event"]) -> dict[str, Any]:
        return {"numbers": [[float(f"{one:.{DIGITS}g}") for one in row] for row in x.flatten(1).tolist()]}


def column_as(column: Column) -> dict[str, Any]:
    """What the page has to know of a column; `plain` ones it can write and read itself as the data do."""
    plain = column.kind in LEVELS or (column.kind is not ColumnKind.DATE and not column.pattern)
    free = column.months is None and column.step is None  # of a beat that only Python keeps
    date = column.kind is ColumnKind.DATE and column.decimals == 0 and column.pattern in DATES and free
    return {
        "name": column.name,
        "kind": column.kind.value,
        "levels": [*column.levels, *(level for level, _ in column.rare)],
        "codes": column.codes,
        "origin": column.origin,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "decimals": column.decimals,
        "pattern": column.pattern or "%Y-%m-%d" if date else "",
        "plain": plain or date,
    }
