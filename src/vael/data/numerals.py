"""Numbers written as text: with a decimal point or comma, with or without marks between thousands; one form for all cells of a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Form:
    """A way to write numbers."""

    pattern: str  # that every cell fits
    without: str = ""  # mark between thousands
    comma: bool = False  # whether a comma is the decimal mark

    def plain(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        """The cells as programs write numbers."""
        shorter = pc.replace_substring(cells, self.without, "") if self.without else cells
        return pc.replace_substring(shorter, ",", ".") if self.comma else shorter


FORMS = (
    Form(r"^[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"),
    Form(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$|^[+-]?\d+(\.\d+)?$", ","),
    Form(r"^[+-]?\d{1,3}(\.\d{3})*,\d+$|^[+-]?\d+(,\d+)?$", ".", comma=True),
)


def read_by(cells: pa.ChunkedArray) -> np.ndarray:
    """How many cells each of `FORMS` reads; the form of a column is the first of those that read most (`np.argmax`)."""
    trimmed = pc.utf8_trim_whitespace(cells)
    counts = [pc.sum(pc.match_substring_regex(trimmed, form.pattern)).as_py() or 0 for form in FORMS]
    return np.array(counts, np.int64)


def has_commas(cells: pa.ChunkedArray) -> bool:
    """Whether the form is in question at all."""
    return bool(pc.any(pc.match_substring(cells, ",")).as_py())


def numbers_of(cells: pa.ChunkedArray, absent: np.ndarray, form: Form | None = None) -> np.ndarray:
    """Cells as float64, NaN where absent, -inf where a cell is no number; of the form that reads most of them unless one is given."""
    shown = pc.utf8_trim_whitespace(pc.if_else(pa.array(~absent), cells, pa.scalar(None, cells.type)))
    if form is None:
        form = FORMS[int(read_by(shown).argmax())] if has_commas(shown) else FORMS[0]
    written = form.plain(shown)
    try:
        return np.array(pc.cast(written, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except pa.ArrowInvalid:
        return _one_by_one(written, absent)


def _one_by_one(cells: pa.ChunkedArray, absent: np.ndarray) -> np.ndarray:
    found = np.full(len(absent), np.nan)
    for row, cell in enumerate(cells.to_pylist()):
        if not absent[row]:
            try:
                found[row] = float(cell)
            except ValueError:
                found[row] = -np.inf
    return found
