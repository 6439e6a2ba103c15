"""Tables as text: comma-, semicolon-, tab- or space-separated cells, with or without a line of names, in the
encodings that people save.
"""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from vael.counting import counted
from vael.errors import FormatError, ShapeError
from vael.tables import columnwise as pc
from vael.tables.as_text.compressed import content
from vael.tables.as_text.naming import MISSING, check_names, has_names, names_in_quotes
from vael.tables.as_text.tokens import TokenRows, in_quotes, inside, of_distinct, rows_of, spelled
from vael.tables.values.date_patterns import told_dates

TEXT = (".csv", ".tsv", ".txt", ".data", ".tab")  # endings of files
MARKS = (",", ";", "\t", "|", " ")
BLOCK = 1 << 22  # bytes of text that are parsed at once
BESIDE = re.compile(r"^\d.*\d \d\d?:\d\d")  # a day, a blank and a time
LOOKED_AT = 64  # lines from which the separator and the names are told
LINES = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+\Z")  # with their ends
SEPARATOR = re.compile(r'\s*"?sep=(\\t|[,;|\t ])"?\s*', re.IGNORECASE)
MARKS_OF_NUMBERS = (",", "'", "’", "٬", "٫", "\u00a0", "\u2007", "\u2009", "\u202f")


@dataclass(frozen=True)
class TextLayout:
    """How a table is written as text."""

    mark: str = ","
    named: bool = True  # whether the first line holds names
    encoding: str = "utf-8"
    ending: str = "\n"  # of lines
    header: tuple[str, ...] = ()  # names as they are written, where that is not how `written` has them
    quoted: tuple[
        bool, ...
    ] = ()  # columns whose cells stand in quotes although they need none, and last whether the names do
    top: str = ""  # what stands above the names: comments, an empty line, the separator
    ended: bool = True  # whether the last line has an end too

    def written(self, cells: pa.Array, quoted: bool) -> pa.Array:
        """Cells as they are written: in quotes where they need some, and if `quoted` around all that is not missing."""
        return spelled(
            cells, self.mark, pc.invert(pc.is_in(pc.utf8_lower(cells), pa.array(sorted(MISSING)))) if quoted else None
        )

    def quotes(self, columns: int) -> tuple[bool, ...]:
        """`quoted` for a table of so many columns."""
        return self.quoted if len(self.quoted) == columns + 1 else (False,) * (columns + 1)


@dataclass(frozen=True)
class Ragged:
    """A row that has more or fewer cells than there are columns."""

    row: int  # counted from 1, without the line of names
    cells: int
    text: str

    @property
    def told(self) -> str:
        """How many cells it has."""
        return counted(self.cells, "cell")


@dataclass(frozen=True)
class Block:
    """Consecutive rows as they came: every cell as text."""

    table: pa.Table  # of strings, what stands in the cells; names from the first line, or `column 1` ...
    rows: np.ndarray  # their numbers, from 1
    ragged: tuple[Ragged, ...] = ()  # rows before or among them that are not in the table
    written: pa.Table | None = None  # the cells as they are written, null where that is how `Layout.written` has them


