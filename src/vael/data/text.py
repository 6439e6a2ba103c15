"""Tables as text: comma-, semicolon-, tab- or space-separated cells, with or without a line of names, in the encodings that people save."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from vael.errors import FormatError, ShapeError

MISSING = frozenset({"", "na", "nan", "n/a", "null", "none", "?", "-nan", "#n/a", "<na>", "nat"})
MARKS = (",", ";", "\t", "|", " ")
LOOKED_AT = 64  # lines from which the separator and the names are told
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?$|[+-]?inf(inity)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """How a table is written as text."""

    mark: str = ","
    named: bool = True  # whether the first line holds names
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Cells:
    """A table as it was written: every cell as text, spaces around it removed."""

    table: pa.Table  # of strings; names from the first line, or `column 1` ...
    layout: Layout


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing."""
    return cell.strip().lower() in MISSING


def is_number(cell: str) -> bool:
    """Whether a cell is a number as programs write it."""
    return NUMBER.match(cell.strip()) is not None


def read_text(path: Path) -> Cells:
    """Every cell of a table as text. Rows are counted from 1 without the line of names.

    Errors: `FormatError` for empty or binary files, `ShapeError` for a row of another length (named) and for two columns of one name.
    """
    text, encoding = decoded(path)
    lines = [line for line in text.split("\n", LOOKED_AT)[:LOOKED_AT] if line.strip()]
    if not lines:
        raise FormatError(f"{path} is empty; give a table with one example a line")
    mark = separator(lines)
    first = [row for row in csv.reader(lines, delimiter=mark, skipinitialspace=True) if row]
    first = [[cell for cell in row if cell] for row in first] if mark == " " else first
    named = has_names(first)
    names = [(name.strip() if named else "") or f"column {number}" for number, name in enumerate(first[0], 1)]
    check_names(path, names)
    table = _parsed(path, text, mark, names, named)
    if not table.num_rows:
        raise FormatError(f"{path} has a line of names but no rows; give a table with one example a line")
    return Cells(table, Layout(mark, named, encoding))


def decoded(path: Path) -> tuple[str, str]:
    """The text of a file, and its encoding: UTF-8 (with or without a mark), UTF-16 with a mark, else Latin-1.

    Errors: `FormatError` for bytes that are no text.
    """
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ("utf-16",)
    else:
        encodings = ("utf-8-sig",) if raw.startswith(codecs.BOM_UTF8) else ("utf-8", "cp1252")
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text[:100_000] and not _binary(text[:100_000]):
            return text.replace("\r\n", "\n").replace("\r", "\n"), encoding
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


def _parsed(path: Path, text: str, mark: str, names: list[str], named: bool) -> pa.Table:
    if mark == " ":
        text = re.sub(r"(?m)^[ \t]+|[ \t]+$", "", re.sub(r"[ \t]+", " ", text))
    wrong: list[tuple[int, int, str]] = []

    def note(row: pa.csv.InvalidRow) -> str:
        wrong.append((row.number or 0, row.actual_columns, row.text))
        return "skip"

    try:
        table = pa.csv.read_csv(
            io.BytesIO(text.encode()),
            read_options=pa.csv.ReadOptions(column_names=names, skip_rows=int(named), use_threads=False, block_size=1 << 24),
            parse_options=pa.csv.ParseOptions(delimiter=mark, invalid_row_handler=note, newlines_in_values='"' in text),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise FormatError(f"{path} could not be read as a table ({error}); check its quotes and separators") from error
    if wrong:
        number, cells, line = wrong[0]
        raise ShapeError(
            f"{path}, row {max(1, number - int(named)):,}: {cells} cells, but {len(names)} were expected as in the first line ({line[:60]!r}); "
            f"{len(wrong):,} rows are so: check separators and quotes"
        )
    return pa.table({name: pa.compute.utf8_trim_whitespace(table.column(name)) for name in names})


def strings(column: pa.ChunkedArray) -> np.ndarray:
    """A column of text as an array of str."""
    return np.array(column.to_pylist(), dtype=object)
