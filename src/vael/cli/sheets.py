"""A file of results with a line for each example: of numbers alone as `.npy`, else beside the row, file,
identifiers and label that name it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from vael.cli.formats import ArrayFormat, Target
from vael.cli.reasons import with_reasons
from vael.data.keys import with_keys
from vael.tables import columnwise as pc
from vael.tables.as_text.output import CellFile, RowFile, cell_file, row_file

if TYPE_CHECKING:
    from vael.cli.reasons import Reason
    from vael.specs import Piece

WHOLE = "flag"  # a result that is a whole number


class Sheet(ABC):
    """Abstract: results of examples, some numbers with names for each; whole at the end of the `with` block, or not
    there at all.
    """

    def __init__(self, file: RowFile | CellFile) -> None:
        self.file = file

    def __enter__(self) -> Sheet:
        self.file.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.__exit__(kind, error, trace)

    @property
    def rows(self) -> int:
        """How many examples were written."""
        return self.file.rows

    @abstractmethod
    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        """The results `[examples, names]` of consecutive examples of a piece, from the one at `begin` on."""


class NumberSheet(Sheet):
    """Numbers alone; `numbered` says whether the row stands before them."""

    def __init__(self, path: Path, numbered: bool) -> None:
        self.lines, self.numbered = row_file(path), numbered
        super().__init__(self.lines)

    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        rows = piece.keys.take(np.arange(begin, begin + len(results))).rows
        self.lines.add(np.column_stack((rows.astype(results.dtype), results)) if self.numbered else results)


class NamedSheet(Sheet):
    """Numbers under their names, beside what names the examples and, where they were looked for, reasons."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.cells, self.names = cell_file(path), tuple(names)
        super().__init__(self.cells)

    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        index = np.arange(begin, begin + len(results))
        columns = {name: self._column(name, results[:, place]) for place, name in enumerate(self.names)}
        table = with_keys(piece.keys.take(index), piece.source.label_texts(torch.from_numpy(index)), columns)
        self.cells.add(
            table if reasons is None else with_reasons(table, reasons.found, reasons.most, reasons.tell_usual)
        )

    def _column(self, name: str, values: np.ndarray) -> pa.Array:
        """A column typed, or as text with as many digits as the numbers have."""
        column = pa.array(values.astype(np.int64) if name == WHOLE else np.ascontiguousarray(values))
        return column if self.cells.typed else pc.cast(column, pa.string())


def sheet_of(target: Target, names: Sequence[str], *, numbered: bool = False) -> Sheet:
    """The sheet of the format that a target has; `numbered` as `NumberSheet` has it."""
    if isinstance(target.form, ArrayFormat):
        return NumberSheet(target.path, numbered)
    return NamedSheet(target.path, names)


class Reasoned:
    """Why some of the examples are strange, and how many columns of reasons there are."""

    def __init__(self, found: dict[int, list[Reason]], most: int, tell_usual: bool) -> None:
        self.found, self.most, self.tell_usual = found, most, tell_usual