@dataclass(frozen=True)
class TextTable:
    """A table of text that was looked at once from end to end, to be read a block at a time."""

    path: Path
    layout: TextLayout
    names: tuple[str, ...]
    start: int  # bytes in UTF-8 before the first row
    quotes: int  # how many quotation marks there are
    commas: bool  # whether a cell may hold a comma, or another mark of numbers

    def blocks(self, size: int = BLOCK) -> Iterator[Block]:
        """All rows in order, `size` bytes of text at a time. Errors: `FormatError` for a quotation mark that is not
        closed.

        The bytes are read and cut in the thread that asks. Arrow's own reader does it in threads of its own, which call
        back into Python: one that still reads when the interpreter ends stops the process with SIGABRT, whatever was
        done before.
        """
        first = 1
        for rows, text in self._rows(size):
            ends, width = rows.ends, len(self.names)
            shown = np.flatnonzero((rows.widths > 1) | (np.diff(ends, prepend=0) > 0) & ~self._empty(rows))
            numbers, fits = first + np.arange(len(shown)), rows.widths[shown] == width
            first += len(shown)
            wrong = tuple(
                Ragged(
                    int(number),
                    int(rows.widths[row]),
                    text[ends[row - 1] if row else 0 : ends[row]].decode().rstrip("\r\n"),
                )
                for number, row in zip(numbers[~fits], shown[~fits], strict=True)
            )
            cells = rows.columns(shown[fits], width)
            table = pa.table(dict(zip(self.names, map(inside, cells), strict=True)))
            if self.quotes % 2 and len(shown):
                self._check_end(rows, int(numbers[-1]))
            if len(shown):
                yield Block(table, numbers[fits], wrong, self._written(cells, table) if self.quotes else None)

    def _empty(self, rows: TokenRows) -> Bool[np.ndarray, " rows"]:
        """Which rows are lines without a letter."""
        last = rows.cells.take(pa.array(np.cumsum(rows.widths) - 1))
        bare = pc.equal(last if len(self.names) == 1 else pc.utf8_trim_whitespace(last), "")
        return (rows.widths == 1) & np.asarray(bare.to_numpy(zero_copy_only=False))

    def _written(self, cells: list[pa.Array], table: pa.Table) -> pa.Table:
        columns = zip(cells, table.columns, self.layout.quotes(len(self.names)), strict=False)
        return pa.table(
            dict(zip(self.names, (self._own(one, column, quoted) for one, column, quoted in columns), strict=True))
        )

    def _own(self, written: pa.Array, cells: pa.ChunkedArray, quoted: bool) -> pa.Array:
        """Cells as they are written, null where that is how they would be."""
        if not quoted and not pc.any(pc.match_substring(written, '"')).as_py():
            return pa.nulls(len(written), pa.string())
        usual = of_distinct(lambda some: self.layout.written(some, quoted), cells.combine_chunks())
        return pc.if_else(pc.equal(written, usual), pa.scalar(None, pa.string()), written)

    def _rows(self, size: int) -> Iterator[tuple[TokenRows, bytes]]:
        """Whole rows with their bytes in UTF-8."""
        decoder, left, skipped = codecs.getincrementaldecoder(self.layout.encoding)(), b"", self.start
        with content(self.path) as file:
            last = False
            while not last:
                raw = file.read(max(size, len(left)))  # twice as much where no row ended
                last = not raw
                left += decoder.decode(raw, last).encode()
                left, skipped = left[skipped:], max(0, skipped - len(left))
                found = parsed(left, self.layout.mark, last=last)
                if found.used:
                    yield found, left[: found.used]
                    left = left if last else left[found.used :]

    def _check_end(self, rows: TokenRows, row: int) -> None:
        """Errors: `FormatError` where the last cell goes on to the end of the file because a quotation mark is not
        closed.
        """
        cell = pa.array([str(rows.cells[-1]).rstrip()])
        (text,), (quoted,), lines = (
            inside(cell).to_pylist(),
            in_quotes(cell).to_pylist(),
            len(LINES.findall(str(cell[0]))),
        )
        if lines > 1 and quoted and str(cell[0]).count('"') % 2:
            name = self.names[min(int(rows.widths[-1]), len(self.names)) - 1]
            raise FormatError(
                f"{self.path}, row {row:,}, column {name!r}: a text that begins with {text[:40]!r} goes on for "
                f"{lines:,} lines, "
                "to the end of the file; close its quotation mark"
            )

    def too_ragged(self, found: Sequence[Ragged]) -> ShapeError:
        """What to say of rows of another length."""
        one, names = found[0], len(self.names)
        way = (
            "check separators and quotes, or leave such rows out (OnError.SKIP; --on-error skip of score, encode and "
            "impute)"
        )
        if names == 1 and one.row <= LOOKED_AT:
            way = "if lines stand above the line of names (a title), delete them, or begin them with #"
        elif len(found) > 1 and all(row.cells == names + 1 for row in found):
            way = "give the column of row names a name, or delete the separator that ends the lines"
        return ShapeError(
            f"{self.path}, row {max(1, one.row):,}: {one.told}, but "
            f"{counted(names, 'was', 'were')} expected as in the first line ({one.text[:60]!r}); "
            f"{counted(len(found), 'row is', 'rows are')} so: {way}"
        )


def parsed(text: bytes, mark: str, *, last: bool = True) -> TokenRows:
    """The rows of text in UTF-8, as `rows_of` has them; where blanks separate, several are one, and those at the
    ends of lines are none.
    """
    found = rows_of(text, mark, last=last)
    single = rows_of(_single(text[: found.used]), mark) if mark == " " else found
    return (
        replace(single, ends=found.ends) if len(single.ends) == len(found.ends) else found
    )  # quotation marks that are text


