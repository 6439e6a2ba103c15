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
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from vael.errors import FormatError, ShapeError

MISSING = frozenset({"", "na", "nan", "n/a", "null", "none", "?", "-nan", "#n/a", "<na>", "nat"})
TEXT = (".csv", ".tsv", ".txt", ".data", ".tab")  # endings of files
MARKS = (",", ";", "\t", "|", " ")
BLOCK = 1 << 22  # bytes of text that are parsed at once
LOOKED_AT = 64  # lines from which the separator and the names are told
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?$|[+-]?inf(inity)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """How a table is written as text."""

    mark: str = ","
    named: bool = True  # whether the first line holds names
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Ragged:
    """A row that has more or fewer cells than there are columns."""

    row: int  # counted from 1, without the line of names
    cells: int
    text: str


@dataclass(frozen=True)
class Block:
    """Consecutive rows as they were written: every cell as text, spaces around it removed."""

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
    quotes: bool  # whether there is a quotation mark anywhere
    commas: bool  # whether a cell may hold a comma

    def blocks(self, size: int = BLOCK) -> Iterator[Block]:
        """All rows in order, `size` bytes of text at a time. Errors: `FormatError` for text that is no table."""
        wrong: list[Ragged] = []

        def note(row: pa.csv.InvalidRow) -> str:
            wrong.append(Ragged(row.number or 0, row.actual_columns, row.text))
            return "skip"

        first, passed = 1, 0
        try:
            with open(self.path, encoding=self.layout.encoding) as file:
                for _ in range(self.before):
                    file.readline()
                stream = pa.PythonFile(io.BufferedReader(_Recoded(file, self.layout.mark), 1 << 20), mode="r")
                for batch in self._reader(stream, size, note):
                    gone = {one.row for one in wrong}
                    rows = _numbers(first, batch.num_rows, gone)
                    first = int(rows[-1]) + 1 if len(rows) else first
                    new, passed = tuple(wrong[passed:]), len(wrong)
                    yield Block(pa.table({name: pa.compute.utf8_trim_whitespace(batch.column(name)) for name in self.names}), rows, new)
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise FormatError(f"{self.path} could not be read as a table ({error}); check its quotes and separators") from error
        if wrong[passed:]:
            yield Block(pa.table({name: pa.array([], pa.string()) for name in self.names}), np.zeros(0, np.int64), tuple(wrong[passed:]))

    def _reader(self, stream: pa.PythonFile, size: int, note: Callable[[pa.csv.InvalidRow], str]) -> pa.csv.CSVStreamingReader:
        return pa.csv.open_csv(
            stream,
            read_options=pa.csv.ReadOptions(column_names=list(self.names), use_threads=False, block_size=size),
            parse_options=pa.csv.ParseOptions(delimiter=self.layout.mark, invalid_row_handler=note, newlines_in_values=self.quotes),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(self.names, pa.string()), strings_can_be_null=False),
        )

    def too_ragged(self, found: Sequence[Ragged]) -> ShapeError:
        """What to say of rows of another length."""
        one = found[0]
        return ShapeError(
            f"{self.path}, row {max(1, one.row):,}: {one.cells} cells, but {len(self.names)} were expected as in the first line ({one.text[:60]!r}); "
            f"{len(found):,} rows are so: check separators and quotes, or leave such rows out (--on-error skip)"
        )


class _Recoded(io.RawIOBase):
    """Text as bytes in UTF-8, spaces between cells brought to one where they separate."""

    def __init__(self, file: TextIO, mark: str) -> None:
        self.file, self.mark, self.rest = file, mark, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
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

    Errors: `FormatError` for files that are empty or no text, `ShapeError` for two columns of one name.
    """
    encoding, quotes, commas = looked_at(path)
    with open(path, encoding=encoding) as file:
        blank = 0
        while (line := file.readline()) and not line.strip():
            blank += 1
        lines = [line.rstrip("\n")] + [more.rstrip("\n") for more in itertools.islice(file, LOOKED_AT - 1)]
    lines = [one for one in lines if one.strip()]
    if not lines:
        raise FormatError(f"{path} is empty; give a table with one example a line")
    mark = separator(lines)
    reader = csv.reader(lines, delimiter=mark, skipinitialspace=True)
    first = [next(reader)]
    taken = reader.line_num
    first += [row for row in reader if row]
    first = [[cell for cell in row if cell] for row in first] if mark == " " else first
    named = has_names(first)
    names = [(name.strip() if named else "") or f"column {number}" for number, name in enumerate(first[0], 1)]
    check_names(path, names)
    return TextTable(path, Layout(mark, named, encoding), tuple(names), blank + taken * named, quotes, commas and (mark != "," or quotes))


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


def looked_at(path: Path) -> tuple[str, bool, bool]:
    """The encoding of a file: UTF-8 (with or without a mark), UTF-16 with a mark, else Latin-1; whether it has quotation marks, and commas.

    Errors: `FormatError` for bytes that are no text.
    """
    with open(path, "rb") as file:
        start = file.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ("utf-16",)
    else:
        encodings = ("utf-8-sig",) if start.startswith(codecs.BOM_UTF8) else ("utf-8", "cp1252")
    for encoding in encodings:
        try:
            with open(path, encoding=encoding) as file:
                text = file.read(1 << 20)
                if "\0" in text[:100_000] or _binary(text[:100_000]):
                    continue
                quotes = commas = False
                while text:
                    quotes, commas = quotes or '"' in text, commas or "," in text
                    text = file.read(1 << 20)
        except UnicodeError:
            continue
        return encoding, quotes, commas
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
    if any(is_number(cell) for cell in top) or not any(cell.strip() for cell in top):
        return False
    if not below:
        return all(not is_missing(cell) for cell in top)
    columns = list(zip(*below, strict=True))
    if any(all(is_number(cell) or is_missing(cell) for cell in column) for column in columns):
        return True
    return not any(cell.strip() in {value.strip() for value in column} for cell, column in zip(top, columns, strict=True))


def check_names(where: object, names: list[str]) -> None:
    """Errors: `ShapeError` for two columns of one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = [str(place + 1) for place, name in enumerate(names) if name == twice[0]]
        raise ShapeError(f"{where}: columns {' and '.join(places)} are both called {twice[0]!r}; every column needs a name of its own: rename one")


def strings(column: pa.ChunkedArray) -> np.ndarray:
    """A column of text as an array of str."""
    return np.array(column.to_pylist(), dtype=object)
