"""A file of results with a line for each example: of numbers alone as `.npy`, else beside the row, file,
identifiers and label that name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from vael.cli.options.endings import Ending, ending_of
from vael.cli.reasons import with_reasons
from vael.data.keys import with_keys
from vael.tables import columnwise as pc
from vael.tables.as_text.output import RowFile, cell_file, row_file

if TYPE_CHECKING:
    from vael.cli.reasons import Reason
    from vael.specs import Piece

WHOLE = "flag"  # a result that is a whole number


class Sheet:
    """Results of examples, `names` of them for each; whole at the end of the `with` block, or not there at all.

    `numbered` says whether the row stands before the results in `.npy` too. Errors: `FormatError` for an extension that
    there is not.
    """

    def __init__(self, path: Path, names: Sequence[str], *, numbered: bool = False) -> None:
        self.names, self.numbered = tuple(names), numbered
        self.file = row_file(path) if ending_of(path) is Ending.ARRAY else cell_file(path)
        self.typed = ending_of(path) is Ending.TYPED

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

    def add(self, piece: Piece, begin: int, results: np.ndarray, reasons: Reasoned | None = None) -> None:
        """The results `[examples, names]` of consecutive examples of a piece, from the one at `begin` on."""
        index = np.arange(begin, begin + len(results))
        keys = piece.keys.take(index)
        if isinstance(self.file, RowFile):
            self.file.add(np.column_stack((keys.rows.astype(results.dtype), results)) if self.numbered else results)
            return
        columns = {name: self._column(name, results[:, place]) for place, name in enumerate(self.names)}
        table = with_keys(keys, piece.source.label_texts(torch.from_numpy(index)), columns)
        self.file.add(
            table if reasons is None else with_reasons(table, reasons.found, reasons.most, reasons.tell_usual)
        )

    def _column(self, name: str, values: np.ndarray) -> pa.Array:
        """A column typed, or as text with as many digits as the numbers have."""
        column = pa.array(values.astype(np.int64) if name == WHOLE else np.ascontiguousarray(values))
        return column if self.typed else pc.cast(column, pa.string())


class Reasoned:
    """Why some of the examples are strange, and how many columns of reasons there are."""

    def __init__(self, found: dict[int, list[Reason]], most: int, tell_usual: bool) -> None:
        self.found, self.most, self.tell_usual = found, most, tell_usual
