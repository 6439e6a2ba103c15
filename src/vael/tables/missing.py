"""Which cells of a table say that nothing is known, and which of the words for that are levels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from vael.tables import columnwise as pc
from vael.tables.as_text.naming import MISSING
from vael.tables.schema import Column

WORDS = frozenset(
    {"na", "n/a", "null", "none"}
)  # of `MISSING` those that levels are called too: Namibia, a garage that does not apply, no smoker


def nulls(cells: pa.ChunkedArray) -> Bool[np.ndarray, " rows"]:
    """Where there is no cell."""
    return np.asarray(pc.is_null(cells).to_numpy())


def is_word(cells: pa.ChunkedArray, words: frozenset[str] = MISSING) -> Bool[np.ndarray, " rows"]:
    """Where a text is one of some words, in whatever letters."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(cells))
    return np.asarray(pc.fill_null(pc.is_in(lower, pa.array(sorted(words))), False).to_numpy())


def missing_text(column: pa.ChunkedArray) -> Bool[np.ndarray, " rows"]:
    """Where a column of text has nothing, if no level is called so: of numbers and dates."""
    return nulls(column) | is_word(column)


def marks_of(cells: pa.ChunkedArray) -> frozenset[str]:
    """The words for missing among numbers or dates, where they can be no levels, as they are written."""
    return frozenset(pc.unique(pc.utf8_trim_whitespace(cells.filter(pa.array(is_word(cells, WORDS))))).to_pylist())


def missing_among(cells: pa.ChunkedArray, typed: bool, marks: frozenset[str]) -> Bool[np.ndarray, " rows"]:
    """Where levels are missing that are not known yet.

    Where cells have types (Parquet, a frame) nulls are, and nothing else. In a text cells are that are empty or have a
    sign that is no word (`?`, `#N/A`, `nan`), and `NA`, `none` and the like only if the table has the same word
    (`marks`) among numbers or dates too.
    """
    if typed:
        return nulls(cells)
    own = np.asarray(
        pc.fill_null(pc.is_in(pc.utf8_trim_whitespace(cells), pa.array(sorted(marks), pa.string())), False).to_numpy()
    )
    return nulls(cells) | is_word(cells, MISSING - WORDS) | own


def missing_levels(column: Column, cells: pa.ChunkedArray, typed: bool) -> Bool[np.ndarray, " rows"]:
    """Where a column of known levels is missing: a word is only if the schema has no level that is called so, and where
    cells have types no word is.

    An empty text says nothing in either, unless a level is called so.
    """
    known = pa.array([*column.levels, *(level for level, _ in column.rare)], pa.string())
    listed = np.asarray(pc.fill_null(pc.is_in(pc.utf8_trim_whitespace(cells), known), False).to_numpy())
    return nulls(cells) | (is_word(cells, frozenset({""}) if typed else MISSING) & ~listed)


def taken_for_missing(cells: pa.ChunkedArray, gaps: Bool[np.ndarray, " rows"]) -> dict[str, int]:
    """How many cells hold each of the words that were taken for missing; empty cells have none."""
    texts = pc.utf8_trim_whitespace(pc.drop_null(cells.filter(pa.array(gaps))))
    counted = pc.value_counts(texts).to_pylist()
    return {str(one["values"]): int(one["counts"]) for one in counted if one["values"]}


def level_words(column: Column) -> tuple[str, ...]:
    """Levels that are called as other tables call what is missing."""
    return tuple(level for level in (*column.levels, *(level for level, _ in column.rare)) if level.lower() in MISSING)
