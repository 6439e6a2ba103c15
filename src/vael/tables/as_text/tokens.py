"""From the bytes of a table of text to its cells, each exactly as it is written, and to what stands in them.

No library gives both: `csv` and Arrow drop quotes, blanks and the ends of lines inside quotes, so that a cell could not
be written back as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int

from vael.tables import columnwise as pc

QUOTE, RETURN, NEWLINE = b'"\r\n'
IN_QUOTES = r'^[ \t]*"((?:[^"]|"")*)"[ \t]*$'
ODD = re.compile(r'[ \t]*"((?:[^"]|"")*)"?(.*)', re.DOTALL)  # a quotation mark that is not closed, or text behind


@dataclass(frozen=True)
class TokenRows:
    """Whole rows of text."""

    cells: pa.Array  # all of them, row after row, as they are written
    widths: Int[np.ndarray, " rows"]  # cells of each row
    ends: Int[np.ndarray, " rows"]  # bytes up to the end of each row, with the end of its line

    @property
    def used(self) -> int:
        """How many bytes the rows take."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def __iter__(self) -> Iterator[list[str]]:
        """The rows, cells as they are written."""
        cells = self.cells.to_pylist()
        for last, width in zip(np.cumsum(self.widths).tolist(), self.widths.tolist(), strict=True):
            yield cells[last - width : last]

    def columns(self, rows: Int[np.ndarray, " some"], width: int) -> list[pa.Array]:
        """The cells of some rows, all of one width, column by column."""
        first = (np.cumsum(self.widths) - self.widths)[rows]
        return [self.cells.take(pa.array(first + place)) for place in range(width)]


def rows_of(text: bytes, mark: str, *, last: bool = True) -> TokenRows:
    r"""The rows in UTF-8 bytes that begin with a row; without `last`, those that are known to be whole.

    A cell stands in quotes where a quotation mark is the first of its letters that is no blank; inside, two of them are
    one, and separators and ends of lines are text. Any other quotation mark is text. Lines end in \n, \r\n or \r.
    """
    letters, sign = np.frombuffer(text, np.uint8), ord(mark)
    quotes = np.flatnonzero(letters == QUOTE)
    stops = np.flatnonzero((letters == sign) | (letters == NEWLINE) | (letters == RETURN))
    following = letters[np.minimum(stops + 1, len(letters) - 1)] if len(letters) else letters
    at_end = stops + 1 == len(letters)
    stops = stops[
        (letters[stops] != RETURN) | np.where(at_end, last, following != NEWLINE)
    ]  # the \n of \r\n ends its line
    outside = stops[np.searchsorted(quotes, stops) % 2 == 0]
    found = _whole(letters, outside, sign, last)
    if len(quotes) and not _regular(
        letters, quotes[: np.searchsorted(quotes, found[-1] if len(found) else 0)], found, sign
    ):
        found = _whole(letters, _one_by_one(text, mark, stops), sign, last)
    return _cut(letters, found, sign)


def _whole(letters: np.ndarray, stops: np.ndarray, sign: int, last: bool) -> np.ndarray:
    """Ends of cells up to that of the last whole row."""
    if last:
        unended = len(letters) and (not len(stops) or stops[-1] != len(letters) - 1 or letters[stops[-1]] == sign)
        return np.append(stops, len(letters)) if unended else stops
    lines = np.flatnonzero(letters[stops] != sign)
    return stops[: lines[-1] + 1] if len(lines) else stops[:0]


def _regular(letters: np.ndarray, quotes: np.ndarray, stops: np.ndarray, sign: int) -> bool:
    """Whether every quotation mark begins or ends a cell, or is one of two inside: then those before a letter say
    whether it is in quotes.
    """
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    two = opening[1:] == closing[:-1] + 1  # inside a cell
    edges = np.array([sign, NEWLINE, RETURN], np.uint8)
    first = (opening == 0) | np.isin(letters[np.maximum(opening - 1, 0)], edges)
    first[1:] |= two
    end = (closing + 1 >= len(letters)) | np.isin(letters[np.minimum(closing + 1, len(letters) - 1)], edges)
    end[:-1] |= two
    if first.all() and end.all():
        return True
    opening, closing = opening[~first], closing[~end]  # with blanks between them and the edge of the cell
    shown = np.append(np.flatnonzero((letters != 32) & ((letters != 9) | (sign == 9))), len(letters))
    starts = np.append(0, stops + 1)[np.searchsorted(stops, opening)]
    after = shown[np.searchsorted(shown, closing, "right")]
    ends = np.append(stops, len(letters))[np.searchsorted(stops, closing)]
    ended = (after >= ends) | (letters[np.minimum(after, len(letters) - 1)] == RETURN)
    return bool((shown[np.searchsorted(shown, starts)] == opening).all() and ended.all())