def _single(text: bytes) -> bytes:
    """Blanks between cells brought to one."""
    if b'"' not in text:
        return re.sub(rb"(?m)^ | (?=\r?$)", b"", re.sub(rb"[ \t]+", b" ", text))
    return re.sub(
        rb'("[^"]*")|(^|(?<=[\r\n]))[ \t]+|[ \t]+(?=[\r\n]|\Z)|([ \t]+)',
        lambda found: found[1] or (found[3] and b" ") or b"",
        text,
    )


def text_table(path: Path) -> TextTable:
    """What a file of text is as a table: its encoding, separator and names.

    Empty lines at the top, lines that begin with # there, and the line `sep=;` of spreadsheets are passed over.
    Errors: `FormatError` for files that are empty or no text, `ShapeError` for two columns of one name.
    """
    seen = looked_at(path)
    lines, whole = head_of(path, seen.encoding)
    above = next((number for number, line in enumerate(lines) if _said(line)), len(lines))
    found = SEPARATOR.fullmatch(lines[above]) if above < len(lines) else None
    declared, above = (found[1].replace("\\t", "\t"), above + 1) if found else ("", above)
    text = "".join(lines[above:]).encode()
    if not text.strip():
        raise FormatError(f"{path} is empty; give a table with one example a line")
    mark = declared or separator(text, last=whole)
    rows = parsed(text, mark, last=whole)
    rows = rows if rows.used else parsed(text, mark)
    said = [any(cell.strip() for cell in row) for row in rows]  # also by an empty cell in quotes
    written, first = (list(itertools.compress(some, said)) for some in (rows, replace(rows, cells=inside(rows.cells))))
    comment = -1 if found else names_above(lines[:above], first, mark)
    if comment >= 0:
        line = lines[comment].rstrip("\r\n")
        start = re.match(r"#[ \t]+(?=.)|", line)[0]  # type: ignore[index]  # as numpy.savetxt begins the line of names
        (names,) = parsed(line.removeprefix(start).encode(), mark)
        written, first = [[start + names[0], *names[1:]], *written], [inside(pa.array(names)).to_pylist(), *first]
    named = has_names(first) or names_in_quotes(written)
    names = [(name.strip() if named else "") or f"column {number}" for number, name in enumerate(first[0], 1)]
    check_names(path, names)
    place = int(rows.ends[_first(rows)]) if named and comment < 0 else 0
    layout = TextLayout(mark, named, seen.encoding, ending_of(text[: rows.ends[0]]), ended=seen.ended)
    quoted = quotes_of(written, first, layout, named) if seen.quotes else ()
    top = "".join(lines[: above if comment < 0 else comment])
    layout = replace(layout, quoted=quoted, top=top, header=tuple(written[0]) if named else ())
    commas = bool(seen.marks - {mark}) or (mark in seen.marks and seen.quotes > 0)
    return TextTable(path, layout, tuple(names), len("".join(lines[:above]).encode()) + place, seen.quotes, commas)


def ending_of(line: bytes) -> str:
    """The end of a line; that of most files where it has none."""
    return next((end for end in ("\r\n", "\n", "\r") if line.endswith(end.encode())), "\n")


def _first(rows: TokenRows) -> int:
    """The first row that is no empty line."""
    return next(place for place, row in enumerate(rows) if any(cell.strip() for cell in row))


def head_of(path: Path, encoding: str) -> tuple[list[str], bool]:
    """The first lines of a file with their ends, `LOOKED_AT` of them from the first that says something on, and
    whether that is all of it.
    """
    decoder, text = codecs.getincrementaldecoder(encoding)(), ""
    with content(path) as file:
        while True:
            raw = file.read(max(1 << 16, len(text)))
            text += decoder.decode(raw, not raw)
            lines = LINES.findall(text)
            above = next((number for number, line in enumerate(lines) if _said(line)), len(lines))
            if not raw or len(lines) > above + LOOKED_AT + 1:
                return lines[: above + LOOKED_AT + 1] if raw else lines, not raw


def quotes_of(written: list[list[str]], cells: list[list[str]], layout: TextLayout, named: bool) -> tuple[bool, ...]:
    """Which columns stand in quotes although they need none, as some programs write texts, and last whether names
    do; () where nothing does.
    """
    needed = re.compile(f'[{re.escape(layout.mark)}"\r\n]')
    extra = [
        [one.lstrip().startswith('"') and not needed.search(cell) for one, cell in zip(row, inner, strict=True)]
        for row, inner in zip(written, cells, strict=True)
        if len(row) == len(written[0])
    ]
    rows, names = [any(column) for column in zip(*extra[named:], strict=True)], named and any(extra[0])
    return (*rows, names) if any(rows) or names else ()


