"""Tables as text: comma-, semicolon-, tab- or space-separated cells, with or without a line of names, in the encodings that people save."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from vael.data.compressed import content
from vael.errors import FormatError, ShapeError

MISSING = frozenset({"", "na", "nan", "n/a", "null", "none", "?", "-nan", "#n/a", "<na>", "nat"})
TEXT = (".csv", ".tsv", ".txt", ".data", ".tab")  # endings of files
MARKS = (",", ";", "\t", "|", " ")
BLOCK = 1 << 22  # bytes of text that are parsed at once
LOOKED_AT = 64  # lines from which the separator and the names are told
SEPARATOR = re.compile(r'"?sep=(\\t|[,;|\t ])"?', re.IGNORECASE)
MARKS_OF_NUMBERS = (",", "'", "’", "\u00a0", "\u202f")
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?$|[+-]?inf(inity)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """How a table is written as text."""

    mark: str = ","
    named: bool = True  # whether the first line holds names
    encoding: str = "utf-8"
    ending: str = "\n"  # of lines
    header: tuple[str, ...] = ()  # names as they were written, where columns are called otherwise: an empty name, spaces around it
    quoted: tuple[bool, ...] = ()  # columns whose cells stand in quotes although they need none, and last whether the names do


@dataclass(frozen=True)
class Ragged:
    """A row that has more or fewer cells than there are columns."""

    row: int  # counted from 1, without the line of names
    cells: int
    text: str


@dataclass(frozen=True)
class Block:
    """Consecutive rows as they were written: every cell as text."""

    table: pa.Table  # of strings; names from the first line, or `column 1` ...
    rows: np.ndarray  # their numbers, from 1
    ragged: tuple[Ragged, ...] = ()  # rows before or among them that are not in the table


@dataclass(frozen=True)
class TextTable:
    """A table of text that was looked at once from end to end, to be read a block at a time."""

    path: Path
    layout: Layout
    names: tuple[str, ...]
    before: int  # lines before the first row
    quotes: int  # how many quotation marks there are
    commas: bool  # whether a cell may hold a comma, or another mark of numbers

    def blocks(self, size: int = BLOCK) -> Iterator[Block]:
        """All rows in order, `size` bytes of text at a time. Errors: `FormatError` for text that is no table."""
        wrong: list[Ragged] = []

        def note(row: pa.csv.InvalidRow) -> str:
            wrong.append(Ragged(row.number or 0, row.actual_columns, row.text))
            return "skip"

        first, passed = 1, 0
        last: Block | None = None
        try:
            with content(self.path) as raw, io.TextIOWrapper(raw, encoding=self.layout.encoding) as file:
                for _ in range(self.before):
                    file.readline()
                stream = pa.PythonFile(io.BufferedReader(_Recoded(file, self.layout.mark), 1 << 20), mode="r")
                for batch in self._reader(stream, size, note):
                    gone = {one.row for one in wrong}
                    rows = _numbers(first, batch.num_rows, gone)
                    first = int(rows[-1]) + 1 if len(rows) else first
                    new, passed = tuple(wrong[passed:]), len(wrong)
                    last = Block(pa.table(dict(zip(self.names, batch.columns, strict=True))), rows, new)
                    yield last
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise FormatError(f"{self.path} could not be read as a table ({error}); check its quotes and separators") from error
        if last is not None and self.quotes % 2:
            self._check_end(last)
        if wrong[passed:]:
            yield Block(pa.table({name: pa.array([], pa.string()) for name in self.names}), np.zeros(0, np.int64), tuple(wrong[passed:]))

    def _reader(self, stream: pa.PythonFile, size: int, note: Callable[[pa.csv.InvalidRow], str]) -> pa.csv.CSVStreamingReader:
        return pa.csv.open_csv(
            stream,
            read_options=pa.csv.ReadOptions(column_names=list(self.names), use_threads=False, block_size=size),
            parse_options=pa.csv.ParseOptions(delimiter=self.layout.mark, invalid_row_handler=note, newlines_in_values=self.quotes > 0),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(self.names, pa.string()), strings_can_be_null=False),
        )

    def _check_end(self, last: Block) -> None:
        """Errors: `FormatError` where the last cell goes on to the end of the file because a quotation mark is not closed."""
        for name in self.names if last.table.num_rows else ():
            cell = str(last.table.column(name)[-1])
            lines = cell.rstrip("\n").count("\n") + 1
            if lines > 1:
                raise FormatError(
                    f"{self.path}, row {last.rows[-1]:,}, column {name!r}: a text that begins with {cell[:40]!r} goes on for {lines:,} lines, "
                    "to the end of the file; close its quotation mark"
                )

    def too_ragged(self, found: Sequence[Ragged]) -> ShapeError:
        """What to say of rows of another length."""
        one, names = found[0], len(self.names)
        way = "check separators and quotes, or leave such rows out (OnError.SKIP; --on-error skip of score, encode and impute)"
        if names == 1 and one.row <= LOOKED_AT:
            way = "if lines stand above the line of names (a title), delete them, or begin them with #"
        elif len(found) > 1 and all(row.cells == names + 1 for row in found):
            way = "give the column of row names a name, or delete the separator that ends the lines"
        return ShapeError(
            f"{self.path}, row {max(1, one.row):,}: {one.cells} cells, but {names} were expected as in the first line ({one.text[:60]!r}); "
            f"{len(found):,} rows are so: {way}"
        )


class _Recoded(io.RawIOBase):
    """Text as bytes in UTF-8, spaces between cells brought to one where they separate."""

    def __init__(self, file: io.TextIOWrapper, mark: str) -> None:
        self.file, self.mark, self.rest = file, mark, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """As many of the next bytes as fit; 0 at the end (`io.RawIOBase`)."""
        if not self.rest:
            text = self.file.read(1 << 20)
            if self.mark == " ":
                text = re.sub(r"(?m)^[ \t]+|[ \t]+$", "", re.sub(r"[ \t]+", " ", text + self.file.readline()))
            self.rest = memoryview(text.encode())
        count = min(len(buffer), len(self.rest))
        buffer[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count


def _numbers(first: int, count: int, gone: set[int]) -> np.ndarray:
    """The next `count` numbers from `first` on, those that are gone left out."""
    rows = np.arange(first, first + count + sum(one >= first for one in gone))
    return rows[~np.isin(rows, list(gone))][:count] if gone else rows


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing."""
    return cell.strip().lower() in MISSING


