"""What quotation marks say of the columns of a text table: programs that write texts in quotes and numbers bare (R,
Arrow, Python's `csv.QUOTE_NONNUMERIC`) tell the code of a district from a number, and a cell that is missing from a
level called NA.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from vael.tables import columnwise as pc
from vael.tables.as_text.text import TextLayout
from vael.tables.missing import WORDS, is_word, missing_text, nulls
from vael.tables.values.numerals import told_numbers

NOTHING_QUOTED: Mapping[str, frozenset[str]] = MappingProxyType({})


def columns_in_quotes(
    table: pa.Table, layout: TextLayout | None, written: pa.Table | None
) -> Mapping[str, frozenset[str]]:
    """Columns of which every cell that is not missing stands in quotes, where another column of the table holds bare
    numbers; with each the words for missing (`NA`) that stand there without quotes and never in them.

    `written` has the cells as they are written, null where that is how `layout` has them. Nothing of a table without
    such columns, and where cells have types.
    """
    if layout is None or written is None:
        return NOTHING_QUOTED
    found, bare = dict[str, frozenset[str]](), False
    for name, usual in zip(table.column_names, layout.quotes(table.num_columns), strict=False):
        cells = table.column(name)
        quoted, absent = _in_quotes(cells, written.column(name), usual), missing_text(cells)
        if absent.all():
            continue
        if quoted[~absent].all():
            words = {mark: _distinct(cells, is_word(cells, WORDS) & (quoted == mark)) for mark in (True, False)}
            found[name] = words[False] - words[True]
        elif not quoted.any() and not bare:
            bare = told_numbers(cells, absent) is not None
    return found if bare else NOTHING_QUOTED


def _in_quotes(cells: pa.ChunkedArray, written: pa.ChunkedArray, usual: bool) -> Bool[np.ndarray, " rows"]:
    """Which cells stand in quotes."""
    own = pc.match_substring_regex(written, r'^\s*"')
    return np.where(nulls(written), usual & ~missing_text(cells), np.asarray(pc.fill_null(own, False).to_numpy()))


def _distinct(cells: pa.ChunkedArray, where: Bool[np.ndarray, " rows"]) -> frozenset[str]:
    return frozenset(pc.unique(pc.utf8_trim_whitespace(cells.filter(pa.array(where)))).to_pylist())