def _one_by_one(text: bytes, mark: str, stops: np.ndarray) -> np.ndarray:
    """Ends of cells where quotation marks are text too: what `_regular` decides for all at once, cell by cell."""
    blank, sign = rb" *" if mark == "\t" else rb"[ \t]*", re.escape(mark.encode())
    cell = re.compile(
        rb"(?:" + blank + rb'"[^"]*(?:""[^"]*)*(?:"|\Z))?[^' + sign + rb"\r\n]*(?:(" + sign + rb"|\r\n|\n|\r)|\Z)"
    )
    ends = np.fromiter((match.end() - 1 for match in cell.finditer(text) if match[1]), np.int64)
    return np.intersect1d(stops, ends, assume_unique=True)


def _cut(letters: np.ndarray, stops: np.ndarray, sign: int) -> TokenRows:
    """Cells between `stops`; one at the end of the text ends a row too."""
    ended = stops < len(letters)
    at = letters[stops[ended]]
    lines, two = ~ended, np.zeros(len(stops), bool)
    lines[ended] = at != sign
    two[ended] = (at == NEWLINE) & (stops[ended] > 0) & (letters[stops[ended] - 1] == RETURN)
    starts, ends = np.append(0, stops[:-1] + 1)[: len(stops)], stops - two
    kept = np.ones(int(stops[-1]) if len(stops) else 0, bool)
    kept[stops[:-1]] = False
    kept[stops[two] - 1] = False
    offsets = np.zeros(len(stops) + 1, np.int32)
    np.cumsum(ends - starts, out=offsets[1:])
    data = np.ascontiguousarray(letters[: len(kept)][kept])
    cells = pa.StringArray.from_buffers(len(stops), pa.py_buffer(offsets), pa.py_buffer(data))
    last = np.flatnonzero(lines)
    return TokenRows(cells, np.diff(last, prepend=-1), np.minimum(stops[last] + 1, len(letters)))


def in_quotes(cells: pa.Array) -> pa.Array:
    """Which cells stand in quotes."""
    return pc.match_substring_regex(cells, r'^[ \t]*"')


def inside(cells: pa.Array) -> pa.Array:
    """What stands in cells: quotes and the blanks around them taken off, two quotation marks as one."""
    if not pc.any(pc.match_substring(cells, '"')).as_py():
        return cells
    return of_distinct(_bare, cells)


def of_distinct(change: Callable[[pa.Array], pa.Array], cells: pa.Array) -> pa.Array:
    """Each cell changed, every text once."""
    coded = cells.dictionary_encode()
    return change(coded.dictionary).take(coded.indices)


def _bare(cells: pa.Array) -> pa.Array:
    quoted = in_quotes(cells)
    whole = pc.match_substring_regex(cells, IN_QUOTES)
    bare = pc.if_else(
        whole, pc.replace_substring(pc.replace_substring_regex(cells, IN_QUOTES, r"\1"), '""', '"'), cells
    )
    odd = pc.and_not(quoted, whole)
    if not pc.any(odd).as_py():
        return bare
    found = (ODD.fullmatch(cell) for cell in cells.filter(odd).to_pylist())
    return pc.replace_with_mask(
        bare, odd, pa.array([one[1].replace('""', '"') + one[2] for one in found if one], pa.string())
    )


def spelled(cells: pa.Array, mark: str, quoted: Bool[np.ndarray, " rows"] | pa.Array | None = None) -> pa.Array:
    """Cells as they are written, in quotes where they need some or are wanted in some."""
    needed = pc.match_substring_regex(cells, f'[{re.escape(mark)}"\r\n]')
    wanted = needed if quoted is None else pc.or_(needed, quoted)
    around = pc.binary_join_element_wise('"', pc.replace_substring(cells, '"', '""'), '"', "")
    return pc.if_else(wanted, around, cells)
