"""A file of results with a line for each example: of numbers alone as `.npy`, else beside the row, file,
identifiers and label that name it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from vael.cli.formats import ARRAY, Target
from vael.cli.reasons import with_reasons
from vael.data.keys import with_keys
from vael.tables import columnwise as pc
from vael.tables.as_text.output import CellFile, RowFile, cell_file, row_file

if TYPE_CHECKING:
    from vael.cli.reasons import Reason
    from vael.specs import Piece

WHOLE = "flag"  # a result that is a whole number


class Sheet(ABC):
    """Abstract: results of examples, some numbers with names for each, in `file`."""

    file: RowFile | CellFile

    @abstractmethod
    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        """The results `[examples, names]` of consecutive examples of a piece, from the one at `begin` on."""


class NumberSheet(Sheet):
    """Numbers alone; `numbered` says whether the row stands before them."""

    def __init__(self, file: RowFile, numbered: bool) -> None:
        self.file, self.numbered = file, numbered

    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        rows = piece.keys.take(np.arange(begin, begin + len(results))).rows
        self.file.add(np.column_stack((rows.astype(results.dtype), results)) if self.numbered else results)


class NamedSheet(Sheet):
    """Numbers under their names, beside what names the examples and, where they were looked for, reasons."""

    def __init__(self, file: CellFile, names: Sequence[str]) -> None:
        self.file, self.names, self.typed = file, tuple(names), file.typed

    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        index = np.arange(begin, begin + len(results))
        columns = {name: self._column(name, results[:, place]) for place, name in enumerate(self.names)}
        table = with_keys(piece.keys.take(index), piece.source.label_texts(torch.from_numpy(index)), columns)
        self.file.add(
            table if reasons is None else with_reasons(table, reasons.found, reasons.most, reasons.tell_usual)
        )

    def _column(self, name: str, values: np.ndarray) -> pa.Array:
        """A column typed, or as text with as many digits as the numbers have."""
        column = pa.array(values.astype(np.int64) if name == WHOLE else np.ascontiguousarray(values))
        return column if self.typed else pc.cast(column, pa.string())


@contextmanager
def sheet_of(target: Target, names: Sequence[str], *, numbered: bool = False) -> Iterator[Sheet]:
    """The sheet of the format that a target has, whole at the end of the block or not there at all; `numbered` as
    `NumberSheet` has it.
    """
    if target.form is ARRAY:
        with row_file(target.path) as lines:
            yield NumberSheet(lines, numbered)
    else:
        with cell_file(target.path) as cells:
            yield NamedSheet(cells, names)


class Reasoned:
    """Why some of the examples are strange, and how many columns of reasons there are."""

    def __init__(self, found: dict[int, list[Reason]], most: int, tell_usual: bool) -> None:
        self.found, self.most, self.tell_usual = found, most, tell_usual