def _said(line: str) -> bool:
    """Whether a line is no comment and not empty."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def names_above(lines: list[str], rows: list[list[str]], mark: str) -> int:
    """Which line is a comment that holds the names, as numpy.savetxt writes them; -1 for none.

    It is the last one, has as many cells as the first row, and that row holds no names itself.
    """
    comments = [number for number, line in enumerate(lines) if line.strip()]
    if not comments or has_names(rows):
        return -1
    (cells,) = parsed(lines[comments[-1]].rstrip("\r\n").lstrip("# ").encode(), mark) or ([],)
    return comments[-1] if len(cells) == len(rows[0]) else -1


def read_text(path: Path) -> tuple[TextTable, Block]:
    """Every cell of a table as text. Rows are counted from 1 without the line of names.

    Errors: those of `text_table`, and `FormatError` for a table without rows.
    """
    found = text_table(path)
    blocks = list(found.blocks())
    if not blocks:
        raise FormatError(f"{path} has a line of names but no rows; give a table with one example a line")
    ragged = tuple(one for block in blocks for one in block.ragged)
    written = (
        pa.concat_tables([block.written for block in blocks if block.written is not None]) if found.quotes else None
    )
    return found, Block(
        pa.concat_tables([block.table for block in blocks]),
        np.concatenate([block.rows for block in blocks]),
        ragged,
        written,
    )


@dataclass(frozen=True)
class Seen:
    """What a file of text has from end to end."""

    encoding: str
    quotes: int  # how many quotation marks
    marks: frozenset[str]  # that could stand in numbers
    ended: bool  # whether the last line has an end


def looked_at(path: Path) -> Seen:
    """The encoding of a file: UTF-8 (with or without a mark), UTF-16 with a mark, else Latin-1; and which marks it has.

    Errors: `FormatError` for bytes that are no text.
    """
    with content(path) as raw:
        start = raw.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ("utf-16",)
    else:
        encodings = ("utf-8-sig",) if start.startswith(codecs.BOM_UTF8) else ("utf-8", "cp1252")
    for encoding in encodings:
        try:
            with content(path) as raw, io.TextIOWrapper(raw, encoding=encoding) as file:
                text = file.read(1 << 20)
                if "\0" in text[:100_000] or _binary(text[:100_000]):
                    continue
                quotes, marks, ended = 0, set[str](), True
                while text:
                    quotes, marks = (
                        quotes + text.count('"'),
                        marks | {mark for mark in MARKS_OF_NUMBERS if mark in text},
                    )
                    ended = text.endswith(("\r", "\n"))
                    text = file.read(1 << 20)
                return Seen(encoding, quotes, frozenset(marks), ended)
        except UnicodeError:
            continue
    raise FormatError(
        f"{path} is not a table of text in UTF-8, UTF-16 or Latin-1; save it as CSV in UTF-8, or as Parquet"
    )


def _binary(text: str) -> bool:
    odd = sum(ord(letter) < 32 and letter not in "\n\r\t\f" for letter in text)
    return odd > len(text) / 1000


def separator(text: bytes, *, last: bool = True) -> str:
    """The mark between cells: the one that cuts most lines into equally many cells, more than one."""
    best, mark = 0.0, ","
    for candidate in MARKS:
        rows = parsed(text, candidate, last=last)
        rows = rows if rows.used else parsed(text, candidate)
        widths = [len(row) for row in rows if any(cell.strip() for cell in row)]
        width, often = Counter(widths).most_common(1)[0]
        if candidate == " " and width == 2 and widths[0] == 1 and _moments(text, often):
            continue
        score = 0.0 if width < 2 else often / len(widths) * (0.5 if candidate == " " else 1.0) + width * 1e-3
        if score > best:
            best, mark = score, candidate
    return mark


def _moments(text: bytes, rows: int) -> bool:
    """Whether so many lines are dates with a time of day behind a blank: one column."""
    lines = [line for line in text.decode().splitlines() if BESIDE.search(line)]
    return len(lines) == rows and told_dates(pa.chunked_array([lines]), np.zeros(len(lines), bool))[0] is not None