def is_number(cell: str) -> bool:
    """Whether a cell is a number as programs write it."""
    return NUMBER.match(cell.strip()) is not None


def text_table(path: Path) -> TextTable:
    """What a file of text is as a table: its encoding, separator and names.

    Empty lines at the top, lines that begin with # there, and the line `sep=;` of spreadsheets are passed over.
    Errors: `FormatError` for files that are empty or no text, `ShapeError` for two columns of one name.
    """
    seen = looked_at(path)
    with content(path) as raw, io.TextIOWrapper(raw, encoding=seen.encoding) as file:
        lines = [line.rstrip("\n") for line in itertools.islice(file, LOOKED_AT)]
        while lines and not any(_said(line) for line in lines) and (more := file.readline()):
            lines.append(more.rstrip("\n"))
        lines += [line.rstrip("\n") for line in itertools.islice(file, LOOKED_AT)]
    before, declared = top_of(lines)
    shown = [one for one in lines[before:] if one.strip()]
    if not shown:
        raise FormatError(f"{path} is empty; give a table with one example a line")
    marked = re.match(r"#[ \t]+(?=.)", shown[0])  # as numpy.savetxt begins the line of names
    shown[0] = shown[0][marked.end() :] if marked else shown[0]
    mark = declared or separator(shown)
    reader = csv.reader(shown, delimiter=mark, skipinitialspace=True)
    first = [next(reader)]
    taken = reader.line_num
    first += [row for row in reader if row]
    first = [[cell for cell in row if cell] for row in first] if mark == " " else first
    named = has_names(first)
    header = tuple(first[0])
    names = [(name.strip() if named else "") or f"column {number}" for number, name in enumerate(header, 1)]
    spaced = next(csv.reader(shown, delimiter=mark))  # with the spaces around names
    header = tuple(spaced) if len(spaced) == len(names) else header
    header = ((marked[0] if marked else "") + header[0], *header[1:])
    check_names(path, names)
    quoted = quotes_of(shown, mark, len(names), named) if seen.quotes else ()
    layout = Layout(mark, named, seen.encoding, seen.ending, header if named and list(header) != names else (), quoted)
    commas = bool(seen.marks - {mark}) or (mark in seen.marks and seen.quotes > 0)
    return TextTable(path, layout, tuple(names), before + taken * named, seen.quotes, commas)


def quotes_of(lines: list[str], mark: str, columns: int, named: bool) -> tuple[bool, ...]:
    """Which columns stand in quotes although they need none, as some programs write texts, and last whether names do; () where nothing does."""
    cell = re.compile(rf'(?:^|{re.escape(mark)})(?:("[^"{re.escape(mark)}]*")|"(?:[^"]|"")*"|[^"{re.escape(mark)}]*)(?={re.escape(mark)}|$)')
    found = [[match[1] is not None for match in cell.finditer(line)] for line in lines]
    whole = [row for row in found if len(row) == columns]
    names = named and len(found[0]) == columns and any(found[0])
    rows = [any(row) for row in zip(*whole[named and len(found[0]) == columns :], strict=True)]
    return (*rows, names) if len(rows) == columns and (any(rows) or names) else ()


def _said(line: str) -> bool:
    """Whether a line is no comment and not empty."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def top_of(lines: list[str]) -> tuple[int, str]:
    """How many lines stand above the names, and the separator if one of them declares it."""
    before, declared = 0, ""
    while before < len(lines) and not _said(lines[before]):
        before += 1
    found = SEPARATOR.fullmatch(lines[before].strip()) if before < len(lines) else None
    if found:
        return before + 1, found[1].replace("\\t", "\t")
    comments = [number for number in range(before) if lines[number].strip()]
    if comments and before < len(lines):  # the last comment may hold the names, as numpy.savetxt writes them
        mark = separator([line for line in lines[before:] if line.strip()])
        cells = [
            len([cell for cell in row if cell or mark != " "])
            for row in csv.reader((lines[comments[-1]].lstrip("# "), lines[before]), delimiter=mark)
        ]
        before = comments[-1] if cells[0] == cells[-1] else before
    return before, declared


def read_text(path: Path) -> tuple[TextTable, Block]:
    """Every cell of a table as text. Rows are counted from 1 without the line of names.

    Errors: those of `text_table`, and `FormatError` for a table without rows.
    """
    found = text_table(path)
    blocks = list(found.blocks(1 << 24))
    if not blocks:
        raise FormatError(f"{path} has a line of names but no rows; give a table with one example a line")
    ragged = tuple(one for block in blocks for one in block.ragged)
    return found, Block(pa.concat_tables([block.table for block in blocks]), np.concatenate([block.rows for block in blocks]), ragged)


@dataclass(frozen=True)
class Seen:
    """What a file of text has from end to end."""

    encoding: str
    ending: str  # of its lines
    quotes: int  # how many quotation marks
    marks: frozenset[str]  # that could stand in numbers


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
                quotes, marks = 0, set[str]()
                while text:
                    quotes, marks = quotes + text.count('"'), marks | {mark for mark in MARKS_OF_NUMBERS if mark in text}
                    text = file.read(1 << 20)
                return Seen(encoding, "\r\n" if file.newlines == "\r\n" else "\n", quotes, frozenset(marks))
        except UnicodeError:
            continue
    raise FormatError(f"{path} is not a table of text in UTF-8, UTF-16 or Latin-1; save it as CSV in UTF-8, or as Parquet")


def _binary(text: str) -> bool:
    odd = sum(ord(letter) < 32 and letter not in "\n\r\t\f" for letter in text)
    return odd > len(text) / 1000


def separator(lines: list[str]) -> str:
    """The mark between cells: the one that cuts most lines into equally many cells, more than one."""
    best, mark = 0.0, ","
    for candidate in MARKS:
        rows = list(csv.reader(lines, delimiter=candidate, skipinitialspace=True))
        widths = [len([cell for cell in row if cell]) if candidate == " " else len(row) for row in rows if row]
        width, often = Counter(widths).most_common(1)[0]
        score = 0.0 if width < 2 else often / len(widths) * (0.5 if candidate == " " else 1.0) + width * 1e-3
        if score > best:
            best, mark = score, candidate
    return mark


def has_names(rows: list[list[str]]) -> bool:
    """Whether the first line holds names: it has no number where the lines below have only numbers, or its words do not come again below."""
    top, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not any(cell.strip() for cell in top) or (any(is_number(cell) for cell in top) and not numbered(top, below)):
        return False
    if not below:
        return all(not is_missing(cell) for cell in top)
    columns = list(zip(*below, strict=True))
    if any(all(is_number(cell) or is_missing(cell) for cell in column) for column in columns):
        return True
    return not any(cell.strip() in {value.strip() for value in column} for cell, column in zip(top, columns, strict=True))


def numbered(top: list[str], below: list[list[str]]) -> bool:
    """Whether the numbers of the first line are names: years in steps, or columns counted from 0 or 1 as programs do where there are no names."""
    places = [place for place, cell in enumerate(top) if cell.strip().isdecimal()]
    if sum(is_number(cell) for cell in top) != len(places) or not below:
        return False
    values = [int(top[place]) for place in places]
    words = [(place, cell.strip()) for place, cell in enumerate(top) if cell.strip() and place not in places]
    if any(cell in {row[place].strip() for row in below} for place, cell in words):
        return False
    steps = {second - first for first, second in itertools.pairwise(values)}
    if all(1800 <= value <= 2100 for value in values):
        years = [cell for row in below for cell in (row[place].strip() for place in places) if cell.isdecimal() and 1800 <= int(cell) <= 2100]
        return len(values) > 1 and len(steps) == 1 and steps <= set(range(-10, 11)) - {0} and len(years) < 0.5 * len(below) * len(places)
    unlike = len(values) > 4 or any(not cell.strip().isdecimal() for row in below for cell in row)
    return unlike and len(values) > 2 and len(places) >= len(top) - 1 and values[0] in (0, 1) and steps == {1}


def check_names(where: object, names: list[str]) -> None:
    """Errors: `ShapeError` for two columns of one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = [str(place + 1) for place, name in enumerate(names) if name == twice[0]]
        raise ShapeError(f"{where}: columns {' and '.join(places)} are both called {twice[0]!r}; every column needs a name of its own: rename one")


def strings(column: pa.ChunkedArray) -> np.ndarray:
    """A column of text as an array of str."""
    return np.array(column.to_pylist(), dtype=object)
